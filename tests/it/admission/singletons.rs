//! One `OpenStackVersion` and one `OpenStackControlPlane` in a namespace, of the same name.

use serde_json::json;
use testbed::fixtures::NAME;

use super::scene::{Answer, CONTROL_PLANES, Scene, VERSIONS};

const ONE_VERSION: &str = "one-openstackversion";
const ONE_CONTROL_PLANE: &str = "one-openstackcontrolplane";

async fn version_named(scene: &Scene, name: &str) -> Answer {
    scene.try_create(VERSIONS, scene.version(name, json!({}))).await
}

async fn control_plane_named(scene: &Scene, name: &str) -> Answer {
    scene.try_create(CONTROL_PLANES, scene.control_plane(name, json!({}))).await
}

#[tokio::test]
async fn a_second_version_is_refused() {
    let scene = Scene::with_version("one-version", json!({})).await;
    let answer = Scene::eventually(ONE_VERSION, || version_named(&scene, "second")).await;
    let said = ["metadata.name: second", &scene.namespace, "already has the OpenStackVersion \"openstack\"", "delete"];
    answer.refused(ONE_VERSION, &said);

    // Applying the first again is an update of it, whoever does it.
    let again = scene.version(NAME, json!({"targetVersion": "1.0.0"}));
    scene.apply(VERSIONS, "kubectl", again).await.accepted();
    // Another namespace has its own.
    let other = Scene::new("one-version").await;
    version_named(&other, "second").await.accepted();
}

#[tokio::test]
async fn a_second_control_plane_is_refused() {
    let scene = Scene::new("one-plane").await;
    scene.create(CONTROL_PLANES, scene.control_plane(NAME, json!({}))).await.accepted();
    let answer = Scene::eventually(ONE_CONTROL_PLANE, || control_plane_named(&scene, "second")).await;
    answer
        .refused(ONE_CONTROL_PLANE, &["metadata.name: second", "already has the OpenStackControlPlane \"openstack\""]);
    let again = scene.control_plane(NAME, json!({"secret": "osp-secret"}));
    scene.apply(CONTROL_PLANES, "kubectl", again).await.accepted();
}

/// Peer: #1463: a version of another name from before the control plane.
#[tokio::test]
async fn version_and_control_plane_have_the_same_name() {
    let scene = Scene::with_version("same-name", json!({})).await;
    let answer = Scene::eventually(ONE_VERSION, || control_plane_named(&scene, "other")).await;
    answer.refused(ONE_VERSION, &["metadata.name: other: the OpenStackControlPlane must", "name it \"openstack\""]);
    control_plane_named(&scene, NAME).await.accepted();

    let scene = Scene::new("same-name").await;
    scene.create(CONTROL_PLANES, scene.control_plane(NAME, json!({}))).await.accepted();
    let answer = Scene::eventually(ONE_CONTROL_PLANE, || version_named(&scene, "other")).await;
    answer.refused(ONE_CONTROL_PLANE, &["metadata.name: other: the OpenStackVersion must", "name it \"openstack\""]);
    version_named(&scene, NAME).await.accepted();
}

#[tokio::test]
async fn the_operator_creates_the_version_of_its_control_plane() {
    let scene = Scene::new("owner").await;
    scene.create(CONTROL_PLANES, scene.control_plane(NAME, json!({}))).await.accepted();
    Scene::eventually(ONE_CONTROL_PLANE, || version_named(&scene, "other")).await.refused(ONE_CONTROL_PLANE, &[]);
    let operator = scene.as_operator().await;
    for _ in 0..2 {
        let version = scene.version(NAME, json!({}));
        operator.apply(VERSIONS, api::manager::OWNER, version).await.accepted();
    }
}
