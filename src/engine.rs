//! Observe, plan, act, report: one loop for every controller.
//!
//! ```text
//! watch -> cache -> queue (one pass per namespace at a time, bursts folded)
//!                     -> observe -> plan -> something to report? -> report, and plan again
//!                                        -> nothing to report   -> act
//! ```
//!
//! Nothing is done for an object before it is on record there: which steps an update has touched is remembered first, and a pass that was
//! planned on an outdated object fails there, before it acts. What fails in the act is reported by the next pass. See
//! `hack/adr/0003`.

mod backoff;
mod cache;
mod events;
mod handle;
mod pace;
mod pass;
mod queue;
mod watch;
mod write;

use api::service::Kind;
use jiff::Timestamp;

pub use cache::{Cache, Seen};
pub use handle::{Handle, WatchState};
pub use queue::{Options, prepare};
pub(crate) use watch::{Observed, api_of, read_once, read_readable};
pub use write::{Status, Urgency, Verb, Write, pointer};

/// A kind that a controller watches.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The kind.
    pub kind: Kind,
    /// Only objects with this label; everything when absent.
    pub label: Option<String>,
}

/// What a pass is to write for one root object (or for several that belong together), and when to look again.
#[derive(Default)]
pub struct Intent {
    /// The statuses, before everything else.
    pub statuses: Vec<Status>,
    /// The writes, in order; one that fails does not keep the others from being made.
    pub writes: Vec<Write>,
    /// When to look again although nothing changed.
    pub next: Option<Timestamp>,
}

/// What differs between controllers.
pub trait Controller: Send + Sync + 'static {
    /// The name, for `--controllers` and the logs.
    fn name(&self) -> &'static str;

    /// The kinds to watch.
    fn watched(&self) -> Vec<Watched>;

    /// Those of them that this controller reports on: without them it can do nothing.
    fn roots(&self) -> Vec<Kind>;

    /// Decides what to write in a namespace. `failures` are the last errors of writes that did not succeed yet, by
    /// `Kind/name`. The intents do not depend on each other: a status that cannot be written keeps only the writes of its
    /// own intent from being made. None when the namespace is not this controller's.
    fn decide(&self, cache: &Cache, namespace: &str, failures: &Failures, now: Timestamp) -> Vec<Intent>;
}

/// The last errors of writes that did not succeed yet, by `Kind/name`.
pub type Failures = std::collections::BTreeMap<String, String>;
