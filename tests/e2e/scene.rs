//! A real Keystone with what it needs, and the operator.

use std::{pin::pin, time::Duration};

use api::{
    condition::{self, Reason},
    keystone::{Keystone, KeystoneStatus},
};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{Config, watcher},
    },
};
use serde_json::{Value, json};
use testbed::{Node, load, wait};

use crate::{
    smoke::SOON,
    support::{Operator, backing},
};

/// How long a whole upgrade may take; two cores are shared by all of it.
const UPGRADE: Duration = Duration::from_secs(600);

const NAME: &str = "keystone";

/// A Keystone with what it needs, and the operator.
pub struct Scene {
    pub node: Node,
    namespace: String,
    pub operator: Operator,
}

impl Scene {
    pub async fn start(prefix: &str) -> Self {
        let node = Node::here().unwrap();
        let namespace = backing(&node, prefix).await;
        let operator = Operator::start(&node, &namespace);
        Self { node, namespace, operator }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub async fn api(&self) -> Api<Keystone> {
        Api::namespaced(self.node.client().await.unwrap(), &self.namespace)
    }

    pub fn identity(&self) -> load::Api {
        load::Api { authority: format!("{NAME}.{}.svc:5000", self.namespace), password: "admin-password".to_owned() }
    }

    /// Applies the object with that image.
    pub async fn apply(&self, tag: &str, replicas: i32) {
        let object = json!({
            "apiVersion": "keystone.openstack.org/v1beta1",
            "kind": "Keystone",
            "metadata": {"name": NAME},
            "spec": {
                "replicas": replicas,
                "image": {"repository": "localhost/keystone", "tag": tag},
                "database": {"host": "mariadb", "secretRef": {"name": "keystone-db"}},
                "cache": {"servers": ["memcached:11211"]},
                "bootstrap": {"adminPasswordSecretRef": {"name": "keystone-admin"}},
                // A password costs 36 ms and not 240.
                "extraConfig": {"identity": {"password_hash_rounds": "4"}},
            },
        });
        self.api().await.patch(NAME, &PatchParams::apply("e2e"), &Patch::Apply(&object)).await.unwrap();
    }

    pub async fn patch(&self, patch: Value) {
        self.api().await.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Watches until the status is as wanted.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&KeystoneStatus) -> bool) -> KeystoneStatus {
        let holds = |keystone: &Keystone| keystone.status.as_ref().is_some_and(&mut holds);
        match wait::until(&self.api().await, NAME, UPGRADE, holds).await {
            Ok(keystone) => keystone.status.unwrap(),
            Err(error) => {
                let status = self.api().await.get(NAME).await.map(|keystone| keystone.status);
                let pods = self.node.describe(&self.namespace).await;
                panic!("{what}: {error:#}\n{status:#?}\n{pods}\n{}", self.operator.log_tail());
            }
        }
    }

    pub async fn installed(&self, release: &str) -> KeystoneStatus {
        self.until(release, |status| {
            condition::is_true(&status.conditions, "Ready") && status.installed_release.as_deref() == Some(release)
        })
        .await
    }

    /// Waits until an Event with that reason is there.
    pub async fn event(&self, reason: &str) {
        let events: Api<Event> = Api::namespaced(self.node.client().await.unwrap(), &self.namespace);
        let selector = Config::default().fields(&format!("involvedObject.name={NAME},reason={reason}"));
        let mut found = pin!(watcher(events, selector).applied_objects());
        let found = tokio::time::timeout(SOON, found.next()).await;
        assert!(matches!(found, Ok(Some(Ok(_)))), "no Event {reason}: {found:?}");
    }

    /// What the database has on record: the heads of its schema.
    pub async fn schema(&self) -> String {
        self.sql("select version_num from alembic_version order by 1").await
    }

    /// Asks the database.
    pub async fn sql(&self, statement: &str) -> String {
        let client = "mariadb --host=127.0.0.1 --user=keystone --password=\"$MARIADB_PASSWORD\" --database=keystone";
        let command = format!("{client} --batch --skip-column-names --execute='{statement}'");
        let args = ["exec", "--namespace", &self.namespace, "deployment/mariadb", "--", "sh", "-c", &command]
            .map(str::to_owned);
        self.node.kubectl(args).await.unwrap()
    }

    /// Watches until the upgrade has stopped for that reason, and answers what it says.
    pub async fn stopped(&self, reason: Reason) -> String {
        let failure = |status: &KeystoneStatus| status.upgrade.as_ref().and_then(|upgrade| upgrade.failure.clone());
        let stopped = |status: &KeystoneStatus| failure(status).is_some_and(|failure| failure.reason == reason);
        let status = self.until(&format!("stopped: {reason}"), stopped).await;
        assert!(
            condition::is_true(&status.conditions, "Degraded") && condition::is_true(&status.conditions, "Available")
        );
        failure(&status).unwrap().message
    }
}
