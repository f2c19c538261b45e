//! A real Keystone with what it needs, and the operator.

use std::{fmt::Write, fs, pin::pin, time::Duration};

use api::{
    condition::{self, Reason, Status},
    keystone::{Keystone, KeystoneStatus},
};
use futures::StreamExt;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{Config, watcher},
    },
};
use serde_json::{Value, json};
use testbed::{
    Node, Proxy, fixtures,
    load::{self, Load, Served},
    wait,
};

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
    pub namespace: String,
    pub operator: Operator,
}

impl Scene {
    pub async fn start(prefix: &str) -> Self {
        let node = Node::here().unwrap();
        let namespace = backing(&node, prefix).await;
        let operator = Operator::start(&node, &namespace);
        Self { node, namespace, operator }
    }

    /// The same, with something between the operator and the API server.
    pub async fn through(prefix: &str, proxy: &Proxy) -> Self {
        let node = Node::here().unwrap();
        let namespace = backing(&node, prefix).await;
        let operator = Operator::through(&node, &namespace, proxy.kubeconfig().to_owned());
        Self { node, namespace, operator }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub async fn api(&self) -> Api<Keystone> {
        Api::namespaced(self.node.client().await.unwrap(), &self.namespace)
    }

    pub fn identity(&self) -> load::Api {
        load::Api {
            authority: format!("{NAME}.{}.svc:5000", self.namespace),
            password: fixtures::KEYSTONE_PASSWORD.to_owned(),
        }
    }

    /// Applies the object with that image.
    pub async fn apply(&self, tag: &str, replicas: i32) {
        let mut spec = fixtures::keystone(replicas);
        spec["image"] = json!({"repository": "localhost/keystone", "tag": tag});
        let object = json!({
            "apiVersion": "keystone.openstack.org/v1beta1",
            "kind": "Keystone",
            "metadata": {"name": NAME},
            "spec": spec,
        });
        self.api().await.patch(NAME, &PatchParams::apply("e2e"), &Patch::Apply(&object)).await.unwrap();
    }

    pub async fn patch(&self, patch: Value) {
        self.api().await.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// The seed's own line.
    pub async fn image(&self, tag: &str) {
        self.patch(json!({"spec": {"image": {"tag": tag}}})).await;
    }

    /// Waits until it issues a token, and answers that.
    pub async fn token(&self) -> String {
        load::until_it_serves(&self.identity(), Duration::from_secs(30)).await.unwrap()
    }

    /// Ends a load: nothing of it may have failed.
    pub async fn none_failed(load: Load) -> Served {
        let served = load.stop().await;
        eprintln!(
            "{} requests, {} of them slow, slowest {:?}, {} failed",
            served.good,
            served.slow,
            served.slowest,
            served.failed.len()
        );
        assert_eq!(served.failed, Vec::<String>::new());
        served
    }

    /// Asks for another attempt.
    pub async fn retry(&self, value: &str) {
        self.patch(json!({"metadata": {"annotations": {"keystone.openstack.org/retry": value}}})).await;
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

    /// Waits until a condition has that status, and answers what it says.
    pub async fn says(&self, condition: &str, status: Status, text: &str) -> String {
        let find = |now: &KeystoneStatus| condition::find(&now.conditions, condition).cloned();
        let holds = |now: &KeystoneStatus| {
            find(now).is_some_and(|found| found.status == status && found.message.contains(text))
        };
        let now = self.until(&format!("{condition} {status}: {text}"), holds).await;
        find(&now).unwrap().message
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
        sql(&self.node, &self.namespace, statement).await.unwrap()
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

    /// A claim with a volume.
    pub async fn claim(&self, name: &str) {
        self.node.claim(&self.namespace, name).await.unwrap();
    }

    /// The names in a folder of a claim.
    pub fn files(&self, claim: &str, folder: &str) -> Vec<String> {
        let path = self.node.dir().join("volumes").join(format!("{}-{claim}", self.namespace)).join(folder);
        let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// kubectl in the namespace.
    pub async fn kubectl(&self, args: &[&str]) -> String {
        let namespace = ["--namespace", &self.namespace];
        self.node.kubectl(namespace.iter().chain(args)).await.unwrap()
    }

    /// Lets that many databases run: none, or one. Returns when those that shall not are gone.
    pub async fn databases(&self, count: usize) {
        self.kubectl(&["scale", "deployment/mariadb", &format!("--replicas={count}")]).await;
        if count == 0 {
            self.kubectl(&["wait", "pod", "--selector=app=mariadb", "--for=delete", "--timeout=60s"]).await;
        }
    }

    /// The tasks of the Jobs that there are, the oldest first.
    pub async fn tasks(&self) -> Vec<String> {
        let jobs: Api<Job> = Api::namespaced(self.node.client().await.unwrap(), &self.namespace);
        let mut jobs = jobs.list(&ListParams::default()).await.unwrap().items;
        jobs.sort_by_key(|job| job.creation_timestamp().map(|time| time.0));
        let task = |job: &Job| Some(job.name_any().split_once("-db-")?.1.rsplit_once('-')?.0.to_owned());
        jobs.iter().filter_map(task).collect()
    }

    /// The pods that serve, terminating ones included; one whose containers have ended stays for a moment.
    pub async fn servers(&self) -> Vec<String> {
        let pods: Api<Pod> = Api::namespaced(self.node.client().await.unwrap(), &self.namespace);
        let api = ListParams::default().labels("app.kubernetes.io/component=api,app.kubernetes.io/instance=keystone");
        let pods = pods.list(&api.fields("status.phase!=Succeeded,status.phase!=Failed")).await.unwrap();
        pods.items.iter().map(ResourceExt::name_any).collect()
    }

    /// Waits until the container of each pod that serves has begun, whether it is ready or not.
    pub async fn all_started(&self) {
        let started = "--for=jsonpath={.status.containerStatuses[0].started}=true";
        let pods = "--selector=app.kubernetes.io/component=api";
        self.kubectl(&["wait", "pod", pods, started, "--timeout=120s"]).await;
    }

    /// Runs a script as an administrator would who works in this namespace.
    pub async fn script(&self, script: &str) {
        let folder = self.node.dir().join("volumes").join(format!("{}-desk", self.namespace));
        fs::create_dir_all(&folder).unwrap();
        fs::copy(self.node.kubeconfig(), folder.join("kubeconfig")).unwrap();
        let mut whole = "set -euxo pipefail\nexport KUBECONFIG=$PWD/kubeconfig\n".to_owned();
        writeln!(whole, "kubectl config set-context --current --namespace={}\n{script}", self.namespace).unwrap();
        let output = tokio::process::Command::new("bash").arg("-c").arg(&whole).current_dir(&folder).output();
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let status = self.api().await.get(NAME).await.map(|keystone| keystone.status);
        assert!(output.status.success(), "{said}\n{status:#?}\n{}", self.operator.log_tail());
    }

    /// Keeps a connection to the database that has run those statements.
    pub async fn hold(&self, statements: &str) -> Held<'_> {
        let (node, namespace) = (self.node.clone(), self.namespace.clone());
        let whole = format!("{statements}; select sleep(3600)");
        tokio::spawn(async move { sql(&node, &namespace, &whole).await });
        let asleep = "select id from information_schema.processlist where info like \"select sleep%\"";
        loop {
            let id = self.sql(asleep).await.trim().to_owned();
            if !id.is_empty() {
                return Held { scene: self, id };
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The end of a good test: the node has other things to do.
    pub async fn end(self) {
        drop(self.operator);
        self.node.kubectl(["delete", "namespace", "--wait=false", &self.namespace]).await.unwrap();
    }
}

/// A connection to the database that somebody keeps.
pub struct Held<'a> {
    scene: &'a Scene,
    id: String,
}

impl Held<'_> {
    pub async fn release(self) {
        self.scene.sql(&format!("kill {}", self.id)).await;
    }
}

async fn sql(node: &Node, namespace: &str, statement: &str) -> anyhow::Result<String> {
    let client =
        "mariadb --socket=/tmp/mysqld.sock --user=root --password=\"$MARIADB_ROOT_PASSWORD\" --database=keystone";
    let command = format!("{client} --batch --skip-column-names --execute='{statement}'");
    node.kubectl(["exec", "--namespace", namespace, "deployment/mariadb", "--", "sh", "-c", &command]).await
}
