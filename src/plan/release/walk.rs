//! The walk over the sequence table: which steps are done, which one is open, and why it is not done yet.
//!
//! One rule moves images: a service gets its new ones when its step is done or is the frontier, and the status already
//! says so. Everything else keeps what it has.
//!
//! The status is the write-ahead log: a step is recorded as begun first, and its images are written in the next pass.
//! Otherwise a crash between the two writes, and a target that returns before the next pass, would take `RabbitMQ` back
//! to an older image, because nothing said that it had left.

use std::{collections::BTreeSet, str::FromStr};

use api::{
    annotation,
    condition::Reason,
    step::{MINOR_UPDATE, Scope, Step, StepName, position},
    version::{StepState, StepStatus, UpdateStatus},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Scene, children, nodesets, revert,
    slots::fingerprint,
    target::Course,
    wanted::{Wanted, Wish},
};
use crate::json;

/// How long a step may take when `spec.update.stepDeadline` is absent.
const DEFAULT_DEADLINE: SignedDuration = SignedDuration::from_mins(30);

/// How the message of what the pause keeps back begins.
pub(crate) const PAUSED: &str = "spec.update.paused is true";

/// How a step is judged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Judgement {
    Met,
    NotNeeded(String),
    Unmet {
        reason: Reason,
        message: String,
        /// The nodesets that a person has to deploy.
        node_sets: Vec<String>,
    },
}

impl Judgement {
    pub(crate) fn not_needed(message: impl Into<String>) -> Self {
        Self::NotNeeded(message.into())
    }

    pub(crate) fn unmet(reason: Reason, message: impl Into<String>) -> Self {
        Self::Unmet { reason, message: message.into(), node_sets: Vec::new() }
    }
}

/// Where the update is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Walk {
    /// The running update, with every step; absent when none runs.
    pub(crate) update: Option<UpdateStatus>,
    /// For each step, why it has its state.
    pub(crate) reasons: Vec<Reason>,
    /// The steps whose services may get their new images.
    open: BTreeSet<StepName>,
    /// Whether every service may get its images: there is no order to keep.
    unordered: bool,
    /// Whether no new image may be written at all.
    pub(crate) frozen: bool,
    /// Whether an update runs, every step of it is done, and the status already says so: who waits for the condition of the
    /// last step has to see it True once.
    pub(crate) all_done: bool,
    /// When a deadline runs out.
    pub(crate) next: Option<Timestamp>,
}

impl Walk {
    /// Whether the services of that step have the images of the target, or are about to get them.
    pub(crate) fn moves(&self, step: StepName) -> bool {
        let steps = self.update.iter().flat_map(|update| &update.steps);
        let begun = steps.filter(|status| begun(status)).any(|status| status.name == step);
        !self.frozen && (self.unordered || begun)
    }

    /// Whether the services of that step may get the images of the target now.
    pub(crate) fn opens(&self, step: StepName) -> bool {
        !self.frozen && (self.unordered || self.open.contains(&step))
    }

    /// Whether nothing but the pause keeps the services from the images of the target. In an update the steps say so.
    pub(crate) fn only_paused(&self) -> bool {
        self.frozen && self.unordered
    }
}

/// Walks.
pub(crate) fn walk(scene: &Scene<'_>) -> Walk {
    let paused = scene.world.version_spec().is_some_and(|spec| spec.update.paused);
    let mut walk = Walk { frozen: paused, ..Walk::default() };
    let Course::Update { from, to } = &scene.decision.course else {
        walk.unordered = scene.decision.course != Course::Idle;
        walk.frozen |= scene.decision.course == Course::Idle;
        return walk;
    };
    let hold = Hold::new(scene);
    let mut steps = Vec::new();
    let mut frontier = None;
    for step in MINOR_UPDATE {
        let (status, reason) = step_status(scene, step, frontier.is_some(), paused, &hold);
        if begun(&status)
            && known(scene, step.name).is_some_and(|old| begun(old) && old.images_hash == status.images_hash)
        {
            walk.open.insert(step.name);
        }
        if !status.state.is_finished() && frontier.is_none() {
            frontier = Some(step.name);
        }
        walk.reasons.push(reason);
        steps.push(status);
    }
    let recorded = scene.before.update.as_ref().is_some_and(|update| update.steps == steps);
    walk.all_done = frontier.is_none() && recorded;
    walk.next = next_deadline(scene, &steps);
    walk.update = Some(update_status(scene, from, to, frontier, steps));
    walk
}

fn update_status(
    scene: &Scene<'_>,
    from: &str,
    to: &str,
    frontier: Option<StepName>,
    steps: Vec<StepStatus>,
) -> UpdateStatus {
    let running = scene.before.update.as_ref().filter(|update| update.to == to && update.from == from);
    let not_revertible_reason = revert::obstacle(scene, &steps);
    UpdateStatus {
        from: from.to_owned(),
        to: to.to_owned(),
        image_set_hash: scene.records.hash(to).unwrap_or_default().to_owned(),
        started_at: running.map_or(scene.world.now, |update| update.started_at),
        step: frontier,
        revertible: not_revertible_reason.is_none(),
        not_revertible_reason,
        steps,
    }
}

/// What stops the walk on purpose.
struct Hold {
    /// Steps beyond this position are held.
    after: Option<usize>,
    message: String,
}

impl Hold {
    fn new(scene: &Scene<'_>) -> Self {
        let field = scene.world.version_spec().and_then(|spec| spec.update.hold_after);
        let field = field.map(|step| (position(step) + 1, format!("spec.update.holdAfter is {step}")));
        let stage = scene.world.version_annotation(annotation::TARGET_STAGE).map(|stage| {
            let text = format!("annotation {} is \"{stage}\"", annotation::TARGET_STAGE);
            match StepName::from_str(stage) {
                Ok(step) => (position(step) + 1, text),
                // A wish that cannot be read is a wish to stop.
                Err(_) => (0, format!("{text}, which is no step; set it to a step name or remove it")),
            }
        });
        match field.into_iter().chain(stage).min() {
            Some((after, message)) => Self { after: Some(after), message },
            None => Self { after: None, message: String::new() },
        }
    }

    fn holds(&self, position: usize) -> bool {
        self.after.is_some_and(|after| position >= after)
    }
}

/// What the status says about the step.
pub(crate) fn known<'a>(scene: &'a Scene<'_>, step: StepName) -> Option<&'a StepStatus> {
    scene.before.update.as_ref().and_then(|update| update.steps.iter().find(|old| old.name == step))
}

/// Whether the step's images may be written, or are.
fn begun(status: &StepStatus) -> bool {
    !matches!(status.state, StepState::Pending | StepState::Held)
}

fn step_status(scene: &Scene<'_>, step: &Step, behind: bool, paused: bool, hold: &Hold) -> (StepStatus, Reason) {
    let known = known(scene, step.name);
    let hash = step_hash(scene, step);
    let same = known.is_some_and(|old| old.images_hash.as_deref() == Some(&hash));
    if let Some(old) = known.filter(|old| same && old.state.is_finished()) {
        let reason = if old.state == StepState::NotNeeded { Reason::NotNeeded } else { Reason::Ready };
        return (old.clone(), reason);
    }
    let moved = known.and_then(|old| old.moved_to.clone());
    let mut status = StepStatus {
        name: step.name,
        state: StepState::Pending,
        moved_to: moved.or_else(|| nodesets::touched(scene, step.scope).then(|| scene.to.version.clone())),
        images_hash: None,
        node_sets: Vec::new(),
        started_at: None,
        finished_at: None,
        message: "not started".to_owned(),
    };
    if behind {
        return (status, Reason::Init);
    }
    status.images_hash = Some(hash);
    if hold.holds(position(step.name)) {
        status.state = StepState::Held;
        status.message = format!("held before this step: {}", hold.message);
        return (status, Reason::Held);
    }
    let begun = known.filter(|old| same && in_progress(old.state));
    status.started_at = Some(begun.and_then(|old| old.started_at).unwrap_or(scene.world.now));
    let reopened = known.is_some_and(|old| reopened(old, same));
    let waited = begun.is_some_and(|old| old.state == StepState::Waiting);
    let reason = settle(scene, step, paused, waited, &mut status);
    if step.scope == Scope::Services && (in_progress(status.state) || status.state == StepState::Done) {
        status.moved_to = Some(scene.to.version.clone());
    }
    if reopened && !status.state.is_finished() {
        status.message = format!("{REOPENED}; {}", status.message);
    }
    (status, reason)
}

/// How the message of a step begins that was done and has to be done again.
const REOPENED: &str = "re-opened because its images changed";

fn reopened(old: &StepStatus, same: bool) -> bool {
    if same { old.message.starts_with(REOPENED) } else { old.state == StepState::Done }
}

fn in_progress(state: StepState) -> bool {
    matches!(state, StepState::Running | StepState::Waiting | StepState::Stalled)
}

/// Judges the step.
fn judge(scene: &Scene<'_>, step: &Step, moves: bool) -> Judgement {
    if let Some(text) = scene.unknown_images() {
        return Judgement::unmet(Reason::MissingImage, text);
    }
    match step.scope {
        Scope::Services => judge_services(scene, step.name, moves),
        scope => nodesets::judge(scene, scope),
    }
}

/// Whether nothing but a person's act ends what the reason says, so that no deadline applies.
fn waits_for_a_person(reason: Reason) -> bool {
    matches!(reason, Reason::Waiting | Reason::MissingImage | Reason::KindNotInstalled)
}

/// Judges the step and gives it its state. `waited` tells that it waited for a person until now.
fn settle(scene: &Scene<'_>, step: &Step, paused: bool, waited: bool, status: &mut StepStatus) -> Reason {
    match judge(scene, step, !paused) {
        Judgement::NotNeeded(message) => {
            (status.state, status.message, status.started_at) = (StepState::NotNeeded, message, None);
            Reason::NotNeeded
        }
        Judgement::Met => {
            (status.state, status.message) = (StepState::Done, "completed".to_owned());
            status.finished_at = Some(scene.world.now);
            Reason::Ready
        }
        Judgement::Unmet { message, .. } if paused => {
            (status.state, status.started_at) = (StepState::Held, None);
            status.message = format!("{PAUSED}; {message}");
            Reason::Held
        }
        Judgement::Unmet { reason, message, node_sets } if waits_for_a_person(reason) => {
            (status.state, status.message, status.node_sets) = (StepState::Waiting, message, node_sets);
            reason
        }
        Judgement::Unmet { reason, message, .. } => {
            // The deadline is for what runs by itself: it begins when the person has acted.
            status.started_at = status.started_at.filter(|_| !waited).or(Some(scene.world.now));
            let overdue = deadline(scene, status).is_some_and(|deadline| deadline <= scene.world.now);
            if overdue {
                status.state = StepState::Stalled;
                status.message = format!("takes longer than spec.update.stepDeadline; {message}");
                return Reason::Stalled;
            }
            (status.state, status.message) = (StepState::Running, message);
            reason
        }
    }
}

fn judge_services(scene: &Scene<'_>, step: StepName, moves: bool) -> Judgement {
    let services: Vec<&Wanted> = in_step(scene, step).collect();
    let asked_for: Vec<_> = services.iter().filter(|wanted| !matches!(wanted.wish, Wish::No(_))).collect();
    if asked_for.is_empty() {
        let why: Vec<_> = services
            .iter()
            .filter_map(|wanted| match &wanted.wish {
                Wish::No(reason) => Some(format!("{}: {reason}", wanted.service.name)),
                _ => None,
            })
            .collect();
        return Judgement::not_needed(why.join("; "));
    }
    let mut missing: Vec<_> = asked_for
        .iter()
        .filter_map(|wanted| {
            children::why_not_done(scene, wanted, moves).map(|(reason, message)| (wanted.service.name, reason, message))
        })
        .collect();
    // What needs a person is said before what only needs time.
    missing.sort_by_key(|(_, reason, _)| *reason == Reason::Requested);
    let mut missing = missing.into_iter();
    match missing.next() {
        None => Judgement::Met,
        Some((_, reason, first)) => {
            // One in full; the lines of the services have the others.
            let rest: Vec<&str> = missing.map(|(name, ..)| name).collect();
            let more = if rest.is_empty() { String::new() } else { format!("; also waiting: {}", rest.join(", ")) };
            Judgement::unmet(reason, format!("{first}{more}"))
        }
    }
}

/// The services of a step.
pub(crate) fn in_step<'a>(scene: &'a Scene<'_>, step: StepName) -> impl Iterator<Item = &'a Wanted> {
    scene.wanted.iter().filter(move |wanted| wanted.service.step == step)
}

/// The identity of what the step moves to.
fn step_hash(scene: &Scene<'_>, step: &Step) -> String {
    let values = match step.scope {
        Scope::Services => fingerprint(&scene.to, in_step(scene, step.name)),
        _ => nodesets::fingerprint(scene, step.scope),
    };
    json::hash(&json!(values))
}

/// When the step becomes overdue. Only what runs by itself can be; waiting for a person is not.
fn deadline(scene: &Scene<'_>, status: &StepStatus) -> Option<Timestamp> {
    let text = scene.world.version_spec().and_then(|spec| spec.update.step_deadline.as_deref());
    let limit = text.and_then(|text| text.parse::<SignedDuration>().ok()).filter(SignedDuration::is_positive);
    status.started_at?.checked_add(limit.unwrap_or(DEFAULT_DEADLINE)).ok()
}

fn next_deadline(scene: &Scene<'_>, steps: &[StepStatus]) -> Option<Timestamp> {
    let running = steps.iter().filter(|step| step.state == StepState::Running);
    running.filter_map(|step| deadline(scene, step)).min()
}
