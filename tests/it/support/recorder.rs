//! Everything that happened to the service objects, the nodesets and the root objects, in the order of the store.
//!
//! etcd numbers all writes, whatever the kind: resource versions tell what was first, where the times at which watches
//! deliver do not.

use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use api::{controlplane::OpenStackControlPlane, dataplane, service, version::OpenStackVersion};
use futures::StreamExt;
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use testbed::actors;
use tokio::{sync::watch, task::JoinSet};

use super::{Cloud, SOON, carries, list, moved_to};

/// How long a watch that failed rests; the API server may be away on purpose.
const REST: Duration = Duration::from_millis(100);
/// How long the record may take before it is looked again at what is there.
const AGAIN: Duration = Duration::from_secs(5);

/// A running record.
pub struct Recorder {
    frames: Arc<Mutex<Vec<Frame>>>,
    news: watch::Receiver<usize>,
    apis: Vec<(String, Api<DynamicObject>)>,
    _tasks: JoinSet<()>,
}

/// An object as it was.
#[derive(Clone)]
pub struct Frame {
    pub version: u64,
    pub kind: String,
    pub name: String,
    pub object: Value,
}

/// When an object got its new images, and when it was ready with them.
struct Move {
    begun: u64,
    done: u64,
}

impl Frame {
    fn new(kind: &str, object: &DynamicObject) -> Self {
        Self {
            version: version_of(object),
            kind: kind.to_owned(),
            name: object.metadata.name.clone().unwrap(),
            object: serde_json::to_value(object).unwrap(),
        }
    }

    /// Whether the status speaks of the spec, and only well.
    pub fn is_ready(&self) -> bool {
        let status = &self.object["status"];
        let good = |conditions: &Vec<Value>| conditions.iter().all(|condition| condition["status"] == json!("True"));
        self.kind == "ConfigMap"
            || (status["observedGeneration"] == self.object["metadata"]["generation"]
                && status["conditions"].as_array().is_some_and(good))
    }

    /// Whether the operator's services are meant, and not what stands around them.
    pub fn is_service(&self) -> bool {
        let others =
            [dataplane::NODE_SET.kind, "OpenStackVersion", "OpenStackControlPlane", "Job", "Deployment", "Secret"];
        !others.contains(&self.kind.as_str()) && self.name != "kube-root-ca.crt"
    }

    pub fn label(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// What a list shows.
struct Present {
    uid: String,
    label: String,
    version: u64,
}

/// The first object that the record has no word of, or only older ones. A watch that begins again may skip some.
fn lacks<'a>(frames: &[Frame], present: &'a [Present]) -> Option<&'a Present> {
    let mut newest: HashMap<&str, u64> = HashMap::new();
    for frame in frames {
        let known = newest.entry(frame.object["metadata"]["uid"].as_str().unwrap()).or_default();
        *known = frame.version.max(*known);
    }
    present.iter().find(|object| newest.get(object.uid.as_str()).is_none_or(|known| *known < object.version))
}

fn version_of(object: &DynamicObject) -> u64 {
    object.metadata.resource_version.as_deref().unwrap().parse().unwrap()
}

impl Recorder {
    /// Records from now on.
    pub fn start(cloud: &Cloud) -> Self {
        Self::beside(cloud, Vec::new())
    }

    /// Records from now on, also what Keystone is made of.
    pub fn with_keystone(cloud: &Cloud) -> Self {
        let parts =
            [ApiResource::erase::<Job>(&()), ApiResource::erase::<Deployment>(&()), ApiResource::erase::<Secret>(&())];
        Self::beside(cloud, parts.into())
    }

    fn beside(cloud: &Cloud, others: Vec<ApiResource>) -> Self {
        let frames: Arc<Mutex<Vec<Frame>>> = Arc::default();
        let (said, news) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let kinds = service::kinds().into_iter().chain([dataplane::NODE_SET]).map(actors::resource);
        let roots = [ApiResource::erase::<OpenStackVersion>(&()), ApiResource::erase::<OpenStackControlPlane>(&())];
        let kinds = kinds.chain(roots).chain(others);
        let apis: Vec<(String, Api<DynamicObject>)> = kinds
            .map(|kind| (kind.kind.clone(), Api::namespaced_with(cloud.client.clone(), &cloud.namespace, &kind)))
            .collect();
        for (kind, api) in apis.clone() {
            let (frames, said) = (Arc::clone(&frames), said.clone());
            tasks.spawn(async move {
                let mut objects = pin!(watcher(api, watcher::Config::default()).applied_objects());
                while let Some(object) = objects.next().await {
                    let Ok(object) = object else {
                        tokio::time::sleep(REST).await;
                        continue;
                    };
                    frames.lock().unwrap().push(Frame::new(&kind, &object));
                    said.send_modify(|count| *count += 1);
                }
            });
        }
        Self { frames, news, apis, _tasks: tasks }
    }

    /// Everything that happened before this call.
    pub async fn frames(&self) -> Vec<Frame> {
        let mut news = self.news.clone();
        let end = Instant::now() + SOON;
        loop {
            let present = self.present().await;
            let complete = news.wait_for(|_| lacks(&self.frames.lock().unwrap(), &present).is_none());
            if let Ok(complete) = tokio::time::timeout(AGAIN, complete).await {
                complete.unwrap();
                break;
            }
            // What is there may have gone since; a watch that began again does not know it.
            let Some(Present { label, version, .. }) = lacks(&self.frames.lock().unwrap(), &present) else { break };
            assert!(Instant::now() < end, "the record lacks {label} at version {version}");
        }
        let mut frames = self.frames.lock().unwrap().clone();
        frames.sort_by_key(|frame| frame.version);
        frames
    }

    /// What is there now.
    async fn present(&self) -> Vec<Present> {
        let mut present = Vec::new();
        for (kind, api) in &self.apis {
            let objects = list(api).await;
            present.extend(objects.iter().map(|object| Present {
                uid: object.uid().unwrap(),
                label: format!("{kind}/{}", object.name_any()),
                version: version_of(object),
            }));
        }
        present
    }

    /// Asserts that every service object moved from one version to the other, each after everything of the steps before
    /// was ready, and that none went back. Answers how many service objects there are.
    pub async fn assert_walk(&self, from: &str, to: &str) -> usize {
        assert_walk(&self.frames().await, from, to)
    }
}

/// See [`Recorder::assert_walk`].
fn assert_walk(frames: &[Frame], from: &str, to: &str) -> usize {
    let mut objects: BTreeMap<String, Vec<&Frame>> = BTreeMap::new();
    for frame in frames.iter().filter(|frame| frame.is_service()) {
        objects.entry(frame.label()).or_default().push(frame);
    }
    let moves: BTreeMap<&String, (usize, Move)> = objects
        .iter()
        .map(|(label, frames)| (label, (position(&frames[0].kind), walked(label, frames, from, to))))
        .collect();
    for (earlier, (before, first)) in &moves {
        for (later, (after, second)) in &moves {
            if before < after {
                assert!(
                    first.done < second.begun,
                    "{later} moved at {} before {earlier} was ready at {}",
                    second.begun,
                    first.done
                );
            }
        }
    }
    assert_node_sets(frames, &moves, to);
    let deployed = |frame: &&Frame| frame.object["status"]["deployedVersion"] == json!(to);
    let deployed = frames.iter().find(|frame| frame.kind == "OpenStackVersion" && deployed(frame)).unwrap();
    for (label, (_, walked)) in &moves {
        assert!(walked.done < deployed.version, "{to} was deployed before {label} was ready");
    }
    moves.len()
}

/// The nodesets got OVN after the control plane's and before `RabbitMQ`, and the rest after everything.
fn assert_node_sets(frames: &[Frame], moves: &BTreeMap<&String, (usize, Move)>, to: &str) {
    let stamped = |pointer: &str, wanted: &dyn Fn(&str) -> bool| {
        let has = |frame: &&Frame| frame.object.pointer(pointer).and_then(Value::as_str).is_some_and(wanted);
        frames.iter().find(|frame| frame.kind == dataplane::NODE_SET.kind && has(frame)).map(|frame| frame.version)
    };
    let ovn = stamped("/status/containerImages/OvnControllerImage", &|image| image.ends_with(&format!(":{to}")));
    let version = stamped("/status/deployedVersion", &|version| version == to);
    for (label, (position, walked)) in moves {
        if let Some(ovn) = ovn {
            assert_eq!(*position > 1, walked.begun > ovn, "{label} and OVN on the nodesets");
        }
        assert!(version.is_none_or(|version| walked.done < version), "{label} after the nodesets");
    }
}

/// When the object moved.
fn walked(label: &str, frames: &[&Frame], from: &str, to: &str) -> Move {
    let begun = frames.iter().position(|frame| carries(&frame.object, to));
    let begun = begun.unwrap_or_else(|| panic!("{label} never got an image of {to}"));
    for frame in &frames[begun..] {
        assert!(moved_to(&frame.object, to), "{label} got images of {to}, and then some of {from} again");
    }
    let done = frames[begun..].iter().find(|frame| frame.is_ready());
    let done = done.unwrap_or_else(|| panic!("{label} was never ready with {to}"));
    Move { begun: frames[begun].version, done: done.version }
}

/// The step of a kind, written down again: the order is what is tested.
pub fn position(kind: &str) -> usize {
    match kind {
        "OVNController" => 0,
        "RabbitMq" => 2,
        "Galera" => 3,
        "Memcached" => 4,
        "Keystone" | "KeystoneAPI" => 5,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A service object with images of a version, ready or not.
    fn frame(kind: &str, image: &str, ready: bool) -> Frame {
        let observed = i64::from(ready);
        let object = json!({
            "metadata": {"generation": 1},
            "spec": {"containerImage": format!("registry.example.com/openstack/{kind}:{image}")},
            "status": {"observedGeneration": observed, "conditions": [{"type": "Ready", "status": "True"}]},
        });
        Frame { version: 0, kind: kind.to_owned(), name: "x".to_owned(), object }
    }

    fn deployed() -> Frame {
        let object = json!({"status": {"deployedVersion": "2"}});
        Frame { version: 0, kind: "OpenStackVersion".to_owned(), name: "x".to_owned(), object }
    }

    /// `RabbitMq`, then `Galera`, then the version: ready each time.
    fn walk() -> Vec<Frame> {
        vec![
            frame("RabbitMq", "1", true),
            frame("Galera", "1", true),
            frame("RabbitMq", "2", false),
            frame("RabbitMq", "2", true),
            frame("Galera", "2", false),
            frame("Galera", "2", true),
            deployed(),
        ]
    }

    fn judge(mut frames: Vec<Frame>) -> usize {
        for (version, frame) in (1..).zip(&mut frames) {
            frame.version = version;
        }
        assert_walk(&frames, "1", "2")
    }

    #[test]
    fn a_walk_in_order_is_one() {
        assert_eq!(judge(walk()), 2);
    }

    #[rstest]
    #[case::before_the_other_is_ready(3, 4)]
    #[case::before_the_other_moves(2, 5)]
    #[case::deployed_too_early(5, 6)]
    #[should_panic(expected = "before")]
    fn a_walk_out_of_order_is_none(#[case] one: usize, #[case] other: usize) {
        let mut frames = walk();
        frames.swap(one, other);
        judge(frames);
    }

    #[test]
    #[should_panic(expected = "some of 1 again")]
    fn a_step_back_is_seen() {
        let mut frames = walk();
        frames.insert(4, frame("RabbitMq", "1", true));
        judge(frames);
    }

    #[test]
    #[should_panic(expected = "never got an image")]
    fn an_object_that_stays_behind_is_seen() {
        let mut frames = walk();
        frames.insert(0, frame("Glance", "1", true));
        judge(frames);
    }
}
