//! What is worth an Event: the differences between the status before and the status after.

use api::{
    condition::{self, Condition, Severity, Status},
    version::{HistoryEntry, OpenStackVersionStatus, StepState, StepStatus, UpdateResult, UpdateStatus},
};
use serde::{Deserialize, Serialize};

use super::{Scene, target::Errand, walk::Walk, world::RootStatus};

/// The object that a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    /// The `OpenStackVersion`.
    Version,
    /// The `OpenStackControlPlane`.
    ControlPlane,
}

/// Why a note was made: the Event's reason. A closed set, for alerts to match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::IntoStaticStr)]
pub enum NoteReason {
    /// The first installation is complete.
    Installed,
    /// An update began.
    UpdateStarted,
    /// An update is complete.
    UpdateCompleted,
    /// The target returned to the deployed version.
    UpdateAborted,
    /// The cloud is back at the deployed version.
    UpdateReturned,
    /// The target moved on before the end.
    UpdateSuperseded,
    /// The images of a step are being written.
    StepStarted,
    /// A step waits for a person.
    StepWaiting,
    /// Every gate of a step was met.
    StepFinished,
    /// A step had nothing to do.
    StepNotNeeded,
    /// A step was stopped on purpose.
    StepHeld,
    /// A step takes longer than its deadline.
    StepStalled,
    /// Something was refused, or is missing; the message names the field.
    Refused,
}

/// Something worth an Event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Which object it is about.
    pub about: About,
    /// Whether a person should look.
    pub warning: bool,
    /// Why.
    pub reason: NoteReason,
    /// For a person.
    pub message: String,
}

/// The conditions whose turning False is a refusal.
const REFUSALS: &[&str] = &[
    "Initialized",
    "BundleValid",
    "ContainerImagesKnown",
    "CustomImagesValid",
    "ImageSetConfirmed",
    "TargetVersionValid",
    "UpdateOptionsValid",
];

/// The notes of this pass.
pub(crate) fn between(scene: &Scene<'_>, after: &RootStatus, walk: &Walk) -> Vec<Note> {
    let Some(after) = &after.version else { return Vec::new() };
    let before = scene.before;
    // The status of an update that ends has no steps any more: the walk still has them.
    let walked = walk.update.as_ref().filter(|_| before.update != after.update);
    let mut notes = walked.map_or_else(Vec::new, |update| update_notes(scene, after, update));
    let ended = after.history.iter().filter(|entry| !before.history.contains(entry));
    notes.extend(ended.map(ended_note));
    notes.extend(REFUSALS.iter().filter_map(|type_| refusal(before, after, type_)));
    notes
}

fn note(reason: NoteReason, message: String) -> Note {
    let warning = matches!(reason, NoteReason::StepStalled | NoteReason::Refused);
    Note { about: About::Version, warning, reason, message }
}

fn update_notes(scene: &Scene<'_>, after: &OpenStackVersionStatus, walked: &UpdateStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    let UpdateStatus { steps, from, to, .. } = walked;
    let before = scene.before.update.as_ref();
    let errand = Errand::of(scene, walked);
    let runs = after.update.is_some();
    if runs && errand != Errand::Return && before.is_none_or(|before| before.to != *to) {
        notes.push(note(NoteReason::UpdateStarted, errand.text(from, to)));
    }
    let old = |name| before.and_then(|before| before.steps.iter().find(|old| old.name == name));
    notes.extend(steps.iter().filter_map(|step| step_note(old(step.name), step, to)));
    if !runs && errand == Errand::Return {
        notes.push(note(NoteReason::UpdateReturned, format!("{to} is deployed as it was before")));
    }
    notes
}

fn step_note(old: Option<&StepStatus>, step: &StepStatus, to: &str) -> Option<Note> {
    if old.is_some_and(|old| old.state == step.state) {
        return None;
    }
    let reason = match step.state {
        StepState::Pending => return None,
        StepState::Running => NoteReason::StepStarted,
        StepState::Waiting => NoteReason::StepWaiting,
        StepState::Done => NoteReason::StepFinished,
        StepState::NotNeeded => NoteReason::StepNotNeeded,
        StepState::Held => NoteReason::StepHeld,
        StepState::Stalled => NoteReason::StepStalled,
    };
    let moving = if step.state == StepState::Running { format!("moving to {to}; ") } else { String::new() };
    Some(note(reason, format!("step {}: {moving}{}", step.name, step.message)))
}

fn ended_note(entry: &HistoryEntry) -> Note {
    let HistoryEntry { from, to, .. } = entry;
    let errand = if from == to { Errand::Respin } else { Errand::Update };
    match entry.result {
        UpdateResult::Installed => note(NoteReason::Installed, format!("{to} is deployed")),
        UpdateResult::Completed => note(NoteReason::UpdateCompleted, errand.text(from, to)),
        UpdateResult::Aborted => note(NoteReason::UpdateAborted, format!("from {from} to {to}; returning to {from}")),
        UpdateResult::Superseded => note(NoteReason::UpdateSuperseded, errand.text(from, to)),
    }
}

fn refusal(before: &OpenStackVersionStatus, after: &OpenStackVersionStatus, type_: &str) -> Option<Note> {
    // What is only for information was asked for.
    let trouble = |severity| matches!(severity, Severity::Warning | Severity::Error);
    let refused = |condition: &&Condition| condition.status == Status::False && trouble(condition.severity);
    let now = condition::find(&after.conditions, type_).filter(refused)?;
    let was = condition::find(&before.conditions, type_).filter(refused);
    let news = was.is_none_or(|was| was.message != now.message);
    news.then(|| note(NoteReason::Refused, format!("{type_} ({}): {}", now.reason, now.message)))
}
