//! The `Keystone` controller on a real cluster, with real Keystone, MariaDB and memcached.

use std::{pin::pin, time::Duration};

use api::keystone::{Keystone, KeystoneStatus, UpgradePhase};
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
use testbed::{Node, load, load::Load, wait};

use crate::{
    smoke::SOON,
    support::{Operator, backing},
};

/// How long a whole upgrade may take; two cores are shared by all of it.
const UPGRADE: Duration = Duration::from_secs(600);

const NAME: &str = "keystone";

/// A Keystone with what it needs, and the operator.
struct Scene {
    node: Node,
    namespace: String,
    operator: Operator,
}

impl Scene {
    async fn start(prefix: &str) -> Self {
        let node = Node::here().unwrap();
        let namespace = backing(&node, prefix).await;
        let operator = Operator::start(&node, &namespace);
        Self { node, namespace, operator }
    }

    async fn api(&self) -> Api<Keystone> {
        Api::namespaced(self.node.client().await.unwrap(), &self.namespace)
    }

    fn identity(&self) -> load::Api {
        load::Api { authority: format!("{NAME}.{}.svc:5000", self.namespace), password: "admin-password".to_owned() }
    }

    /// Applies the object with that image.
    async fn apply(&self, tag: &str, replicas: i32) {
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

    async fn patch(&self, patch: Value) {
        self.api().await.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Watches until the status is as wanted.
    async fn until(&self, what: &str, mut holds: impl FnMut(&KeystoneStatus) -> bool) -> KeystoneStatus {
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

    async fn installed(&self, release: &str) -> KeystoneStatus {
        self.until(release, |status| {
            api::condition::is_true(&status.conditions, "Ready") && status.installed_release.as_deref() == Some(release)
        })
        .await
    }

    /// Waits until an Event with that reason is there.
    async fn event(&self, reason: &str) {
        let events: Api<Event> = Api::namespaced(self.node.client().await.unwrap(), &self.namespace);
        let selector = Config::default().fields(&format!("involvedObject.name={NAME},reason={reason}"));
        let mut found = pin!(watcher(events, selector).applied_objects());
        let found = tokio::time::timeout(SOON, found.next()).await;
        assert!(matches!(found, Ok(Some(Ok(_)))), "no Event {reason}: {found:?}");
    }

    /// What the database has on record: the heads of its schema.
    async fn schema(&self) -> String {
        let query = "select version_num from keystone.alembic_version order by 1";
        let client = "mariadb --host=127.0.0.1 --user=keystone --password=\"$MARIADB_PASSWORD\"";
        let command = format!("{client} --batch --skip-column-names --execute='{query}'");
        let args = ["exec", "--namespace", &self.namespace, "deployment/mariadb", "--", "sh", "-c", &command]
            .map(str::to_owned);
        self.node.kubectl(args).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn an_upgrade_under_load_fails_no_request_although_the_operator_is_killed_in_every_phase() {
    let mut scene = Scene::start("upgrade").await;
    scene.apply("2025.2", 3).await;
    scene.installed("2025.2").await;
    let before = scene.schema().await;
    let old = load::until_it_serves(&scene.identity(), Duration::from_secs(30)).await.unwrap();
    let load = Load::start(&scene.identity(), 2, &old);

    // The seed's own line.
    scene.patch(json!({"spec": {"image": {"tag": "2026.1"}}})).await;
    let mut phases: Vec<UpgradePhase> = Vec::new();
    loop {
        let status = scene
            .until("the next phase", |status| {
                status.upgrade_phase.is_some_and(|phase| !phases.contains(&phase))
                    || status.installed_release.as_deref() == Some("2026.1")
            })
            .await;
        let Some(phase) = status.upgrade_phase else { break };
        phases.push(phase);
        scene.operator.kill_and_restart();
    }
    let status = scene.installed("2026.1").await;
    let served = load.stop().await;
    eprintln!(
        "{} requests, {} of them slow, slowest {:?}, {} failed",
        served.good,
        served.slow,
        served.slowest,
        served.failed.len()
    );

    assert_eq!(served.failed, Vec::<String>::new());
    assert!(served.good > 100 && served.slow > 2, "{served:?}");
    let seed =
        [UpgradePhase::Expanding, UpgradePhase::Migrating, UpgradePhase::RollingUpdate, UpgradePhase::Contracting];
    assert_eq!(phases, seed);
    assert_eq!((status.target_release, status.upgrade_phase), (None, None));
    assert_ne!(scene.schema().await, before, "2026.1 has a schema of its own");
    // Those of the phases may be lost with the process that was killed.
    for reason in ["UpgradeInitiated", "UpgradeComplete"] {
        scene.event(reason).await;
    }
}
