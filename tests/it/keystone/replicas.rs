//! Two replicas, and an API server that fails both.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::json;
use testbed::{
    Operator, Proxy,
    cluster::shared,
    operator::Options,
    proxy::{Disturbance, Fault, Rule},
    wait,
};

use super::support::{NEW_TAG, OLD_TAG, SOON, STEPS, Scene, image};
use crate::support::{BINARY, OLD, release};

fn name(operator: &Operator) -> &str {
    operator.log().file_stem().unwrap().to_str().unwrap()
}

/// Waits until somebody else than `old` leads.
async fn leader(scene: &Scene, old: &str) -> String {
    let api: Api<Lease> = scene.all();
    let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
    let other = |lease: &Lease| !holder(lease).is_empty() && holder(lease) != old;
    holder(&scene.expect("a leader", wait::until(&api, "openstack-release-operator", SOON, other).await))
}

/// In every step the one that acts is killed, writes are refused, answers are lost and watches break.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_upgrade_once_whatever_the_api_server_does() {
    let proxy = Proxy::start(shared().await.unwrap()).await.unwrap();
    let options =
        |options: Options| options.with_kubeconfig(proxy.kubeconfig()).with_env("LEASE_DURATION_SECONDS", "4");
    let mut scene = Scene::with("ks-two", options).await;
    let second = Options::new(BINARY, &scene.namespace, release(OLD)).with_controllers(&["keystone"]);
    let mut second = Operator::start(scene.cluster, options(second)).unwrap();
    scene.create(json!({"replicas": 1})).await;
    scene.installed(&image(OLD_TAG)).await;
    let before = scene.jobs().await.len();
    scene.hold_all();
    scene.upgrade(NEW_TAG).await;
    for step in STEPS {
        scene.at(step).await;
        let old = leader(&scene, "").await;
        let killed = if name(&scene.operator) == old { &mut scene.operator } else { &mut second };
        killed.kill().await.unwrap();
        for fault in [Fault::DropAnswer, Fault::Answer { code: 503, retry_after: None }, Fault::Drop, Fault::DropAnswer]
        {
            proxy.add(Rule::new(fault).writes().times(1));
        }
        proxy.disturb(Disturbance::Cut);
        scene.release(step);
        leader(&scene, &old).await;
        if name(&scene.operator) == old { scene.operator.restart().await } else { second.restart().await }.unwrap();
    }
    scene.installed(&image(NEW_TAG)).await;
    assert!(proxy.spoiled() >= STEPS.len(), "{} writes were spoiled", proxy.spoiled());
    let jobs = scene.jobs().await.split_off(before);
    let mut once = jobs.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), jobs.len(), "each Job once: {jobs:?}");
    assert_eq!(scene.warnings().await, Vec::<String>::new());
}
