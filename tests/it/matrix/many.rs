//! Many versions, one after the other.

use std::collections::BTreeMap;

use api::version::OpenStackVersionStatus;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testbed::{Release, fixtures::NAME};

use crate::support::{Cloud, OLD, release};

/// How many bundles come after the first one.
const VERSIONS: usize = 60;
/// What an object may weigh.
const LIMIT: usize = 64 * 1024;

/// A bundle whose images have digests, as long as real ones.
fn with_digests(version: &str) -> Release {
    let mut release = release(OLD).with_version(version);
    let digest = format!("{:0>64}", version.replace('.', ""));
    for image in release.images.values_mut() {
        let repository = image.rsplit_once(':').unwrap().0;
        *image = format!("{repository}@sha256:{digest}");
    }
    release
}

/// How large the object is, in bytes.
async fn size(cloud: &Cloud) -> usize {
    serde_json::to_vec(&cloud.version().await).unwrap().len()
}

/// Peer: 9.22, infra-operator#40: every version that was ever seen stays in the status.
#[tokio::test]
async fn sixty_versions_leave_a_small_object_that_knows_the_versions_that_count() {
    let mut cloud = Cloud::with("many", with_digests(OLD), |options| options).await;
    cloud.install(json!({})).await;
    let before = cloud.generations().await;
    let mut last = String::new();
    for patch in 1..=VERSIONS {
        last = format!("1.0.{patch}");
        cloud.operator.restart_with(&with_digests(&last)).await.unwrap();
        cloud.until("available", |status| status.available_version.as_deref() == Some(&last)).await;
    }
    assert!(size(&cloud).await < LIMIT, "{} bytes", size(&cloud).await);
    let status = cloud.status().await;
    assert_eq!(status.deployed_version.as_deref(), Some(OLD));
    let known: Vec<&str> = status.container_image_version_defaults.keys().map(String::as_str).collect();
    assert!(known.contains(&OLD) && known.contains(&last.as_str()), "{known:?}");
    assert_eq!(cloud.generations().await, before, "nothing moved");

    // Also while all three differ: the target is an earlier one that is still known.
    let target = known.iter().filter(|known| **known != OLD && **known != last).max().unwrap().to_string();
    cloud.actors.hold("RabbitMq", "rabbitmq");
    cloud.target(&target).await;
    let status = cloud.until("begun", |status| status.update.as_ref().is_some_and(|update| update.to == target)).await;
    for version in [OLD, &target, &last] {
        assert!(status.container_image_version_defaults.contains_key(version), "{version}");
    }
    cloud.unobserved("RabbitMq", "rabbitmq").await;
    assert!(size(&cloud).await < LIMIT, "{} bytes", size(&cloud).await);
}

/// A cloud that the peer ran has the versions of years in its status, and another field manager owns them.
#[tokio::test]
async fn versions_that_somebody_else_recorded_go_too() {
    let cloud = Cloud::installed("inherited", json!({})).await;
    let images = &release(OLD).images;
    let inherited: BTreeMap<String, _> = (1..=VERSIONS).map(|patch| (format!("0.9.{patch}"), images)).collect();
    let patch = Patch::Merge(json!({"status": {"containerImageVersionDefaults": inherited}}));
    cloud.versions().patch_status(NAME, &PatchParams::default(), &patch).await.unwrap();
    let few = |status: &OpenStackVersionStatus| status.container_image_version_defaults.len() < 10;
    let status = cloud.until("pruned", few).await;
    assert!(status.container_image_version_defaults.contains_key(OLD));
    assert!(size(&cloud).await < LIMIT, "{} bytes", size(&cloud).await);
}
