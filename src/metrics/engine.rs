//! What the engine counts while it works, and what it tells of itself when somebody asks.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{Row, objects::Sample};
use crate::{
    client::{CallError, ErrorClass},
    engine::{Handle, Verb},
    leader::Leading,
};

const PASSES: Row = Row {
    name: "openstack_release_operator_pass_duration_seconds",
    help: "Passes over a namespace (histogram: _count is how many there were)",
    labels: &["controller"],
    object: false,
};
const WRITES: Row = Row {
    name: "openstack_release_operator_writes",
    help: "Writes that the API server took (counter: _total)",
    labels: &["kind", "verb"],
    object: false,
};
const ERRORS: Row = Row {
    name: "openstack_release_operator_api_errors",
    help: "Writes that did not succeed (counter: _total)",
    labels: &["kind", "reason"],
    object: false,
};
const WATCH_FAILURES: Row = Row {
    name: "openstack_release_operator_watch_failures",
    help: "Watches that failed and were begun again (counter: _total)",
    labels: &["kind"],
    object: false,
};

/// The metrics of the engine.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    [PASSES, WRITES, ERRORS, WATCH_FAILURES].into_iter().chain(SNAPSHOT.iter().map(|gauge| gauge.row))
}

/// A metric that is read from the controllers at the moment of a scrape.
pub(super) struct Gauge {
    pub(super) row: Row,
    pub(super) samples: fn(&[Handle], &Leading) -> Vec<Sample>,
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    samples: fn(&[Handle], &Leading) -> Vec<Sample>,
) -> Gauge {
    Gauge { row: Row { name, help, labels, object: false }, samples }
}

/// Those metrics.
pub(super) const SNAPSHOT: &[Gauge] = &[
    gauge("openstack_release_operator_leader", "1 when this replica leads", &[], |_, leading| {
        vec![Sample::new([], f64::from(u8::from(leading.now())))]
    }),
    gauge("openstack_release_operator_synced", "1 when the caches are complete", &["controller"], |handles, _| {
        let synced = |handle: &Handle| Sample::new([handle.name()], f64::from(u8::from(handle.unsynced().is_none())));
        handles.iter().map(synced).collect()
    }),
    gauge(
        "openstack_release_operator_queue_depth",
        "Namespaces that are due and whose pass has not begun",
        &["controller"],
        |handles, _| {
            let depth = |handle: &Handle| u32::try_from(handle.queue_depth()).unwrap_or(u32::MAX);
            handles.iter().map(|handle| Sample::new([handle.name()], f64::from(depth(handle)))).collect()
        },
    ),
    gauge(
        "openstack_release_operator_watch_state",
        "1 for the state of the watch of each kind: Pending, Absent, Unreadable, Synced or Failing",
        &["controller", "kind", "state"],
        |handles, _| {
            let states = handles.iter().flat_map(|handle| {
                let states = handle.watch_states().into_iter();
                states.map(|(kind, state)| Sample::new([handle.name(), kind.kind, state.into()], 1.0))
            });
            states.collect()
        },
    ),
    gauge("openstack_release_operator_build_info", "1 for the version of the operator", &["version"], |_, _| {
        vec![Sample::new([env!("CARGO_PKG_VERSION")], 1.0)]
    }),
];

/// Upper bounds of the passes' buckets, in seconds: a plan takes below one millisecond, a call up to fifteen seconds.
const BUCKETS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 15.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfController {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteOf {
    kind: &'static str,
    verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorOf {
    kind: &'static str,
    reason: &'static str,
}

/// The counters of a process; all of its controllers share them.
#[derive(Clone, Debug)]
pub struct Engine {
    passes: Family<OfController, Histogram, fn() -> Histogram>,
    writes: Family<WriteOf, Counter>,
    errors: Family<ErrorOf, Counter>,
    watch_failures: Family<OfKind, Counter>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            passes: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            writes: Family::default(),
            errors: Family::default(),
            watch_failures: Family::default(),
        }
    }
}

impl Engine {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(PASSES.name, PASSES.help, self.passes.clone());
        registry.register(WRITES.name, WRITES.help, self.writes.clone());
        registry.register(ERRORS.name, ERRORS.help, self.errors.clone());
        registry.register(WATCH_FAILURES.name, WATCH_FAILURES.help, self.watch_failures.clone());
    }

    /// A pass has ended.
    pub fn passed(&self, controller: &'static str, took: Duration) {
        self.passes.get_or_create(&OfController { controller }).observe(took.as_secs_f64());
    }

    /// A write was answered, one way or another.
    pub fn wrote<T>(&self, kind: &'static str, verb: Verb, answer: &Result<T, CallError>) {
        match answer {
            Ok(_) => self.writes.get_or_create(&WriteOf { kind, verb: verb.into() }).inc(),
            Err(error) => self.errors.get_or_create(&ErrorOf { kind, reason: ErrorClass::of(error).into() }).inc(),
        };
    }

    /// A watch has failed.
    pub fn watch_failed(&self, kind: &'static str) {
        self.watch_failures.get_or_create(&OfKind { kind }).inc();
    }
}
