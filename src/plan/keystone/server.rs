//! What serves: Deployment, Service, `PodDisruptionBudget`, `HorizontalPodAutoscaler`. Reconciled in every step.

use api::{
    DynamicObject,
    condition::Reason,
    keystone::{Autoscaling, KeystoneSpec, Strategy, UpgradeStatus},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Scene, config, deployment,
    objects::{self, annotation, field, holds, name},
    pod, steps,
    target::{Course, Place},
    world::{Action, DEPLOYMENT, HPA, PDB, POD, SERVICE},
};
use crate::{
    json,
    machine::{Failure, Progress},
};

/// On pods: the image that the operator gave them. An admission webhook may write the name of a mirror into the container.
pub(super) const IMAGE: &str = "keystone.openstack.org/image";
/// On pods: the release of that image.
pub(super) const RELEASE: &str = "keystone.openstack.org/release";
/// The port of the API.
pub(super) const PORT: i32 = 5000;

/// What shall serve now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Serving {
    /// Nothing yet.
    Nothing,
    /// Pods of that image.
    Running(Place),
    /// A Deployment without pods.
    Stopped(Place),
}

impl Serving {
    /// The image.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::Nothing => None,
            Self::Running(place) | Self::Stopped(place) => Some(place),
        }
    }
}

/// What shall serve now: what is installed, until the record says that the pods change.
pub(super) fn serving(scene: &Scene<'_>) -> Serving {
    let running = scene.before.upgrade.as_ref();
    let rolled = |to: &Place| {
        running.is_some_and(|running| running.to_image == to.image && steps::is_rolled(scene, running.step))
    };
    match &scene.target.course {
        Course::Idle => Serving::Nothing,
        Course::Steady { at } | Course::Abort { from: at, .. } => Serving::Running(at.clone()),
        Course::Install { to } | Course::Upgrade { to, .. } if rolled(to) => Serving::Running(to.clone()),
        Course::Install { .. } => kept(scene).map_or(Serving::Nothing, Serving::Running),
        Course::Upgrade { from, to } => {
            // Another build took the place of one whose pods run already: they stay until it is their turn.
            let superseded = kept(scene).filter(|kept| kept.release == to.release);
            let place = superseded.unwrap_or_else(|| from.clone());
            match running {
                Some(running) if stays_stopped(scene, running) => Serving::Stopped(place),
                _ => Serving::Running(place),
            }
        }
    }
}

/// Whether there are no pods: in the steps without any, and when the table begins again after them. Pods of the old image
/// would come back to a schema that has changed.
fn stays_stopped(scene: &Scene<'_>, running: &UpgradeStatus) -> bool {
    let offline = steps::strategy(scene) == Strategy::Offline;
    let empty = live(scene).and_then(|live| field(live, "spec.replicas")).and_then(Value::as_i64) == Some(0);
    steps::is_stopped(scene, running.step) || (offline && running.expanded && empty)
}

/// The Deployment.
pub(super) fn live<'a>(scene: &'a Scene<'_>) -> Option<&'a DynamicObject> {
    scene.world.object(&DEPLOYMENT, scene.world.name())
}

/// What the Deployment has.
fn kept(scene: &Scene<'_>) -> Option<Place> {
    let annotations = live(scene).and_then(|live| field(live, "spec.template.metadata.annotations"))?;
    let image = annotations.get(IMAGE)?.as_str()?.to_owned();
    Some(Place { image, release: annotations.get(RELEASE)?.as_str()?.parse().ok()? })
}

/// What has to be written so that everything is as it shall be now.
pub(crate) fn actions(scene: &Scene<'_>) -> Vec<Action> {
    let Some(spec) = scene.spec.filter(|_| scene.target.course != Course::Idle) else { return Vec::new() };
    let serving = serving(scene);
    let mut actions = config::actions(scene);
    actions.extend(deployment::write(scene, spec, &serving));
    actions.extend(objects::apply(scene, &SERVICE, service(scene), &[]));
    actions.extend(objects::apply(scene, &PDB, budget(scene, spec), &[]));
    match &spec.autoscaling {
        Some(autoscaling) if serving != Serving::Nothing => {
            actions.extend(objects::apply(scene, &HPA, autoscaler(scene, spec, autoscaling), &[]));
        }
        Some(_) => {}
        None => {
            actions.extend(scene.world.object(&HPA, scene.world.name()).and_then(|live| objects::delete(&HPA, live)));
        }
    }
    actions
}

fn service(scene: &Scene<'_>) -> Value {
    json!({
        "selector": objects::selector(scene),
        "ports": [{"name": "api", "port": PORT, "targetPort": PORT, "protocol": "TCP"}],
    })
}

/// Seed 000: the last healthy pod is never taken, but a single pod never keeps a node from being emptied.
fn budget(scene: &Scene<'_>, spec: &KeystoneSpec) -> Value {
    let selector = json!({"matchLabels": objects::selector(scene)});
    if minimum(spec) > 1 {
        json!({"minAvailable": 1, "selector": selector})
    } else {
        json!({"maxUnavailable": 1, "selector": selector})
    }
}

/// The fewest pods there may be.
pub(super) fn minimum(spec: &KeystoneSpec) -> i32 {
    spec.autoscaling.as_ref().and_then(|autoscaling| autoscaling.min_replicas).unwrap_or(spec.replicas).max(1)
}

/// How busy pods may be when nothing else is said, in percent of their CPU request.
const BUSY: i32 = 80;

fn autoscaler(scene: &Scene<'_>, spec: &KeystoneSpec, autoscaling: &Autoscaling) -> Value {
    let minimum = minimum(spec);
    let metric = |name: &str, target: i32| {
        json!({
            "type": "Resource",
            "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": target}},
        })
    };
    let cpu = autoscaling.target_cpu_utilization.or(autoscaling.target_memory_utilization.is_none().then_some(BUSY));
    let metrics: Vec<Value> = [("cpu", cpu), ("memory", autoscaling.target_memory_utilization)]
        .into_iter()
        .filter_map(|(name, target)| Some(metric(name, target?)))
        .collect();
    json!({
        "scaleTargetRef": {
            "apiVersion": DEPLOYMENT.api_version(),
            "kind": DEPLOYMENT.kind,
            "name": scene.world.name(),
        },
        "minReplicas": minimum,
        "maxReplicas": autoscaling.max_replicas.max(minimum),
        "metrics": metrics,
    })
}

/// The pods that serve.
pub(super) fn pods<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = &'a DynamicObject> {
    scene.world.own(&POD).filter(|pod| objects::component(pod) == Some(objects::API))
}

/// Whether the pod runs that image. The annotation says what the operator asked for; the container may name a mirror of
/// it, but never another tag.
pub(super) fn has_image(pod: &DynamicObject, image: &str) -> bool {
    let tail = |image: &str| image.rsplit('/').next().unwrap_or_default().to_owned();
    annotation(pod, IMAGE) == Some(image) && pod::image(pod).is_some_and(|found| tail(found) == tail(image))
}

/// Whether every pod has that image and is ready.
pub(crate) fn rollout(scene: &Scene<'_>, to: &Place) -> Progress {
    let object = format!("Deployment/{}", scene.world.name());
    if let Some(error) = scene.world.failures.get(&object) {
        return failed(Reason::Error, format!("{object} cannot be written: {error}"));
    }
    let Some(live) = live(scene) else { return Progress::Running(format!("{object} is being made")) };
    let serving = serving(scene);
    let being_written = format!("{object}: spec.template is being written");
    if serving != Serving::Running(to.clone()) {
        return Progress::Running(being_written);
    }
    if let Some(spec) = scene.spec.filter(|spec| deployment::write(scene, spec, &serving).is_some()) {
        return Progress::Running(deployment::overruled(scene, spec, &serving).unwrap_or(being_written));
    }
    match unmet(live) {
        None => Progress::Done,
        Some((found, expected, path)) => {
            let text = format!("{object}: {path} should be {expected}, is {found}");
            stuck(scene, live, to).map_or(Progress::Running(text), |(reason, why)| failed(reason, why))
        }
    }
}

/// Whether every pod is as it shall be and enough of them serve, and only their number follows the load.
pub(crate) fn scales(scene: &Scene<'_>) -> bool {
    let Some((spec, live)) = scene.spec.filter(|spec| spec.autoscaling.is_some()).zip(live(scene)) else {
        return false;
    };
    let number = |path: &str| field(live, path).and_then(Value::as_i64).unwrap_or(0);
    number("status.observedGeneration") == live.metadata.generation.unwrap_or_default()
        && number("status.updatedReplicas") == number("status.replicas")
        && number("status.readyReplicas") >= i64::from(minimum(spec))
}

fn failed(reason: Reason, message: String) -> Progress {
    Progress::Failed(Failure { reason, message })
}

/// The first number that is not what it should be: found, expected, path.
fn unmet(live: &DynamicObject) -> Option<(i64, i64, &'static str)> {
    let number = |path: &str| field(live, path).and_then(Value::as_i64).unwrap_or(0);
    let wanted = field(live, "spec.replicas").and_then(Value::as_i64).unwrap_or(1);
    [
        ("status.observedGeneration", live.metadata.generation.unwrap_or_default()),
        ("status.updatedReplicas", wanted),
        ("status.replicas", wanted),
        ("status.readyReplicas", wanted),
        ("status.availableReplicas", wanted),
    ]
    .into_iter()
    .map(|(path, expected)| (number(path), expected, path))
    .find(|(found, expected, _)| found != expected)
}

/// Why the pods do not become what they shall be, when that will not pass.
fn stuck(scene: &Scene<'_>, live: &DynamicObject, to: &Place) -> Option<(Reason, String)> {
    if let Some(failure) = pods(scene).filter(|pod| has_image(pod, &to.image)).find_map(pod::trouble) {
        return Some((failure.reason, format!("{}; {}", failure.message, remedy(scene, to))));
    }
    let object = format!("Deployment/{}", scene.world.name());
    if let Some(message) = holds(live, "ReplicaFailure").and_then(|condition| json::text(condition, "message")) {
        return Some((Reason::Error, format!("{object}: pods cannot be made: {message}")));
    }
    let late = objects::items(live, "status.conditions")
        .any(|condition| json::text(condition, "reason") == Some("ProgressDeadlineExceeded"));
    let why = pods(scene).find_map(|pod| Some(format!(" (Pod/{}: {})", name(pod), pod::unscheduled(pod)?)));
    late.then(|| {
        let text = format!(
            "{object}: the pods are not ready after spec.upgrade.rolloutDeadlineSeconds{}: look at the log of a pod that is \
             not ready; {}",
            why.unwrap_or_default(),
            remedy(scene, to)
        );
        (Reason::DeadlineExceeded, text)
    })
}

fn remedy(scene: &Scene<'_>, to: &Place) -> String {
    let back = scene.from().filter(|from| from.image != to.image);
    let may_go_back = scene.before.upgrade.as_ref().is_some_and(|running| !running.contracted);
    match back.filter(|_| may_go_back) {
        Some(from) => format!("set spec.image to a working build of {}, or back to {}", to.release, from.image),
        None => format!("set spec.image to a working build of {}", to.release),
    }
}

/// Whether no pod serves.
pub(crate) fn stopped(scene: &Scene<'_>) -> Progress {
    let object = format!("Deployment/{}", scene.world.name());
    if live(scene).and_then(|live| field(live, "spec.replicas")).and_then(Value::as_i64).is_some_and(|left| left > 0) {
        return Progress::Running(format!("{object}: spec.replicas should be 0"));
    }
    let left: Vec<&DynamicObject> = pods(scene).filter(|pod| !pod::is_over(pod)).collect();
    gone(scene, &left, "still runs")
}

/// Whether the last pod that does not have the image on the way is gone, terminating ones included.
pub(crate) fn drained(scene: &Scene<'_>) -> Progress {
    let Some(to) = scene.to() else { return Progress::Done };
    let old: Vec<&DynamicObject> = pods(scene).filter(|pod| !pod::is_over(pod) && !has_image(pod, &to.image)).collect();
    gone(scene, &old, "of another image is not gone yet")
}

/// Whether none is left of these pods; `what` is said of those that are.
fn gone(scene: &Scene<'_>, left: &[&DynamicObject], what: &str) -> Progress {
    if left.is_empty() {
        return Progress::Done;
    }
    let names: Vec<&str> = left.iter().map(|pod| name(pod)).collect();
    overdue(scene, left).unwrap_or_else(|| Progress::Running(format!("Pod/{} {what}", names.join(", Pod/"))))
}

/// How long after its grace a pod may still be there before a person should look.
const OVERDUE: SignedDuration = SignedDuration::from_mins(1);

/// Since when a pod should be gone: its deletion timestamp includes its grace.
fn due(pod: &DynamicObject) -> Option<Timestamp> {
    pod.metadata.deletion_timestamp.as_ref()?.0.checked_add(OVERDUE).ok()
}

/// A pod that should have ended long ago: nobody else will say that its node does not answer.
fn overdue(scene: &Scene<'_>, pods: &[&DynamicObject]) -> Option<Progress> {
    let pod = pods.iter().find(|pod| due(pod).is_some_and(|due| due <= scene.world.now))?;
    let node = field(pod, "spec.nodeName").and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (&scene.world.namespace, name(pod));
    let text = format!(
        "Pod/{name} was asked to end and is still there: Node/{node} does not answer; bring it back, or, when it is certain \
         that nothing runs there any more, kubectl -n {namespace} delete pod {name} --force"
    );
    Some(failed(Reason::DeadlineExceeded, text))
}

/// When to look whether a pod that was asked to end is overdue.
pub(crate) fn next_look(scene: &Scene<'_>) -> Option<Timestamp> {
    pods(scene).filter_map(due).filter(|due| *due > scene.world.now).min()
}

/// The pods that are ready to serve with that image: name and address, in the order of their names.
pub(super) fn ready_pods<'a>(scene: &'a Scene<'_>, to: &Place) -> Vec<(&'a str, &'a str)> {
    let mut ready: Vec<_> = pods(scene)
        .filter(|pod| pod.metadata.deletion_timestamp.is_none() && has_image(pod, &to.image))
        .filter(|pod| holds(pod, "Ready").is_some())
        .filter_map(|pod| Some((name(pod), field(pod, "status.podIP")?.as_str()?)))
        .collect();
    ready.sort_unstable();
    ready
}

/// How many pods serve.
pub(crate) fn ready_replicas(scene: &Scene<'_>) -> i64 {
    live(scene).and_then(|live| field(live, "status.readyReplicas")).and_then(Value::as_i64).unwrap_or(0)
}

/// The URL that users shall find in the catalog.
pub(super) fn public_endpoint(scene: &Scene<'_>, spec: &KeystoneSpec) -> String {
    spec.bootstrap.public_endpoint.clone().filter(|url| !url.is_empty()).unwrap_or_else(|| endpoint(scene))
}

/// The URL of the Service.
pub(crate) fn endpoint(scene: &Scene<'_>) -> String {
    format!("http://{}.{}.svc:{PORT}/v3", scene.world.name(), scene.world.namespace)
}
