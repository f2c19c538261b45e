//! What the statuses of the root objects say, as samples: a pure function for each row of a table.
//!
//! To add a metric, add its row to [`METRICS`]: name, help, labels, and a function from an object to its samples. Then
//! `cargo xtask gen` writes it into the README, and `tests/it/http.rs` sees it in a real scrape.

use std::convert::Into;

use api::{
    DynamicObject,
    condition::{self, Condition},
    controlplane::OpenStackControlPlaneStatus,
    keystone::{KEYSTONE, KeySetStatus, KeystoneStatus},
    service::{self, Kind},
    version::{OpenStackVersionStatus, StepStatus, UpdateStatus},
};
use jiff::Timestamp;

use super::Row;
use crate::controllers::{CONTROL_PLANE, VERSION, status};

/// A metric of objects.
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// The labels after `namespace` and `name`.
    pub labels: &'static [&'static str],
    /// The samples of an object; none when the metric is not about it.
    pub samples: fn(&Object, Timestamp) -> Vec<Sample>,
}

impl Metric {
    /// The same, for whoever reads it.
    pub(super) fn row(&self) -> Row {
        Row { name: self.name, help: self.help, labels: self.labels, object: true }
    }
}

/// One value, with the values of the row's labels in their order. No text can get in: what is `'static` is of the program.
pub struct Sample {
    pub(super) labels: Vec<&'static str>,
    pub(super) value: f64,
}

/// What a metric may look at.
pub enum Object {
    /// An `OpenStackVersion`.
    Version(OpenStackVersionStatus),
    /// An `OpenStackControlPlane`.
    ControlPlane(OpenStackControlPlaneStatus),
    /// A `Keystone`.
    Keystone(KeystoneStatus),
}

impl Object {
    /// Reads the status of an object, if there are metrics of its kind. What cannot be read counts as empty.
    pub(super) fn read(kind: &Kind, object: &DynamicObject) -> Option<Self> {
        match *kind {
            VERSION => Some(Self::Version(status(object))),
            CONTROL_PLANE => Some(Self::ControlPlane(status(object))),
            KEYSTONE => Some(Self::Keystone(status(object))),
            _ => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Version(_) => VERSION.kind,
            Self::ControlPlane(_) => CONTROL_PLANE.kind,
            Self::Keystone(_) => KEYSTONE.kind,
        }
    }

    fn conditions(&self) -> &[Condition] {
        match self {
            Self::Version(status) => &status.conditions,
            Self::ControlPlane(status) => &status.conditions,
            Self::Keystone(status) => &status.conditions,
        }
    }

    fn version(&self) -> Option<&OpenStackVersionStatus> {
        if let Self::Version(status) = self { Some(status) } else { None }
    }

    fn update(&self) -> Option<&UpdateStatus> {
        self.version()?.update.as_ref()
    }

    /// The step whose turn it is.
    fn step(&self) -> Option<&StepStatus> {
        let update = self.update()?;
        update.steps.iter().find(|step| Some(step.name) == update.step)
    }

    fn keystone(&self) -> Option<&KeystoneStatus> {
        if let Self::Keystone(status) = self { Some(status) } else { None }
    }
}

/// The metrics of objects.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "openstack_release_condition",
        help: "1 for each condition, with its present status, and its severity while that is False",
        labels: &["kind", "type", "status", "severity"],
        samples: |object, _| {
            let known = |condition: &Condition| {
                let type_ = condition::known(&condition.type_)?;
                Some(one([object.kind(), type_, condition.status.into(), condition.severity.into()]))
            };
            object.conditions().iter().filter_map(known).collect()
        },
    },
    Metric {
        name: "openstack_release_version_state",
        help: "1 for the state of an OpenStackVersion: Installing, UpToDate, UpdateAvailable or Updating",
        labels: &["state"],
        samples: |object, _| {
            object.version().map(|status| one([VersionState::of(status).into()])).into_iter().collect()
        },
    },
    Metric {
        name: "openstack_release_service_state",
        help: "1 for the state of each service of an OpenStackVersion",
        labels: &["service", "state"],
        samples: |object, _| {
            let lines = object.version().into_iter().flat_map(|status| &status.services);
            let known = lines.filter_map(|line| Some((service::find(&line.name)?.name, line.state.into())));
            known.map(|(service, state)| one([service, state])).collect()
        },
    },
    Metric {
        name: "openstack_release_update_seconds",
        help: "Seconds since the running update began; absent when none runs",
        labels: &[],
        samples: |object, now| object.update().map(|update| age(update.started_at, now, [])).into_iter().collect(),
    },
    Metric {
        name: "openstack_release_update_step_state",
        help: "1 for the state of each step of the running update",
        labels: &["step", "state"],
        samples: |object, _| {
            let steps = object.update().into_iter().flat_map(|update| &update.steps);
            steps.map(|step| one([step.name.into(), step.state.into()])).collect()
        },
    },
    Metric {
        name: "openstack_release_update_step_seconds",
        help: "Seconds since the present step of the running update began",
        labels: &["step"],
        samples: |object, now| {
            let begun = object.step().and_then(|step| Some((step.started_at?, step.name.into())));
            begun.map(|(since, step)| age(since, now, [step])).into_iter().collect()
        },
    },
    Metric {
        name: "openstack_release_keystone_phase",
        help: "1 for the upgradePhase of a Keystone; None when it has none",
        labels: &["phase"],
        samples: |object, _| {
            let phase = |status: &KeystoneStatus| one([status.upgrade_phase.map_or("None", Into::into)]);
            object.keystone().map(phase).into_iter().collect()
        },
    },
    Metric {
        name: "openstack_release_keystone_step_seconds",
        help: "Seconds since the present step of the running installation or upgrade of a Keystone began",
        labels: &["step"],
        samples: |object, now| {
            let running = object.keystone().and_then(|status| status.upgrade.as_ref());
            running.map(|upgrade| age(upgrade.step_started_at, now, [upgrade.step.into()])).into_iter().collect()
        },
    },
    Metric {
        name: "openstack_release_keystone_upgrade_seconds",
        help: "Seconds since the running installation or upgrade of a Keystone began; absent when none runs",
        labels: &[],
        samples: |object, now| {
            let running = object.keystone().and_then(|status| status.upgrade.as_ref());
            running.map(|upgrade| age(upgrade.started_at, now, [])).into_iter().collect()
        },
    },
    Metric {
        name: "openstack_release_keystone_ready_replicas",
        help: "Pods of a Keystone that serve",
        labels: &[],
        samples: |object, _| {
            object.keystone().map(|status| Sample::new([], number(status.ready_replicas))).into_iter().collect()
        },
    },
    Metric {
        name: "openstack_release_keystone_keys_age_seconds",
        help: "Seconds since the present keys were published",
        labels: &["keys"],
        samples: |object, now| keys(object, |set| seconds(set.since, now)),
    },
    Metric {
        name: "openstack_release_keystone_keys_overdue_seconds",
        help: "Seconds since two rotations of the schedule are missing; 0 while they are not, absent while nothing rotates",
        labels: &["keys"],
        samples: |object, now| keys(object, |set| set.overdue_at.map(|overdue| seconds(overdue, now))),
    },
    Metric {
        name: "openstack_release_keystone_keys_count",
        help: "Keys that are published",
        labels: &["keys"],
        samples: |object, _| keys(object, |set| number(set.count)),
    },
    Metric {
        name: "openstack_release_keystone_keys_lagging_pods",
        help: "Pods that were asked last and do not have the published keys",
        labels: &["keys"],
        samples: |object, _| keys(object, |set| number(i64::try_from(set.lagging.len()).unwrap_or(i64::MAX))),
    },
    Metric {
        name: "openstack_release_keystone_keys_everywhere",
        help: "1 when every pod has proved that it has the published keys",
        labels: &["keys"],
        samples: |object, _| keys(object, |set| f64::from(u8::from(set.everywhere))),
    },
];

/// Where an `OpenStackVersion` is, without naming a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
enum VersionState {
    /// No version is deployed yet.
    Installing,
    /// The deployed version is the available one, or there is no newer one.
    UpToDate,
    /// A newer version is available.
    UpdateAvailable,
    /// An update runs.
    Updating,
}

impl VersionState {
    fn of(status: &OpenStackVersionStatus) -> Self {
        if status.update.is_some() {
            Self::Updating
        } else if status.deployed_version.is_none() {
            Self::Installing
        } else if condition::is_true(&status.conditions, condition::MINOR_UPDATE_AVAILABLE) {
            Self::UpdateAvailable
        } else {
            Self::UpToDate
        }
    }
}

impl Sample {
    pub(super) fn new<const N: usize>(labels: [&'static str; N], value: f64) -> Self {
        Self { labels: labels.to_vec(), value }
    }
}

fn one<const N: usize>(labels: [&'static str; N]) -> Sample {
    Sample::new(labels, 1.0)
}

fn age<const N: usize>(since: Timestamp, now: Timestamp, labels: [&'static str; N]) -> Sample {
    Sample::new(labels, seconds(since, now))
}

/// Clocks differ: what begins in the future begins now.
fn seconds(since: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(since).as_secs_f64().max(0.0)
}

// A count that does not fit is none.
#[allow(clippy::cast_precision_loss)]
fn number(count: i64) -> f64 {
    count as f64
}

fn keys<V: Into<Option<f64>>>(object: &Object, value: impl Fn(&KeySetStatus) -> V) -> Vec<Sample> {
    let sets = object.keystone().into_iter().flat_map(|status| &status.keys);
    sets.filter_map(|set| Some(Sample::new([set.name.into()], value(set).into()?))).collect()
}
