//! Whether every pod has the published keys: a Job asks each of them for a proof.
//!
//! It asks the pods that are there after the keys were published; one that starts later mounts what is published. For
//! credentials it then encrypts anew what the last key encrypted: no pod uses that one for anything new any more, and the
//! next rotation may let it go.

use api::{
    DynamicObject,
    condition::Reason,
    keystone::{KeySetStatus, KeystoneSpec},
};
use serde_json::{Map, Value, json};

use super::{
    super::{
        Scene,
        failure::{self, Then},
        jobs,
        keys::Repository,
        objects::{self, field, holds, is_finished, name},
        pod, server,
        target::Place,
        world::{Action, JOB},
    },
    at_rest, parts,
};
use crate::{
    json,
    machine::{Failure, Progress},
};

/// Seconds that the Job may take, tries included; an upgrade waits as long at most.
const DEADLINE: i64 = 600;
/// How often it tries.
const TRIES: i32 = 4;
/// Seconds until another one follows when it failed, and until it is gone when it did not.
const REST: i64 = 300;

/// How far the published keys have come.
pub(super) enum Spread {
    /// Every pod has them.
    Everywhere,
    /// Not every pod is known to have them.
    Waits { message: String, lagging: Vec<String> },
    /// They cannot be asked.
    Failed(Failure),
}

impl Spread {
    fn waits(message: impl Into<String>) -> Self {
        Self::Waits { message: message.into(), lagging: Vec::new() }
    }
}

/// The pods to ask: names and addresses, in order; none while they change.
fn pods(scene: &Scene<'_>, place: &Place) -> Result<Vec<(String, String)>, String> {
    if let Progress::Running(message) = server::rollout(scene, place) {
        return Err(message);
    }
    let mut pods = Vec::new();
    for pod in server::pods(scene).filter(|pod| !pod::is_over(pod)) {
        let address = field(pod, "status.podIP").and_then(Value::as_str);
        let address = address.filter(|_| pod.metadata.deletion_timestamp.is_none());
        let address = address.ok_or_else(|| format!("Pod/{} starts or ends", name(pod)))?;
        pods.push((name(pod).to_owned(), address.to_owned()));
    }
    pods.sort();
    if pods.is_empty() { Err("there are no pods".to_owned()) } else { Ok(pods) }
}

fn job_name(scene: &Scene<'_>, row: &Repository, status: &KeySetStatus, pods: &[(String, String)]) -> String {
    jobs::named(scene, &format!("-{}-{}", parts::confirm(row), jobs::short(&json!([status.set, pods]))))
}

/// The image that serves, when nothing changes it yet: an upgrade that is wanted begins when no Job asks any more.
fn place<'a>(scene: &'a Scene<'_>) -> Option<&'a Place> {
    scene.from().filter(|_| scene.before.upgrade.is_none())
}

/// How far they have come.
pub(super) fn judge(scene: &Scene<'_>, row: &Repository, status: &KeySetStatus) -> Spread {
    if status.everywhere {
        return Spread::Everywhere;
    }
    let Some(place) = place(scene).filter(|_| at_rest(scene)) else {
        return Spread::waits("the pods are asked for them when the installation or upgrade is complete");
    };
    let pods = match pods(scene, place) {
        Ok(pods) => pods,
        Err(why) => return Spread::waits(format!("the pods are asked for them when they are all there: {why}")),
    };
    let job = job_name(scene, row, status, &pods);
    let object = format!("Job/{job}");
    match scene.world.object(&JOB, &job) {
        Some(live) => asked(scene, live, &object),
        None => match scene.world.failures.get(&object) {
            Some(error) => Spread::Failed(Failure {
                reason: Reason::Error,
                message: format!("{object} cannot be created: {error}"),
            }),
            None => Spread::waits(format!("{object} is being created")),
        },
    }
}

/// What the Job has found out.
fn asked(scene: &Scene<'_>, job: &DynamicObject, object: &str) -> Spread {
    if holds(job, "Complete").is_some() {
        return Spread::Everywhere;
    }
    let tries: Vec<_> = jobs::pods_of(scene, name(job)).collect();
    let said = jobs::said(&tries).unwrap_or_default();
    let lagging = lagging(&said);
    if !lagging.is_empty() {
        let message = format!("Pod/{} has not the published keys yet ({object})", lagging.join(", Pod/"));
        return Spread::Waits { message, lagging };
    }
    if let Some(failure) = tries.iter().filter(|pod| !pod::is_over(pod)).find_map(|pod| pod::trouble(pod)) {
        return Spread::Failed(failure);
    }
    if holds(job, "Failed").is_some() {
        let otherwise = (Reason::RotationFailed, "look at its log (kubectl logs)");
        return Spread::Failed(failure::explain(object, &said, otherwise, Then::Within(REST / 60)));
    }
    // Between two tries: what the last one said.
    Spread::waits(if said.is_empty() {
        format!("{object} asks the pods")
    } else {
        format!("{object}: {}", said.trim())
    })
}

/// The pods that a try found without the keys.
fn lagging(said: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(said).unwrap_or_default();
    let names = json::get(&report, "lagging").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The Job, when it is not there; and the end of those that ask pods that are gone: they would ask until their deadline,
/// and what waits for them as long.
pub(super) fn actions(
    scene: &Scene<'_>,
    row: &Repository,
    spec: &KeystoneSpec,
    status: &KeySetStatus,
    spread: &Spread,
) -> Vec<Action> {
    let Some(place) = place(scene) else { return Vec::new() };
    let pods = pods(scene, place).unwrap_or_default();
    let current = job_name(scene, row, status, &pods);
    let component = parts::confirm(row);
    let old = parts::jobs(scene, &component).filter(|job| !is_finished(job) && name(job) != current);
    let mut actions: Vec<Action> = old.filter_map(|job| objects::delete(&JOB, job)).collect();
    let asks = at_rest(scene) && !matches!(spread, Spread::Everywhere);
    if asks && !pods.is_empty() && scene.world.object(&JOB, &current).is_none() {
        let object = job(scene, row, spec, place, status, &pods, &current);
        actions.push(Action::Create { kind: JOB.kind, object });
    }
    actions
}

fn job(
    scene: &Scene<'_>,
    row: &Repository,
    spec: &KeystoneSpec,
    place: &Place,
    status: &KeySetStatus,
    pods: &[(String, String)],
    name: &str,
) -> Value {
    let component = parts::confirm(row);
    let pods: Vec<String> = pods.iter().map(|(name, address)| format!("{name}={address}")).collect();
    let env = [pod::env("KEYS", &status.set), pod::env("PODS", &pods.join(","))];
    let pod = parts::pod_spec(scene, row, spec, place, "confirm", env.into_iter().flatten().collect());
    let job = json!({
        "backoffLimit": TRIES,
        "activeDeadlineSeconds": DEADLINE,
        "ttlSecondsAfterFinished": REST,
        "template": {"metadata": {"labels": objects::labels(scene, &component)}, "spec": pod},
    });
    objects::object(scene, &JOB, name, &component, Map::from_iter([("spec".to_owned(), job)]))
}
