//! What the statuses say about a cloud, as one value: what `kubectl openstack status` shows, and its JSON.
//!
//! A pure projection. It reads the objects as they are and not as this program's types: what it does not know, a newer
//! operator may have written, and the rest is shown all the same. Fields are only ever added.

mod history;
mod keystone;
mod next;
mod read;

use std::{collections::BTreeMap, sync::Arc};

use api::{
    DynamicObject,
    condition::READY,
    keystone::KEYSTONE,
    version::{ServiceState, StepState},
};
use jiff::Timestamp;
use plan::json;
use serde::Serialize;
use serde_json::Value;

pub use history::{History, PastUpdate, PastUpgrade};
pub use keystone::{KeySet, Keystone};
pub use next::{Action, Next};

use crate::controllers::{CONTROL_PLANE, Charge, VERSION, in_charge};
use read::{Condition, Version};

/// The objects that a view is made of: those of one namespace.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The `OpenStackVersion`s; a namespace shall have one.
    pub versions: Vec<Arc<DynamicObject>>,
    /// The `OpenStackControlPlane`s; a namespace shall have one.
    pub control_planes: Vec<Arc<DynamicObject>>,
    /// The `Keystone`s.
    pub keystones: Vec<Arc<DynamicObject>>,
    /// The `OpenStackDataPlaneDeployment`s.
    pub deployments: Vec<Arc<DynamicObject>>,
    /// The kinds that cannot be read, and why.
    pub unreadable: BTreeMap<String, String>,
}

impl Objects {
    /// The objects that the operator acts on, where there are more than there should be.
    fn charge(&self) -> Charge<'_> {
        in_charge(&self.versions, &self.control_planes)
    }
}

/// Where a cloud is, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, strum::Display)]
pub enum State {
    /// The operator has not reported on the spec as it is now.
    #[default]
    Unreported,
    /// There is a version and no control plane: nothing to do.
    Empty,
    /// The first installation.
    Installing,
    /// The target is deployed and ready.
    Ready,
    /// The target is deployed, and something is not ready.
    NotReady,
    /// An update runs.
    Updating,
    /// The update waits for a person, e.g. to deploy nodesets.
    Waiting,
    /// `spec.update.paused`.
    Paused,
    /// Stopped after the step that was asked for.
    Held,
    /// A step takes longer than its deadline.
    Stalled,
    /// Something is refused or has to be corrected, and nothing is under way.
    Blocked,
}

/// A cloud.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The namespace.
    pub namespace: String,
    /// The name of the `OpenStackVersion`, or of the control plane that has none yet.
    pub name: String,
    /// Where it is.
    pub state: State,
    /// What the whole cloud has.
    pub deployed_version: Option<String>,
    /// What is asked for.
    pub target_version: Option<String>,
    /// What the operator brings.
    pub available_version: Option<String>,
    /// Whether the status speaks of the spec as it is now.
    pub observed: bool,
    /// The running update.
    pub update: Option<Update>,
    /// One line for each service.
    pub services: Vec<Service>,
    /// The `Keystone`s of the namespace.
    pub keystone: Vec<Keystone>,
    /// Conditions that say that something is wrong, and kinds that cannot be read.
    pub problems: Vec<Problem>,
    /// What to do, the most urgent first.
    pub next: Vec<Next>,
}

/// A running update.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// The version before.
    pub from: String,
    /// The version to come.
    pub to: String,
    /// Since when.
    pub started_at: Option<Timestamp>,
    /// The first step that is not done.
    pub step: Option<String>,
    /// Whether the target may return to the version before.
    pub revertible: bool,
    /// Why not, when it may not.
    pub not_revertible_reason: Option<String>,
    /// Every step, in order.
    pub steps: Vec<Step>,
}

impl Update {
    /// The step that is not done.
    pub fn frontier(&self) -> Option<&Step> {
        self.steps.iter().find(|step| !step.is_finished())
    }
}

/// A step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Where it is: one of the states of the status.
    pub state: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// What it waits for.
    pub message: String,
    /// The nodesets that are to be deployed.
    pub node_sets: Vec<String>,
}

impl Step {
    /// The state, if this program knows it.
    pub fn known(&self) -> Option<StepState> {
        read::word(&self.state)
    }

    fn is_finished(&self) -> bool {
        self.known().is_some_and(StepState::is_finished)
    }
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The kind of its objects.
    pub kind: String,
    /// The version whose images it has.
    pub version: Option<String>,
    /// Where it is: one of the states of the status.
    pub state: String,
    /// What it waits for.
    pub message: String,
}

impl Service {
    /// The state, if this program knows it.
    pub fn known(&self) -> Option<ServiceState> {
        read::word(&self.state)
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The object: `Kind/name`.
    pub object: String,
    /// The condition that says so; empty for a kind that cannot be read.
    pub condition: String,
    /// Why, as one word.
    pub reason: String,
    /// Why, for a person.
    pub message: String,
}

impl View {
    /// The view of a namespace; none when there is no cloud in it. `reach` are the flags that `kubectl` needs to reach the
    /// cluster, each with a space before it, for the commands in [`View::next`].
    pub fn of(namespace: &str, objects: &Objects, reach: &str) -> Option<Self> {
        let Charge { version, control_plane } = objects.charge();
        let found = version.or(control_plane)?;
        let version = Version::of(version);
        let keystone: Vec<Keystone> = objects.keystones.iter().map(|object| Keystone::of(object)).collect();
        let mut view = Self {
            namespace: namespace.to_owned(),
            name: found.metadata.name.clone().unwrap_or_default(),
            state: version.state(),
            deployed_version: version.status_text("deployedVersion"),
            target_version: version.target(),
            available_version: version.status_text("availableVersion"),
            observed: version.observed(),
            update: version.update(),
            services: version.services(),
            problems: problems(objects),
            keystone,
            next: Vec::new(),
        };
        view.next = next::of(&view, &version, objects, reach);
        Some(view)
    }

    /// Whether everything that was asked for is there.
    pub fn is_done(&self) -> bool {
        self.state == State::Ready && self.observed
    }

    /// Whether nothing goes on before a person acts.
    pub fn needs_a_person(&self) -> bool {
        self.next.iter().any(|next| next.action.is_urgent())
    }

    /// An update that is over has no steps any more: its last ones are kept for those who watched it.
    pub fn remember(&mut self, before: &Self) {
        let Some(update) = before.update.as_ref().filter(|_| self.update.is_none()) else { return };
        let mut update = update.clone();
        if self.deployed_version.as_ref() == Some(&update.to) {
            for step in update.steps.iter_mut().filter(|step| !step.is_finished()) {
                (step.state, step.message) = (StepState::Done.to_string(), "the update is complete".to_owned());
            }
            self.update = Some(Update { step: None, ..update });
        }
    }
}

fn problems(objects: &Objects) -> Vec<Problem> {
    let unreadable = objects.unreadable.iter().map(|(kind, why)| Problem {
        object: kind.clone(),
        message: why.clone(),
        ..Problem::default()
    });
    troubles(objects).iter().map(Trouble::problem).chain(unreadable).collect()
}

/// A condition that says that something is wrong.
struct Trouble<'a> {
    kind: &'static str,
    object: &'a DynamicObject,
    condition: Condition<'a>,
}

impl Trouble<'_> {
    /// `Kind/name`.
    fn of(&self) -> String {
        format!("{}/{}", self.kind, self.object.metadata.name.as_deref().unwrap_or_default())
    }

    fn problem(&self) -> Problem {
        self.condition.problem(&self.of())
    }
}

/// What the conditions of all objects say is wrong. `Ready` sums up the others: it counts where it says what no other one
/// does, and of a control plane nothing else does.
fn troubles(objects: &Objects) -> Vec<Trouble<'_>> {
    type Row<'a> = (&'static str, &'a [Arc<DynamicObject>], fn(&Condition<'a>) -> bool);
    let rows: [Row<'_>; 3] = [
        (VERSION.kind, &objects.versions, Condition::is_trouble),
        (KEYSTONE.kind, &objects.keystones, Condition::is_trouble_of_keystone),
        (CONTROL_PLANE.kind, &objects.control_planes, |_| false),
    ];
    let mut troubles: Vec<Trouble<'_>> = Vec::new();
    for (kind, objects, wrong) in rows {
        for object in objects {
            let (ready, others): (Vec<_>, Vec<_>) =
                read::conditions(&object.data).into_iter().partition(|condition| condition.type_ == READY);
            let trouble = |condition| Trouble { kind, object, condition };
            troubles.extend(others.into_iter().filter(wrong).map(trouble));
            for ready in ready.into_iter().filter(Condition::is_severe) {
                if !troubles.iter().any(|told| ready.repeats(&told.condition)) {
                    troubles.push(trouble(ready));
                }
            }
        }
    }
    troubles
}

/// The time at a path.
fn time(value: &Value, path: &str) -> Option<Timestamp> {
    json::text(value, path).and_then(|text| text.parse().ok())
}

/// The text at a path.
fn text(value: &Value, path: &str) -> String {
    json::text(value, path).unwrap_or_default().to_owned()
}

/// The items at a path.
fn items<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    json::get(value, path).and_then(Value::as_array).into_iter().flatten()
}

/// The texts at a path.
fn texts(value: &Value, path: &str) -> Vec<String> {
    items(value, path).filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
