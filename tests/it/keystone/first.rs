//! The controller runs.

use api::condition::Status;
use serde_json::json;

use testbed::kubelet::Play;

use super::support::{NAME, NEW_TAG, OLD_TAG, Scene, image};

#[tokio::test]
async fn a_keystone_is_observed_and_the_operator_says_what_it_does() {
    let scene = Scene::empty("keystone").await;
    scene.kubelet.play("db-sync", Play::Running);
    scene.create(json!({})).await;
    let status = scene.until("observed", |status| status.observed_generation == Some(1)).await;
    assert_eq!(status.target_release.as_deref(), Some("2025.1"));
    scene.says("Ready", Status::False, &["Installing"]).await;
    // The seed's columns, word for word.
    let columns = "custom-columns=NAME:.metadata.name,PHASE:.status.upgradePhase,FROM:.status.installedRelease,\
                   TO:.status.targetRelease,READY:.status.conditions[?(@.type=='Ready')].status";
    let output = scene.cluster.kubectl(["-n", &scene.namespace, "get", "keystone", NAME, "-o", columns]).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(line, [NAME, "<none>", "<none>", "2025.1", "False"], "{text}");
}

#[tokio::test]
async fn it_is_installed_and_upgraded() {
    let scene = Scene::empty("keystone").await;
    scene.create(json!({})).await;
    scene.installed(&image(OLD_TAG)).await;
    scene.patch(json!({"image": {"tag": NEW_TAG}})).await.unwrap();
    scene.installed(&image(NEW_TAG)).await;
}
