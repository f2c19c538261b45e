//! The life of an `OpenStackVersion`: created before or with the control plane, deleted, created again, gone with it.

use api::{
    MANAGED_BY, controlplane::OpenStackControlPlane, step::StepName, version::OpenStackVersion, version::StepState,
};
use kube::{
    Api, Resource,
    api::{DeleteParams, ListParams},
};
use openstack_release_operator::engine::pointer;
use serde_json::{Value, json};
use testbed::{
    fixtures::{self, NAME},
    wait,
};

use crate::support::{Cloud, NEW, OLD, Recorder, SOON, carries, line, moved, release, said};

const HOTFIX: &str = "registry.example.com/hotfix/glance-api:1";

#[tokio::test]
async fn a_version_from_before_the_control_plane_is_adopted_with_its_custom_images() {
    let cloud = Cloud::empty("adopted").await;
    let mut version = fixtures::version(&cloud.namespace, OLD);
    version["spec"]["customContainerImages"] = json!({"glanceAPIImage": HOTFIX});
    cloud.cluster.apply(version).await.unwrap();
    let waits = |status: &_| said(status, "Ready").contains("there is no OpenStackControlPlane");
    let uid = cloud.until("alone", waits).await;
    assert_eq!(uid.available_version.as_deref(), Some(OLD));
    assert!(said(&uid, "Initialized").starts_with("True"), "its images are known");
    assert_eq!(serde_json::to_value(&uid.container_images).unwrap()["glanceAPIImage"], json!(HOTFIX));
    let uid = cloud.version().await.metadata.uid;

    cloud.cluster.apply(cloud.plane(json!({}))).await.unwrap();
    cloud.deployed(OLD).await;
    let versions = cloud.versions().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0].metadata.uid, uid, "the same object");
    let owners = versions[0].metadata.owner_references.clone().unwrap();
    assert_eq!(owners.len(), 1);
    let plane = cloud.planes().get(NAME).await.unwrap();
    assert_eq!((owners[0].kind.as_str(), Some(&owners[0].uid)), ("OpenStackControlPlane", plane.metadata.uid.as_ref()));
    assert_eq!(owners[0].controller, Some(true));

    // From the first image on.
    let log = cloud.actors.log();
    let images: Vec<&str> = log
        .iter()
        .filter(|seen| seen.kind == "Glance")
        .flat_map(|seen| seen.images.iter().map(|(_, image)| image.as_str()))
        .collect();
    assert!(!images.is_empty() && images.iter().all(|image| *image == HOTFIX), "{images:?}");
}

/// Deletes the version with kubectl, which waits until it is gone, and waits for the next one.
pub async fn delete_version(cloud: &Cloud) -> OpenStackVersion {
    let before = cloud.version().await;
    assert_eq!(before.metadata.finalizers, None, "nothing keeps it");
    let (done, text) = cloud.kubectl(&["delete", "openstackversion", NAME, "--timeout=30s"]).await;
    assert!(done, "{text}");
    let again = |version: &OpenStackVersion| {
        let deployed = version.status.as_ref().is_some_and(|status| status.deployed_version.is_some());
        version.metadata.uid != before.metadata.uid && deployed && !version.spec.target_version.is_empty()
    };
    let found = wait::until(&cloud.versions(), NAME, SOON, again).await;
    cloud.expect("created again", found)
}

#[tokio::test]
async fn a_deleted_version_comes_back_with_its_target_and_nothing_is_rolled() {
    let cloud = Cloud::installed("deleted", json!({})).await;
    let before = cloud.generations().await;
    let version = delete_version(&cloud).await;
    assert_eq!(version.spec.target_version, OLD);
    assert_eq!(version.status.unwrap().deployed_version.as_deref(), Some(OLD));
    cloud.until("ready", |status| said(status, "Ready") == "True Ready: 1.0.0 is deployed").await;
    assert_eq!(cloud.generations().await, before);
    assert_eq!(version.metadata.owner_references.unwrap().len(), 1);
}

#[tokio::test]
async fn a_version_deleted_after_an_operator_upgrade_keeps_the_images_of_the_services() {
    let cloud = Cloud::offered("deleted", json!({})).await;
    let before = cloud.generations().await;
    let version = delete_version(&cloud).await;
    // The new bundle does not know the images of 1.0.0.
    assert_eq!(version.spec.target_version, OLD);
    let texts = ["status.containerImageVersionDefaults has no 1.0.0", "every service keeps the images it has"];
    cloud.refused("ContainerImagesKnown", &texts).await;
    cloud.fence().await;
    let mut after = cloud.generations().await;
    after.insert("Glance/glance".to_owned(), before["Glance/glance"]);
    assert_eq!(after, before);
    assert_eq!(moved(&cloud.objects().await, NEW), Vec::<String>::new());
    let status = cloud.status().await;
    assert_eq!((status.deployed_version.as_deref(), status.available_version.as_deref()), (Some(OLD), Some(NEW)));
    // And the way on is open.
    cloud.target(NEW).await;
    cloud.deployed(NEW).await;
}

#[tokio::test]
async fn a_version_deleted_in_the_middle_of_an_update_goes_on_in_order() {
    let cloud = Cloud::offered("deleted", json!({})).await;
    let recorder = Recorder::start(&cloud);
    cloud.actors.hold("Galera", "openstack");
    cloud.target(NEW).await;
    cloud.step_says(StepName::Mariadb, StepState::Running, "status.observedGeneration").await;
    let version = delete_version(&cloud).await;
    assert_eq!(version.spec.target_version, NEW);
    cloud.step_says(StepName::Mariadb, StepState::Running, "Galera/openstack: status.observedGeneration").await;
    assert!(!carries(&cloud.get("Memcached", "memcached").await, NEW));
    cloud.actors.release("Galera", "openstack");
    cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
}

/// Peer: 9.22: a finalizer that only the control plane's end removes.
#[tokio::test]
async fn a_version_goes_with_its_control_plane() {
    let mut cloud = Cloud::installed("gone", json!({})).await;
    let (done, text) = cloud.kubectl(&["delete", "openstackcontrolplane", NAME, "--timeout=60s"]).await;
    assert!(done, "{text}");
    cloud.expect("the version", wait::gone(&cloud.versions(), NAME, SOON).await);
    for (kind, name, _) in cloud.objects().await {
        cloud.expect(&format!("{kind}/{name}"), wait::gone(&cloud.api(&kind), &name, SOON).await);
    }
    let planes: Api<OpenStackControlPlane> = cloud.planes();
    assert_eq!(planes.list(&ListParams::default()).await.unwrap().items.len(), 0);
    cloud.assert_alive();
    // A new one is a new installation.
    cloud.install(json!({})).await;
    assert_eq!(cloud.status().await.history.len(), 1);
    cloud.versions().delete(NAME, &DeleteParams::default()).await.unwrap();
}

/// Applies a manifest without a target, as kubectl does it.
async fn apply_without_target(cloud: &Cloud, labels: Value) {
    let mut version = fixtures::version(&cloud.namespace, OLD);
    version["spec"] = json!({});
    version["metadata"]["labels"] = labels;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), version.to_string()).unwrap();
    let (done, text) = cloud.kubectl(&["apply", "-f", file.path().to_str().unwrap()]).await;
    assert!(done, "{text}");
}

#[tokio::test]
async fn an_omitted_target_is_set_once_and_never_follows_the_available_version() {
    let mut cloud = Cloud::empty("omitted").await;
    apply_without_target(&cloud, json!({})).await;
    let set = |version: &OpenStackVersion| version.spec.target_version == OLD;
    let found = wait::until(&cloud.versions(), NAME, SOON, set).await;
    cloud.expect("the default", found);
    cloud.install(json!({})).await;

    cloud.upgrade_operator(&release(NEW)).await;
    for labels in [json!({}), json!({"applied": "again"})] {
        apply_without_target(&cloud, labels).await;
        cloud.fence().await;
        assert_eq!(cloud.version().await.spec.target_version, OLD);
    }
    let status = cloud.status().await;
    assert!(status.update.is_none());
    assert_eq!(moved(&cloud.objects().await, NEW), Vec::<String>::new());

    // Removed or emptied on purpose, it is the one in force, and not the newest.
    for none in [json!(null), json!("")] {
        let patched = cloud.patch_version(json!({"spec": {"targetVersion": none}})).await.unwrap();
        assert_eq!(patched.spec.target_version, "");
        let found = wait::until(&cloud.versions(), NAME, SOON, set).await;
        cloud.expect("the one in force", found);
    }
}

/// A cloud that upstream's operator had, or a backup of one.
#[tokio::test]
async fn the_finalizer_of_the_operator_before_lets_go_and_that_of_others_is_named() {
    let mut cloud = Cloud::installed("finalizer", json!({})).await;
    let finalizers = json!(["example.com/archive", "openstack.org/openstackversion"]);
    cloud.patch_version(json!({"metadata": {"finalizers": finalizers}})).await.unwrap();
    let uid = cloud.version().await.metadata.uid;
    cloud.versions().delete(NAME, &DeleteParams::default()).await.unwrap();
    let says = |plane: &OpenStackControlPlane| {
        let conditions = plane.status.iter().flat_map(|status| &status.conditions);
        let mut messages = conditions.map(|condition| &condition.message);
        messages.any(|message| message.contains("waits for its finalizers example.com/archive;"))
    };
    let found = wait::until(&cloud.planes(), NAME, SOON, says).await;
    cloud.expect("the other one is named", found);
    cloud.patch_version(json!({"metadata": {"finalizers": null}})).await.unwrap();
    let again = |version: &OpenStackVersion| version.metadata.uid != uid && version.status.is_some();
    let found = wait::until(&cloud.versions(), NAME, SOON, again).await;
    cloud.expect("a new one", found);
    cloud.deployed(OLD).await;
    cloud.assert_alive();
}

/// Upstream's operator makes them without any label.
#[tokio::test]
async fn the_config_maps_of_the_operator_before_are_taken_over_and_those_of_others_are_not() {
    const NAMES: [&str; 2] = ["test-operator-config", "infra-instanceha-config"];
    let mut cloud = Cloud::installed("adopted", json!({})).await;
    cloud.operator.stop().await.unwrap();
    let plane = cloud.planes().get(NAME).await.unwrap();
    let owner = plane.controller_owner_ref(&()).unwrap();
    for name in NAMES {
        cloud.api("ConfigMap").delete(name, &DeleteParams::default()).await.unwrap();
        let owners = if name == NAMES[0] { json!([owner]) } else { json!([]) };
        let metadata = json!({"namespace": cloud.namespace, "name": name, "ownerReferences": owners});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"old": "1"}});
        cloud.cluster.apply(map).await.unwrap();
    }
    cloud.operator.restart().await.unwrap();
    let label = pointer(&["metadata", "labels", MANAGED_BY.0]);
    cloud.value("ConfigMap", NAMES[0], &label, json!(MANAGED_BY.1)).await;
    cloud
        .until("the other one is named", |status| {
            line(status, NAMES[1]).message.contains("has no label app.kubernetes.io/managed-by=")
        })
        .await;
    assert_eq!(cloud.get("ConfigMap", NAMES[1]).await["data"], json!({"old": "1"}));
    cloud.assert_alive();
}
