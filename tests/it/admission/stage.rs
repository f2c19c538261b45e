//! The annotation `update-target-stage`.

use api::{annotation::TARGET_STAGE, step::MINOR_UPDATE};
use serde_json::{Value, json};
use testbed::fixtures::NAME;

use super::scene::{Answer, Scene, VERSIONS};

const POLICY: &str = "openstackversion-target-stage";

fn stage(name: impl Into<Value>) -> Value {
    json!({"metadata": {"annotations": {TARGET_STAGE: name.into()}}})
}

async fn ask(scene: &Scene, name: impl Into<Value>) -> Answer {
    scene.try_patch(VERSIONS, stage(name)).await
}

/// The status of an update whose steps have these states, in order; the others are pending.
fn updating(states: &[&str]) -> Value {
    let steps: Vec<Value> = MINOR_UPDATE
        .iter()
        .enumerate()
        .map(|(index, step)| json!({"name": step.name, "state": states.get(index).unwrap_or(&"Pending")}))
        .collect();
    json!({"update": {
        "from": "1.0.0", "to": "1.0.1", "imageSetHash": "x", "startedAt": "2026-01-01T00:00:00Z", "steps": steps,
    }})
}

#[tokio::test]
async fn it_names_a_step() {
    let scene = Scene::with_version("stage", json!({})).await;
    for step in MINOR_UPDATE {
        ask(&scene, step.name.to_string()).await.accepted();
    }
    let all: Vec<String> = MINOR_UPDATE.iter().map(|step| step.name.to_string()).collect();
    let field = format!("metadata.annotations[{TARGET_STAGE}]");
    for wrong in ["keystoneapi", "Keystone", ""] {
        let value = format!("\"{wrong}\" is not a step");
        ask(&scene, wrong).await.refused(POLICY, &[&field, &value, &all.join(", ")]);
    }
    // At creation, too.
    let empty = Scene::new("stage").await;
    let mut object = empty.version(NAME, json!({}));
    object["metadata"]["annotations"] = json!({TARGET_STAGE: "late"});
    empty.try_create(VERSIONS, object).await.refused(POLICY, &["\"late\" is not a step"]);
}

#[tokio::test]
async fn outside_an_update_it_moves_freely() {
    let scene = Scene::with_version("stage", json!({})).await;
    for name in ["keystone", "ovn-controlplane", "dataplane"] {
        scene.patch(VERSIONS, stage(name)).await.accepted();
    }
    scene.patch(VERSIONS, stage(Value::Null)).await.accepted();
}

#[tokio::test]
async fn during_an_update_it_does_not_move_backward() {
    let scene = Scene::with_version("stage", json!({})).await;
    scene.patch(VERSIONS, stage("mariadb")).await.accepted();
    scene.set_status(updating(&["Running"])).await;
    ask(&scene, "ovn-dataplane").await.refused(POLICY, &["ovn-dataplane is before mariadb", "remove the annotation"]);
    ask(&scene, "keystone").await.accepted();
    ask(&scene, Value::Null).await.accepted();
    // Unchanged: any other edit goes through.
    scene.try_patch(VERSIONS, json!({"spec": {"update": {"paused": true}}})).await.accepted();
}

#[tokio::test]
async fn during_an_update_it_names_no_step_behind() {
    let scene = Scene::with_version("stage", json!({})).await;
    scene.set_status(updating(&["Done", "NotNeeded", "Done", "Running", "Pending", "NotNeeded"])).await;
    for behind in ["ovn-controlplane", "ovn-dataplane"] {
        ask(&scene, behind).await.refused(POLICY, &[behind, "behind the running update, which has finished rabbitmq"]);
    }
    // The last finished step, the running one, and what comes; a step that says early that it is not needed counts not.
    for ahead in ["rabbitmq", "mariadb", "memcached", "keystone", "dataplane"] {
        ask(&scene, ahead).await.accepted();
    }
}

#[tokio::test]
async fn an_annotation_from_before_the_update_may_stay() {
    let scene = Scene::with_version("stage", json!({})).await;
    scene.patch(VERSIONS, stage("ovn-controlplane")).await.accepted();
    scene.set_status(updating(&["Done", "Done", "Done"])).await;
    scene.try_patch(VERSIONS, json!({"metadata": {"annotations": {"a": "b"}}})).await.accepted();
    ask(&scene, Value::Null).await.accepted();
}
