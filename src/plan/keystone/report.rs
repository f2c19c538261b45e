//! The status and the notes, as projections of what was decided.

use api::{
    condition::{self, READY, Reason, Severity, Status, Verdict},
    keystone::{KeystoneStatus, UpgradeHistoryEntry, UpgradeResult, UpgradeStatus, UpgradeStep},
    series::Series,
    version::HISTORY_MAX,
};

use super::{
    Scene,
    course::Course,
    keys,
    rotation::Rotations,
    server, steps,
    target::{self, Place},
    world::{Note, NoteReason, Plan, World},
};
use crate::machine::{Failure, Progress};

/// The plan of a world in which nothing may be decided: nothing is written, and what was said stays.
pub(crate) fn held(world: &World) -> Option<Plan> {
    let rest = |status| Plan { status, actions: Vec::new(), notes: Vec::new(), next: None };
    let before = &world.keystone.status;
    if world.keystone.meta.deleting {
        return Some(rest(before.clone()));
    }
    let (kind, problem) = world.unreadable()?;
    let text = format!("{kind}: the objects cannot be read: {problem}; nothing is decided before they can be");
    let degraded = Verdict { status: Status::True, severity: Severity::Warning, reason: Reason::Error, message: text };
    let mut status = before.clone();
    let said = condition::fold(vec![("Degraded".to_owned(), degraded)], &before.conditions, world.now);
    status.conditions.retain(|condition| condition.type_ != "Degraded");
    status.conditions.extend(said);
    Some(rest(status))
}

/// The whole status.
pub(crate) fn status(scene: &Scene<'_>, course: &Course, rotations: &Rotations) -> KeystoneStatus {
    let before = scene.before;
    let installed = installed(scene, course);
    let upgrade = course.upgrade.as_ref();
    let mut status = KeystoneStatus {
        conditions: Vec::new(),
        observed_generation: Some(scene.world.keystone.meta.generation),
        installed_release: installed
            .map(|place| place.release.to_string())
            .or_else(|| before.installed_release.clone()),
        installed_image: installed.map(|place| place.image.clone()).or_else(|| before.installed_image.clone()),
        target_release: upgrade.map(|upgrade| upgrade.to.clone()),
        upgrade_phase: upgrade
            .filter(|upgrade| !upgrade.from.is_empty())
            .and_then(|upgrade| steps::phase(upgrade.step)),
        upgrade: course.upgrade.clone(),
        schema_release: schema_release(scene, course),
        endpoint: endpoint(scene, course),
        ready_replicas: server::ready_replicas(scene),
        keys_created: before.keys_created || keys::exist(scene),
        keys: rotations.keys.clone(),
        history: history(&before.history, course.ended.clone()),
    };
    status.conditions =
        condition::fold(verdicts(scene, course, rotations, &status), &before.conditions, scene.world.now);
    status
}

/// What bootstrap wrote last. The name of its Job follows the spec: the one that is complete wrote what the spec says now.
fn endpoint(scene: &Scene<'_>, course: &Course) -> Option<String> {
    let written = course.completed == Some(UpgradeStep::Bootstrapping);
    let written = scene.spec.filter(|_| written).map(|spec| server::public_endpoint(scene, spec));
    written.or_else(|| scene.before.endpoint.clone())
}

/// That the catalog does not have what the spec says, while nothing is under way.
fn unwritten_endpoint(scene: &Scene<'_>) -> String {
    let wanted = scene.spec.map(|spec| server::public_endpoint(scene, spec));
    // An older operator has repeated an empty field.
    match wanted.zip(scene.before.endpoint.as_ref().filter(|has| !has.is_empty())) {
        Some((wanted, has)) if wanted != *has => format!(
            "; the catalog has {has}: spec.bootstrap.publicEndpoint {wanted} takes effect when bootstrap runs next, for a \
             newer release; until then, change it with openstack endpoint set"
        ),
        _ => String::new(),
    }
}

/// What is installed with this pass, when that changes.
fn installed<'a>(scene: &'a Scene<'_>, course: &Course) -> Option<&'a Place> {
    let ended = course.ended.as_ref()?;
    matches!(ended.result, UpgradeResult::Installed | UpgradeResult::Completed).then(|| scene.to())?
}

/// A release that the schema has and the pods do not: an aborted upgrade leaves it behind.
fn schema_release(scene: &Scene<'_>, course: &Course) -> Option<String> {
    let running = scene.before.upgrade.as_ref();
    match course.ended.as_ref().map(|ended| ended.result) {
        Some(UpgradeResult::Aborted) => running
            // Another build of the release leaves nothing behind that a release could be named for.
            .filter(|running| running.expanded && running.to != running.from)
            .map(|running| running.to.clone())
            .or_else(|| scene.before.schema_release.clone()),
        // Another build of the old release leaves the schema as it is: ahead.
        Some(UpgradeResult::Completed) => scene.before.schema_release.clone().filter(|schema| {
            let ahead = |at: &Place, to: &Place| {
                at.release == to.release && schema.parse().is_ok_and(|schema: Series| schema > to.release)
            };
            scene.from().zip(scene.to()).is_some_and(|(from, to)| ahead(from, to))
        }),
        Some(UpgradeResult::Installed) => None,
        _ => scene.before.schema_release.clone(),
    }
}

fn history(before: &[UpgradeHistoryEntry], ended: Option<UpgradeHistoryEntry>) -> Vec<UpgradeHistoryEntry> {
    let mut history: Vec<_> = before.iter().cloned().chain(ended).collect();
    let surplus = history.len().saturating_sub(HISTORY_MAX);
    history.drain(..surplus);
    history
}

type Verdicts = Vec<(String, Verdict)>;

fn verdicts(scene: &Scene<'_>, course: &Course, rotations: &Rotations, status: &KeystoneStatus) -> Verdicts {
    let failure = course
        .failure
        .clone()
        .or_else(|| keys::trouble(scene))
        .or_else(|| serving_failure(scene, course))
        .or_else(|| unwritten(scene));
    let degraded = match &failure {
        Some(failure) => Verdict {
            status: Status::True,
            severity: Severity::Warning,
            reason: failure.reason,
            message: failure.message.clone(),
        },
        None => Verdict::no(Severity::None, Reason::Ready, "nothing is wrong"),
    };
    let mut all = vec![
        (READY.to_owned(), ready(scene, course, failure.as_ref())),
        ("Available".to_owned(), available(scene, course, status)),
        ("Progressing".to_owned(), progressing(scene, course)),
        ("Degraded".to_owned(), degraded),
        ("KeysReady".to_owned(), keys_ready(scene)),
        ("TargetReleaseValid".to_owned(), target_valid(scene)),
    ];
    all.extend(rotations.verdicts.iter().cloned());
    all
}

/// What keeps the pods from being as they shall be while nothing is under way.
fn serving_failure(scene: &Scene<'_>, course: &Course) -> Option<Failure> {
    let target::Course::Steady { at } = &scene.target.course else { return None };
    match server::rollout(scene, at) {
        Progress::Failed(failure) if course.upgrade.is_none() => Some(failure),
        _ => None,
    }
}

/// A write that did not succeed.
fn unwritten(scene: &Scene<'_>) -> Option<Failure> {
    let name = scene.world.name();
    let ours = |object: &str| {
        let rest = object.split_once('/').and_then(|(_, object)| object.strip_prefix(name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let (object, error) = scene.world.failures.iter().find(|(object, _)| ours(object))?;
    Some(Failure { reason: Reason::Error, message: format!("{object} cannot be written: {error}") })
}

fn target_valid(scene: &Scene<'_>) -> Verdict {
    match (&scene.target.refusal, scene.to()) {
        (Some(refusal), _) => Verdict::no(Severity::Warning, refusal.reason, refusal.message.clone()),
        (None, Some(to)) => Verdict::yes(format!("{} is {}", to.image, to.release)),
        (None, None) => Verdict::unknown("spec.image: nothing is installed and nothing is wanted"),
    }
}

fn keys_ready(scene: &Scene<'_>) -> Verdict {
    match keys::trouble(scene) {
        Some(trouble) => Verdict::no(Severity::Error, trouble.reason, trouble.message),
        None if keys::exist(scene) => Verdict::yes("the keys for tokens and credentials are there"),
        None => {
            let waits = keys::waits(scene).unwrap_or_else(|| "the keys are being made".to_owned());
            Verdict::no(Severity::Info, Reason::Requested, waits)
        }
    }
}

/// False until what is wanted is fully installed.
fn ready(scene: &Scene<'_>, course: &Course, failure: Option<&Failure>) -> Verdict {
    if let Some(failure) = failure {
        return Verdict::no(Severity::Warning, failure.reason, failure.message.clone());
    }
    if let Some(refusal) = &scene.target.refusal {
        return Verdict::no(Severity::Warning, refusal.reason, refusal.message.clone());
    }
    if let Some(waits) = &course.waits {
        return Verdict::no(Severity::Info, Reason::Requested, waits.clone());
    }
    if let Some(upgrade) = &course.upgrade {
        let text = format!("step {} to {}: {}", upgrade.step, upgrade.to_image, upgrade.message);
        return Verdict::no(Severity::Info, Reason::Requested, text);
    }
    match &scene.target.course {
        target::Course::Steady { at } => match server::rollout(scene, at) {
            Progress::Done => Verdict::yes(format!("{} is installed{}", at.image, unwritten_endpoint(scene))),
            Progress::Running(_) if server::scales(scene) => {
                let catalog = unwritten_endpoint(scene);
                Verdict::yes(format!("{} is installed; the number of pods follows the load{catalog}", at.image))
            }
            Progress::Running(message) => Verdict::no(Severity::Info, Reason::Requested, message),
            Progress::Failed(failure) => Verdict::no(Severity::Warning, failure.reason, failure.message),
        },
        _ => Verdict::no(Severity::Info, Reason::Requested, "status.installedImage follows with the next pass"),
    }
}

/// Whether users are served: says nothing about what is under way.
fn available(scene: &Scene<'_>, course: &Course, status: &KeystoneStatus) -> Verdict {
    let ready = status.ready_replicas;
    if ready > 0 {
        return Verdict::yes(format!("{ready} pods serve"));
    }
    let stopped = course.upgrade.as_ref().is_some_and(|upgrade| steps::is_stopped(scene, upgrade.step));
    if stopped {
        return Verdict::no(
            Severity::Info,
            Reason::Requested,
            "stopped: the upgrade began with spec.upgrade.strategy Offline",
        );
    }
    if matches!(scene.target.course, target::Course::Idle | target::Course::Install { .. }) {
        return Verdict::no(Severity::Info, Reason::Requested, "no pod serves yet; Ready says what that waits for");
    }
    let text = format!(
        "Deployment/{}: status.readyReplicas should be at least 1, is 0: no pod can authenticate a user; look at their logs, \
         and whether they reach the database of spec.database",
        scene.world.name()
    );
    Verdict::no(Severity::Warning, Reason::Error, text)
}

fn progressing(scene: &Scene<'_>, course: &Course) -> Verdict {
    if let Some(waits) = &course.waits {
        return Verdict { reason: Reason::Requested, ..Verdict::yes(waits.clone()) };
    }
    match &course.upgrade {
        Some(upgrade) => {
            let what = if upgrade.from.is_empty() { "installing" } else { "upgrading to" };
            let text = format!(
                "{what} {}: step {}, attempt {}: {}{}",
                upgrade.to_image,
                upgrade.step,
                upgrade.attempt,
                upgrade.message,
                changed_strategy(scene, upgrade)
            );
            Verdict { reason: Reason::Requested, ..Verdict::yes(text) }
        }
        None => match scene.target.refusal {
            Some(_) => Verdict::no(
                Severity::None,
                Reason::NotNeeded,
                "what spec.image asks for is refused; see TargetReleaseValid",
            ),
            None => Verdict::no(Severity::None, Reason::NotNeeded, "nothing is under way"),
        },
    }
}

/// What becomes of a strategy that was set after the upgrade had begun.
fn changed_strategy(scene: &Scene<'_>, upgrade: &UpgradeStatus) -> String {
    match upgrade.strategy.zip(scene.spec.map(|spec| spec.upgrade.strategy)) {
        Some((began, wanted)) if began != wanted => {
            format!("; spec.upgrade.strategy {wanted} holds for the next upgrade, this one began with {began}")
        }
        _ => String::new(),
    }
}

/// What is worth an Event: the differences between the status before and the status after.
pub(crate) fn notes(scene: &Scene<'_>, course: &Course, after: &KeystoneStatus) -> Vec<Note> {
    let before = scene.before;
    let mut notes = Vec::new();
    let mut note = |warning, reason, message: String| notes.push(Note { warning, reason, message });
    if after.keys_created && !before.keys_created {
        for row in &keys::REPOSITORIES {
            note(false, row.generated, format!("Secret/{}", (row.secret)(scene.world)));
        }
    }
    if let (None, Some(upgrade)) = (&before.upgrade, &after.upgrade)
        && !upgrade.from.is_empty()
    {
        note(false, NoteReason::UpgradeInitiated, format!("from {} to {}", upgrade.from_image, upgrade.to_image));
    }
    if let Some(step) = course.completed {
        let what = before.upgrade.as_ref().map(|upgrade| upgrade.to_image.clone()).unwrap_or_default();
        note(false, words(step).0, format!("step {step}: {what}"));
    }
    if let Some(ended) = &course.ended {
        let reason = match ended.result {
            UpgradeResult::Installed => NoteReason::Installed,
            UpgradeResult::Completed => NoteReason::UpgradeComplete,
            UpgradeResult::Aborted => NoteReason::UpgradeAborted,
            UpgradeResult::Superseded => NoteReason::UpgradeRetargeted,
        };
        note(false, reason, format!("from {} to {}", ended.from, ended.to));
    }
    let failed = |status: &KeystoneStatus| {
        status
            .upgrade
            .as_ref()
            .and_then(|upgrade| Some((upgrade.step, upgrade.attempt, upgrade.failure.as_ref()?.reason)))
    };
    if let (Some(upgrade), true) = (&after.upgrade, failed(before) != failed(after))
        && let Some(failure) = &upgrade.failure
    {
        note(true, words(upgrade.step).1, failure.message.clone());
    }
    if let Some(refusal) = &scene.target.refusal {
        let known = condition::find(&before.conditions, "TargetReleaseValid");
        if known.is_none_or(|known| known.reason != refusal.reason || known.message != refusal.message) {
            note(true, refused(refusal.reason), refusal.message.clone());
        }
    }
    notes
}

fn refused(reason: Reason) -> NoteReason {
    match reason {
        Reason::VersionParseError => NoteReason::VersionParseError,
        Reason::DowngradeNotSupported => NoteReason::DowngradeNotSupported,
        Reason::UpgradePathInvalid => NoteReason::UpgradePathInvalid,
        Reason::UpgradeTargetChanged => NoteReason::UpgradeTargetChanged,
        _ => NoteReason::Refused,
    }
}

/// The words for a step that is done, and for one that failed.
fn words(step: UpgradeStep) -> (NoteReason, NoteReason) {
    match step {
        UpgradeStep::Installing => (NoteReason::DatabaseSynced, NoteReason::DBSyncFailed),
        UpgradeStep::Bootstrapping => (NoteReason::BootstrapComplete, NoteReason::BootstrapFailed),
        UpgradeStep::Preparing => (NoteReason::PreparationComplete, NoteReason::PreparationFailed),
        UpgradeStep::Stopping => (NoteReason::Stopped, NoteReason::StopFailed),
        UpgradeStep::BackingUp => (NoteReason::BackupComplete, NoteReason::BackupFailed),
        UpgradeStep::Expanding => (NoteReason::ExpandComplete, NoteReason::ExpandFailed),
        UpgradeStep::Migrating => (NoteReason::MigrateComplete, NoteReason::MigrateFailed),
        UpgradeStep::RollingUpdate => (NoteReason::DeploymentRolloutComplete, NoteReason::RolloutFailed),
        UpgradeStep::Verifying => (NoteReason::VerificationComplete, NoteReason::VerificationFailed),
        UpgradeStep::Contracting => (NoteReason::ContractComplete, NoteReason::ContractFailed),
    }
}
