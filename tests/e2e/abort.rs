//! The way back while the pods change, and the autoscaler: nobody notices either.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
};

use api::keystone::{KeystoneStatus, UpgradePhase, UpgradeResult};
use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher, watcher::Config},
};
use serde_json::{Value, json};
use testbed::{load::Load, wait};
use tokio::task::JoinHandle;

use crate::{scene::Scene, smoke::SOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn an_abort_in_the_middle_of_the_rollout_and_a_new_autoscaler_fail_no_request() {
    let scene = Scene::start("abort").await;
    scene.apply("2025.2", 3).await;
    scene.installed("2025.2").await;
    let before = scene.schema().await;
    let old = scene.token().await;
    let load = Load::start(&scene.identity(), 2, &old);

    scene.image("2026.1").await;
    scene.until("the rollout", |status| status.upgrade_phase == Some(UpgradePhase::RollingUpdate)).await;
    // The first new pod serves: the second one is made only then.
    let half = |live: &Deployment| live.status.as_ref().and_then(|status| status.updated_replicas) >= Some(2);
    Box::pin(wait::until(&deployments(&scene).await, "keystone", SOON, half)).await.unwrap();
    scene.image("2025.2").await;
    let status = scene.until("aborted", |status| status.upgrade.is_none()).await;
    assert_eq!(status.history.last().map(|entry| entry.result), Some(UpgradeResult::Aborted));
    assert_eq!(status.schema_release.as_deref(), Some("2026.1"), "expand is not taken back");
    scene.installed("2025.2").await;
    assert_ne!(scene.schema().await, before);

    // The old release does not know that schema, and rolls all the same.
    scene.image("2025.2-p1").await;
    let image = "localhost/keystone:2025.2-p1";
    let there = |status: &KeystoneStatus| status.installed_image.as_deref() == Some(image);
    scene.until("another build on a newer schema", there).await;
    assert_eq!(scene.tasks().await, ["check", "verify"]);

    let seen = Seen::start(&scene).await;
    scaled(&scene, json!({"minReplicas": 4, "maxReplicas": 6, "targetCPUUtilization": 90}), 4).await;
    scaled(&scene, Value::Null, 3).await;
    let counts = seen.stop();
    assert!(counts.iter().all(|count| (3..=4).contains(count)), "never fewer than before: {counts:?}");

    let served = Scene::none_failed(load).await;
    assert!(served.good > 100 && served.slow > 2, "{served:?}");
    scene.identity().validate(&old).await.unwrap();
    scene.end().await;
}

async fn deployments(scene: &Scene) -> Api<Deployment> {
    Api::namespaced(scene.node.client().await.unwrap(), &scene.namespace)
}

/// Sets the autoscaler, and waits until that many pods serve.
async fn scaled(scene: &Scene, autoscaling: Value, count: i32) {
    scene.patch(json!({"spec": {"autoscaling": autoscaling}})).await;
    let there = |live: &Deployment| {
        let status = live.status.clone().unwrap_or_default();
        status.observed_generation == live.metadata.generation
            && (status.replicas, status.ready_replicas) == (Some(count), Some(count))
    };
    Box::pin(wait::until(&deployments(scene).await, "keystone", SOON, there)).await.unwrap();
}

/// Every number of pods that the Deployment was ever asked for.
struct Seen {
    counts: Arc<Mutex<Vec<i32>>>,
    watch: JoinHandle<()>,
}

impl Seen {
    async fn start(scene: &Scene) -> Self {
        let counts = Arc::new(Mutex::new(Vec::new()));
        let (api, noted) = (deployments(scene).await, Arc::clone(&counts));
        let watch = tokio::spawn(async move {
            let mut seen = pin!(watcher(api, Config::default().fields("metadata.name=keystone")).applied_objects());
            while let Ok(Some(live)) = seen.try_next().await {
                noted.lock().unwrap().push(live.spec.and_then(|spec| spec.replicas).unwrap_or_default());
            }
        });
        Self { counts, watch }
    }

    fn stop(self) -> Vec<i32> {
        self.watch.abort();
        self.counts.lock().unwrap().clone()
    }
}
