//! The `NetworkPolicy` of the operator, enforced: whom its pods reach, and who reaches them.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::{Value, json};
use testbed::{Node, cluster::setup};

use crate::smoke::{SOON, file, ready};

/// How often is asked whether a policy is in force: nothing tells.
const POLL: Duration = Duration::from_millis(300);

struct Scene {
    node: Node,
    namespace: String,
}

impl Scene {
    async fn start() -> Self {
        let node = Node::here().unwrap();
        let namespace = node.namespace("policies").await.unwrap();
        node.apply(&namespace, file("policies.yaml")).await.unwrap();
        for name in ["guarded", "anybody"] {
            ready::<Pod>(&node, &namespace, name, "Ready").await;
        }
        Self { node, namespace }
    }

    async fn address(&self, pod: &str) -> String {
        let pods: Api<Pod> = Api::namespaced(self.node.client().await.unwrap(), &self.namespace);
        pods.get(pod).await.unwrap().status.unwrap().pod_ip.unwrap()
    }

    /// Whether a pod gets a connection.
    async fn reaches(&self, pod: &str, host: &str, port: &str) -> bool {
        let connect = ["exec", "--namespace", &self.namespace, pod, "--", "nc", "-w", "5", host, port, "-e", "true"];
        self.node.kubectl(connect).await.is_ok()
    }

    /// The policy as it is installed, in the namespace of this test.
    async fn guard(&self) {
        let manifest = testbed::root().join("manifests/operator/networkpolicy.yaml");
        let mut policy: Value = serde_yaml::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
        policy["metadata"]["namespace"] = json!(self.namespace);
        setup::apply(&self.node.client().await.unwrap(), policy).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn the_operator_reaches_the_api_server_and_names_and_is_asked_for_metrics_and_nothing_else() {
    let scene = Scene::start().await;
    let (guarded, anybody) = (scene.address("guarded").await, scene.address("anybody").await);
    // Without the policy: what is refused below is not refused for another reason.
    for port in ["8080", "9090"] {
        assert!(scene.reaches("guarded", &anybody, port).await, "to {port} without a policy");
        assert!(scene.reaches("anybody", &guarded, port).await, "from {port} without a policy");
    }

    scene.guard().await;
    let start = Instant::now();
    while scene.reaches("guarded", &anybody, "9090").await {
        assert!(start.elapsed() < SOON, "the policy is not enforced");
        tokio::time::sleep(POLL).await;
    }
    assert!(!scene.reaches("guarded", &anybody, "8080").await);
    assert!(!scene.reaches("anybody", &guarded, "9090").await);
    assert!(scene.reaches("anybody", &guarded, "8080").await, "probes and metrics");
    assert!(scene.reaches("guarded", "kubernetes.default.svc", "443").await, "the API server, by its name");
    assert!(scene.reaches("anybody", &anybody, "9090").await, "others are free");
}
