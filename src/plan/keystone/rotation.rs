//! The rotation of keys, without a rollout: a table of two rows, and one way for both.
//!
//! ```text
//! CronJob or a person -> Job: a rotated copy of the published keys -> staging Secret
//!   -> check      is it what a rotation makes of the published keys (else: quarantine, and nothing changes)
//!   -> publish    once every pod has the keys of the last rotation, and nothing is installed or upgraded
//!   -> confirm    a Job asks every pod for a proof that it has the new keys; credentials are encrypted anew then
//! ```
//!
//! What a set is named is on record (`status.keys`), so that a change is told exactly once, whoever made it and wherever
//! the operator was killed. Key 0 of every set is the one that encrypts next: a pod that is one rotation behind reads
//! everything. One that is two behind would not, which is why the next set waits. See `hack/adr/0007`.

mod check;
mod confirm;
mod fruitless;
mod lags;
mod lifetime;
mod overdue;
mod parts;
mod set;
mod staging;

use api::{
    DynamicObject,
    condition::{self, Reason, Severity, Verdict},
    keystone::{KeySetStatus, KeystoneSpec, RejectedSet},
};
use jiff::Timestamp;

use super::{
    Scene,
    keys::{self, REPOSITORIES, Repository},
    objects::{self, annotation, is_finished, name},
    target::Course,
    world::{Action, JOB, Note, NoteReason},
};
use check::Published;
use confirm::Spread;
use set::KeySet;
use staging::Staging;

/// On Secrets with keys: when this set was made, or published.
pub(super) const ROTATED_AT: &str = "keystone.openstack.org/rotated-at";
/// On a staging Secret: the set that its keys were made of.
pub(super) const ROTATED_FROM: &str = "keystone.openstack.org/rotated-from";
/// On a Secret with published keys: the set that the operator published last.
const PUBLISHED: &str = "keystone.openstack.org/key-set";
/// The condition that says whether keys rotate.
const ROTATES: &str = "KeysRotate";
/// The condition that says whether there are enough keys.
const SUFFICE: &str = "KeysSuffice";

/// What is decided about the keys.
pub(crate) struct Rotations {
    /// What is on record.
    pub(crate) keys: Vec<KeySetStatus>,
    pub(crate) verdicts: Vec<(String, Verdict)>,
    pub(crate) actions: Vec<Action>,
    pub(crate) notes: Vec<Note>,
    /// When to look again although nothing changed.
    pub(crate) next: Option<Timestamp>,
}

/// What is decided about one row.
#[derive(Default)]
struct Outcome {
    status: Option<KeySetStatus>,
    /// Why the next rotation is not as it should be, if it is not.
    verdict: Option<Verdict>,
    /// What is as somebody wants it, and not as usual.
    remark: Option<String>,
    actions: Vec<Action>,
    notes: Vec<Note>,
    next: Option<Timestamp>,
}

/// Decides.
pub(crate) fn plan(scene: &Scene<'_>) -> Rotations {
    let outcomes: Vec<Outcome> = REPOSITORIES.iter().map(|row| outcome(scene, row)).collect();
    let mut all = Rotations { keys: vec![], verdicts: vec![], actions: vec![], notes: vec![], next: None };
    let (mut verdict, mut fine) = (None, "every pod has the published keys, and they may rotate".to_owned());
    for outcome in outcomes {
        all.keys.extend(outcome.status);
        all.actions.extend(outcome.actions);
        all.notes.extend(outcome.notes);
        all.next = all.next.into_iter().chain(outcome.next).min();
        verdict = verdict.or(outcome.verdict);
        fine.extend(outcome.remark.into_iter().map(|remark| format!("; {remark}")));
    }
    let fine = if all.keys.len() == REPOSITORIES.len() {
        Verdict::yes(fine)
    } else {
        Verdict::unknown("there are no keys yet")
    };
    let verdict = verdict.unwrap_or(fine);
    all.notes.extend(lags_now(scene, &verdict));
    all.verdicts.push((ROTATES.to_owned(), verdict));
    if let Some(spec) = scene.spec {
        let (verdict, note) = suffice(scene, spec);
        all.verdicts.push((SUFFICE.to_owned(), verdict));
        all.notes.extend(note);
    }
    all
}

/// A Job that rotates keys, or asks for them, and has not ended: an upgrade begins after it.
pub(crate) fn busy(scene: &Scene<'_>) -> Option<String> {
    let ours = |job: &&DynamicObject| {
        let component = objects::component(job);
        REPOSITORIES.iter().any(|row| {
            component == Some(parts::rotate(row).as_str()) || component == Some(parts::confirm(row).as_str())
        })
    };
    let job = scene.world.own(&JOB).filter(ours).find(|job| !is_finished(job))?;
    Some(format!("Job/{} of the key rotation ends first", name(job)))
}

/// Whether nothing is installed or upgraded, nor about to be.
fn at_rest(scene: &Scene<'_>) -> bool {
    scene.before.upgrade.is_none() && matches!(scene.target.course, Course::Steady { .. })
}

fn outcome(scene: &Scene<'_>, row: &Repository) -> Outcome {
    let before = scene.before.keys.iter().find(|known| known.name == row.id);
    let Some(spec) = scene.spec else { return Outcome { status: before.cloned(), ..Outcome::default() } };
    let (parts, next) = parts::actions(scene, row, spec);
    let Some(secret) = keys::published(scene.world, row) else {
        // Before the first keys are made, or after they are lost: `KeysReady` tells.
        return Outcome { status: before.cloned(), actions: parts, next, ..Outcome::default() };
    };
    let live = KeySet::read(secret);
    let mut status = recorded(scene, row, secret, &live, before);
    let mut outcome = Outcome { actions: parts, remark: parts::suspended(scene, row, spec), ..Outcome::default() };
    outcome.notes.extend(changed(row, secret, before, &status));

    let spread = confirm::judge(scene, row, &status);
    status.everywhere = matches!(spread, Spread::Everywhere);
    lags::record(scene, &mut status, &spread);
    outcome.actions.extend(confirm::actions(scene, row, spec, &status, &spread));

    let published = Published { set: &live, most: (row.most)(spec) };
    let staging = staging::judge(scene, row, &published, before);
    let may = may_publish(scene, &spread);
    outcome.actions.extend(staging::actions(scene, row, secret, &staging, may.is_ok()));
    let known = status.rejected.take();
    status.rejected = match &staging {
        Staging::Rejected { why, .. } => Some(why.clone()),
        _ => known,
    };
    outcome.notes.extend(rejection(row, before, status.rejected.as_ref()));

    let fruitless = fruitless::jobs(scene, row, &status, &staging);
    overdue::record(&mut status, &(row.schedule)(spec), outcome.remark.is_some());
    let later = [lags::end(&status), status.overdue_at].into_iter().flatten().filter(|end| *end > scene.world.now);
    outcome.next = [next, fruitless.next].into_iter().flatten().chain(later).min();
    let old = before.map(|before| before.fruitless.clone()).unwrap_or_default();
    let news = fruitless.jobs.iter().filter(|(job, _)| !old.contains(job));
    outcome.notes.extend(news.map(|(_, text)| warning(NoteReason::RotationFailed, text.clone())));
    status.fruitless = fruitless.jobs.iter().map(|(job, _)| job.clone()).collect();
    let lags = lags::trouble(scene, row, &status);
    outcome.verdict = verdict(row, &status, (&staging, may), &spread, (lags, &fruitless.jobs))
        .or_else(|| overdue::verdict(scene, row, spec, &status));
    outcome.status = Some(status);
    outcome
}

fn warning(reason: NoteReason, message: String) -> Note {
    Note { warning: true, reason, message }
}

/// That a pod lags for too long, once.
fn lags_now(scene: &Scene<'_>, verdict: &Verdict) -> Option<Note> {
    let known = condition::find(&scene.before.conditions, ROTATES).is_some_and(|known| known.reason == verdict.reason);
    let news = verdict.reason == Reason::KeysLagging && !known;
    news.then(|| warning(NoteReason::KeysLagging, verdict.message.clone()))
}

/// The record of the set that is published now.
fn recorded(
    scene: &Scene<'_>,
    row: &Repository,
    secret: &DynamicObject,
    live: &KeySet,
    before: Option<&KeySetStatus>,
) -> KeySetStatus {
    let set = live.name();
    let known = before.filter(|before| before.set == set);
    let rotated = annotation(secret, ROTATED_AT).and_then(|text| text.parse().ok());
    let created = secret.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let since: Timestamp = match (known, before) {
        (Some(known), _) => known.since,
        (None, None) => rotated.or(created).unwrap_or(scene.world.now),
        (None, Some(_)) => rotated.filter(|_| is_ours(secret, &set)).unwrap_or(scene.world.now),
    };
    KeySetStatus {
        name: row.id,
        count: i64::try_from(live.count()).unwrap_or(i64::MAX),
        primary: live.primary().and_then(|primary| i64::try_from(primary).ok()).unwrap_or_default(),
        since,
        overdue_at: None,
        // The first keys were there before the first pod.
        everywhere: known.map_or(before.is_none() && rotated.is_none(), |known| known.everywhere),
        lagging: known.map(|known| known.lagging.clone()).unwrap_or_default(),
        lagging_since: known.and_then(|known| known.lagging_since),
        // A rotation that went through answers what was refused before.
        rejected: known.or(before.filter(|_| !is_ours(secret, &set))).and_then(|before| before.rejected.clone()),
        fruitless: Vec::new(),
        set,
    }
}

/// Whether the operator itself published that set.
fn is_ours(secret: &DynamicObject, set: &str) -> bool {
    annotation(secret, PUBLISHED) == Some(set)
}

/// That there are other keys than before.
fn changed(
    row: &Repository,
    secret: &DynamicObject,
    before: Option<&KeySetStatus>,
    now: &KeySetStatus,
) -> Option<Note> {
    let before = before.filter(|before| before.set != now.set)?;
    let object = format!("Secret/{}", name(secret));
    if is_ours(secret, &now.set) {
        let message =
            format!("{object} has {} keys; key {} encrypts now, {} did before", now.count, now.primary, before.primary);
        return Some(Note { warning: false, reason: row.rotated, message });
    }
    let message = format!(
        "{object} was changed, and not by a rotation: what was encrypted with keys that are gone cannot be read any more"
    );
    Some(warning(row.changed, message))
}

/// That a new set was refused.
fn rejection(row: &Repository, before: Option<&KeySetStatus>, now: Option<&RejectedSet>) -> Option<Note> {
    let now = now?;
    let old = before.and_then(|before| before.rejected.as_ref());
    (old.map(|old| &old.version) != Some(&now.version))
        .then(|| warning(NoteReason::RotationRejected, format!("{}: {}", row.id, now.message)))
}

/// Why a good set is not published yet.
fn may_publish(scene: &Scene<'_>, spread: &Spread) -> Result<(), String> {
    if !at_rest(scene) {
        return Err("they are published when the installation or upgrade is complete".to_owned());
    }
    match spread {
        Spread::Everywhere => Ok(()),
        Spread::Waits { message, .. } => Err(format!("they are published when every pod has the last ones: {message}")),
        Spread::Failed(failure) => {
            Err(format!("they are published when every pod has the last ones: {}", failure.message))
        }
    }
}

/// What keeps the keys of a row from rotating, the worst first.
fn verdict(
    row: &Repository,
    status: &KeySetStatus,
    new: (&Staging<'_>, Result<(), String>),
    spread: &Spread,
    (lags, fruitless): (Option<String>, &[(String, String)]),
) -> Option<Verdict> {
    let warn = |reason, message: String| Some(Verdict::no(Severity::Warning, reason, message));
    let wait = |message: String| Some(Verdict::no(Severity::Info, Reason::Requested, message));
    if let Some(rejected) = &status.rejected {
        return warn(Reason::RotationRejected, format!("{}: {}", row.id, rejected.message));
    }
    if let Spread::Failed(failure) = spread {
        return warn(failure.reason, failure.message.clone());
    }
    if let Some(message) = lags {
        return warn(Reason::KeysLagging, message);
    }
    if let Some((_, message)) = fruitless.first() {
        return warn(Reason::RotationFailed, message.clone());
    }
    match new {
        (Staging::Good(_), Err(why)) => return wait(format!("{}: new keys are there; {why}", row.id)),
        (Staging::Good(_), Ok(())) => return wait(format!("{}: new keys are being published", row.id)),
        _ => {}
    }
    match spread {
        Spread::Waits { message, .. } => wait(format!("{}: {message}", row.id)),
        _ => None,
    }
}

/// Whether keys stay as long as the tokens that they encrypted.
fn suffice(scene: &Scene<'_>, spec: &KeystoneSpec) -> (Verdict, Option<Note>) {
    let needed = REPOSITORIES.iter().filter(|row| row.expires).find_map(|row| {
        let needed = lifetime::needed(&(row.schedule)(spec), &spec.extra_config)?;
        (needed.keys > (row.most)(spec)).then_some((row, needed))
    });
    let Some((row, needed)) = needed else {
        return (Verdict::yes("keys stay until the last token that they encrypted has expired"), None);
    };
    let message = format!(
        "spec.fernet.maxActiveKeys is {}: tokens live for {} seconds (expiration and allow_expired_window), and \
         spec.fernet.rotationSchedule {:?} may rotate {} times meanwhile; set it to {} or rotate less often, else tokens \
         end before they expire",
        (row.most)(spec),
        needed.life,
        (row.schedule)(spec).cron,
        needed.rotations,
        needed.keys,
    );
    let said = condition::find(&scene.before.conditions, SUFFICE).is_some_and(|known| known.message == message);
    let note = (!said).then(|| warning(NoteReason::TooFewKeys, message.clone()));
    (Verdict::no(Severity::Warning, Reason::TooFewKeys, message), note)
}
