//! Before the first installation is finished.

use api::version::UpdateResult;
use serde_json::json;

use crate::support::{Cloud, NEW, OLD, Recorder, assert_truthful, carries, line, moved, moved_to, release, said};

/// Peer: 2.7, #1128: the cloud waits for gates that nobody opens, and says that it is ready.
#[tokio::test]
async fn a_target_set_before_the_first_installation_is_finished_is_what_gets_installed() {
    let mut cloud = Cloud::empty("early").await;
    let recorder = Recorder::start(&cloud);
    cloud.actors.hold("Glance", "glance");
    cloud.cluster.apply(cloud.plane(json!({}))).await.unwrap();
    cloud.until("all but one", |status| line(status, "keystone").version.as_deref() == Some(OLD)).await;
    cloud.upgrade_operator(&release(NEW)).await;
    cloud.fence().await;
    assert_eq!(moved(&cloud.objects().await, NEW), Vec::<String>::new(), "not by itself");

    // There is no order to keep: even what waits for the one that is not ready is moved.
    cloud.target(NEW).await;
    let generation = cloud.unobserved("Glance", "glance").await["metadata"]["generation"].clone();
    assert!(generation.as_i64() > Some(1));
    cloud.until("the others", |status| line(status, "keystone").version.as_deref() == Some(NEW)).await;
    let status = cloud.status().await;
    assert_eq!((status.deployed_version.as_ref(), status.update.as_ref()), (None, None));
    assert!(said(&status, "Ready").starts_with("False"), "{}", said(&status, "Ready"));
    cloud.actors.release("Glance", "glance");

    let status = cloud.deployed(NEW).await;
    assert_eq!(moved(&cloud.objects().await, OLD), Vec::<String>::new());
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.1 is deployed");
    let entries: Vec<_> = status.history.iter().map(|entry| (entry.to.as_str(), entry.result)).collect();
    assert_eq!(entries, [(NEW, UpdateResult::Installed)]);
    assert_truthful(&recorder.frames().await);
}

/// Peer: 2.10i, 6.7, 9.24, #1056, #1503: a nil pointer after the operator was upgraded.
#[tokio::test]
async fn a_service_whose_image_the_older_version_lacks_starts_with_the_newer_one_and_stops_nobody() {
    let mut cloud = Cloud::with("lacks", release(OLD).without_image("placementAPIImage"), |options| options).await;
    cloud.install(json!({})).await;
    cloud.upgrade_operator(&release(NEW)).await;
    cloud.patch_plane(json!({"placement": {"enabled": true, "template": {}}})).await;
    let named = |status: &_| line(status, "placement").message.contains("placementAPIImage");
    cloud.until("named", named).await;
    cloud.refused("ContainerImagesKnown", &["placementAPIImage", OLD]).await;
    cloud.fence().await;
    assert!(cloud.objects().await.iter().all(|(kind, ..)| kind != "PlacementAPI"));

    cloud.actors.hold("Galera", "openstack");
    cloud.target(NEW).await;
    cloud.unobserved("Galera", "openstack").await;
    // It has no image to keep, so it does not wait for its step; the others of that step do.
    cloud.value("PlacementAPI", "placement", "/status/observedGeneration", json!(1)).await;
    assert!(!carries(&cloud.get("Glance", "glance").await, NEW));
    cloud.actors.release("Galera", "openstack");
    let status = cloud.deployed(NEW).await;
    assert!(moved_to(&cloud.get("PlacementAPI", "placement").await, NEW));
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.1 is deployed");
    cloud.assert_alive();
}
