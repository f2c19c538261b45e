//! The tables of steps.
//!
//! | step | upgradePhase | what it writes | done when |
//! | --- | --- | --- | --- |
//! | Installing | - | a Job: `db_sync` | it succeeded |
//! | Bootstrapping | - | a Job: `bootstrap` | it succeeded |
//! | Preparing | - | a Job: `db_sync --check`, doctor, upgrade check | it succeeded; its report says what the schema is |
//! | Stopping | - | the Deployment without pods (`Offline`) | no pod is left, terminating ones included |
//! | BackingUp | - | a Job: `mariadb-dump` and the keys, verified | it succeeded |
//! | Expanding | Expanding | a Job: `db_sync --expand` | it succeeded |
//! | Migrating | Migrating | a Job: `db_sync --migrate` | it succeeded |
//! | RollingUpdate | RollingUpdate | the Deployment with the new image | every pod is new and ready |
//! | Verifying | RollingUpdate | a Job: a token of one pod, validated by another | no old pod is left, and it succeeded |
//! | Contracting | Contracting | a Job: `db_sync --contract` | it succeeded |
//! | Bootstrapping | Contracting | a Job: `bootstrap`, for the roles that a new release adds | it succeeded |

use api::keystone::{SchemaState, Strategy, UpgradePhase, UpgradeStep};

use super::{
    Scene, findings,
    jobs::{self, Task},
    server,
    target::Course,
    world::Action,
};
use crate::machine::{Progress, Row};

/// A table of steps.
pub(super) type Table<'a> = Vec<Row<UpgradeStep, Scene<'a>, Action>>;

/// The table of what is under way.
pub(super) fn table<'a>(scene: &Scene<'a>) -> Table<'a> {
    match (&scene.target.course, strategy(scene)) {
        (Course::Install { .. }, _) => {
            vec![job(UpgradeStep::Installing, |_| true), job(UpgradeStep::Bootstrapping, |_| true), rolling_update()]
        }
        (_, Strategy::Online) => vec![
            job(UpgradeStep::Preparing, |_| true),
            job(UpgradeStep::BackingUp, backs_up),
            job(UpgradeStep::Expanding, schema_changes),
            job(UpgradeStep::Migrating, schema_changes),
            rolling_update(),
            verifying(),
            job(UpgradeStep::Contracting, schema_changes),
            job(UpgradeStep::Bootstrapping, moves_on),
        ],
        // Nobody uses the database while a person restores it; what was restored is looked at afterwards.
        (_, Strategy::Offline) if returns(scene) => {
            vec![stopping(), job(UpgradeStep::Preparing, |_| true), rolling_update(), verifying()]
        }
        // Seed 002: stop, back up, change the schema, start. Nobody reads the schema while it shrinks.
        (_, Strategy::Offline) => vec![
            job(UpgradeStep::Preparing, |_| true),
            stopping(),
            job(UpgradeStep::BackingUp, backs_up),
            job(UpgradeStep::Expanding, schema_changes),
            job(UpgradeStep::Migrating, schema_changes),
            job(UpgradeStep::Contracting, schema_changes),
            rolling_update(),
            verifying(),
            job(UpgradeStep::Bootstrapping, moves_on),
        ],
    }
}

/// The phase that a step shows (seed 000: only these four).
pub(super) fn phase(step: UpgradeStep) -> Option<UpgradePhase> {
    match step {
        UpgradeStep::Expanding => Some(UpgradePhase::Expanding),
        UpgradeStep::Migrating => Some(UpgradePhase::Migrating),
        UpgradeStep::RollingUpdate | UpgradeStep::Verifying => Some(UpgradePhase::RollingUpdate),
        // Seed 000 has no name for what comes after it.
        UpgradeStep::Contracting | UpgradeStep::Bootstrapping => Some(UpgradePhase::Contracting),
        _ => None,
    }
}

/// Whether the pods have the new image in that step, or are getting it.
pub(super) fn is_rolled(scene: &Scene<'_>, step: UpgradeStep) -> bool {
    let table = table(scene);
    let at = |wanted: UpgradeStep| table.iter().position(|row| row.step == wanted);
    at(step).zip(at(UpgradeStep::RollingUpdate)).is_some_and(|(step, rolling)| step >= rolling)
}

/// Whether there are no pods in that step.
pub(super) fn is_stopped(scene: &Scene<'_>, step: UpgradeStep) -> bool {
    let table = table(scene);
    let at = |wanted: UpgradeStep| table.iter().position(|row| row.step == wanted);
    match (at(UpgradeStep::Stopping), at(step), at(UpgradeStep::RollingUpdate)) {
        (Some(stopping), Some(step), Some(rolling)) => stopping <= step && step < rolling,
        _ => false,
    }
}

/// Whether it is the way back after a restore.
pub(super) fn returns(scene: &Scene<'_>) -> bool {
    matches!((scene.from(), scene.to()), (Some(from), Some(to)) if to.release < from.release)
}

/// Whether a newer release comes: it may know roles that the old one did not make. Bootstrap also sets the
/// administrator's password, which would revoke tokens if it were another one; a token that was issued with it has just
/// verified the pods.
fn moves_on(scene: &Scene<'_>) -> bool {
    matches!((scene.from(), scene.to()), (Some(from), Some(to)) if to.release > from.release)
}

/// The strategy on record: in the order of another one, a step that is still to be done would count as passed. An upgrade
/// that an older operator began has none on record.
pub(super) fn strategy(scene: &Scene<'_>) -> Strategy {
    let recorded = scene.before.upgrade.as_ref().and_then(|upgrade| upgrade.strategy);
    recorded.or(scene.spec.map(|spec| spec.upgrade.strategy)).unwrap_or_default()
}

/// A step that is one Job.
fn job<'a>(step: UpgradeStep, needed: fn(&Scene<'a>) -> bool) -> Row<UpgradeStep, Scene<'a>, Action> {
    // A function pointer carries no data: which Job it is comes from the place on record.
    Row { step, needed, judge: judge_job, act: create_job }
}

fn judge_job(scene: &Scene<'_>) -> Progress {
    current(scene).map_or(Progress::Done, |task| jobs::judge(scene, task))
}

fn create_job(scene: &Scene<'_>) -> Vec<Action> {
    current(scene).map(|task| jobs::create(scene, task)).unwrap_or_default()
}

/// The Job of the step on record.
fn current(scene: &Scene<'_>) -> Option<Task> {
    scene.before.upgrade.as_ref().and_then(|upgrade| task(upgrade.step))
}

/// The Job of a step.
pub(super) fn task(step: UpgradeStep) -> Option<Task> {
    Some(match step {
        UpgradeStep::Installing => Task::Sync,
        UpgradeStep::Bootstrapping => Task::Bootstrap,
        UpgradeStep::Preparing => Task::Check,
        UpgradeStep::BackingUp => Task::Backup,
        UpgradeStep::Expanding => Task::Expand,
        UpgradeStep::Migrating => Task::Migrate,
        UpgradeStep::Verifying => Task::Verify,
        UpgradeStep::Contracting => Task::Contract,
        UpgradeStep::Stopping | UpgradeStep::RollingUpdate => return None,
    })
}

fn stopping<'a>() -> Row<UpgradeStep, Scene<'a>, Action> {
    Row { step: UpgradeStep::Stopping, needed: |_| true, judge: server::stopped, act: |_| Vec::new() }
}

fn rolling_update<'a>() -> Row<UpgradeStep, Scene<'a>, Action> {
    let judge = |scene: &Scene<'a>| scene.to().map_or(Progress::Done, |to| server::rollout(scene, to));
    Row { step: UpgradeStep::RollingUpdate, needed: |_| true, judge, act: |_| Vec::new() }
}

/// The Job is made only when the last old pod is gone: contract must find nobody who reads what it drops.
fn verifying<'a>() -> Row<UpgradeStep, Scene<'a>, Action> {
    let judge = |scene: &Scene<'a>| match server::drained(scene) {
        Progress::Done => jobs::judge(scene, Task::Verify),
        waits => waits,
    };
    let act = |scene: &Scene<'a>| match server::drained(scene) {
        Progress::Done => jobs::create(scene, Task::Verify),
        _ => Vec::new(),
    };
    Row { step: UpgradeStep::Verifying, needed: |_| true, judge, act }
}

/// Whether a backup is to be taken. One of a schema that has grown already leads nowhere: it must not take the place of one
/// from before.
fn backs_up(scene: &Scene<'_>) -> bool {
    let there = scene.before.upgrade.as_ref().is_some_and(|running| running.expanded && running.backup.is_some());
    !there && schema_changes(scene) && scene.spec.is_some_and(|spec| spec.upgrade.backup.is_some())
}

/// Whether the schema has to be changed. Another build of the same release changes nothing when its own check says so;
/// another release runs every phase, whatever the check says: it looks at revisions only.
fn schema_changes(scene: &Scene<'_>) -> bool {
    let running = scene.before.upgrade.as_ref();
    let schema = running.map(|running| running.schema).unwrap_or_default();
    let schema = if running.is_some_and(|running| running.step == UpgradeStep::Preparing) {
        findings::schema_state(scene)
    } else {
        schema
    };
    match (scene.from(), scene.to()) {
        // The schema was found to be that of the old release.
        _ if returns(scene) => false,
        (Some(from), Some(to)) if to.release == from.release => schema != SchemaState::Current,
        _ => true,
    }
}
