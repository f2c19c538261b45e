//! A cloud and everybody who works on it, while a schedule happens to it.

use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    time::{Duration, Instant},
};

use api::{
    annotation,
    controlplane::OpenStackControlPlane,
    keystone::{Keystone, UpgradeStep},
    step::StepName,
    version::{OpenStackVersion, StepState},
};
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use testbed::{
    Cluster, Kubelet, Operator, Proxy, Release,
    fixtures::{self, NAME},
    kubelet::Play,
    operator::Options,
    wait,
};
use tokio::task::JoinHandle;

use super::{
    acts::{insist, rule},
    schedule::{Event, Schedule, What},
};
use crate::{
    keystone::{
        keys::{self, Keys},
        support::{checked, pods_of},
    },
    support::{BINARY, Cloud, NEW, OLD, Recorder, merge, release},
};

/// What the target moves on to.
pub const NEWEST: &str = "1.0.2";
/// The nodeset.
const NODE_SET: &str = "compute";
/// An operator that writes nothing for so long waits for the next event.
const QUIET: Duration = Duration::from_millis(600);
/// How long everything may take in the end: failures back off.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);
/// How long an administrator waits for a deployment, before another one of the same.
const DEPLOYS: Duration = Duration::from_secs(30);
/// How often the operator is looked at: one that ended is started again, as a kubelet does.
pub(super) const SUPERVISION: Duration = Duration::from_millis(100);

/// A cloud, while a schedule happens to it.
pub struct Stage {
    pub cloud: Cloud,
    pub recorder: Recorder,
    pub kubelet: Option<Kubelet>,
    /// What happened, for a person who looks for the reason of a failure.
    pub told: Vec<String>,
    /// The target was taken back.
    pub went_back: bool,
    /// The `OpenStackVersion` was deleted, and with it what only it remembers.
    pub forgot: bool,
    /// How many rotations were staged, and the last set of each kind.
    pub(super) staged: usize,
    pub(super) sets: BTreeMap<String, Keys>,
    proxy: Proxy,
    same_data: bool,
    pub(super) bundle: Release,
    clock: PathBuf,
    rivals: Vec<Operator>,
    administrator: Option<JoinHandle<()>>,
    start: Instant,
}

impl Stage {
    /// A cloud with nothing to do yet.
    pub async fn new(cluster: &'static Cluster, schedule: &Schedule) -> Self {
        let proxy = Proxy::start(cluster).await.unwrap();
        let clock = proxy.kubeconfig().with_extension("clock");
        let bundle = bundle(OLD, schedule.same_data);
        let silence = schedule.has(|what| matches!(what, What::Watches(testbed::proxy::Disturbance::Silence)));
        let cloud = Cloud::on(cluster, "chaos", bundle.clone(), |options| {
            let options = with_clock(options, &clock).with_kubeconfig(proxy.kubeconfig());
            let options = if silence { options.with_env("WATCH_SECONDS", "3") } else { options };
            if schedule.keystone { options.with_controllers(&["release", "keystone"]) } else { options }
        })
        .await;
        let kubelet = schedule.keystone.then(|| {
            cloud.actors.hold("Keystone", "keystone");
            let kubelet = Kubelet::start(cloud.client.clone(), &cloud.namespace);
            kubelet.play(&pods_of(UpgradeStep::Preparing, NEW), Play::Succeeded(checked(2)));
            kubelet
        });
        let recorder = Recorder::with_keystone(&cloud);
        Self {
            cloud,
            recorder,
            kubelet,
            told: Vec::new(),
            went_back: false,
            forgot: false,
            staged: 0,
            sets: BTreeMap::new(),
            proxy,
            same_data: schedule.same_data,
            bundle,
            clock,
            rivals: Vec::new(),
            administrator: None,
            start: Instant::now(),
        }
    }

    /// The control plane is created.
    pub async fn create(&mut self) {
        let plane = self.cloud.plane(json!({"keystone": {"template": {"replicas": 1}}}));
        self.cloud.cluster.apply(plane).await.unwrap();
    }

    /// Adds a nodeset, and somebody who deploys it when a step waits for that.
    pub async fn add_node_set(&mut self) {
        self.cloud.add_node_set(NODE_SET).await;
        let (cluster, namespace, versions) = (self.cloud.cluster, self.cloud.namespace.clone(), self.cloud.versions());
        let deployments = self.cloud.api(api::dataplane::DEPLOYMENT.kind);
        self.administrator = Some(tokio::spawn(async move {
            for number in 0.. {
                let waiting = |version: &OpenStackVersion| waiting_step(version).is_some();
                let Ok(version) = wait::until(&versions, NAME, PATIENCE * 4, waiting).await else { return };
                let service = if waiting_step(&version) == Some(StepName::OvnDataplane) { "ovn" } else { "update" };
                let name = format!("by-hand-{number}");
                let deployment = fixtures::deployment(&namespace, &name, &[NODE_SET], &[service]);
                if cluster.apply(deployment).await.is_ok() {
                    let _ = wait::value(&deployments, &name, "/status/deployed", &json!(true), DEPLOYS).await;
                }
                tokio::time::sleep(QUIET).await;
            }
        }));
    }

    /// Replaces the bundle, as an upgrade of the operator does, and waits until its version is available.
    pub async fn offer(&mut self, version: &str) {
        self.bundle = bundle(version, self.same_data);
        self.tell(&format!("bundle {version}"));
        if self.cloud.operator.exited().unwrap().is_none() {
            let _ = self.cloud.operator.stop().await;
        }
        self.cloud.operator.restart_with(&self.bundle).await.unwrap();
        for rival in &mut self.rivals {
            rival.restart_with(&self.bundle).await.unwrap();
        }
        let (versions, wanted) = (self.cloud.versions(), version.to_owned());
        let available = |version: &OpenStackVersion| {
            version.status.as_ref().is_some_and(|status| status.available_version.as_deref() == Some(&wanted))
        };
        let found = self.supervised(Box::pin(wait::until(&versions, NAME, PATIENCE, available))).await;
        self.cloud.expect("available", found);
    }

    /// One event, at its time.
    pub async fn happen(&mut self, event: &Event) {
        if let What::Kill(moment) = event.what {
            let stopped = self.proxy.stop_at(event.after + 1, moment);
            let quiet = writes(self.proxy.written(), usize::MAX);
            let call = self
                .supervised(async {
                    tokio::select! { call = stopped => call.ok(), () = quiet => None }
                })
                .await;
            let at = call.map_or_else(|| "rest".to_owned(), |call| format!("{} {}", call.verb, call.target()));
            self.tell(&format!("killed {moment:?} {at}"));
            let _ = self.cloud.operator.kill().await;
            self.proxy.go_on();
            self.cloud.operator.restart().await.unwrap();
            return;
        }
        let trigger = writes(self.proxy.written(), event.after);
        self.supervised(trigger).await;
        self.tell(&format!("{:?}", event.what));
        self.perform(&event.what).await;
    }

    async fn perform(&mut self, what: &What) {
        match what {
            What::Kill(_) => {}
            What::Stop => {
                let _ = self.cloud.operator.stop().await;
                self.cloud.operator.restart().await.unwrap();
            }
            What::Freeze(millis) => {
                self.cloud.operator.freeze().unwrap();
                tokio::time::sleep(Duration::from_millis(*millis)).await;
                self.cloud.operator.thaw().unwrap();
            }
            What::Rival => self.rival().await,
            What::Clock(hours) => std::fs::write(&self.clock, (hours * 3600).to_string()).unwrap(),
            What::Unplug(millis) => {
                self.proxy.unplug();
                tokio::time::sleep(Duration::from_millis(*millis)).await;
                self.proxy.plug();
            }
            What::Watches(how) => self.proxy.disturb(*how),
            What::Refuse { .. } | What::Lose { .. } | What::Silence { .. } | What::Delay { .. } => {
                self.proxy.add(rule(what));
            }
            What::Flap { .. } | What::Dawdle { .. } | What::DeleteService(_) => self.service(what).await,
            What::Rotate { credentials } => self.rotate(if *credentials { "credential" } else { "fernet" }).await,
            What::MoveOn => self.move_on().await,
            What::GoBack => self.went_back |= self.target(OLD).await,
            What::DeleteVersion => {
                let versions = self.cloud.versions();
                let deleted = insist(|| async { versions.delete(NAME, &DeleteParams::default()).await }).await;
                self.forgot |= deleted.is_ok();
            }
            What::Edit { .. } | What::Custom { .. } | What::Pause(_) | What::Hold(_) => self.edit(what).await,
        }
    }

    /// A second operator that does not know of the first.
    async fn rival(&mut self) {
        let other = self.cloud.cluster.namespace("chaos-rival").await;
        let Ok(other) = other else { return };
        let controllers: &[&str] = if self.kubelet.is_some() { &["release", "keystone"] } else { &["release"] };
        let options = Options::new(BINARY, &self.cloud.namespace, self.bundle.clone())
            .with_controllers(controllers)
            // Its Lease is there.
            .with_env("POD_NAMESPACE", &other);
        self.rivals.push(Operator::start(self.cloud.cluster, with_clock(options, &self.clock)).unwrap());
    }

    /// The network is good again, and nothing is held back any more.
    pub async fn calm(&mut self) {
        self.tell("calm");
        self.proxy.lift_all();
        self.patch(json!({"spec": {"update": null}})).await;
        if self.forgot && self.bundle.version != OLD {
            // What its conditions say to do: the images of the version before are not known any more.
            self.target(&self.bundle.version.clone()).await;
        }
    }

    /// Waits until both root objects say that everything asked for is done.
    pub async fn settled(&mut self) {
        let (versions, planes) = (self.cloud.versions(), self.cloud.planes());
        let found = self
            .supervised(Box::pin(async move {
                let version = wait::until(&versions, NAME, PATIENCE, version_is_done).await?;
                let target = version.spec.target_version;
                wait::until(&planes, NAME, PATIENCE, |plane| plane_is_done(plane, &target)).await
            }))
            .await;
        if let Err(error) = found {
            let frames = self.recorder.frames().await;
            let objects = super::judge::told(&frames);
            panic!("not settled: {error:#}\n{objects}\n{}", self.told.join("\n"));
        }
        self.tell("settled");
    }

    /// Waits until the last set of keys that was staged is published and everywhere, or refused because another came first.
    pub async fn rotated(&mut self) {
        for (word, set) in std::mem::take(&mut self.sets) {
            let keystones: Api<Keystone> = Api::namespaced(self.cloud.client.clone(), &self.cloud.namespace);
            let primary = i64::try_from(set.keys().max().copied().unwrap_or_default()).unwrap();
            let over = |keystone: &Keystone| {
                let status = keystone.status.iter().flat_map(|status| &status.keys);
                let mut known = status.filter(|keys| keys.name == keys::repository(&word));
                known.any(|keys| (keys.primary >= primary && keys.everywhere) || keys.rejected.is_some())
            };
            let found = self.supervised(Box::pin(wait::until(&keystones, "keystone", PATIENCE, over))).await;
            self.cloud.expect(&format!("{word} keys with {primary} everywhere"), found);
        }
    }

    /// Waits for something, and starts the operators again when they end, as a kubelet does.
    pub async fn supervised<T>(&mut self, what: impl Future<Output = T>) -> T {
        tokio::pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return done,
                () = tokio::time::sleep(SUPERVISION) => self.supervise().await,
            }
        }
    }

    /// Starts the operators that have ended.
    pub async fn supervise(&mut self) {
        if let Some(code) = self.cloud.operator.exited().unwrap() {
            self.tell(&format!("the operator ended with {code}"));
            self.cloud.operator.restart().await.unwrap();
        }
        for rival in &mut self.rivals {
            if rival.exited().unwrap().is_some() {
                rival.restart().await.unwrap();
            }
        }
    }

    pub(super) fn tell(&mut self, what: &str) {
        self.told.push(format!("{:6.2} s {what}", self.start.elapsed().as_secs_f64()));
    }

    /// The logs of all operators: what a panic leaves.
    pub fn logs(&self) -> String {
        let rivals = self.rivals.iter().map(|rival| rival.log_tail(10_000));
        std::iter::once(self.cloud.operator.log_tail(10_000)).chain(rivals).collect::<Vec<_>>().join("\n")
    }

    /// What the final state depends on.
    pub async fn asked_for(&self) -> Value {
        let version = self.cloud.version().await;
        let plane = self.cloud.planes().get(NAME).await.unwrap();
        json!({"bundle": self.bundle.version, "version": version.spec, "plane": plane.spec})
    }

    /// Asks for all of it at once.
    pub async fn ask_for(&mut self, asked: &Value) {
        let mut plane = self.cloud.plane(json!({}));
        merge(&mut plane["spec"], asked["plane"].clone());
        self.cloud.cluster.apply(plane).await.unwrap();
        let annotations = json!({annotation::SKIP_CUSTOM_IMAGES: ""});
        let accepted = self.patch(json!({"metadata": {"annotations": annotations}, "spec": asked["version"]})).await;
        assert!(accepted, "{:?}", self.told);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(administrator) = &self.administrator {
            administrator.abort();
        }
    }
}

/// A bundle: 1.0.0 is of the release before the others.
fn bundle(version: &str, same_data: bool) -> Release {
    let old = release(OLD);
    if version == OLD {
        return old.with_release("2025.1");
    }
    let new = release(NEW).with_version(version).with_release("2025.2");
    let same = if same_data { &["rabbitmqImage", "mariadbImage"][..] } else { &[] };
    same.iter().fold(new, |new, image| new.with_image(image, &old.images[*image]))
}

fn with_clock(options: Options, clock: &std::path::Path) -> Options {
    options.with_env("CLOCK_OFFSET_FILE", &clock.display().to_string()).with_env("CALL_DEADLINE_SECONDS", "4")
}

/// Waits for so many more writes, or until there are none for a while.
async fn writes(mut written: tokio::sync::watch::Receiver<usize>, count: usize) {
    let wanted = written.borrow_and_update().saturating_add(count);
    while *written.borrow() < wanted {
        if !matches!(tokio::time::timeout(QUIET, written.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn waiting_step(version: &OpenStackVersion) -> Option<StepName> {
    let steps = version.status.as_ref()?.update.as_ref()?.steps.iter();
    steps.filter(|step| step.state == StepState::Waiting).map(|step| step.name).next()
}

fn version_is_done(version: &OpenStackVersion) -> bool {
    let Some(status) = &version.status else { return false };
    status.deployed_version.as_deref() == Some(version.spec.target_version.as_str())
        && status.update.is_none()
        && Some(status.observed_generation) >= version.metadata.generation.map(Into::into)
        && api::condition::is_true(&status.conditions, "Ready")
}

fn plane_is_done(plane: &OpenStackControlPlane, target: &str) -> bool {
    let object = serde_json::to_value(plane).unwrap();
    object["status"]["deployedVersion"] == json!(target)
        && wait::condition_status(&object, "Ready") == Some("True")
        && object["status"]["observedGeneration"] == object["metadata"]["generation"]
}
