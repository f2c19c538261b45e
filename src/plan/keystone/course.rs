//! Where the machine is on record, and where it goes.
//!
//! A step is worked on only when the status that names it has been read back: see [`crate::machine`].

use api::keystone::{RETRY, UpgradeHistoryEntry, UpgradeResult, UpgradeStatus, UpgradeStep};
use jiff::Timestamp;

use super::{
    Scene, findings, jobs, rotation, server, steps,
    target::{self, Place},
    world::Action,
};
use crate::machine::{self, Advance, Failure, Progress};

/// What becomes of the installation or upgrade in this pass.
pub(crate) struct Course {
    /// What is on record after this pass; absent when nothing is under way.
    pub(crate) upgrade: Option<UpgradeStatus>,
    /// Why the step stopped, when it did.
    pub(crate) failure: Option<Failure>,
    /// What ended in this pass.
    pub(crate) ended: Option<UpgradeHistoryEntry>,
    /// The step that ended in this pass.
    pub(crate) completed: Option<UpgradeStep>,
    /// What the step writes; empty in a pass that changes the record.
    pub(crate) actions: Vec<Action>,
    /// What has to end before what is wanted can begin.
    pub(crate) waits: Option<String>,
    /// When to look again although nothing changed.
    pub(crate) next: Option<Timestamp>,
}

impl Course {
    fn resting() -> Self {
        Self { upgrade: None, failure: None, ended: None, completed: None, actions: vec![], waits: None, next: None }
    }

    /// Decides.
    pub(crate) fn plan(scene: &Scene<'_>) -> Self {
        let running = scene.before.upgrade.as_ref();
        match (&scene.target.course, running) {
            (target::Course::Idle | target::Course::Steady { .. }, _) => {
                Self { actions: jobs::leftovers(scene), ..Self::resting() }
            }
            (target::Course::Install { to }, None) => Self::begin(scene, None, to),
            (target::Course::Upgrade { from, to }, None) => match rotation::busy(scene) {
                Some(job) => {
                    Self { waits: Some(format!("the upgrade to {} waits: {job}", to.image)), ..Self::resting() }
                }
                None => Self::begin(scene, Some(from), to),
            },
            (target::Course::Abort { .. }, None) => Self::resting(),
            (target::Course::Abort { from, .. }, Some(running)) => abort(scene, running, from),
            (target::Course::Install { to } | target::Course::Upgrade { to, .. }, Some(running)) => {
                if running.to_image == to.image { walk(scene, running) } else { retarget(scene, running, to) }
            }
        }
    }

    fn begin(scene: &Scene<'_>, from: Option<&Place>, to: &Place) -> Self {
        let upgrade = machine::first(&steps::table(scene), scene).map(|step| UpgradeStatus {
            from: from.map(|from| from.release.to_string()).unwrap_or_default(),
            to: to.release.to_string(),
            from_image: from.map(|from| from.image.clone()).unwrap_or_default(),
            to_image: to.image.clone(),
            strategy: from.map(|_| steps::strategy(scene)),
            step,
            started_at: scene.world.now,
            step_started_at: scene.world.now,
            attempt: 1,
            retry: asked_retry(scene),
            job: None,
            schema: api::keystone::SchemaState::Unknown,
            expanded: false,
            contracted: false,
            aborting: false,
            backup: None,
            failure: None,
            message: String::new(),
        });
        Self { upgrade, ..Self::resting() }
    }
}

/// The value of the annotation that asks for another attempt.
fn asked_retry(scene: &Scene<'_>) -> Option<String> {
    scene.world.keystone.meta.annotations.get(RETRY).cloned()
}

/// Another build of the same release takes the place of the one on the way: everything is looked at again.
fn retarget(scene: &Scene<'_>, running: &UpgradeStatus, to: &Place) -> Course {
    let Course { upgrade, .. } = Course::begin(scene, scene.from(), to);
    let upgrade = upgrade.map(|fresh| UpgradeStatus {
        started_at: running.started_at,
        expanded: running.expanded,
        contracted: running.contracted,
        backup: running.backup.clone(),
        ..fresh
    });
    let ended = entry(scene, running, UpgradeResult::Superseded);
    Course { upgrade, ended: Some(ended), ..Course::resting() }
}

fn entry(scene: &Scene<'_>, running: &UpgradeStatus, result: UpgradeResult) -> UpgradeHistoryEntry {
    UpgradeHistoryEntry {
        from: running.from_image.clone(),
        to: running.to_image.clone(),
        started_at: running.started_at,
        finished_at: scene.world.now,
        result,
        backup: running.backup.clone(),
    }
}

/// The old image comes back: first nothing writes to the schema any more, then every pod has the old image.
fn abort(scene: &Scene<'_>, running: &UpgradeStatus, from: &Place) -> Course {
    if !running.aborting {
        let upgrade = UpgradeStatus { aborting: true, failure: None, job: None, ..running.clone() };
        return Course { upgrade: Some(upgrade), ..Course::resting() };
    }
    let waits = jobs::still_running(scene).map_or_else(|| server::rollout(scene, from), Progress::Running);
    let (message, failure) = match waits {
        Progress::Done => {
            let ended = entry(scene, running, UpgradeResult::Aborted);
            return Course { ended: Some(ended), actions: jobs::leftovers(scene), ..Course::resting() };
        }
        Progress::Running(message) => (message, None),
        Progress::Failed(failure) => (failure.message.clone(), Some(failure)),
    };
    let upgrade = UpgradeStatus { message: format!("returning to {}: {message}", from.image), ..running.clone() };
    let upgrade = with_failure(scene, upgrade, failure.as_ref());
    Course { upgrade: Some(upgrade), failure, actions: jobs::leftovers(scene), ..Course::resting() }
}

/// One step, or the next one.
fn walk(scene: &Scene<'_>, running: &UpgradeStatus) -> Course {
    let table = steps::table(scene);
    match machine::advance(&table, running.step, scene) {
        Advance::Stay(progress) => stay(scene, running, &table, progress),
        Advance::Next(step) => {
            let noted = noted(scene, running);
            let upgrade = UpgradeStatus {
                step,
                step_started_at: scene.world.now,
                attempt: 1,
                retry: asked_retry(scene),
                job: None,
                // One that an older operator began gets it with its next step.
                strategy: noted.strategy.or_else(|| scene.from().map(|_| steps::strategy(scene))),
                // On record before the Job that does it.
                expanded: noted.expanded || step == UpgradeStep::Expanding,
                contracted: noted.contracted || step == UpgradeStep::Contracting,
                failure: None,
                message: String::new(),
                ..noted
            };
            // No Event tells of a backup that nobody wanted any more.
            let skipped = running.step == UpgradeStep::BackingUp && jobs::backup_reference(scene).is_none();
            let completed = (!skipped).then_some(running.step);
            Course { upgrade: Some(upgrade), completed, ..Course::resting() }
        }
        Advance::Finished => {
            let installed = running.from_image.is_empty();
            let result = if installed { UpgradeResult::Installed } else { UpgradeResult::Completed };
            let ended = entry(scene, running, result);
            Course { ended: Some(ended), completed: Some(running.step), ..Course::resting() }
        }
    }
}

/// What the step that is done found out.
fn noted(scene: &Scene<'_>, running: &UpgradeStatus) -> UpgradeStatus {
    let mut noted = running.clone();
    match running.step {
        UpgradeStep::Preparing => noted.schema = findings::schema_state(scene),
        UpgradeStep::BackingUp => noted.backup = jobs::backup_reference(scene).or(noted.backup),
        _ => {}
    }
    noted
}

fn stay<'a>(scene: &Scene<'a>, running: &UpgradeStatus, table: &steps::Table<'a>, progress: Progress) -> Course {
    let failure = match &progress {
        Progress::Failed(failure) => Some(failure.clone()),
        _ => None,
    };
    let asked = asked_retry(scene);
    if failure.is_some() && asked != running.retry {
        // Another attempt, by a person's wish: a Job of another name.
        let attempt = running.attempt.saturating_add(1);
        let upgrade = UpgradeStatus {
            attempt,
            retry: asked,
            job: None,
            failure: None,
            message: String::new(),
            ..running.clone()
        };
        return Course { upgrade: Some(upgrade), ..Course::resting() };
    }
    let message = match progress {
        Progress::Running(message) => message,
        Progress::Failed(failure) => failure.message,
        Progress::Done => String::new(),
    };
    let upgrade = UpgradeStatus { message, job: jobs::name_of_step(scene, running), ..running.clone() };
    let upgrade = with_failure(scene, upgrade, failure.as_ref());
    let mut actions = jobs::leftovers(scene);
    actions.extend(machine::act(table, running.step, scene));
    Course { upgrade: Some(upgrade), failure, actions, next: server::next_look(scene), ..Course::resting() }
}

/// Puts the failure on record, with the time when it was seen first.
fn with_failure(scene: &Scene<'_>, mut upgrade: UpgradeStatus, failure: Option<&Failure>) -> UpgradeStatus {
    let known = upgrade.failure.take();
    upgrade.failure = failure.map(|failure| api::keystone::FailedJob {
        reason: failure.reason,
        message: failure.message.clone(),
        at: known.filter(|known| known.reason == failure.reason).map_or(scene.world.now, |known| known.at),
    });
    upgrade
}
