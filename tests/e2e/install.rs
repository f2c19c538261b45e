//! `kubectl apply -k`: the operator as users install it, in pods, with the rights of its account.

use std::time::{Duration, Instant};

use api::{
    controlplane::OpenStackControlPlane,
    crd,
    step::StepName,
    version::{OpenStackVersion, OpenStackVersionStatus, StepState},
};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Namespace, Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use testbed::{Actors, Node, Release, Script, cluster::setup, fixtures, wait};
use tokio::process::Command;

use crate::smoke::SOON;

/// The Deployment, and the Lease.
const OPERATOR: &str = "openstack-release-operator";

/// The `ConfigMap` that says what is logged.
const LOG_LEVEL: &str = "openstack-release-operator-log";

const IMAGE: &str = "localhost/openstack-release-operator:dev";

/// An installed operator, and the namespace of its cloud.
struct Installed {
    node: Node,
    client: Client,
    /// Where it runs.
    home: &'static str,
    cloud: String,
}

impl Installed {
    /// Applies a kustomization as users do. The pods wait for an image that there is.
    async fn apply(node: &Node, directory: &str, home: &'static str, cloud: &str) -> Self {
        let directory = testbed::root().join(directory);
        let apply = || node.kubectl(["apply", "--kustomize", directory.to_str().unwrap()]);
        let mut applied = apply().await;
        // Another test was quicker with a CRD.
        while applied.as_ref().is_err_and(|error| error.to_string().contains("already exists")) {
            applied = apply().await;
        }
        applied.unwrap();
        Self { node: node.clone(), client: node.client().await.unwrap(), home, cloud: cloud.to_owned() }
    }

    async fn kubectl(&self, args: &[&str]) -> String {
        self.node.kubectl(["--namespace", self.home].iter().chain(args)).await.unwrap()
    }

    /// `kubectl set env`.
    async fn env(&self, env: impl IntoIterator<Item = (String, String)>) {
        let pairs: Vec<String> = env.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut args = vec!["set", "env", "deployment", OPERATOR];
        args.extend(pairs.iter().map(String::as_str));
        self.kubectl(&args).await;
    }

    async fn image(&self) {
        self.kubectl(&["set", "image", "deployment", OPERATOR, &format!("*={IMAGE}")]).await;
    }

    /// Waits until as many pods as wanted run, and nothing else.
    async fn rolled_out(&self) {
        let rollout = ["--namespace", self.home, "rollout", "status", "--timeout=180s", "deployment", OPERATOR];
        if let Err(error) = self.node.kubectl(rollout).await {
            panic!("{error:#}\n{}", self.node.describe(self.home).await);
        }
    }

    /// Waits for a leader of whom that holds.
    async fn leader(&self, holds: impl Fn(&str) -> bool) -> String {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), self.home);
        let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        let led = |lease: &Lease| holder(lease).is_some_and(|holder| !holder.is_empty() && holds(&holder));
        holder(&Box::pin(wait::until(&leases, OPERATOR, SOON, led)).await.unwrap()).unwrap()
    }

    async fn pods(&self) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.home);
        let ours = ListParams::default().labels(&format!("app.kubernetes.io/name={OPERATOR}"));
        let pods = pods.list(&ours).await.unwrap().items;
        pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&OpenStackVersionStatus) -> bool) -> OpenStackVersion {
        let versions: Api<OpenStackVersion> = Api::namespaced(self.client.clone(), &self.cloud);
        let holds = |version: &OpenStackVersion| version.status.as_ref().is_some_and(&holds);
        match Box::pin(wait::until(&versions, fixtures::NAME, SOON, holds)).await {
            Ok(version) => version,
            Err(error) => panic!("{what}: {error:#}\n{}", self.node.describe(self.home).await),
        }
    }

    async fn available(&self, version: &str) {
        self.until("available", |status| status.available_version.as_deref() == Some(version)).await;
    }

    /// Another bundle: a rollout, as an upgrade of the operator is one.
    async fn upgrade(&self, release: &Release) {
        self.env(release.env()).await;
        self.rolled_out().await;
        self.available(&release.version).await;
    }

    /// Asks for something, and answers how long it takes until it is done.
    async fn acts(&self, marker: &str) -> Duration {
        let start = Instant::now();
        let planes: Api<OpenStackControlPlane> = Api::namespaced(self.client.clone(), &self.cloud);
        let patch = Patch::Merge(json!({"spec": {"glance": {"template": {"marker": marker}}}}));
        planes.patch(fixtures::NAME, &PatchParams::default(), &patch).await.unwrap();
        let until = format!("--for=jsonpath={{.spec.marker}}={marker}");
        let wait = ["wait", "--namespace", &self.cloud, "glance/glance", &until, "--timeout=120s"];
        self.node.kubectl(wait).await.unwrap();
        start.elapsed()
    }

    /// What the pods said, all of it.
    async fn log(&self) -> String {
        let mut log = String::new();
        for pod in self.pods().await {
            log += &self.kubectl(&["logs", &pod.name_any()]).await;
        }
        log
    }

    /// A signal for the process of a pod, from outside.
    async fn signal(&self, pod: &str, signal: &str) {
        let pods = self.pods().await;
        let pod = pods.iter().find(|known| known.name_any() == pod).unwrap();
        let status = &pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0];
        let id = status.container_id.as_ref().unwrap().strip_prefix("containerd://").unwrap();
        let sent = Command::new("ctr").args(["task", "kill", "--signal", signal, id]).status().await.unwrap();
        assert!(sent.success());
    }
}

/// No pod of the namespace may do more than the strictest standard allows: the API server would say so.
async fn assert_confined(node: &Node, namespace: &str) {
    let label = "pod-security.kubernetes.io/enforce=restricted";
    let strict = ["label", "namespace", namespace, label, "--dry-run=server", "--overwrite", "--warnings-as-errors"];
    node.kubectl(strict).await.unwrap();
}

/// Every pod of the namespace is checked by the API server; one that may do more is refused.
async fn assert_restricted(node: &Node, namespace: &str) {
    let run = ["run", "--dry-run=server", "--namespace", namespace, "--image", IMAGE, "privileged", "--privileged"];
    let error = node.kubectl(run).await.unwrap_err().to_string();
    assert!(error.contains("violates PodSecurity \"restricted"), "{error}");
}

fn bundle(version: &str) -> Release {
    Release::named("1.0.0").unwrap().with_version(version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn the_manifests_install_an_operator_that_updates_whatever_becomes_of_its_pods() {
    let node = Node::here().unwrap();
    let client = node.client().await.unwrap();
    setup::install(&client, crd::foreign()).await.unwrap();
    let cloud = node.namespace("install").await.unwrap();
    let operator = Installed::apply(&node, "manifests", "openstack-operators", &cloud).await;
    // Other tests of this cluster bring operators of their own, for namespaces of their own.
    let ours = [("WATCH_NAMESPACE".to_owned(), cloud.clone()), ("CONTROLLERS".to_owned(), "release".to_owned())];
    operator.env(ours.into_iter().chain(bundle("1.0.0").env())).await;
    operator.image().await;
    operator.rolled_out().await;
    assert_confined(&node, operator.home).await;
    let pods: Vec<String> = operator.pods().await.iter().map(ResourceExt::name_any).collect();
    assert_eq!(pods.len(), 2, "{pods:?}");
    let leader = operator.leader(|_| true).await;
    assert!(pods.contains(&leader), "{leader} is none of {pods:?}");

    let actors = Actors::start(client.clone(), &cloud, Script::default());
    setup::apply(&client, fixtures::small_control_plane(&cloud)).await.unwrap();
    operator.until("installed", |status| status.deployed_version.as_deref() == Some("1.0.0")).await;
    logs_as_it_is_told(&operator).await;
    operator.upgrade(&bundle("1.0.1")).await;
    actors.hold("Galera", "openstack");
    let versions: Api<OpenStackVersion> = Api::namespaced(client.clone(), &cloud);
    let target = Patch::Merge(json!({"spec": {"targetVersion": "1.0.1"}}));
    versions.patch(fixtures::NAME, &PatchParams::default(), &target).await.unwrap();
    operator.until("half-way", at_mariadb).await;
    let before = generations(&node, &cloud).await;

    survives_its_pods(&operator).await;
    // A newer operator, in the middle of the update.
    operator.upgrade(&bundle("1.0.2")).await;
    let version = operator.until("still half-way", at_mariadb).await;
    assert_eq!(version.spec.target_version, "1.0.1");
    let mut after = generations(&node, &cloud).await;
    after["Glance/glance"] = before["Glance/glance"].clone();
    assert_eq!(after, before, "nothing was moved, forth or back");
    actors.release("Galera", "openstack");
    operator.until("updated", |status| status.deployed_version.as_deref() == Some("1.0.1")).await;

    // The overlay for developers, over it.
    let operator = Installed::apply(&node, "manifests/overlays/development", operator.home, &cloud).await;
    operator.rolled_out().await;
    assert_eq!(operator.pods().await.len(), 1);
    operator.available("1.0.1").await;
    operator.kubectl(&["delete", "deployment", OPERATOR]).await;
}

/// The database is written, and not ready with it.
fn at_mariadb(status: &OpenStackVersionStatus) -> bool {
    let mut steps = status.update.iter().flat_map(|update| &update.steps);
    steps.any(|step| {
        step.name == StepName::Mariadb
            && step.state == StepState::Running
            && step.message.contains("status.observedGeneration")
    })
}

/// A `ConfigMap` changes what is logged, and no pod is replaced.
async fn logs_as_it_is_told(operator: &Installed) {
    let before: Vec<_> = operator.pods().await.iter().map(ResourceExt::uid).collect();
    let level = "openstack_release_operator=debug";
    let from = format!("--from-literal=level={level}");
    operator.kubectl(&["create", "configmap", LOG_LEVEL, &from]).await;
    // The kubelet looks at a pod that changes at once, and at the others once a minute.
    let selector = format!("--selector=app.kubernetes.io/name={OPERATOR}");
    operator.kubectl(&["annotate", "pods", &selector, "example.com/look=now"]).await;
    let tells = |line: &&str| line.contains("log level changed") && line.contains(level);
    let start = Instant::now();
    while operator.log().await.lines().filter(tells).count() < before.len() {
        assert!(start.elapsed() < SOON, "{}", operator.log().await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(operator.pods().await.iter().map(ResourceExt::uid).collect::<Vec<_>>(), before);
    operator.kubectl(&["delete", "configmap", LOG_LEVEL]).await;
}

/// Whatever happens to the leader, somebody acts again.
async fn survives_its_pods(operator: &Installed) {
    // The kubelet starts it again, or the other one is quicker.
    let leader = operator.leader(|_| true).await;
    operator.signal(&leader, "SIGKILL").await;
    println!("acts {:.1?} after the leader's process was killed", operator.acts("killed").await);
    let pod = format!("pod/{leader}");
    for again in ["jsonpath={.status.containerStatuses[0].restartCount}=1", "condition=Ready"] {
        operator.kubectl(&["wait", &pod, &format!("--for={again}"), "--timeout=120s"]).await;
    }

    // As on a node that is lost.
    let leader = operator.leader(|_| true).await;
    operator.signal(&leader, "SIGSTOP").await;
    println!("acts {:.1?} after the leader stands still", operator.acts("still").await);
    assert_ne!(operator.leader(|_| true).await, leader);
    operator.signal(&leader, "SIGCONT").await;

    let leader = operator.leader(|_| true).await;
    operator.kubectl(&["delete", "pod", &leader, "--wait=false"]).await;
    println!("acts {:.1?} after the leader's pod was deleted", operator.acts("deleted").await);
    operator.leader(|holder| holder != leader).await;
    operator.rolled_out().await;
}

/// The generation of each service object.
async fn generations(node: &Node, namespace: &str) -> Value {
    let kinds = "ovncontrollers,rabbitmqs,galeras,memcacheds,keystones,glances";
    let text = node.kubectl(["get", kinds, "--namespace", namespace, "--output=json"]).await.unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    let label =
        |item: &Value| format!("{}/{}", item["kind"].as_str().unwrap(), item["metadata"]["name"].as_str().unwrap());
    items.map(|item| (label(item), item["metadata"]["generation"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn an_operator_for_one_namespace_has_no_rights_beyond_it() {
    let node = Node::here().unwrap();
    let client = node.client().await.unwrap();
    setup::install(&client, crd::foreign()).await.unwrap();
    // The name in the overlay.
    let home = "openstack";
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home, "labels": labels}});
    setup::apply(&client, namespace).await.unwrap();
    let operator = Installed::apply(&node, "manifests/overlays/single-namespace", home, home).await;
    assert_restricted(&node, home).await;
    operator.image().await;
    operator.rolled_out().await;
    operator.leader(|_| true).await;

    setup::apply(&client, fixtures::small_control_plane(home)).await.unwrap();
    let release = Release::named("1.0.1").unwrap();
    operator.available(&release.version).await;
    // Keys are the first thing that a Keystone gets.
    let secrets: Api<Secret> = Api::namespaced(client.clone(), home);
    Box::pin(wait::until(&secrets, "keystone-fernet-keys", SOON, |_: &Secret| true)).await.unwrap();
    let log = operator.log().await;
    assert!(!log.to_lowercase().contains("forbidden"), "{log}");

    let account = format!("--as=system:serviceaccount:{home}:{OPERATOR}");
    for (verb, resource, elsewhere, allowed) in [
        ("patch", "secrets", home, true),
        ("list", "secrets", "default", false),
        ("patch", "glances.glance.openstack.org", "default", false),
        ("escalate", "roles.rbac.authorization.k8s.io", home, false),
        ("bind", "roles.rbac.authorization.k8s.io", home, false),
        ("delete", "secrets", home, false),
    ] {
        let args = ["auth", "can-i", verb, resource, "--namespace", elsewhere, &account];
        let says = node.kubectl(args).await;
        assert_eq!(says.is_ok(), allowed, "{verb} {resource} in {elsewhere}: {says:?}");
    }
    let namespaces: Api<Namespace> = Api::all(client);
    assert_eq!(namespaces.get(home).await.unwrap().labels()["pod-security.kubernetes.io/enforce"], "restricted");
    operator.kubectl(&["delete", "openstackcontrolplane", fixtures::NAME]).await;
    operator.kubectl(&["delete", "deployment", OPERATOR]).await;
}
