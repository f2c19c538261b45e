//! Keystone under an `OpenStackVersion`: both controllers in one process, and a pipeline inside a step.

use api::{keystone::UpgradeStep, step::StepName, version::StepState};
use kube::Api;
use serde_json::json;
use testbed::{Kubelet, kubelet::Play};

use super::support::{checked, pods_of};
use crate::support::{Cloud, NEW, OLD, release};

const IMAGE: &str = "registry.example.com/openstack/keystone-api";

/// A small cloud with a Keystone that nobody plays, on the way to the next release, held in a step.
async fn held_at(step: UpgradeStep) -> (Cloud, Kubelet) {
    let old = release(OLD).with_release("2025.1");
    let mut cloud = Cloud::with("ks-cloud", old, |options| options.with_controllers(&["release", "keystone"])).await;
    cloud.actors.hold("Keystone", "keystone");
    let kubelet = Kubelet::start(cloud.client.clone(), &cloud.namespace);
    kubelet.play(&pods_of(UpgradeStep::Preparing, NEW), Play::Succeeded(checked(2)));
    cloud.install(json!({"keystone": {"template": {"replicas": 1}}})).await;
    // The data of these two would not go back.
    let new = ["rabbitmqImage", "mariadbImage"]
        .iter()
        .fold(release(NEW), |new, image| new.with_image(image, &release(OLD).images[*image]));
    cloud.upgrade_operator(&new).await;
    kubelet.play(&pods_of(step, NEW), Play::Running);
    cloud.target(NEW).await;
    cloud.value("Keystone", "keystone", "/status/upgrade/step", json!(step.to_string())).await;
    (cloud, kubelet)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_step_is_done_when_the_pipeline_is() {
    let (cloud, kubelet) = held_at(UpgradeStep::Contracting).await;
    cloud.step_says(StepName::Keystone, StepState::Running, "Keystone/keystone").await;
    // Nothing after it has begun, and it cannot be taken back any more.
    assert_eq!(
        cloud.get("Glance", "glance").await["spec"]["containerImage"],
        json!(release(OLD).images["glanceAPIImage"])
    );
    cloud.until("final", |status| status.update.as_ref().is_some_and(|update| !update.revertible)).await;
    let back = cloud.patch_version(json!({"spec": {"targetVersion": OLD}})).await.unwrap_err().to_string();
    assert!(back.contains("can no longer be taken back"), "{back}");
    kubelet.play(&pods_of(UpgradeStep::Contracting, NEW), Play::Succeeded(String::new()));
    cloud.deployed(NEW).await;
    let keystone = cloud.get("Keystone", "keystone").await;
    assert_eq!(keystone["status"]["installedImage"], json!(format!("{IMAGE}:{NEW}")));
    assert_eq!(keystone["status"]["installedRelease"], json!("2025.2"));
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> =
        Api::namespaced(cloud.client.clone(), &cloud.namespace);
    assert!(deployments.get("keystone").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_goes_back_takes_keystones_upgrade_back() {
    let (cloud, kubelet) = held_at(UpgradeStep::Migrating).await;
    cloud.until("revertible", |status| status.update.as_ref().is_some_and(|update| update.revertible)).await;
    cloud.target(OLD).await;
    kubelet.play(&pods_of(UpgradeStep::Migrating, NEW), Play::Succeeded(String::new()));
    cloud.until("back", |status| status.update.is_none() && status.deployed_version.as_deref() == Some(OLD)).await;
    let keystone = cloud.get("Keystone", "keystone").await;
    assert_eq!(keystone["status"]["installedImage"], json!(format!("{IMAGE}:{OLD}")));
    assert_eq!(keystone["status"]["schemaRelease"], json!("2025.2"));
    let history = keystone["status"]["history"].as_array().unwrap();
    assert_eq!(history.last().unwrap()["result"], "Aborted");
}
