//! One Job for each step that needs one, and what it said.
//!
//! Its name is made from what it is for and from when its step began: a Job of another attempt, another upgrade or
//! another target never counts for this one, and creating it twice is adopting it. One Job at a time writes to the
//! schema; one that has begun is never killed by the operator, since half a change cannot be repeated.

use api::{
    DynamicObject,
    condition::Reason,
    keystone::{BackupReference, UpgradeStatus},
};
use serde_json::{Value, json};

use super::{
    Scene,
    failure::{self, Then},
    findings, job_pod, keys, objects,
    objects::{component, field, holds, is_finished, items, name},
    pod, server, steps,
    world::{Action, JOB, Other, POD, SCHEMA_WRITER},
};
use crate::{
    json,
    machine::{Failure, Progress},
};

/// What a Job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Task {
    /// `db_sync`: the first schema.
    Sync,
    /// `bootstrap`.
    Bootstrap,
    /// `db_sync --check`, doctor, upgrade check: writes nothing.
    Check,
    /// `mariadb-dump` and the keys, verified.
    Backup,
    /// `db_sync --expand`.
    Expand,
    /// `db_sync --migrate`.
    Migrate,
    /// A token of one pod, validated by another.
    Verify,
    /// `db_sync --contract`.
    Contract,
}

impl Task {
    /// Whether it writes to the database's tables.
    pub(super) fn writes(self) -> bool {
        matches!(self, Self::Sync | Self::Bootstrap | Self::Expand | Self::Migrate | Self::Contract)
    }

    /// Whether a second run could find half of the first.
    pub(super) fn runs_once(self) -> bool {
        matches!(self, Self::Sync | Self::Expand | Self::Contract)
    }

    /// What a failure means when the text of the Job says nothing that is known.
    pub(super) fn failure(self) -> (Reason, &'static str) {
        match self {
            Self::Verify => (
                Reason::VerificationFailed,
                "a token of one pod has to be accepted by another: look at the logs of the pods, and whether the Secret of \
                 spec.bootstrap.adminPasswordSecretRef has the administrator's present password",
            ),
            Self::Backup => (Reason::BackupFailed, "look at the claim and the image of spec.upgrade.backup"),
            _ => (Reason::JobFailed, "look at its log (kubectl logs)"),
        }
    }
}

/// On Jobs: which upgrade they belong to.
const RECORD: &str = "keystone.openstack.org/upgrade";

/// How far the Job of the step on record is.
pub(crate) fn judge(scene: &Scene<'_>, task: Task) -> Progress {
    let Some(upgrade) = &scene.before.upgrade else { return Progress::Done };
    if task == Task::Backup && scene.spec.is_some_and(|spec| spec.upgrade.backup.is_none()) {
        // It was taken back on the way. A spec that cannot be read takes nothing back.
        return Progress::Done;
    }
    let Some(name) = job_name(scene, upgrade, task) else {
        return Progress::Running("the pods of the new image are not ready yet".to_owned());
    };
    let object = format!("Job/{name}");
    let Some(job) = scene.world.object(&JOB, &name) else { return absent(scene, &object, task) };
    if holds(job, "Complete").is_some() {
        return findings::judge(scene, &object, task);
    }
    let pods: Vec<_> = pods_of(scene, &name).collect();
    if let Some(condition) = holds(job, "Failed") {
        return Progress::Failed(explain(scene, &object, task, condition, &pods));
    }
    if let Some(condition) = holds(job, "FailureTarget") {
        return ending(scene, &object, task, condition, &pods);
    }
    if let Some(failure) = pods.iter().filter(|pod| !pod::is_over(pod)).find_map(|pod| pod::trouble(pod)) {
        return Progress::Failed(failure);
    }
    // Between two tries: what the last one said. The Job goes on by itself as long as it may. A pod that succeeded is no
    // try: its Job says so a moment later.
    if let (true, Some(text)) = (pods.iter().all(|pod| pod::has_failed(pod)), complaint(&pods)) {
        return Progress::Failed(failure::explain(&object, &text, task.failure(), then(task, &pods)));
    }
    let waits = pods.iter().find_map(|pod| pod::unscheduled(pod));
    match waits {
        Some(why) if why.contains("persistentvolumeclaim") && why.contains("not found") => Progress::Failed(Failure {
            reason: Reason::BackupFailed,
            message: format!("{object}: {why}; create the claim, or correct spec.upgrade.backup.claimName"),
        }),
        Some(why) => Progress::Running(format!("{object} finds no node: {why}")),
        None => Progress::Running(format!("{object} runs")),
    }
}

/// Whether the Job goes on after what its pods did: what can be done only once is not repeated once it has begun.
fn then(task: Task, pods: &[&DynamicObject]) -> Then {
    let mut codes = pods
        .iter()
        .flat_map(|pod| items(pod, "status.containerStatuses"))
        .filter_map(|status| json::get(status, "state.terminated.exitCode")?.as_i64());
    let begun = codes.any(|code| code != i64::from(job_pod::NOT_BEGUN));
    if task.runs_once() && begun { Then::Asked } else { Then::Again }
}

/// The Job has failed, and its pods are asked to end: a change that has begun may take its time. What they say has to be
/// noted while they are there.
fn ending(scene: &Scene<'_>, object: &str, task: Task, condition: &Value, pods: &[&DynamicObject]) -> Progress {
    if complaint(pods).is_some() {
        return Progress::Failed(explain(scene, object, task, condition, pods));
    }
    let why = json::text(condition, "message").unwrap_or_default();
    Progress::Running(format!("{object} was asked to end: {why}"))
}

/// The Job is not there (yet).
fn absent(scene: &Scene<'_>, object: &str, task: Task) -> Progress {
    if let Some(error) = scene.world.failures.get(object) {
        return Progress::Failed(Failure {
            reason: Reason::Error,
            message: format!("{object} cannot be created: {error}"),
        });
    }
    if let Some(failure) = obstacle(scene, task) {
        return Progress::Failed(failure);
    }
    let waits = waits(scene, task);
    if waits != Progress::Done {
        return waits;
    }
    match writers(scene, None).next() {
        Some(writer) if task.writes() => Progress::Running(format!("{object} waits for {writer}")),
        _ => Progress::Running(format!("{object} is being created")),
    }
}

/// What must not be done at all now.
fn obstacle(scene: &Scene<'_>, task: Task) -> Option<Failure> {
    if let Some(other) =
        scene.world.others.iter().find(|other| takes_precedence(scene, other)).filter(|_| task.writes())
    {
        let message = format!(
            "Keystone/{} is older and uses the same database: set spec.database.host or spec.database.database of one of \
             them to another one",
            other.name
        );
        return Some(Failure { reason: Reason::DatabaseInUse, message });
    }
    keys::trouble(scene)
}

/// What has to be gone first: keys that are not to be used, and who still reads what contract drops. Somebody may have
/// brought old pods back after they were gone.
fn waits(scene: &Scene<'_>, task: Task) -> Progress {
    match keys::waits(scene) {
        Some(waits) => Progress::Running(waits),
        None if task == Task::Contract => server::drained(scene),
        None => Progress::Done,
    }
}

/// Whether another `Keystone` uses the same database, and was there first.
fn takes_precedence(scene: &Scene<'_>, other: &Other) -> bool {
    let Some(spec) = scene.spec else { return false };
    let database = |spec: &api::keystone::KeystoneSpec| {
        // The same Service has several names.
        let host = pod::database_host(spec).trim_end_matches('.');
        let host = host.strip_suffix(".cluster.local").unwrap_or(host);
        let host = host.strip_suffix(".svc").unwrap_or(host);
        let host =
            host.strip_suffix(scene.world.namespace.as_str()).and_then(|host| host.strip_suffix('.')).unwrap_or(host);
        (host.to_owned(), spec.database.port, spec.database.database.clone())
    };
    let age = |created: Option<jiff::Timestamp>, name: &str| (created.is_none(), created, name.to_owned());
    database(spec) == database(&other.spec)
        && age(other.created, &other.name) < age(scene.world.created, scene.world.name())
}

/// Why a Job failed.
fn explain(scene: &Scene<'_>, object: &str, task: Task, condition: &Value, pods: &[&DynamicObject]) -> Failure {
    let text = complaint(pods).unwrap_or_default();
    // The pods of a Job that took too long are gone with what they said.
    let noted = scene.before.upgrade.as_ref().and_then(|upgrade| upgrade.failure.as_ref());
    if let Some(noted) = noted.filter(|noted| text.is_empty() && noted.message.starts_with(&format!("{object}: "))) {
        return failure::for_good(noted);
    }
    let late = json::text(condition, "reason") == Some("DeadlineExceeded");
    let seconds = scene.spec.map(|spec| spec.upgrade.job_deadline_seconds).unwrap_or_default();
    let remedy = format!(
        "it took longer than spec.upgrade.jobDeadlineSeconds ({seconds}): look at what it waited for, or allow it more"
    );
    let otherwise = if late { (Reason::DeadlineExceeded, remedy.as_str()) } else { task.failure() };
    failure::explain(object, &text, otherwise, Then::Asked)
}

/// The pods of a Job.
pub(super) fn pods_of<'a>(scene: &'a Scene<'_>, job: &str) -> impl Iterator<Item = &'a DynamicObject> {
    let job = job.to_owned();
    scene.world.own(&POD).filter(move |pod| job_of(pod) == Some(job.as_str()))
}

fn job_of(pod: &DynamicObject) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get("batch.kubernetes.io/job-name").map(String::as_str)
}

/// What the container that ended last said.
pub(super) fn said(pods: &[&DynamicObject]) -> Option<String> {
    last_words(pods, |_| true)
}

/// What the container that failed last said. One that reached its end all the same, after its Job was given up, has
/// nothing to say of why that failed.
fn complaint(pods: &[&DynamicObject]) -> Option<String> {
    last_words(pods, |ended| json::get(ended, "exitCode").and_then(Value::as_i64) != Some(0))
}

fn last_words(pods: &[&DynamicObject], counts: impl Fn(&Value) -> bool) -> Option<String> {
    let ended = pods.iter().flat_map(|pod| items(pod, "status.containerStatuses")).filter_map(|status| {
        let ended = json::get(status, "state.terminated").filter(|ended| counts(ended))?;
        // The API server's times are all of one form: their order is that of their texts.
        Some((json::text(ended, "finishedAt").unwrap_or_default(), json::text(ended, "message")?))
    });
    ended.max_by_key(|(at, _)| *at).map(|(_, text)| text.to_owned())
}

/// The Job of the step on record, when it is not there and nothing else writes to the schema.
pub(crate) fn create(scene: &Scene<'_>, task: Task) -> Vec<Action> {
    let (Some(upgrade), Some(spec)) = (&scene.before.upgrade, scene.spec) else { return Vec::new() };
    let Some(name) = job_name(scene, upgrade, task) else { return Vec::new() };
    let there = scene.world.object(&JOB, &name).is_some();
    let blocked = task.writes() && writers(scene, Some(&name)).next().is_some();
    if there || blocked || obstacle(scene, task).is_some() || waits(scene, task) != Progress::Done {
        return Vec::new();
    }
    let labels = [(RECORD, record(upgrade))];
    job_pod::job(scene, spec, task, &name, &labels)
        .map(|object| Action::Create { kind: JOB.kind, object })
        .into_iter()
        .collect()
}

fn has_label(object: &DynamicObject, label: &str) -> bool {
    object.metadata.labels.as_ref().is_some_and(|all| all.contains_key(label))
}

/// What writes to the schema, or is about to: Jobs that have not ended and pods that have not, terminating ones included.
fn writers<'a>(scene: &'a Scene<'_>, but: Option<&'a str>) -> impl Iterator<Item = String> + 'a {
    let writes = |object: &&DynamicObject| has_label(object, SCHEMA_WRITER);
    let jobs = scene
        .world
        .own(&JOB)
        .filter(writes)
        .filter(move |job| !is_finished(job) && Some(name(job)) != but)
        .map(|job| format!("Job/{}", name(job)));
    let pods = scene
        .world
        .own(&POD)
        .filter(writes)
        .filter(move |pod| !pod::is_over(pod) && job_of(pod).is_none_or(|job| Some(job) != but))
        .map(|pod| format!("Pod/{}", name(pod)));
    jobs.chain(pods)
}

/// Jobs that belong to nothing on record any more. What writes to the schema is left to end by itself: a Job has a
/// deadline. At rest the Jobs of the last upgrade stay, as evidence.
pub(crate) fn leftovers(scene: &Scene<'_>) -> Vec<Action> {
    let upgrade = scene.before.upgrade.as_ref();
    let current = upgrade.filter(|upgrade| !upgrade.aborting).and_then(|upgrade| name_of_step(scene, upgrade));
    let of_record = |job: &DynamicObject| {
        let label = job.metadata.labels.as_ref().and_then(|all| all.get(RECORD));
        upgrade.is_none_or(|upgrade| label == Some(&record(upgrade)))
    };
    scene
        .world
        .own(&JOB)
        .filter(|job| component(job) == Some(objects::UPGRADE) && Some(name(job)) != current.as_deref())
        .filter(|job| if is_finished(job) { !of_record(job) } else { !is_writing(scene, job) })
        .filter_map(|job| objects::delete(&JOB, job))
        .collect()
}

/// Whether the Job has begun to write to the schema.
fn is_writing(scene: &Scene<'_>, job: &DynamicObject) -> bool {
    has_label(job, SCHEMA_WRITER) && pods_of(scene, name(job)).any(|pod| !pod::is_over(pod) && pod::has_begun(pod))
}

/// What still writes to the schema, terminating pods included.
pub(crate) fn still_running(scene: &Scene<'_>) -> Option<String> {
    let all: Vec<_> = writers(scene, None).collect();
    let seconds = scene.spec.map(|spec| spec.upgrade.job_deadline_seconds).unwrap_or_default();
    (!all.is_empty()).then(|| {
        format!(
            "{} still writes to the schema; it ends by itself, after spec.upgrade.jobDeadlineSeconds ({seconds}) at the latest",
            all.join(", ")
        )
    })
}

/// Where the Job of `BackingUp` put the backup.
pub(crate) fn backup_reference(scene: &Scene<'_>) -> Option<BackupReference> {
    let upgrade = scene.before.upgrade.as_ref()?;
    let backup = scene.spec?.upgrade.backup.as_ref()?;
    holds(scene.world.object(&JOB, &job_name(scene, upgrade, Task::Backup)?)?, "Complete")?;
    Some(BackupReference {
        claim_name: backup.claim_name.clone(),
        path: backup_path(scene, upgrade),
        release: schema(scene, upgrade),
        taken_at: scene.world.now,
    })
}

/// The release that the schema has before anything more changes it: an upgrade that was aborted, or one to another build,
/// may have made it grow already.
fn schema(scene: &Scene<'_>, upgrade: &UpgradeStatus) -> String {
    let grown = if upgrade.expanded { Some(&upgrade.to) } else { scene.before.schema_release.as_ref() };
    grown.unwrap_or(&upgrade.from).clone()
}

/// The folder of the backup in its claim.
pub(super) fn backup_path(scene: &Scene<'_>, upgrade: &UpgradeStatus) -> String {
    format!("{}/{}-{}", scene.world.name(), upgrade.from, hash(upgrade, Task::Backup, &Value::Null))
}

/// The name of the Job of a step.
pub(crate) fn name_of_step(scene: &Scene<'_>, upgrade: &UpgradeStatus) -> Option<String> {
    steps::task(upgrade.step).and_then(|task| job_name(scene, upgrade, task))
}

/// The name of a Job. What it works on is part of it: a field that was corrected makes another Job, which finds the
/// corrected one. A wish that cannot be read changes nothing.
pub(super) fn job_name(scene: &Scene<'_>, upgrade: &UpgradeStatus, task: Task) -> Option<String> {
    let Some(spec) = scene.spec else { return upgrade.job.clone() };
    let inputs = match task {
        Task::Verify => json!([spec.database, verified_pods(scene)?, spec.bootstrap, pod::admin_secret(scene, spec)]),
        Task::Bootstrap => json!([spec.database, spec.bootstrap, pod::admin_secret(scene, spec)]),
        Task::Backup => json!([spec.database, spec.upgrade.backup]),
        _ => json!([spec.database]),
    };
    Some(named(scene, &format!("-db-{task}-{}", hash(upgrade, task, &inputs))))
}

/// The name of a Job with that end: the label that the Job controller makes of it has the length of a DNS label.
pub(super) fn named(scene: &Scene<'_>, tail: &str) -> String {
    let head: String = scene.world.name().chars().take(63_usize.saturating_sub(tail.len())).collect();
    format!("{}{tail}", head.trim_end_matches(['-', '.']))
}

fn hash(upgrade: &UpgradeStatus, task: Task, more: &Value) -> String {
    let parts = json!([
        task.to_string(),
        upgrade.to_image,
        upgrade.from_image,
        upgrade.attempt,
        upgrade.step_started_at.to_string(),
        more
    ]);
    short(&parts)
}

/// A hash for a name.
pub(super) fn short(parts: &Value) -> String {
    json::hash(parts).chars().take(8).collect()
}

/// Which upgrade it is.
fn record(upgrade: &UpgradeStatus) -> String {
    short(&json!([upgrade.started_at.to_string(), upgrade.from_image, upgrade.to_image]))
}

/// The names and addresses of the two pods that are asked: one twice, when there is one.
pub(super) fn verified_pods(scene: &Scene<'_>) -> Option<Vec<(String, String)>> {
    let wanted = server::live(scene).and_then(|live| field(live, "spec.replicas")).and_then(Value::as_i64).unwrap_or(1);
    let ready = server::ready_pods(scene, scene.to()?);
    let enough = usize::try_from(wanted.clamp(1, 2)).unwrap_or(1);
    (ready.len() >= enough)
        .then(|| ready.iter().take(2).map(|(name, address)| ((*name).to_owned(), (*address).to_owned())).collect())
}
