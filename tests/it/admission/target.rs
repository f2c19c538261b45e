//! Where `spec.targetVersion` may move.

use std::cmp::Ordering;

use api::{
    annotation::{ALLOW_ROLLBACK, SKIP_CUSTOM_IMAGES},
    manager, release,
};
use serde_json::{Value, json};
use testbed::fixtures::NAME;

use super::scene::{Answer, Scene, VERSIONS};

const POLICY: &str = "openstackversion-target";
const GLANCE: &str = "registry.example.com/hotfix/glance:1";

async fn ask(scene: &Scene, target: impl Into<Value>) -> Answer {
    scene.try_patch(VERSIONS, json!({"spec": {"targetVersion": target.into()}})).await
}

async fn ask_annotated(scene: &Scene, target: &str, annotation: &str, value: &str) -> Answer {
    let metadata = json!({"annotations": {annotation: value}});
    scene.try_patch(VERSIONS, json!({"metadata": metadata, "spec": {"targetVersion": target}})).await
}

/// A cloud of version 1.0.1, whose bundle brings 1.0.2.
fn deployed() -> Value {
    json!({
        "availableVersion": "1.0.2",
        "deployedVersion": "1.0.1",
        "containerImageVersionDefaults": {"1.0.2": {}, "1.0.1": {}, "1.0.0": {}},
    })
}

/// The same cloud, on the way from 1.0.1 to 1.0.2, with a bundle that brings 1.0.4.
fn updating(revertible: bool) -> Value {
    let mut update = json!({
        "from": "1.0.1", "to": "1.0.2", "imageSetHash": "x", "startedAt": "2026-01-01T00:00:00Z",
        "revertible": revertible,
    });
    if !revertible {
        update["notRevertibleReason"] = json!("mariadb has begun and its images differ");
    }
    let images = json!({"1.0.0": {}, "1.0.1": {}, "1.0.2": {}, "1.0.3": {}});
    json!({
        "availableVersion": "1.0.4",
        "deployedVersion": "1.0.1",
        "containerImageVersionDefaults": images,
        "update": update,
    })
}

#[tokio::test]
async fn before_the_first_status_any_target_is_accepted() {
    let scene = Scene::new("target").await;
    let version = scene.version(NAME, json!({"targetVersion": "9.9.9"}));
    scene.create(VERSIONS, version).await.accepted();
    ask(&scene, "1.0.0").await.accepted();
}

#[tokio::test]
async fn an_unknown_target_is_refused_and_the_known_are_listed() {
    let scene = Scene::with_version("target", json!({"targetVersion": "1.0.1"})).await;
    scene.set_status(deployed()).await;
    let said = ["spec.targetVersion: 9.9.9:", "allowed: 1.0.0, 1.0.1, 1.0.2;", "upgrade the operator"];
    ask(&scene, "9.9.9").await.refused(POLICY, &said);
    ask(&scene, "1.0.2").await.accepted();
    ask(&scene, "1.0.1").await.accepted();
    // The available version is known before its images are recorded.
    scene.set_status(json!({"availableVersion": "1.0.3"})).await;
    ask(&scene, "1.0.3").await.accepted();
    ask(&scene, "1.0.4").await.refused(POLICY, &["allowed: 1.0.3;"]);
    // Not a version at all: the schema says so.
    assert!(!ask(&scene, "latest").await.is_accepted());
}

#[tokio::test]
async fn a_target_may_be_removed_and_comes_back() {
    let scene = Scene::with_version("target", json!({"targetVersion": "1.0.2"})).await;
    scene.set_status(updating(false)).await;
    ask(&scene, "").await.accepted();
    scene.patch(VERSIONS, json!({"spec": {"targetVersion": null}})).await.accepted();
    // Not as a detour around the rules.
    ask(&scene, "1.0.1").await.refused(POLICY, &["can no longer be taken back"]);
    let operator = scene.as_operator().await;
    let back = scene.version(NAME, json!({"targetVersion": "1.0.2"}));
    operator.apply(VERSIONS, manager::DEFAULT_TARGET, back).await.accepted();
}

#[tokio::test]
async fn an_object_that_was_created_again_gets_its_target_back() {
    let scene = Scene::with_version("again", json!({})).await;
    scene.set_status(json!({"availableVersion": "1.0.4", "containerImageVersionDefaults": {"1.0.4": {}}})).await;
    // The operator knows from the control plane what nobody else can know from this object.
    ask(&scene, "1.0.2").await.refused(POLICY, &["allowed: 1.0.4;"]);
    let back = scene.version(NAME, json!({"targetVersion": "1.0.2"}));
    scene.as_operator().await.apply(VERSIONS, manager::DEFAULT_TARGET, back).await.accepted();
    // The deployed version may be chosen, although its images are lost.
    scene.set_status(json!({"availableVersion": "1.0.4", "deployedVersion": "1.0.1"})).await;
    ask(&scene, "1.0.1").await.accepted();
}

#[tokio::test]
async fn a_lower_target_is_refused_unless_annotated() {
    let scene = Scene::with_version("target", json!({"targetVersion": "1.0.1"})).await;
    scene.set_status(deployed()).await;
    let said = [
        "spec.targetVersion: 1.0.0 is lower than the deployed version 1.0.1",
        "Rollback is not supported",
        "keep 1.0.1",
    ];
    ask(&scene, "1.0.0").await.refused(POLICY, &said);
    ask_annotated(&scene, "1.0.0", ALLOW_ROLLBACK, "false").await.refused(POLICY, &["Rollback is not supported"]);
    ask_annotated(&scene, "1.0.0", ALLOW_ROLLBACK, "true").await.accepted();
}

/// Peer: #1217: versions with an epoch suffix.
#[tokio::test]
async fn versions_compare_as_in_rust() {
    const VERSIONS_TO_COMPARE: &[&str] = &[
        "0.0.0",
        "0.9.9",
        "1.0.0",
        "1.0.0-0",
        "1.0.0-1755000000",
        "1.0.0.1755000000",
        "1.0.0.1755000000.p",
        "1.0.0.1755000001.p",
        "1.0.0-17550000010",
        "1.0.1",
        "1.0.2",
        "1.0.10",
        "01.0.010",
        "1.2.0",
        "1.10.0",
        "2.0.0",
        "10.0.0",
        "18.0.6-20250403.1",
        "18.0.9-20250602",
        "18.0.9.20250602.p",
        "18.0.9-20250602.2",
        "18.0.9-20250602.10",
        "19.0.0-1755000000",
        "999999999.999999999.999999999.999999999999999999.p",
    ];
    let scene = Scene::with_version("compare", json!({"targetVersion": "7.7.7"})).await;
    for deployed in VERSIONS_TO_COMPARE {
        scene.set_status(json!({"deployedVersion": deployed})).await;
        for target in VERSIONS_TO_COMPARE {
            let answer = ask(&scene, *target).await;
            let lower = release::compare(target, deployed).unwrap() == Ordering::Less;
            assert_eq!(answer.is_accepted(), !lower, "{target} with {deployed} deployed: {answer:?}");
            if lower {
                answer.refused(POLICY, &["Rollback is not supported"]);
            }
        }
    }
}

#[tokio::test]
async fn during_an_update_the_target_moves_on_or_back_while_it_can() {
    let scene = Scene::with_version("target", json!({"targetVersion": "1.0.2"})).await;
    scene.set_status(updating(true)).await;
    for allowed in ["1.0.1", "1.0.3", "1.0.4"] {
        ask(&scene, allowed).await.accepted();
    }
    scene.set_status(updating(false)).await;
    ask(&scene, "1.0.3").await.accepted();
    let said = [
        "spec.targetVersion: 1.0.1: the update from 1.0.1 to 1.0.2 can no longer be taken back: ",
        "mariadb has begun and its images differ; keep 1.0.2",
    ];
    ask(&scene, "1.0.1").await.refused(POLICY, &said);
    ask_annotated(&scene, "1.0.1", ALLOW_ROLLBACK, "true").await.accepted();
    // Anything that is not about the target goes through.
    scene.try_patch(VERSIONS, json!({"spec": {"update": {"paused": true, "holdAfter": "keystone"}}})).await.accepted();
}

#[tokio::test]
async fn during_an_update_a_version_in_between_is_refused() {
    let scene = Scene::with_version("target", json!({"targetVersion": "1.0.4"})).await;
    let mut status = updating(true);
    status["update"]["to"] = json!("1.0.4");
    scene.set_status(status.clone()).await;
    let said =
        ["spec.targetVersion: 1.0.3: the update from 1.0.1 to 1.0.4 is running", "keep 1.0.4", "go back to 1.0.1"];
    ask(&scene, "1.0.3").await.refused(POLICY, &said);
    status["update"]["revertible"] = json!(false);
    scene.set_status(status).await;
    let answer = ask(&scene, "1.0.3").await;
    answer.refused(POLICY, &said[..2]);
    assert!(!answer.names("go back"));
}

/// Peer: 2.9, #1569, #1582: maps without a default are never compared.
#[tokio::test]
async fn custom_images_do_not_move_along_unnoticed() {
    let images = json!({"glanceAPIImage": GLANCE, "cinderVolumeImages": {"pure": "registry.example.com/pure:1"}});
    let scene = Scene::with_version("custom", json!({"targetVersion": "1.0.1", "customContainerImages": images})).await;
    let mut status = deployed();
    status["trackedCustomImages"] = json!({"1.0.1": images});
    scene.set_status(status.clone()).await;

    let said = ["spec.customContainerImages: ", "chosen for 1.0.1", "moves to 1.0.2", SKIP_CUSTOM_IMAGES];
    ask(&scene, "1.0.2").await.refused(POLICY, &said);
    ask_annotated(&scene, "1.0.2", SKIP_CUSTOM_IMAGES, "").await.accepted();
    let with = |images: Value| json!({"spec": {"targetVersion": "1.0.2", "customContainerImages": images}});
    scene.try_patch(VERSIONS, with(Value::Null)).await.accepted();
    let changed = json!({"glanceAPIImage": "registry.example.com/hotfix/glance:2", "cinderVolumeImages": null});
    scene.try_patch(VERSIONS, with(changed)).await.accepted();
    // Changed first, target second: the change is tracked under the old target by then.
    // Before anything is deployed, and on the way back to what is deployed, images may stay.
    status["deployedVersion"] = Value::Null;
    scene.set_status(status.clone()).await;
    ask(&scene, "1.0.2").await.accepted();
    status["deployedVersion"] = json!("1.0.2");
    scene.set_status(status).await;
    ask(&scene, "1.0.2").await.accepted();
}

#[tokio::test]
async fn an_automatic_dataplane_is_refused() {
    let automatic = json!({"update": {"dataplane": "Automatic"}});
    let said = ["spec.update.dataplane: Automatic is not supported yet; use Manual"];
    let scene = Scene::new("dataplane").await;
    let policy = "openstackversion-dataplane-mode";
    scene.try_create(VERSIONS, scene.version(NAME, automatic.clone())).await.refused(policy, &said);
    scene.create(VERSIONS, scene.version(NAME, json!({"update": {"dataplane": "Manual"}}))).await.accepted();
    scene.try_patch(VERSIONS, json!({"spec": automatic})).await.refused(policy, &said);
}

#[tokio::test]
async fn a_status_is_never_refused() {
    let scene = Scene::with_version("status", json!({"targetVersion": "1.0.2"})).await;
    let operator = scene.as_operator().await;
    for status in [json!({"availableVersion": "0.0.1"}), deployed(), updating(false), updating(true), json!({})] {
        let mut object = scene.version(NAME, json!({}));
        object.as_object_mut().unwrap().remove("spec");
        object["status"] = status;
        operator.replace_status(VERSIONS, object).await.accepted();
        // The operator takes the annotation away and sets its finalizer, whatever the state.
        let metadata =
            json!({"annotations": {SKIP_CUSTOM_IMAGES: null}, "finalizers": ["openstack.org/openstackversion"]});
        operator.patch(VERSIONS, json!({"metadata": metadata})).await.accepted();
    }
    scene.patch(VERSIONS, json!({"metadata": {"finalizers": null}})).await.accepted();
}

/// A status is replaced by a body without a spec: whoever applied the rest owns it still, and takes it back by leaving it
/// out.
#[tokio::test]
async fn a_replaced_status_takes_no_field_from_anybody() {
    let scene = Scene::new("owners").await;
    let apply = |labels: Value, update: Value| {
        let mut object = scene.version(NAME, json!({"update": update}));
        object["metadata"]["labels"] = labels;
        scene.apply(VERSIONS, "gitops", object)
    };
    apply(json!({"stays": "1", "goes": "1"}), json!({"paused": true})).await.accepted();
    let mut object = scene.version(NAME, json!({}));
    object.as_object_mut().unwrap().remove("spec");
    object["status"] = deployed();
    scene.as_operator().await.replace_status(VERSIONS, object).await.accepted();
    let found = scene.read(VERSIONS).await;
    assert_eq!(found["spec"]["update"]["paused"], true);
    assert_eq!(found["metadata"]["labels"], json!({"stays": "1", "goes": "1"}));
    apply(json!({"stays": "1"}), json!({})).await.accepted();
    let found = scene.read(VERSIONS).await;
    assert_eq!(found["spec"]["update"]["paused"], false, "{found}");
    assert_eq!(found["metadata"]["labels"], json!({"stays": "1"}), "{found}");
    assert_eq!(found["status"], deployed());
}
