//! A scripted kubelet: pods of one namespace get a node and run, as the script says.
//!
//! The controllers that make pods of Deployments and Jobs are the real ones; this is the one part that would need
//! containers. A pod is played by the newest line of the script whose text occurs in `job <image> <name>` (or `server`, for pods
//! of Deployments); one that no line speaks of does what it is for: a pod of a Job succeeds, any other gets ready.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::watcher::{self, Event, watcher},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How long a watch or a write that failed rests.
const REST: Duration = Duration::from_millis(200);
/// How long a container takes to start.
const DELAY: Duration = Duration::from_millis(30);
/// The one node.
const NODE: &str = "testbed";

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// It runs and is ready.
    Ready,
    /// It runs and does not get ready; as a pod of a Job, it does not end.
    Running,
    /// Its image cannot be pulled.
    CannotPull,
    /// A Secret that it needs is missing.
    NoSecret(String),
    /// It ends with success, and this in its termination message.
    Succeeded(String),
    /// It ends with this exit code, and this in its termination message.
    Failed(i32, String),
}

/// A handle on the running kubelet. It ends with the last handle.
#[derive(Clone)]
pub struct Kubelet {
    stage: Arc<Stage>,
    _tasks: Arc<JoinSet<()>>,
}

struct Stage {
    api: Api<Pod>,
    script: Mutex<Script>,
    addresses: AtomicU32,
}

#[derive(Default)]
struct Script {
    pods: HashMap<String, Pod>,
    lines: Vec<(String, Play)>,
    /// Pods that do not end when they are asked to.
    lingering: Vec<String>,
}

impl Script {
    fn play(&self, pod: &Pod) -> Play {
        let line = self.lines.iter().rev().find(|(text, _)| speaks_of(text, pod));
        line.map_or_else(|| usual(pod), |(_, play)| play.clone())
    }
}

impl Kubelet {
    /// Starts it for one namespace.
    pub fn start(client: Client, namespace: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        let stage = Arc::new(Stage { api, script: Mutex::default(), addresses: AtomicU32::new(0) });
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&stage).watch());
        Self { stage, _tasks: Arc::new(tasks) }
    }

    /// From now on, pods with that text do this; those that run and have not ended, too.
    pub fn play(&self, text: &str, play: Play) {
        self.stage.script().lines.push((text.to_owned(), play));
        self.stage.again();
    }

    /// Takes back what was said about that text.
    pub fn forget(&self, text: &str) {
        self.stage.script().lines.retain(|(known, _)| known != text);
        self.stage.again();
    }

    /// Pods with that text do not end when they are asked to, until [`Kubelet::let_go`].
    pub fn linger(&self, text: &str) {
        self.stage.script().lingering.push(text.to_owned());
    }

    /// Every pod ends when it is asked to.
    pub fn let_go(&self) {
        self.stage.script().lingering.clear();
        self.stage.again();
    }

    /// The pods that there are.
    pub fn pods(&self) -> Vec<Pod> {
        self.stage.script().pods.values().cloned().collect()
    }
}

impl Stage {
    fn script(&self) -> MutexGuard<'_, Script> {
        // Consistent after every statement: a test that failed elsewhere does not spoil it.
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch(self: Arc<Self>) {
        let mut events = pin!(watcher(self.api.clone(), watcher::Config::default()));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                    self.script().pods.insert(pod.name_any(), pod.clone());
                    self.schedule(&pod.name_any(), DELAY);
                }
                Ok(Event::Delete(pod)) => {
                    self.script().pods.remove(&pod.name_any());
                }
                Ok(Event::Init) => self.script().pods.clear(),
                Ok(Event::InitDone) => {}
                Err(_) => tokio::time::sleep(REST).await,
            }
        }
    }

    /// Looks at every pod again.
    fn again(self: &Arc<Self>) {
        let names: Vec<String> = self.script().pods.keys().cloned().collect();
        for name in names {
            self.schedule(&name, Duration::ZERO);
        }
    }

    fn schedule(self: &Arc<Self>, name: &str, delay: Duration) {
        let (stage, name) = (Arc::clone(self), name.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // What fails because the pod changed meanwhile is tried again on what it is now.
            while stage.react(&name).await.is_err() {
                tokio::time::sleep(REST).await;
            }
        });
    }

    async fn react(&self, name: &str) -> kube::Result<()> {
        let (pod, play, lingers) = {
            let script = self.script();
            let Some(pod) = script.pods.get(name).cloned() else { return Ok(()) };
            let lingers = script.lingering.iter().any(|text| speaks_of(text, &pod));
            (pod.clone(), script.play(&pod), lingers)
        };
        let done = if pod.metadata.deletion_timestamp.is_some() {
            if lingers { Ok(()) } else { self.end(&pod).await }
        } else if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
            self.bind(&pod).await
        } else {
            self.run(&pod, &play).await
        };
        match done {
            // Gone or changed: the watch brings what it is now.
            Err(kube::Error::Api(error)) if [404, 409, 422].contains(&error.code) => Ok(()),
            done => done,
        }
    }

    async fn bind(&self, pod: &Pod) -> kube::Result<()> {
        let target = json!({"apiVersion": "v1", "kind": "Node", "name": NODE});
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": pod.name_any(), "uid": pod.metadata.uid}, "target": target,
        });
        self.api
            .create_subresource::<Value, Value>("binding", &pod.name_any(), &PostParams::default(), &binding)
            .await?;
        Ok(())
    }

    /// A pod that is asked to end does; a pod of a Job that has not ended has failed then.
    async fn end(&self, pod: &Pod) -> kube::Result<()> {
        if is_of_job(pod) && !has_ended(pod) {
            let killed = Play::Failed(137, "killed".to_owned());
            self.write(pod, &killed).await?;
        }
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None }),
            ..DeleteParams::default()
        };
        self.api.delete(&pod.name_any(), &params).await?;
        Ok(())
    }

    async fn run(&self, pod: &Pod, play: &Play) -> kube::Result<()> {
        if has_ended(pod) { Ok(()) } else { self.write(pod, play).await }
    }

    async fn write(&self, pod: &Pod, play: &Play) -> kube::Result<()> {
        let status = self.status(pod, play);
        if says(pod, &status) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({"metadata": {"uid": pod.metadata.uid}, "status": status}));
        self.api.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await?;
        Ok(())
    }

    fn status(&self, pod: &Pod, play: &Play) -> Value {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let ended = |code: i32, reason: &str, message: &str| {
            json!({"terminated": {
                "exitCode": code, "reason": reason, "message": message, "startedAt": now, "finishedAt": now,
            }})
        };
        let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
        let running = || json!({"running": {"startedAt": now}});
        let (phase, ready, state) = match play {
            Play::Ready => ("Running", true, running()),
            Play::Running => ("Running", false, running()),
            Play::CannotPull => ("Pending", false, waiting("ImagePullBackOff", "Back-off pulling image: not found")),
            Play::NoSecret(message) => ("Pending", false, waiting("CreateContainerConfigError", message)),
            Play::Succeeded(message) => ("Succeeded", false, ended(0, "Completed", message)),
            Play::Failed(code, message) => ("Failed", false, ended(*code, "Error", message)),
        };
        let condition = |type_: &str, holds: bool| {
            let status = if holds { "True" } else { "False" };
            json!({"type": type_, "status": status, "lastTransitionTime": now})
        };
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        let (name, image) = container.map(|container| (container.name.clone(), container.image.clone())).unzip();
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_else(|| self.address());
        json!({
            "phase": phase,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", true),
                condition("ContainersReady", ready),
                condition("Ready", ready),
            ],
            "containerStatuses": [{
                "name": name, "image": image.flatten().unwrap_or_default(), "imageID": "", "ready": ready,
                "started": ready, "restartCount": 0, "state": state, "lastState": {},
            }],
        })
    }

    fn address(&self) -> String {
        let number = self.addresses.fetch_add(1, Ordering::Relaxed) + 1;
        format!("198.19.{}.{}", number / 250 % 250, number % 250 + 1)
    }
}

fn is_of_job(pod: &Pod) -> bool {
    pod.labels().contains_key("batch.kubernetes.io/job-name")
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn speaks_of(text: &str, pod: &Pod) -> bool {
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    let image = container.and_then(|container| container.image.as_deref()).unwrap_or_default();
    let what = if is_of_job(pod) { "job" } else { "server" };
    format!("{what} {image} {}", pod.name_any()).contains(text)
}

fn usual(pod: &Pod) -> Play {
    if is_of_job(pod) { Play::Succeeded(String::new()) } else { Play::Ready }
}

/// Whether the pod's status says it already, but for the times.
fn says(pod: &Pod, status: &Value) -> bool {
    let before = pod.status.as_ref().and_then(|status| serde_json::to_value(status).ok()).unwrap_or_default();
    let ready = |status: &Value| status.pointer("/containerStatuses/0/ready").cloned();
    let word = |status: &Value| {
        let state =
            status.pointer("/containerStatuses/0/state").and_then(Value::as_object).cloned().unwrap_or_default();
        let kind = state.keys().next().cloned();
        (kind, state.values().next().and_then(|state| state.get("reason")).cloned())
    };
    before.get("phase") == status.get("phase") && ready(&before) == ready(status) && word(&before) == word(status)
}
