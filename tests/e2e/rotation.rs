//! Keys of a real Keystone rotate: nobody loses a token or a credential, and no pod is replaced.

use std::time::{Duration, Instant};

use api::keystone::{KeyRepository, KeySetStatus, KeystoneStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::json;
use testbed::load;

use crate::scene::Scene;

/// How many rotations follow each other.
const ROUNDS: i64 = 10;

impl Scene {
    async fn record(&self, name: KeyRepository) -> KeySetStatus {
        let status = self.api().await.get("keystone").await.unwrap().status.unwrap();
        status.keys.into_iter().find(|keys| keys.name == name).unwrap()
    }

    /// The pods that serve: uid and address.
    async fn pods(&self) -> Vec<(String, String)> {
        let api: Api<Pod> = Api::namespaced(self.node.client().await.unwrap(), self.namespace());
        let selector = ListParams::default().labels("app.kubernetes.io/component=api");
        let pods = api.list(&selector).await.unwrap().items;
        let address = |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap();
        let mut pods: Vec<_> = pods.iter().map(|pod| (pod.uid().unwrap(), address(pod))).collect();
        pods.sort();
        pods
    }

    /// Each pod by itself.
    async fn each(&self) -> Vec<load::Api> {
        let api =
            |(_, address): (String, String)| load::Api { authority: format!("{address}:5000"), ..self.identity() };
        self.pods().await.into_iter().map(api).collect()
    }

    /// The seed's own command, and the seed's own sign that it worked.
    async fn rotate(&self, word: &str, round: i64) {
        let (name, namespace) = (format!("keystone-{word}-rotate"), self.namespace());
        let from = format!("--from=cronjob/{name}");
        let manual = format!("{name}-manual-{round}");
        self.node.kubectl(["-n", namespace, "create", "job", &from, &manual]).await.unwrap();
    }

    async fn spread(&self, name: KeyRepository, primary: i64) {
        let spread = |status: &KeystoneStatus| {
            let keys = status.keys.iter().find(|keys| keys.name == name);
            keys.is_some_and(|keys| keys.primary == primary && keys.everywhere)
        };
        self.until(&format!("{name} key {primary} everywhere"), spread).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn keys_rotate_and_every_pod_reads_what_the_last_ones_encrypted() {
    let mut scene = Scene::start("rotation").await;
    scene.apply("2025.2", 2).await;
    // Keys for tokens of every set; and no answer that was remembered from before.
    let spec = json!({"fernet": {"maxActiveKeys": ROUNDS + 2}, "extraConfig": {"token": {"caching": "false"}}});
    scene.patch(json!({"spec": spec})).await;
    scene.installed("2025.2").await;
    load::until_it_serves(&scene.identity(), Duration::from_secs(30)).await.unwrap();
    let pods = scene.pods().await;
    let credential = scene.identity().create_credential("a secret of somebody").await.unwrap();
    let first = scene.record(KeyRepository::Fernet).await.primary;
    let mut tokens = vec![scene.identity().issue().await.unwrap()];
    for round in 1..=ROUNDS {
        let start = Instant::now();
        scene.rotate("fernet", round).await;
        if round % 2 == 0 {
            // Wherever it is: the Job takes some seconds, the operator one or two writes.
            tokio::time::sleep(Duration::from_millis(u64::try_from(round).unwrap() * 600)).await;
            scene.operator.kill_and_restart();
        }
        scene.spread(KeyRepository::Fernet, first + round).await;
        for pod in scene.each().await {
            tokens.push(pod.issue().await.unwrap());
        }
        // Tokens of every set so far, the ones of each pod among them, on each pod.
        for pod in scene.each().await {
            for token in &tokens {
                pod.validate(token).await.unwrap();
            }
        }
        eprintln!("rotation {round} took {:?}", start.elapsed());
    }
    let first = scene.record(KeyRepository::Credential).await.primary;
    for round in 1..=3 {
        let start = Instant::now();
        scene.rotate("credential", round).await;
        scene.spread(KeyRepository::Credential, first + round).await;
        for pod in scene.each().await {
            assert_eq!(pod.credential(&credential).await.unwrap(), "a secret of somebody");
        }
        let hashes = scene.sql("select count(distinct key_hash) from credential").await;
        assert_eq!(hashes.trim(), "1", "every row is encrypted with one key");
        eprintln!("rotation {round} of credentials took {:?}", start.elapsed());
    }
    assert_eq!(scene.pods().await, pods, "no pod was replaced");
    for event in ["FernetKeysRotated", "CredentialKeysRotated"] {
        scene.event(event).await;
    }
    let described = scene.node.kubectl(["-n", scene.namespace(), "describe", "keystone", "keystone"]).await.unwrap();
    assert!(described.contains("FernetKeysRotated"), "{described}");
    assert!(scene.record(KeyRepository::Fernet).await.rejected.is_none());
    // The seed's cleanup, word for word.
    let cleanup = format!(
        "kubectl -n {0} get jobs -o name | grep -E '/keystone-(fernet|credential)-rotate-manual-' | xargs -r kubectl -n {0} delete",
        scene.namespace()
    );
    let done = tokio::process::Command::new("sh").args(["-c", &cleanup]).status().await.unwrap();
    assert!(done.success());
}
