//! Warnings about custom images: the request goes through, and the client is told.

use api::{
    annotation::SKIP_CUSTOM_IMAGES,
    image::{self as images, BACKEND_MAPS},
};
use serde_json::{Map, Value, json};
use testbed::fixtures::{NAME, full_control_plane};

use super::scene::{Answer, CONTROL_PLANES, Scene, VERSIONS};

const UNCHANGED: &str = "openstackversion-unchanged-images";
const BACKENDS: &str = "openstackversion-backends";

fn image(name: &str) -> String {
    format!("registry.example.com/hotfix/{name}")
}

#[tokio::test]
async fn single_images_that_stay_are_named() {
    let images = json!({
        "novaAPIImage": image("nova:1"),
        "glanceAPIImage": image("glance:1"),
        "barbicanAPIImage": image("barbican:1"),
        "cinderVolumeImages": {"pure": image("pure:1"), "ceph": image("ceph:1")},
    });
    let scene = Scene::with_version("stay", json!({"targetVersion": "1.0.0", "customContainerImages": images})).await;
    scene.set_status(json!({"deployedVersion": "1.0.0", "trackedCustomImages": {"1.0.0": images}})).await;
    let ask = async |target: &str, images: Value, annotations: Value| {
        let spec = json!({"targetVersion": target, "customContainerImages": images});
        scene.try_patch(VERSIONS, json!({"metadata": {"annotations": annotations}, "spec": spec})).await
    };

    let some = json!({"glanceAPIImage": image("glance:2"), "cinderVolumeImages": {"pure": image("pure:2")}});
    let named = "spec.customContainerImages: barbicanAPIImage, cinderVolumeImages.ceph, novaAPIImage stay as they were";
    ask("1.0.1", some.clone(), json!({})).await.warned(UNCHANGED, &[named, "moves to 1.0.1"]);
    // Nothing to say when the target stays, or when it was said to be meant.
    ask("1.0.0", some.clone(), json!({})).await.accepted();
    ask("1.0.1", some, json!({SKIP_CUSTOM_IMAGES: "yes"})).await.accepted();
    ask("1.0.1", json!(null), json!({})).await.accepted();
    let one = json!({"barbicanAPIImage": null, "novaAPIImage": null, "cinderVolumeImages": null});
    let new = json!({"barbicanAPIImage": null, "novaAPIImage": image("nova:2"), "cinderVolumeImages": {"ceph": null, "pure": image("pure:2")}});
    ask("1.0.1", one, json!({})).await.warned(UNCHANGED, &["Images: glanceAPIImage stays as it was"]);
    ask("1.0.1", new, json!({})).await.warned(UNCHANGED, &["Images: glanceAPIImage stays as it was"]);
}

#[tokio::test]
async fn the_largest_set_that_the_schema_allows_is_judged() {
    let mut images: Map<String, Value> =
        images::fields().iter().map(|field| (field.name.to_owned(), json!(image("old:1")))).collect();
    for map in BACKEND_MAPS {
        let backends: Map<_, _> = (0..64).map(|index| (format!("backend-{index}"), json!(image("old:1")))).collect();
        images.insert(map.name.to_owned(), Value::Object(backends));
    }
    let scene = Scene::with_version("many", json!({"targetVersion": "1.0.0", "customContainerImages": images})).await;
    let versions: Map<_, _> = (0..64).map(|patch| (format!("1.0.{patch}"), json!({}))).collect();
    scene
        .set_status(json!({
            "availableVersion": "1.0.1",
            "deployedVersion": "1.0.0",
            "containerImageVersionDefaults": versions,
            "trackedCustomImages": {"1.0.0": images},
        }))
        .await;
    let to = |target: &str, images: &Map<String, Value>| json!({"spec": {"targetVersion": target, "customContainerImages": images}});
    scene.try_patch(VERSIONS, to("1.0.1", &images)).await.refused("openstackversion-target", &["chosen for 1.0.0"]);
    scene.try_patch(VERSIONS, to("2.0.0", &images)).await.refused("openstackversion-target", &["1.0.63"]);
    images.insert("glanceAPIImage".to_owned(), json!(image("new:1")));
    let answer = scene.try_patch(VERSIONS, to("1.0.1", &images)).await;
    // Too long a message is replaced by the short one, and warnings are cut.
    answer.warned(UNCHANGED, &[]);
    assert!(!answer.names("resulted in error"), "{answer:?}");
}

async fn with_backends(scene: &Scene, images: Value) -> Answer {
    scene.try_create(VERSIONS, scene.version(NAME, json!({"customContainerImages": images}))).await
}

#[tokio::test]
async fn a_backend_that_does_not_exist_is_named() {
    let scene = Scene::new("backends").await;
    let unknown =
        json!({"cinderVolumeImages": {"netapp": image("netapp:1"), "dell": image("dell:1"), "pure": image("pure:1")}});
    // Without a control plane nobody can tell.
    with_backends(&scene, unknown.clone()).await.accepted();

    scene.create(CONTROL_PLANES, full_control_plane(&scene.namespace)).await.accepted();
    let answer = Scene::eventually(BACKENDS, || with_backends(&scene, unknown.clone())).await;
    let said = [
        "spec.customContainerImages.cinderVolumeImages: dell, netapp: no such backend under spec.cinder.template.cinderVolumes",
        "OpenStackControlPlane openstack, which has ceph, pure;",
    ];
    answer.warned(BACKENDS, &said);
    let known = json!({"cinderVolumeImages": {"pure": image("pure:1"), "default": image("cinder:1")}});
    with_backends(&scene, known.clone()).await.accepted();
    let shares = json!({"manilaShareImages": {"other": image("manila:1")}});
    with_backends(&scene, shares)
        .await
        .warned(BACKENDS, &["manilaShareImages: other", "spec.manila.template.manilaShares"]);

    // An update is judged when it touches custom images, and only then.
    let version = scene.version(NAME, json!({"customContainerImages": unknown}));
    scene.create(VERSIONS, version).await.warned(BACKENDS, &["dell, netapp"]);
    scene.try_patch(VERSIONS, json!({"spec": {"update": {"paused": true}}})).await.accepted();
    let patch = json!({"spec": {"customContainerImages": {"cinderVolumeImages": {"dell": null}}}});
    scene.try_patch(VERSIONS, patch).await.warned(BACKENDS, &["cinderVolumeImages: netapp: no such backend"]);
}

#[tokio::test]
async fn a_control_plane_without_backends_has_none() {
    let scene = Scene::new("backends").await;
    scene.create(CONTROL_PLANES, scene.control_plane(NAME, json!({}))).await.accepted();
    let images = json!({"cinderVolumeImages": {"pure": image("pure:1")}});
    let answer = Scene::eventually(BACKENDS, || with_backends(&scene, images.clone())).await;
    answer.warned(BACKENDS, &["pure: no such backend", "which has none;"]);
}
