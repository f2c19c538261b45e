//! The bundle's images of a version that is in use change: nothing moves before the administrator has confirmed them.

use api::{
    condition::{self, Status},
    version::UpdateResult,
};
use serde_json::json;
use testbed::wait;

use crate::support::{Cloud, OLD, SOON, release};

const RESPUN: &str = "registry.example.com/respun/glance-api:1.0.0";

/// Peer: 9.23: everything rolls at once, unannounced.
#[tokio::test]
async fn changed_images_of_a_deployed_version_wait_for_their_confirmation() {
    let mut cloud = Cloud::installed("respin", json!({})).await;
    let before = cloud.get("Glance", "glance").await;
    cloud.operator.stop().await.unwrap();
    cloud.operator.restart_with(&release(OLD).with_image("glanceAPIImage", RESPUN)).await.unwrap();

    let status = cloud
        .until("held", |status| {
            condition::find(&status.conditions, "ImageSetConfirmed").is_some_and(|held| held.status == Status::False)
        })
        .await;
    let held = condition::find(&status.conditions, "ImageSetConfirmed").unwrap();
    assert!(held.message.contains("glanceAPIImage"), "{}", held.message);
    let hash = held.message.rsplit(' ').next().unwrap().to_owned();
    cloud.fence().await;
    assert_eq!(
        cloud.get("Glance", "glance").await["spec"]["containerImage"],
        before["spec"]["containerImage"],
        "never rolled out by surprise"
    );

    cloud.patch_version(json!({"spec": {"update": {"confirmImageSet": "0123456789abcdef"}}})).await.unwrap();
    cloud.fence().await;
    assert_eq!(
        cloud.get("Glance", "glance").await["spec"]["containerImage"],
        before["spec"]["containerImage"],
        "another hash confirms nothing"
    );

    cloud.patch_version(json!({"spec": {"update": {"confirmImageSet": hash}}})).await.unwrap();
    cloud.value("Glance", "glance", "/spec/containerImage", json!(RESPUN)).await;
    let ended = |version: &api::version::OpenStackVersion| {
        let status = version.status.as_ref();
        status.is_some_and(|status| status.update.is_none() && status.history.len() == 2)
    };
    let found = wait::until(&cloud.versions(), testbed::fixtures::NAME, SOON, ended).await;
    let status = cloud.expect("the end", found).status.unwrap();
    let last = status.history.last().unwrap();
    assert_eq!((last.from.as_str(), last.to.as_str(), last.result), (OLD, OLD, UpdateResult::Completed));
    assert_eq!(status.deployed_version.as_deref(), Some(OLD));
}
