//! Seed 004, word for word: what an administrator does and sees.

use std::collections::BTreeMap;

use api::version::ImageValue;
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::{cluster::User, fixtures::NAME, wait};

use crate::support::{Cloud, NEW, OLD, SOON, condition_of, moved, release, said};

const CUSTOM: &str = "registry.example.com/certified/volume:7";
const CUSTOM_DEFAULT: &str = "registry.example.com/certified/default:7";
const HOTFIX: &str = "registry.example.com/hotfix/glance-api:bug-1234";

/// The columns of `kubectl get openstackversion`: the headings, and the one row.
async fn columns(cloud: &Cloud) -> (String, Vec<String>) {
    let (done, text) = cloud.kubectl(&["get", "openstackversion"]).await;
    assert!(done, "{text}");
    let mut lines = text.lines();
    let headings = lines.next().unwrap().split("   ").filter(|part| !part.is_empty()).map(str::trim);
    let headings = headings.collect::<Vec<_>>().join(" | ");
    let row = lines.next().unwrap().split_whitespace().map(str::to_owned).collect();
    assert_eq!(lines.next(), None);
    (headings, row)
}

#[tokio::test]
async fn a_control_plane_yields_one_version_of_its_name_that_targets_the_available_version() {
    let cloud = Cloud::installed("seed", json!({})).await;
    let versions = cloud.versions().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0].metadata.name.as_deref(), Some(NAME));
    assert_eq!(versions[0].spec.target_version, OLD);
    let status = versions[0].status.clone().unwrap();
    assert_eq!(status.available_version.as_deref(), Some(OLD));
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.0 is deployed");
    assert_eq!(condition_of(&status, "MinorUpdateAvailable").status.to_string(), "False");
    let plane = cloud.planes().get(NAME).await.unwrap();
    assert_eq!(versions[0].metadata.owner_references.as_ref().unwrap()[0].uid, plane.metadata.uid.unwrap());
    let objects = cloud.objects().await;
    assert_eq!(moved(&objects, OLD).len(), objects.len(), "every service has the images of 1.0.0");
}

#[tokio::test]
async fn get_openstackversion_prints_name_target_available_and_deployed_version() {
    let cloud = Cloud::installed("seed", json!({})).await;
    let (headings, row) = columns(&cloud).await;
    assert_eq!(headings, "NAME | TARGET VERSION | AVAILABLE VERSION | DEPLOYED VERSION");
    assert_eq!(row, [NAME, OLD, OLD, OLD]);
}

/// The writes of the operator in the namespace, but for Leases and Events.
fn writes(cloud: &Cloud) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for write in cloud.cluster.writes(User::Operator).unwrap() {
        if write.namespace == cloud.namespace && write.resource != "leases" && write.resource != "events" {
            *counts.entry(format!("{}/{}", write.resource, write.subresource)).or_default() += 1;
        }
    }
    counts
}

#[tokio::test]
async fn a_new_operator_only_changes_what_is_available_and_a_patch_of_the_target_starts_the_update() {
    let mut cloud = Cloud::installed("seed", json!({})).await;
    let before = writes(&cloud);
    let objects = cloud.objects().await;
    cloud.upgrade_operator(&release(NEW)).await;
    assert_eq!(columns(&cloud).await.1, [NAME, OLD, NEW, OLD]);
    let status = cloud.status().await;
    assert!(said(&status, "MinorUpdateAvailable").starts_with("True Ready: update available"));
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.0 is deployed");
    assert!(status.update.is_none());
    cloud.fence().await;

    // Nothing but the status was written; the fence went to Glance.
    let mut after = writes(&cloud);
    after.remove("openstackversions/status");
    after.remove("openstackcontrolplanes/status");
    after.insert("glances/".to_owned(), before["glances/"]);
    let before: BTreeMap<_, _> = before.into_iter().filter(|(what, _)| !what.ends_with("/status")).collect();
    assert_eq!(after, before);
    for (kind, name, object) in objects.iter().filter(|(kind, ..)| kind != "Glance") {
        let now = cloud.get(kind, name).await;
        assert_eq!(now["metadata"]["generation"], object["metadata"]["generation"], "{kind}/{name}");
    }

    let patch = r#"{"spec":{"targetVersion":"1.0.1"}}"#;
    let (done, text) = cloud.kubectl(&["patch", "openstackversion", NAME, "--type", "merge", "-p", patch]).await;
    assert!(done, "{text}");
    let status = cloud.deployed(NEW).await;
    assert_eq!(columns(&cloud).await.1, [NAME, NEW, NEW, NEW]);
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.1 is deployed");
    assert_eq!(condition_of(&status, "MinorUpdateAvailable").status.to_string(), "False");
    assert!(
        status
            .conditions
            .iter()
            .all(|condition| condition.type_ == "MinorUpdateAvailable" || !condition.type_.starts_with("MinorUpdate"))
    );
}

/// The images of the backends of a service, by name.
async fn backends(cloud: &Cloud, kind: &str, name: &str, field: &str) -> BTreeMap<String, String> {
    let object = cloud.get(kind, name).await;
    let backends = object["spec"][field].as_object().unwrap();
    let image = |value: &Value| value["containerImage"].as_str().unwrap().to_owned();
    backends.iter().map(|(name, value)| (name.clone(), image(value))).collect()
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, image)| (name.to_owned(), image.to_owned())).collect()
}

/// Sets a map of backend images and waits until the object shows it.
async fn set_backends(cloud: &Cloud, map: &str, images: Value, kind: &str, name: &str, seen: (&str, &str)) {
    // Null first: a merge patch would keep entries.
    cloud.patch_version(json!({"spec": {"customContainerImages": null}})).await.unwrap();
    cloud.patch_version(json!({"spec": {"customContainerImages": {map: images}}})).await.unwrap();
    let found = wait::value(&cloud.api(kind), name, seen.0, &json!(seen.1), SOON).await;
    cloud.expect("the image of the backend", found);
}

/// Peer: 2.9, 6.7, 9.13, ci-framework#4100, ci-framework#4162: a custom default is overwritten by the release's.
#[tokio::test]
async fn a_cinder_backend_gets_its_own_image_and_the_others_the_default() {
    let volumes = json!({"cinder": {"enabled": true, "template": {
        "cinderVolumes": {"pure": {"replicas": 1}, "ceph": {"replicas": 1}},
    }}});
    let cloud = Cloud::installed("cinder", volumes).await;
    let release_default = release(OLD).images["cinderVolumeImage"].clone();
    let seen = backends(&cloud, "Cinder", "cinder", "cinderVolumes").await;
    assert_eq!(seen, map([("pure", &release_default), ("ceph", &release_default)]));

    let pure = "/spec/cinderVolumes/pure/containerImage";
    let ceph = "/spec/cinderVolumes/ceph/containerImage";
    let only_pure = json!({"pure": CUSTOM});
    set_backends(&cloud, "cinderVolumeImages", only_pure, "Cinder", "cinder", (pure, CUSTOM)).await;
    let seen = backends(&cloud, "Cinder", "cinder", "cinderVolumes").await;
    assert_eq!(seen, map([("pure", CUSTOM), ("ceph", &release_default)]));

    // As in the seed, with a default of its own.
    let both = json!({"default": CUSTOM_DEFAULT, "pure": CUSTOM});
    set_backends(&cloud, "cinderVolumeImages", both, "Cinder", "cinder", (ceph, CUSTOM_DEFAULT)).await;
    let seen = backends(&cloud, "Cinder", "cinder", "cinderVolumes").await;
    assert_eq!(seen, map([("pure", CUSTOM), ("ceph", CUSTOM_DEFAULT)]));

    let only_default = json!({"default": CUSTOM_DEFAULT});
    set_backends(&cloud, "cinderVolumeImages", only_default, "Cinder", "cinder", (pure, CUSTOM_DEFAULT)).await;
    let status = cloud.status().await;
    assert_eq!(status.deployed_version.as_deref(), Some(OLD));
    let Some(ImageValue::Backends(effective)) = status.container_images.get("cinderVolumeImages") else {
        panic!("{:?}", status.container_images)
    };
    assert_eq!(effective["default"].as_deref(), Some(CUSTOM_DEFAULT));
}

/// Peer: 2.9, 9.13: likewise.
#[tokio::test]
async fn a_manila_backend_gets_its_own_image_and_the_others_the_default() {
    let shares = json!({"manila": {"enabled": true, "template": {
        "manilaShares": {"custom": {"replicas": 1}, "share1": {"replicas": 1}},
    }}});
    let cloud = Cloud::installed("manila", shares).await;
    let release_default = release(OLD).images["manilaShareImage"].clone();
    let custom = "/spec/manilaShares/custom/containerImage";
    let share = "/spec/manilaShares/share1/containerImage";

    let only_custom = json!({"custom": CUSTOM});
    set_backends(&cloud, "manilaShareImages", only_custom, "Manila", "manila", (custom, CUSTOM)).await;
    let seen = backends(&cloud, "Manila", "manila", "manilaShares").await;
    assert_eq!(seen, map([("custom", CUSTOM), ("share1", &release_default)]));
    let both = json!({"default": CUSTOM_DEFAULT, "custom": CUSTOM});
    set_backends(&cloud, "manilaShareImages", both, "Manila", "manila", (share, CUSTOM_DEFAULT)).await;
    let seen = backends(&cloud, "Manila", "manila", "manilaShares").await;
    assert_eq!(seen, map([("custom", CUSTOM), ("share1", CUSTOM_DEFAULT)]));
}

/// Peer: 2.9: the controller writes a default into the user's map.
#[tokio::test]
async fn backends_keep_their_own_images_when_an_update_brings_new_defaults() {
    let volumes = json!({"cinder": {"enabled": true, "template": {
        "cinderVolumes": {"pure": {"replicas": 1}, "ceph": {"replicas": 1}},
    }}});
    let cloud = Cloud::offered("cinder", volumes).await;
    // One write with both, as in the seed.
    let images = json!({"cinderVolumeImages": {"pure": CUSTOM}});
    let spec = json!({"targetVersion": NEW, "customContainerImages": images.clone()});
    cloud.patch_version(json!({"spec": spec})).await.unwrap();
    cloud.deployed(NEW).await;
    let seen = backends(&cloud, "Cinder", "cinder", "cinderVolumes").await;
    assert_eq!(seen, map([("pure", CUSTOM), ("ceph", &release(NEW).images["cinderVolumeImage"])]));
    let spec = serde_json::to_value(cloud.version().await.spec).unwrap();
    assert_eq!(spec["customContainerImages"], images, "nobody adds to what the user wrote");
}

/// Peer: 2.8, 9.25: a hotfix on its way shows nowhere.
#[tokio::test]
async fn hotfixes_outside_an_update_apply_at_once_in_parallel_and_nothing_is_deployed_by_them() {
    let cloud = Cloud::installed("hotfix", json!({})).await;
    cloud.add_node_set("compute").await;
    let node_set = cloud.get("OpenStackDataPlaneNodeSet", "compute").await;
    // Nobody gets ready: what applies in parallel does not wait for what would come first in an update.
    cloud.actors.hold_all();
    let ovn = "registry.example.com/hotfix/ovn-controller:bug-1";
    let rabbitmq = "registry.example.com/hotfix/rabbitmq:bug-2";
    let images = json!({"glanceAPIImage": HOTFIX, "ovnControllerImage": ovn, "rabbitmqImage": rabbitmq});
    cloud.patch_version(json!({"spec": {"customContainerImages": images}})).await.unwrap();
    for (kind, name, field, image) in [
        ("Glance", "glance", "/spec/containerImage", HOTFIX),
        ("OVNController", "ovncontroller", "/spec/ovnContainerImage", ovn),
        ("RabbitMq", "rabbitmq", "/spec/containerImage", rabbitmq),
    ] {
        cloud.expect(kind, wait::value(&cloud.api(kind), name, field, &json!(image), SOON).await);
    }
    cloud.fence().await;
    let status = cloud.status().await;
    assert_eq!(status.deployed_version.as_deref(), Some(OLD));
    assert!(status.update.is_none(), "a hotfix is no update");
    let text = said(&status, "Ready");
    assert!(text.starts_with("False") && text.contains("ovn-controller, rabbitmq, glance"), "{text}");
    cloud.actors.release_all();
    cloud.until("ready again", |status| said(status, "Ready") == "True Ready: 1.0.0 is deployed").await;
    assert_eq!(cloud.status().await.deployed_version.as_deref(), Some(OLD));

    // The dataplane takes it at its next deployment, and not before.
    assert_eq!(cloud.get("OpenStackDataPlaneNodeSet", "compute").await["status"], node_set["status"]);
    cloud.deploy("hotfix", &["compute"], &["ovn"]).await;
    let node_set = cloud.get("OpenStackDataPlaneNodeSet", "compute").await;
    assert_eq!(node_set["status"]["containerImages"]["OvnControllerImage"], json!(ovn));

    // And back to the release's.
    cloud.patch_version(json!({"spec": {"customContainerImages": null}})).await.unwrap();
    let image = json!(release(OLD).images["glanceAPIImage"]);
    cloud.expect("back", wait::value(&cloud.api("Glance"), "glance", "/spec/containerImage", &image, SOON).await);
}
