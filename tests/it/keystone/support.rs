//! A namespace with a `Keystone`, and everybody who works on it.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use api::{
    condition::{self, Condition},
    keystone::{Keystone, KeystoneStatus, RETRY, UpgradeStatus, UpgradeStep},
};
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, events::v1::Event};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use testbed::{Cluster, Kubelet, Operator, cluster, kubelet::Play, operator::Options, wait};

use crate::support::{BINARY, OLD, merge, release};

/// How long anything may take.
pub const SOON: Duration = Duration::from_secs(60);
/// The name of the object, as in the seed.
pub const NAME: &str = "keystone";
/// What is installed first.
pub const OLD_TAG: &str = "2025.1";
/// What is upgraded to.
pub const NEW_TAG: &str = "2025.2";
/// Where the images are.
pub const REPOSITORY: &str = "registry.example.com/openstack/keystone";

/// An image.
pub fn image(tag: &str) -> String {
    format!("{REPOSITORY}:{tag}")
}

/// The steps of an upgrade, in order.
pub const STEPS: [UpgradeStep; 6] = [
    UpgradeStep::Preparing,
    UpgradeStep::Expanding,
    UpgradeStep::Migrating,
    UpgradeStep::RollingUpdate,
    UpgradeStep::Verifying,
    UpgradeStep::Contracting,
];

/// The pods that a step waits for, as the kubelet's script names them.
pub fn pods_of(step: UpgradeStep, tag: &str) -> String {
    match step {
        UpgradeStep::Installing => "-db-sync-".to_owned(),
        UpgradeStep::Bootstrapping => "-db-bootstrap-".to_owned(),
        UpgradeStep::Preparing => "-db-check-".to_owned(),
        UpgradeStep::BackingUp => "-db-backup-".to_owned(),
        UpgradeStep::Expanding => "-db-expand-".to_owned(),
        UpgradeStep::Migrating => "-db-migrate-".to_owned(),
        UpgradeStep::Verifying => "-db-verify-".to_owned(),
        UpgradeStep::Contracting => "-db-contract-".to_owned(),
        UpgradeStep::RollingUpdate | UpgradeStep::Stopping => format!("server {} ", image(tag)),
    }
}

/// What the Job of `Preparing` reports, with that exit code of `db_sync --check`.
pub fn checked(code: i32) -> String {
    json!({"version": "28.0.0", "check": code, "ahead": false, "doctor": 0, "upgradeCheck": 0}).to_string()
}

/// The namespace of a test.
pub struct Scene {
    pub cluster: &'static Cluster,
    pub client: Client,
    pub namespace: String,
    pub kubelet: Kubelet,
    pub operator: Operator,
}

impl Scene {
    /// An operator, and nothing to do.
    pub async fn empty(prefix: &str) -> Self {
        Self::with(prefix, |options| options).await
    }

    /// An operator with other options.
    pub async fn with(prefix: &str, options: impl FnOnce(Options) -> Options) -> Self {
        Self::on(cluster::shared().await.unwrap(), prefix, options).await
    }

    /// The same on another cluster.
    pub async fn on(cluster: &'static Cluster, prefix: &str, options: impl FnOnce(Options) -> Options) -> Self {
        let client = cluster.client().await.unwrap();
        let namespace = cluster.namespace(prefix).await.unwrap();
        let kubelet = Kubelet::start(client.clone(), &namespace);
        kubelet.play("-db-check-", Play::Succeeded(checked(2)));
        let options = options(Options::new(BINARY, &namespace, release(OLD)).with_controllers(&["keystone"]));
        let operator = Operator::start(cluster, options).unwrap();
        Self { cluster, client, namespace, kubelet, operator }
    }

    /// The objects of a kind.
    pub fn all<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn keystones(&self) -> Api<Keystone> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A `Keystone` of the old release; `spec` is merged into its spec.
    pub fn keystone(&self, name: &str, spec: Value) -> Value {
        let mut object = json!({
            "apiVersion": "keystone.openstack.org/v1beta1",
            "kind": "Keystone",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "replicas": 2,
                "image": {"repository": REPOSITORY, "tag": OLD_TAG},
                "database": {"host": "mariadb", "secretRef": {"name": "keystone-db"}},
                "bootstrap": {"adminPasswordSecretRef": {"name": "keystone-admin"}},
            },
        });
        merge(&mut object["spec"], spec);
        object
    }

    pub async fn create(&self, spec: Value) {
        self.cluster.apply(self.keystone(NAME, spec)).await.unwrap();
    }

    /// Changes the spec, as `kubectl patch --type merge` does.
    pub async fn patch(&self, spec: Value) -> kube::Result<Keystone> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.keystones().patch(NAME, &PatchParams::default(), &patch).await
    }

    pub async fn status(&self) -> KeystoneStatus {
        self.keystones().get(NAME).await.unwrap().status.unwrap_or_default()
    }

    /// Watches the `Keystone` until its status is as wanted.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&KeystoneStatus) -> bool) -> KeystoneStatus {
        let holds = |keystone: &Keystone| keystone.status.as_ref().is_some_and(&mut holds);
        let found = wait::until(&self.keystones(), NAME, SOON, holds).await;
        self.expect(what, found).status.unwrap()
    }

    /// Watches until a condition has that status and its message contains all the texts.
    pub async fn says(&self, type_: &str, status: condition::Status, texts: &[&str]) -> Condition {
        let says = |condition: &&Condition| {
            condition.status == status && texts.iter().all(|text| condition.message.contains(text))
        };
        let what = format!("{type_} {status} with {texts:?}");
        let status =
            self.until(&what, |status| condition::find(&status.conditions, type_).as_ref().is_some_and(says)).await;
        condition::find(&status.conditions, type_).unwrap().clone()
    }

    /// A Keystone with one pod and the old image, installed.
    pub async fn with_keystone(prefix: &str, spec: Value) -> Self {
        let scene = Self::empty(prefix).await;
        let mut wanted = json!({"replicas": 1});
        merge(&mut wanted, spec);
        scene.create(wanted).await;
        scene.installed(&image(OLD_TAG)).await;
        scene
    }

    /// Sets the tag.
    pub async fn upgrade(&self, tag: &str) {
        self.patch(json!({"image": {"tag": tag}})).await.unwrap();
    }

    /// Asks for another attempt.
    pub async fn retry(&self, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {RETRY: value}}}));
        self.keystones().patch(NAME, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Makes a step last, until [`Scene::release`].
    pub fn hold(&self, step: UpgradeStep) {
        self.kubelet.play(&pods_of(step, NEW_TAG), Play::Running);
    }

    /// Makes every step last.
    pub fn hold_all(&self) {
        for step in STEPS {
            self.hold(step);
        }
    }

    /// Lets a step end well.
    pub fn release(&self, step: UpgradeStep) {
        let play = match step {
            UpgradeStep::Preparing => Play::Succeeded(checked(2)),
            UpgradeStep::RollingUpdate => Play::Ready,
            _ => Play::Succeeded(String::new()),
        };
        self.kubelet.play(&pods_of(step, NEW_TAG), play);
    }

    /// Waits for a step that is under way: its Job runs, or its pods change.
    pub async fn at(&self, step: UpgradeStep) -> UpgradeStatus {
        let at = |status: &KeystoneStatus| {
            // The Job is there, or the Deployment is written.
            let says = if step == UpgradeStep::RollingUpdate { "status." } else { " runs" };
            status.upgrade.as_ref().is_some_and(|upgrade| upgrade.step == step && upgrade.message.contains(says))
        };
        self.until(&format!("at {step}"), at).await.upgrade.unwrap()
    }

    pub async fn deployment(&self) -> Value {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        serde_json::to_value(api.get(NAME).await.unwrap()).unwrap()
    }

    /// The image that the Deployment has.
    pub async fn serving(&self) -> Value {
        self.deployment().await["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    }

    /// The names of the Jobs, oldest first, without the hash at the end.
    pub async fn jobs(&self) -> Vec<String> {
        let api: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut jobs = api.list(&ListParams::default()).await.unwrap().items;
        jobs.sort_by_key(|job| job.metadata.creation_timestamp.clone());
        let task = |job: &Job| job.name_any().rsplit_once('-').unwrap().0.to_owned();
        jobs.iter().map(task).collect()
    }

    /// Waits for an Event about the object, and answers its text.
    pub async fn event(&self, reason: &str) -> String {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let start = Instant::now();
        loop {
            let events = api.list(&ListParams::default()).await.unwrap().items;
            if let Some(event) = events.iter().find(|event| event.reason.as_deref() == Some(reason)) {
                return event.note.clone().unwrap_or_default();
            }
            let seen: Vec<_> = events.into_iter().filter_map(|event| event.reason).collect();
            assert!(start.elapsed() < SOON, "no event {reason} among {seen:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every warning, with its reason.
    pub async fn warnings(&self) -> Vec<String> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let events = api.list(&ListParams::default()).await.unwrap().items;
        let ours = |event: &Event| {
            let about = event.regarding.as_ref().and_then(|about| about.kind.as_deref());
            event.type_.as_deref() == Some("Warning") && about == Some("Keystone")
        };
        events.into_iter().filter(ours).map(|event| format!("{:?}: {:?}", event.reason, event.note)).collect()
    }

    /// Watches until an object has that value at a JSON pointer.
    pub async fn value<K>(&self, pointer: &str, wanted: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug
            + Send
            + 'static,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = wait::value(&api, NAME, pointer, &wanted, SOON).await;
        self.expect(&format!("{pointer} {wanted}"), found);
    }

    /// Waits until that image is installed, and nothing is under way.
    pub async fn installed(&self, image: &str) -> KeystoneStatus {
        let installed = |status: &KeystoneStatus| {
            status.installed_image.as_deref() == Some(image)
                && status.upgrade.is_none()
                && condition::is_true(&status.conditions, "Ready")
        };
        self.until(&format!("{image} installed"), installed).await
    }

    /// What a wait found, or a panic with what the operator said last.
    #[track_caller]
    pub fn expect<T>(&self, what: &str, found: anyhow::Result<T>) -> T {
        found.unwrap_or_else(|error| panic!("{what}: {error:#}\n--- the operator:\n{}", self.operator.log_tail(40)))
    }
}
