//! What upstream ships as samples is accepted.

use std::fs;

use serde_json::{Value, json};

use super::scene::{CONTROL_PLANES, KEYSTONES, Scene, VERSIONS};

/// Upstream's samples, where they are at hand: they are not part of the repository.
fn samples(prefix: &str) -> Vec<(String, Value)> {
    let Ok(folder) = fs::read_dir(testbed::root().join("../shared/upstream-samples")) else {
        println!("skipped: upstream's samples are not here");
        return Vec::new();
    };
    let mut samples = Vec::new();
    for entry in folder {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(prefix) {
            samples.push((name, serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()));
        }
    }
    samples
}

#[tokio::test]
async fn every_control_plane_is_accepted() {
    let scene = Scene::new("samples").await;
    let mut refused = Vec::new();
    for (name, mut sample) in samples("core_v1beta1_openstackcontrolplane") {
        sample["metadata"]["namespace"] = json!(scene.namespace);
        let answer = scene.try_create(CONTROL_PLANES, sample).await;
        if !answer.is_accepted() {
            refused.push((name, answer));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[tokio::test]
async fn the_version_is_accepted_once_its_placeholders_are_filled() {
    let scene = Scene::new("samples").await;
    for (_, mut sample) in samples("core_v1beta1_openstackversion") {
        sample["metadata"]["namespace"] = json!(scene.namespace);
        let answer = scene.try_create(VERSIONS, sample.clone()).await;
        assert!(answer.names("spec.customContainerImages.cinderVolumeImages.dell"), "{answer:?}");
        let text = sample.to_string().replace("<custom_image_here>", "registry.example.com/custom/cinder:1");
        let answer = scene.try_create(VERSIONS, serde_json::from_str(&text).unwrap()).await;
        answer.accepted();
        // The sample has a field that never existed; upstream drops it silently.
        assert!(answer.names("unknown field \"spec.customContainerImages.cinderApiImage\""), "{answer:?}");
    }
}

/// Consoles offer these as a start.
#[tokio::test]
async fn our_own_are_accepted_without_a_word() {
    let scene = Scene::new("samples").await;
    for (plural, file) in
        [(CONTROL_PLANES, "openstackcontrolplane"), (VERSIONS, "openstackversion"), (KEYSTONES, "keystone")]
    {
        let path = testbed::root().join("manifests/samples").join(format!("{file}.yaml"));
        let mut sample: Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        sample["metadata"]["namespace"] = json!(scene.namespace);
        scene.try_create(plural, sample).await.accepted();
    }
}
