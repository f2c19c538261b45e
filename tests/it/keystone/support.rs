//! A namespace with a `Keystone`, and everybody who works on it.

use std::time::Duration;

use api::{
    condition::{self, Condition},
    keystone::{Keystone, KeystoneStatus},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
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
        let cluster = cluster::shared().await.unwrap();
        let client = cluster.client().await.unwrap();
        let namespace = cluster.namespace(prefix).await.unwrap();
        let kubelet = Kubelet::start(client.clone(), &namespace);
        kubelet.play("db-check", Play::Succeeded(checked(2)));
        let options = Options::new(BINARY, &namespace, release(OLD)).with_controllers(&["keystone"]);
        let operator = Operator::start(cluster, options).unwrap();
        Self { cluster, client, namespace, kubelet, operator }
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
