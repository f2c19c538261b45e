//! A bundle whose environment is not as it should be.

use crate::support::{Cloud, NEW, OLD, carries, line, release, said};
use api::version::ServiceState;
use serde_json::json;

const GLANCE: &str = "RELATED_IMAGE_GLANCE_API_IMAGE_URL_DEFAULT";

/// A bundle with one more variable.
async fn cloud(name: &str, value: &str) -> Cloud {
    let cloud = Cloud::with("bundle", release(OLD), |options| options.with_env(name, value)).await;
    cloud.cluster.apply(cloud.plane(json!({}))).await.unwrap();
    cloud
}

/// Peer: 6.7: a value is cut at its equals sign.
#[tokio::test]
async fn a_value_with_an_equals_sign_is_no_image_and_only_its_service_waits() {
    let mut cloud = cloud(GLANCE, "registry.example.com/glance:1=2").await;
    let texts = [GLANCE, "\"registry.example.com/glance:1=2\" is not an image reference", "correct the bundle"];
    let condition = cloud.refused("BundleValid", &texts).await;
    assert_eq!(json!(condition.severity), json!("Warning"));
    cloud.refused("ContainerImagesKnown", &["Glance/glance: glanceAPIImage has no value"]).await;
    // A version with a name in it is fine: only the value is refused.
    let ready = |name: &'static str| move |status: &_| line(status, name).state == ServiceState::Ready;
    cloud.until("keystone", ready("keystone")).await;
    cloud.until("galera", ready("galera")).await;
    assert!(cloud.objects().await.iter().all(|(kind, ..)| kind != "Glance"));
    cloud.assert_alive();
}

#[tokio::test]
async fn a_variable_that_no_image_reads_is_named_and_keeps_nobody_from_installing() {
    let mut cloud = cloud("RELATED_IMAGE_GLANCE_APPI_IMAGE_URL_DEFAULT", "registry.example.com/glance:1").await;
    let texts = ["RELATED_IMAGE_GLANCE_APPI_IMAGE_URL_DEFAULT", "no image field", "correct the name or remove it"];
    cloud.refused("BundleValid", &texts).await;
    let status = cloud.deployed(OLD).await;
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.0 is deployed");
    cloud.assert_alive();
}

#[tokio::test]
async fn without_a_version_nothing_is_installed_and_the_variable_is_named() {
    let mut nameless = release(OLD);
    nameless.version = String::new();
    let mut cloud = Cloud::with("bundle", nameless, |options| options).await;
    cloud.cluster.apply(cloud.plane(json!({}))).await.unwrap();
    let condition =
        cloud.refused("BundleValid", &["OPENSTACK_RELEASE_VERSION is not set", "set it in the bundle"]).await;
    assert_eq!(json!(condition.severity), json!("Error"));
    cloud.refused("Ready", &["OPENSTACK_RELEASE_VERSION"]).await;
    assert_eq!(cloud.objects().await, Vec::new());
    cloud.assert_alive();
    // The bundle is corrected.
    cloud.operator.restart_with(&release(OLD)).await.unwrap();
    cloud.deployed(OLD).await;
}

#[tokio::test]
async fn a_version_that_cannot_be_compared_is_not_offered() {
    let mut latest = release(OLD);
    latest.version = "latest".to_owned();
    let mut cloud = Cloud::installed("bundle", json!({})).await;
    cloud.operator.restart_with(&latest).await.unwrap();
    cloud
        .refused("BundleValid", &["OPENSTACK_RELEASE_VERSION", "\"latest\" is not a version", "correct the bundle"])
        .await;
    let status = cloud.status().await;
    assert_eq!((status.available_version.as_deref(), status.deployed_version.as_deref()), (Some(OLD), Some(OLD)));
    cloud.assert_alive();
}

#[tokio::test]
async fn a_service_without_an_image_is_named_and_the_others_install() {
    let mut cloud = Cloud::with("missing", release(OLD).without_image("glanceAPIImage"), |options| options).await;
    cloud.cluster.apply(cloud.plane(json!({}))).await.unwrap();
    let texts = [
        "Glance/glance: glanceAPIImage has no value in version 1.0.0",
        "set spec.customContainerImages.glanceAPIImage or correct the bundle",
    ];
    cloud.refused("ContainerImagesKnown", &texts).await;
    let status = cloud
        .until("everything else is ready", |status| {
            let mut waiting = status.services.iter().filter(|line| {
                !matches!(line.state, ServiceState::Ready | ServiceState::Disabled) && line.name != "glance"
            });
            waiting.next().is_none()
        })
        .await;
    assert_eq!(line(&status, "glance").state, ServiceState::Blocked);
    assert!(line(&status, "glance").message.contains("glanceAPIImage"));
    assert_eq!(status.deployed_version, None, "a cloud without Glance is not what was asked for");
    cloud.assert_alive();
    // As the message says.
    let images = json!({"glanceAPIImage": "registry.example.com/hotfix/glance:1"});
    cloud.patch_version(json!({"spec": {"customContainerImages": images}})).await.unwrap();
    cloud.deployed(OLD).await;
}

/// Peer: 2.10i, 9.24: an image that is missing ends the process.
#[tokio::test]
async fn an_image_that_the_new_version_lacks_stops_its_service_and_no_other() {
    let mut cloud = Cloud::installed("missing", json!({})).await;
    cloud.upgrade_operator(&release(NEW).without_image("glanceAPIImage")).await;
    cloud.target(NEW).await;
    cloud.refused("ContainerImagesKnown", &["Glance/glance: glanceAPIImage has no value in version 1.0.1"]).await;
    cloud.refused("MinorUpdateControlplane", &["Glance/glance"]).await;
    let wanted = json!(release(NEW).images["openstackClientImage"]);
    cloud.value("OpenStackClient", "openstackclient", "/spec/containerImage", wanted).await;
    assert!(carries(&cloud.get("Glance", "glance").await, OLD), "it keeps what it has");
    assert_eq!(cloud.status().await.deployed_version.as_deref(), Some(OLD));
    let images = json!({"glanceAPIImage": "registry.example.com/hotfix/glance:1"});
    cloud.patch_version(json!({"spec": {"customContainerImages": images}})).await.unwrap();
    cloud.deployed(NEW).await;
    cloud.assert_alive();
}
