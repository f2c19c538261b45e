//! What a rotation is made of: the `CronJob`, the account that may write the staging Secret and nothing else, and that Secret.

use api::{DynamicObject, keystone::KeystoneSpec};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    super::{
        Scene, account, job_pod,
        keys::Repository,
        objects, pod,
        target::{Course, Place},
        world::{Action, CRON_JOB, JOB, SECRET},
    },
    at_rest,
};

/// Seconds that a rotation may take, tries included.
const DEADLINE: i64 = 600;
/// How often a Job tries.
const TRIES: i32 = 4;
/// Seconds that a Job and its log stay when it is over: somebody may have been away over a weekend.
const EVIDENCE: i64 = 3 * 24 * 3600;
/// Seconds that a rotation may be late: an upgrade is over by then.
const LATE: i64 = 24 * 3600;
/// How many Jobs stay at most, those that a person made among them.
const HISTORY: i32 = 10;
/// What the Secret for new sets is.
const STAGING: &str = "staged-keys";

/// What rotates.
pub(super) fn rotate(row: &Repository) -> String {
    format!("{}-rotate", row.id)
}

/// What asks the pods.
pub(super) fn confirm(row: &Repository) -> String {
    format!("{}-confirm", row.id)
}

/// The Jobs that do one of these.
pub(super) fn jobs<'a>(scene: &'a Scene<'_>, component: &str) -> impl Iterator<Item = &'a DynamicObject> {
    scene.world.own(&JOB).filter(move |job| objects::component(job) == Some(component))
}

/// The name of the Secret for new sets.
pub(super) fn staging(scene: &Scene<'_>, row: &Repository) -> String {
    format!("{}-rotation", (row.secret)(scene.world))
}

/// What of it has to be written, and when to look again although nothing changed.
pub(super) fn actions(scene: &Scene<'_>, row: &Repository, spec: &KeystoneSpec) -> (Vec<Action>, Option<Timestamp>) {
    if scene.target.course == Course::Idle {
        return (Vec::new(), None);
    }
    let (name, component) = (row.rotation.of(scene.world.name()), rotate(row));
    let (mut actions, next) = account::write(scene, &name, &component, vec![rule(scene, row)]);
    // During an upgrade the old image: it is the one that is known to work.
    if let Some(place) = scene.from() {
        let fields = Map::from_iter([("spec".to_owned(), cron_job(scene, row, spec, place, &name))]);
        actions.extend(objects::ensure(scene, &CRON_JOB, &name, &component, fields, &[]));
    }
    actions.extend(staging_secret(scene, row));
    (actions, next)
}

/// The one thing that a rotation may do. The keys themselves reach the pod as a volume, as in every other pod.
fn rule(scene: &Scene<'_>, row: &Repository) -> Value {
    json!({
        "apiGroups": [""],
        "resources": [SECRET.plural],
        "resourceNames": [staging(scene, row)],
        "verbs": ["patch"],
    })
}

/// Created, not applied: what is in it is the rotation's.
fn staging_secret(scene: &Scene<'_>, row: &Repository) -> Option<Action> {
    let name = staging(scene, row);
    if scene.world.object(&SECRET, &name).is_some() {
        return None;
    }
    let fields = Map::from_iter([("type".to_owned(), json!("Opaque"))]);
    Some(Action::Create { kind: SECRET.kind, object: objects::object(scene, &SECRET, &name, STAGING, fields) })
}

fn cron_job(scene: &Scene<'_>, row: &Repository, spec: &KeystoneSpec, place: &Place, name: &str) -> Value {
    let schedule = (row.schedule)(spec);
    let labels = objects::labels(scene, &rotate(row));
    let env = [
        pod::env("NAMESPACE", &scene.world.namespace),
        pod::env("STAGING", &staging(scene, row)),
        pod::env("KEYS_MAX", &(row.most)(spec).to_string()),
    ];
    let mut pod = pod_spec(scene, row, spec, place, "rotate", env.into_iter().flatten().collect());
    crate::json::set(&mut pod, &["serviceAccountName".into()], json!(name));
    crate::json::set(&mut pod, &["automountServiceAccountToken".into()], json!(true));
    let mut cron_job = json!({
        "schedule": schedule.cron,
        "startingDeadlineSeconds": LATE,
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": HISTORY,
        "failedJobsHistoryLimit": HISTORY,
        "jobTemplate": {
            // Jobs that a person makes of it have them, too.
            "metadata": {"labels": labels},
            "spec": {
                "backoffLimit": TRIES,
                "activeDeadlineSeconds": DEADLINE,
                "ttlSecondsAfterFinished": EVIDENCE,
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    });
    if schedule.suspend || !at_rest(scene) {
        // Or else it is nobody's, and a person may set it. A rotation that is due in the meantime is made up for.
        crate::json::set(&mut cron_job, &["suspend".into()], json!(true));
    }
    if let Some(zone) = schedule.zone.filter(|zone| !zone.is_empty()) {
        crate::json::set(&mut cron_job, &["timeZone".into()], json!(zone));
    }
    cron_job
}

/// Who wants no rotation to begin by itself, if somebody does.
pub(super) fn suspended(scene: &Scene<'_>, row: &Repository, spec: &KeystoneSpec) -> Option<String> {
    let name = row.rotation.of(scene.world.name());
    let live = scene.world.object(&CRON_JOB, &name)?;
    let suspended = objects::field(live, "spec.suspend").and_then(Value::as_bool) == Some(true);
    let field = if (row.schedule)(spec).suspend {
        format!("{}.suspend", row.section)
    } else {
        format!("spec.suspend of CronJob/{name}, which somebody set,")
    };
    (suspended && at_rest(scene)).then(|| format!("those for {} by hand only: {field} is true", row.id))
}

/// The pod of a Job about keys.
pub(super) fn pod_spec(
    scene: &Scene<'_>,
    row: &Repository,
    spec: &KeystoneSpec,
    place: &Place,
    task: &str,
    own_env: Vec<Value>,
) -> Value {
    let command = job_pod::script("keys.py", &[task.to_owned(), row.id.to_string()]);
    let container = job_pod::container(scene, spec, &place.image, &command, own_env, &job_pod::mounts(spec));
    job_pod::pod(scene, spec, &job_pod::volumes(scene, spec, place), &container)
}
