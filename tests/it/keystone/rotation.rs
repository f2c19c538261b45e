//! Rotations of keys: the seed's commands, the account's rights, what is published and what is not.

use std::collections::BTreeMap;

use api::{
    condition::Status,
    keystone::{KeySetStatus, KeystoneStatus, SetProblem, UpgradeStep},
};
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::{Pod, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use rstest::rstest;
use serde_json::{Value, json};
use testbed::{Proxy, cluster, kubelet::Play, proxy::Moment, wait};

use super::{
    keys::{self, Keys, key, repository, rotated},
    support::{NAME, NEW_TAG, OLD_TAG, SOON, Scene, image},
};

impl Scene {
    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn keys(&self, secret: &str) -> Keys {
        keys::read(&self.client, &self.namespace, secret).await.unwrap()
    }

    async fn record(&self, word: &str) -> KeySetStatus {
        let status = self.status().await;
        status.keys.into_iter().find(|keys| keys.name == repository(word)).unwrap()
    }

    /// kubectl, as the account of a rotation or as the administrator: success, and all output.
    async fn kubectl(&self, account: Option<&str>, args: &[&str]) -> (bool, String) {
        let user = account.map(|word| format!("--as={}", keys::account(&self.namespace, word)));
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(user.as_deref());
        all.extend(args);
        let output = self.cluster.kubectl(all).await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// What the script does when it is done, with the rights of its account.
    pub async fn stage(&self, word: &str, keys: &Keys) -> Result<(), String> {
        // It comes a moment after the first installation.
        scene_has(self, &format!("keystone-{word}-keys-rotation")).await;
        keys::stage(self.cluster, &self.client, &self.namespace, word, keys).await
    }

    /// A JSON patch of a Secret, by the account of a rotation.
    async fn patch_as(&self, word: &str, secret: &str, patch: &Value) -> kube::Result<String> {
        keys::patch_as(self.cluster, &self.namespace, word, secret, patch).await
    }

    async fn pods(&self) -> Vec<String> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let selector = ListParams::default().labels("app.kubernetes.io/component=api");
        let mut pods: Vec<_> = api.list(&selector).await.unwrap().into_iter().filter_map(|pod| pod.uid()).collect();
        pods.sort();
        pods
    }

    /// Waits until every pod is known to have the set with that key as the one that encrypts.
    pub async fn spread(&self, word: &str, primary: i64) {
        let spread = |status: &KeystoneStatus| {
            let keys = status.keys.iter().find(|keys| keys.name == repository(word));
            keys.is_some_and(|keys| keys.primary == primary && keys.everywhere)
        };
        self.until(&format!("{word} key {primary} everywhere"), spread).await;
    }
}

async fn scene_has(scene: &Scene, secret: &str) {
    let found = wait::until(&scene.secrets(), secret, SOON, |_: &Secret| true).await;
    scene.expect(secret, found);
}

#[rstest]
#[case::tokens("fernet", "FernetKeysRotated")]
#[case::credentials("credential", "CredentialKeysRotated")]
#[tokio::test]
async fn the_seeds_commands_rotate_without_a_rollout(#[case] word: &str, #[case] event: &str) {
    let scene = Scene::with_keystone("ks-rotate", json!({"replicas": 2})).await;
    let (secret, name) = (format!("keystone-{word}-keys"), format!("keystone-{word}-rotate"));
    let pods = scene.pods().await;
    let old = scene.keys(&secret).await;
    scene.kubelet.play(&format!("{name}-manual-"), Play::Running);
    let manual = format!("{name}-manual-1");
    let (made, text) = scene.kubectl(None, &["create", "job", &format!("--from=cronjob/{name}"), &manual]).await;
    assert!(made, "{text}");
    scene.stage(word, &rotated(&old, 1)).await.unwrap();
    scene.kubelet.play(&format!("{name}-manual-"), Play::Succeeded(String::new()));
    scene.spread(word, 3).await;
    let new = scene.keys(&secret).await;
    assert_eq!(new, rotated(&old, 1));
    scene.event(event).await;
    let (_, described) = scene.kubectl(None, &["describe", "keystone", NAME]).await;
    assert!(described.contains(event), "{described}");
    assert_eq!(scene.pods().await, pods, "no rollout");
    assert_eq!(scene.keys(&format!("{secret}-rotation")).await, Keys::new(), "the next rotation finds it empty");
    // Every pod was asked, by a Job that needs no rights.
    let jobs: Api<Job> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let all = jobs.list(&ListParams::default()).await.unwrap().items;
    let confirm = all.iter().find(|job| job.name_any().contains(&format!("-{word}-confirm-"))).unwrap();
    let pod = confirm.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    assert_eq!(pod.automount_service_account_token, Some(false));
    // The seed's cleanup; ours would go by itself.
    let manual = jobs.get(&manual).await.unwrap();
    assert!(manual.spec.unwrap().ttl_seconds_after_finished.is_some_and(|seconds| seconds > 3600));
    let (deleted, text) = scene.kubectl(None, &["delete", &format!("jobs/{name}-manual-1")]).await;
    assert!(deleted, "{text}");
    // Once more, and what is done stays quiet.
    scene.stage(word, &rotated(&new, 2)).await.unwrap();
    scene.spread(word, 4).await;
    assert_eq!(scene.keys(&secret).await, rotated(&new, 2), "the oldest key is gone");
    scene.says("KeysRotate", Status::True, &[]).await;
    assert_eq!(scene.warnings().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_account_of_a_rotation_may_do_one_thing() {
    let scene = Scene::with_keystone("ks-rights", json!({})).await;
    scene_has(&scene, "keystone-fernet-keys-rotation").await;
    let patch = json!([{"op": "add", "path": "/data", "value": {"0": "AAAA"}}]);
    for secret in ["keystone-fernet-keys", "keystone-credential-keys-rotation", "keystone-db"] {
        let refused = scene.patch_as("fernet", secret, &patch).await.unwrap_err().to_string();
        assert!(refused.contains("forbidden"), "{secret}: {refused}");
    }
    for args in [
        &["get", "secret", "keystone-fernet-keys"][..],
        &["get", "secret", "keystone-fernet-keys-rotation"],
        &["get", "secrets"],
        &["create", "secret", "generic", "mine"],
        &["get", "pods"],
        &["create", "job", "mine", "--image=x"],
    ] {
        let (done, text) = scene.kubectl(Some("fernet"), args).await;
        assert!(!done && text.contains("forbidden"), "{args:?}: {text}");
    }
}

#[tokio::test]
async fn a_hostile_set_is_kept_aside_and_the_next_rotation_is_free() {
    let scene = Scene::with_keystone("ks-hostile", json!({})).await;
    let old = scene.keys("keystone-fernet-keys").await;
    let mut bad = rotated(&old, 1);
    bad.insert(3, key(99));
    scene.stage("fernet", &bad).await.unwrap();
    let told = scene.event("RotationRejected").await;
    assert!(told.contains("key 3 would encrypt") && told.contains("Secret/keystone-fernet-keys-rejected"), "{told}");
    scene.says("KeysRotate", Status::False, &["(Continuity)"]).await;
    let empty = |secret: &Secret| secret.data.as_ref().is_none_or(BTreeMap::is_empty);
    let cleared = wait::until(&scene.secrets(), "keystone-fernet-keys-rotation", SOON, empty).await;
    scene.expect("the next rotation is free", cleared);
    assert_eq!(scene.keys("keystone-fernet-keys-rejected").await, bad);
    assert_eq!(scene.keys("keystone-fernet-keys").await, old);
    assert_eq!(scene.record("fernet").await.rejected.unwrap().problem, SetProblem::Continuity);
    scene.says("Ready", Status::True, &[]).await;
    let log = scene.operator.log_tail(10_000);
    assert!(old.values().chain(bad.values()).all(|key| !log.contains(key.as_str())), "a key is in the log");

    scene.stage("fernet", &rotated(&old, 2)).await.unwrap();
    scene.spread("fernet", 3).await;
    scene.says("KeysRotate", Status::True, &[]).await;
}

#[tokio::test]
async fn a_staging_secret_that_was_deleted_comes_back_and_a_job_without_result_is_noticed() {
    let scene = Scene::with_keystone("ks-fruitless", json!({})).await;
    let staging = "keystone-fernet-keys-rotation";
    scene_has(&scene, staging).await;
    let uid = scene.secrets().get(staging).await.unwrap().uid();
    scene.secrets().delete(staging, &DeleteParams::default()).await.unwrap();
    let back = wait::until(&scene.secrets(), staging, SOON, |secret: &Secret| secret.uid() != uid).await;
    scene.expect("it comes back", back);
    let args = ["create", "job", "--from=cronjob/keystone-fernet-rotate", "by-hand"];
    let (made, text) = scene.kubectl(None, &args).await;
    assert!(made, "{text}");
    let told = scene.event("RotationFailed").await;
    assert!(told.contains("Job/by-hand succeeded and no new keys came of it"), "{told}");
    scene.says("KeysRotate", Status::False, &["Job/by-hand"]).await;
    let old = scene.keys("keystone-fernet-keys").await;
    scene.stage("fernet", &rotated(&old, 1)).await.unwrap();
    scene.says("KeysRotate", Status::True, &[]).await;
}

#[tokio::test]
async fn a_rotation_and_an_upgrade_wait_for_each_other() {
    let scene = Scene::with_keystone("ks-exclude", json!({"credentialKeys": {"suspend": true}})).await;
    let cron_jobs: Api<CronJob> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let suspended = |name: &'static str, wanted: bool| {
        let cron_jobs = cron_jobs.clone();
        Box::pin(async move { Box::pin(wait::value(&cron_jobs, name, "/spec/suspend", &json!(wanted), SOON)).await })
    };
    // A rotation runs: the upgrade waits for its end.
    scene.kubelet.play("by-hand", Play::Running);
    let args = ["create", "job", "--from=cronjob/keystone-fernet-rotate", "by-hand"];
    assert!(scene.kubectl(None, &args).await.0);
    scene.hold(UpgradeStep::Migrating);
    scene.upgrade(NEW_TAG).await;
    scene.says("Progressing", Status::True, &["waits: Job/by-hand of the key rotation ends first"]).await;
    scene.expect("suspended", suspended("keystone-fernet-rotate", true).await);
    scene.kubelet.play("by-hand", Play::Succeeded(String::new()));
    scene.at(UpgradeStep::Migrating).await;
    // The upgrade runs: what a rotation brings waits for its end.
    let old = scene.keys("keystone-fernet-keys").await;
    scene.stage("fernet", &rotated(&old, 1)).await.unwrap();
    scene.says("KeysRotate", Status::False, &["published when the installation or upgrade is complete"]).await;
    assert_eq!(scene.keys("keystone-fernet-keys").await, old);
    scene.release(UpgradeStep::Migrating);
    scene.installed(&image(NEW_TAG)).await;
    scene.spread("fernet", 3).await;
    scene.expect("resumed", suspended("keystone-fernet-rotate", false).await);
    scene.expect("the user's own wish", suspended("keystone-credential-rotate", true).await);
    assert_ne!(OLD_TAG, NEW_TAG);
}

/// Who suspends the `CronJob` itself is heard, and an upgrade does not forget it.
#[tokio::test]
async fn what_a_person_suspends_stays_suspended() {
    let scene = Scene::with_keystone("ks-suspend", json!({})).await;
    let cron_jobs: Api<CronJob> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let patch = async |name: &str, value: bool| {
        let patch = format!(r#"{{"spec":{{"suspend":{value}}}}}"#);
        let (done, text) = scene.kubectl(None, &["patch", "cronjob", name, "--type=merge", "--patch", &patch]).await;
        assert!(done, "{text}");
    };
    let is = async |name: &str, value: bool| {
        let found = Box::pin(wait::value(&cron_jobs, name, "/spec/suspend", &json!(value), SOON)).await;
        scene.expect(&format!("{name}: suspend {value}"), found);
    };
    let (fernet, credential) = ("keystone-fernet-rotate", "keystone-credential-rotate");
    is(credential, false).await;
    patch(fernet, true).await;
    scene.says("KeysRotate", Status::True, &["CronJob/keystone-fernet-rotate, which somebody set"]).await;
    scene.hold(UpgradeStep::Migrating);
    scene.upgrade(NEW_TAG).await;
    is(credential, true).await;
    scene.release(UpgradeStep::Migrating);
    scene.installed(&image(NEW_TAG)).await;
    is(credential, false).await;
    is(fernet, true).await;
    // Another release has another image in it: it was written since.
    let image = "/spec/jobTemplate/spec/template/spec/containers/0/image";
    let written = Box::pin(wait::value(&cron_jobs, fernet, image, &json!(self::image(NEW_TAG)), SOON)).await;
    assert_eq!(scene.expect("the new image", written).spec.unwrap().suspend, Some(true));
    // What the spec says is not undone below it, and ends with it.
    scene.patch(json!({"credentialKeys": {"suspend": true}})).await.unwrap();
    is(credential, true).await;
    patch(credential, false).await;
    is(credential, true).await;
    scene.patch(json!({"credentialKeys": {"suspend": false}})).await.unwrap();
    is(credential, false).await;
    patch(fernet, false).await;
    scene.says("KeysRotate", Status::True, &["may rotate"]).await;
    is(fernet, false).await;
}

/// The operator is killed before and after each write of a rotation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_write_of_a_rotation_the_set_is_published_once() {
    let proxy = Proxy::start(cluster::shared().await.unwrap()).await.unwrap();
    let mut scene = Scene::with("ks-killed", |options| options.with_kubeconfig(proxy.kubeconfig())).await;
    scene.create(json!({"replicas": 1})).await;
    scene.installed(&image(OLD_TAG)).await;
    scene_has(&scene, "keystone-fernet-keys-rotation").await;
    let mut killed = Vec::new();
    for (round, nth, moment) in
        (1..).map(|round: u8| (round, usize::from(round).div_ceil(2), MOMENTS[usize::from(round % 2)]))
    {
        let old = scene.keys("keystone-fernet-keys").await;
        let new = rotated(&old, round);
        let stopped = proxy.stop_at(nth, moment);
        scene.stage("fernet", &new).await.unwrap();
        let primary = i64::from(round) + 2;
        let call = tokio::select! {
            call = stopped => Some(call.unwrap()),
            () = scene.spread("fernet", primary) => None,
        };
        if let Some(call) = &call {
            scene.operator.kill().await.unwrap();
            let between = scene.keys("keystone-fernet-keys").await;
            assert!(between == old || between == new, "one set or the other, never a part");
            killed.push(format!("{moment:?} {} {}", call.verb, call.target()));
        }
        proxy.go_on();
        scene.operator.restart().await.unwrap();
        scene.spread("fernet", primary).await;
        assert_eq!(scene.keys("keystone-fernet-keys").await, new);
        if call.is_none() {
            break;
        }
    }
    eprintln!("{killed:#?}");
    let publishes = |call: &String| call.contains("Secret") || call.contains("secrets");
    assert!(killed.iter().filter(|call| publishes(call)).count() >= 2 && killed.len() >= 6, "{killed:#?}");
    scene.says("KeysRotate", Status::True, &[]).await;
    assert_eq!(scene.warnings().await, Vec::<String>::new());
}

/// By the parity of a round.
const MOMENTS: [Moment; 2] = [Moment::After, Moment::Before];
