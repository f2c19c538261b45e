//! Keys of a real Keystone rotate: nobody loses a token or a credential, and no pod is replaced.

use std::time::{Duration, Instant};

use api::{
    condition::Status,
    keystone::KeyRepository::{Credential, Fernet},
};
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::json;
use testbed::{Node, Proxy, load, proxy::Moment};

use crate::{
    keys::{Reader, Server},
    scene::Scene,
};

/// How many rotations of the keys for tokens follow each other.
const ROUNDS: i64 = 10;

/// What happens in the middle of a rotation.
enum Trouble {
    Nothing,
    /// The operator is killed at its n-th write.
    Killed(usize, Moment),
    /// The staging Secret is deleted before the Job is made.
    LostBefore,
    /// While the Job runs.
    LostDuring,
    /// When the new keys are published.
    LostAfter,
}

/// One for each rotation by hand.
const TROUBLES: [Trouble; 8] = [
    Trouble::Killed(1, Moment::Before),
    Trouble::LostBefore,
    Trouble::Killed(2, Moment::After),
    Trouble::LostDuring,
    Trouble::Killed(3, Moment::Before),
    Trouble::LostAfter,
    Trouble::Killed(4, Moment::After),
    Trouble::Nothing,
];

/// Every token so far is valid at every pod, those that each pod issues now among them.
async fn validate(scene: &Scene, tokens: &mut Vec<String>) {
    for pod in scene.each().await {
        tokens.push(pod.issue().await.unwrap());
    }
    for pod in scene.each().await {
        for token in &*tokens {
            pod.validate(token).await.unwrap();
        }
    }
}

/// One rotation by hand, to that key.
async fn rotate(scene: &mut Scene, proxy: &Proxy, round: i64, trouble: &Trouble, primary: i64) {
    if let Trouble::LostBefore = trouble {
        scene.lose_staging().await;
    }
    if let Trouble::Killed(nth, moment) = trouble {
        let stopped = proxy.stop_at(*nth, *moment);
        scene.rotate(Fernet, round).await;
        tokio::select! {
            call = stopped => eprintln!("killed {moment:?} {:?}", call.map(|call| format!("{} {}", call.verb, call.target()))),
            () = scene.spread(Fernet, primary) => panic!("a rotation has fewer than {nth} writes"),
        }
        scene.operator.kill();
        proxy.go_on();
        scene.operator.restart();
    } else {
        let job = scene.rotate(Fernet, round).await;
        if let Trouble::LostDuring = trouble {
            scene.runs(&job).await;
            scene.lose_staging().await;
            // Its result may be what is lost: that is said, and the next one is free.
            scene.keys(Fernet, "news", |keys| keys.primary == primary || keys.fruitless.contains(&job)).await;
            if scene.record(Fernet).await.primary != primary {
                scene.rotate(Fernet, ROUNDS + round).await;
            }
        }
    }
    if let Trouble::LostAfter = trouble {
        scene.keys(Fernet, "published", |keys| keys.primary == primary).await;
        scene.lose_staging().await;
    }
    scene.spread(Fernet, primary).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn keys_rotate_and_every_pod_reads_what_the_last_ones_encrypted() {
    let proxy = Node::here().unwrap().proxy().await.unwrap();
    let mut scene = Scene::through("rotation", &proxy).await;
    scene.apply("2025.2", 2).await;
    // Keys for tokens of every set; and no answer that was remembered from before.
    let spec = json!({"fernet": {"maxActiveKeys": ROUNDS + 2}, "extraConfig": {"token": {"caching": "false"}}});
    scene.patch(json!({"spec": spec})).await;
    scene.installed("2025.2").await;
    load::until_it_serves(&scene.identity(), Duration::from_secs(30)).await.unwrap();
    let pods = scene.pods().await;
    let reader = Reader::start(&scene).await;
    let mut primary = scene.record(Fernet).await.primary;
    let mut tokens = vec![scene.identity().issue().await.unwrap()];
    for (round, trouble) in (1..).zip(&TROUBLES) {
        let start = Instant::now();
        primary += 1;
        rotate(&mut scene, &proxy, round, trouble, primary).await;
        validate(&scene, &mut tokens).await;
        eprintln!("rotation {round} took {:?}", start.elapsed());
    }
    let start = Instant::now();
    one_pod_lags(&mut scene, &pods[0], primary, &mut tokens).await;
    eprintln!("a pod that lagged took {:?}", start.elapsed());
    reader.stop().await;

    assert_eq!(scene.record(Fernet).await.primary, primary + 2, "{ROUNDS} rotations");
    assert_eq!(scene.pods().await, pods, "no pod was replaced");
    for event in ["FernetKeysRotated", "CredentialKeysRotated"] {
        scene.event(event).await;
    }
    let described = scene.kubectl(&["describe", "keystone", "keystone"]).await;
    assert!(described.contains("FernetKeysRotated"), "{described}");
    assert!(scene.record(Fernet).await.rejected.is_none());
    // The seed's cleanup, word for word.
    let cleanup = "kubectl -n openstack get jobs -o name \
                   | grep -E '/keystone-(fernet|credential)-rotate-manual-' | xargs -r kubectl -n openstack delete";
    scene.script(&cleanup.replace("openstack", scene.namespace())).await;
    scene.end().await;
}

/// One pod does not get the new keys: the next set waits for it, and another one takes its place when it is
/// lost. The keys for credentials go on meanwhile, by the clock and by hand.
async fn one_pod_lags(scene: &mut Scene, pod: &Server, primary: i64, tokens: &mut Vec<String>) {
    let suspended =
        |wanted: bool| move |cron: &CronJob| cron.spec.as_ref().and_then(|spec| spec.suspend) == Some(wanted);
    // A user's own wish.
    scene.patch_cron("keystone-fernet-rotate", json!({"suspend": true})).await;
    scene.says("KeysRotate", Status::True, "CronJob/keystone-fernet-rotate, which somebody set").await;
    scene.node.keeps_back(&pod.uid, "fernet-keys").await.unwrap();
    scene.rotate(Fernet, ROUNDS - 1).await;
    scene.keys(Fernet, "published", |keys| keys.primary == primary + 1).await;
    let minutely = json!({"rotationSchedule": "*/1 * * * *"});
    scene.patch(json!({"spec": {"fernet": minutely, "credentialKeys": minutely}})).await;
    scene.rotate(Fernet, ROUNDS).await;
    scene.says("KeysRotate", Status::False, "fernet: new keys are there").await;
    // The pod that lags reads what the other one encrypts with the new key.
    validate(scene, tokens).await;
    scene.lose_staging().await;

    let credential = scene.record(Credential).await.primary;
    scene
        .cron("keystone-credential-rotate", "the clock", |cron| {
            cron.status.as_ref().is_some_and(|status| status.last_schedule_time.is_some())
        })
        .await;
    scene.patch(json!({"spec": {"credentialKeys": {"suspend": true}}})).await;
    scene.cron("keystone-credential-rotate", "spec.credentialKeys.suspend", suspended(true)).await;
    scene.patch_cron("keystone-credential-rotate", json!({"suspend": false})).await;
    scene.cron("keystone-credential-rotate", "what the spec says", suspended(true)).await;
    scene.spread(Credential, credential + 1).await;
    assert_eq!(scene.by_the_clock("keystone-credential-rotate").await, 1);
    scene.is_encrypted_anew().await;
    for round in 2..=3 {
        scene.identity().create_credential("another one").await.unwrap();
        scene.rotate(Credential, round).await;
        scene.spread(Credential, credential + round).await;
        scene.is_encrypted_anew().await;
    }

    scene.keys(Fernet, "the pod is named", |keys| keys.lagging == [pod.name.as_str()]).await;
    scene.rotate(Fernet, ROUNDS + 1).await;
    scene.says("KeysRotate", Status::False, &format!("every pod has the last ones: Pod/{}", pod.name)).await;
    let record = scene.record(Fernet).await;
    assert_eq!((record.primary, record.everywhere), (primary + 1, false), "{record:?}");
    scene.operator.kill_and_restart();
    scene.node.lets_through(&pod.uid, "fernet-keys").await.unwrap();
    // By itself.
    scene.spread(Fernet, primary + 2).await;
    validate(scene, tokens).await;
    assert_eq!(scene.by_the_clock("keystone-fernet-rotate").await, 0, "it was due every minute");
}
