//! What goes wrong in front of the keyboard: each is refused, warned about or said in a condition, with the name of what is
//! wrong and what to do, and the operator goes on.

use api::{step::StepName, version::StepState};
use serde_json::{Value, json};
use testbed::fixtures::NAME;

use crate::support::{Cloud, NEW, OLD, SOON, condition_of, moved, said};

mod bundle;
mod unreadable;

/// Asks again until kubectl fails with the text: the API server notices siblings a little later.
async fn refused(cloud: &Cloud, args: &[&str], texts: &[&str]) {
    let wanted = |done: bool, text: &str| !done && texts.iter().all(|wanted| text.contains(wanted));
    let asking = async {
        loop {
            let (done, text) = cloud.kubectl(args).await;
            if wanted(done, &text) {
                return;
            }
            assert!(!done || args.contains(&"--dry-run=server"), "kubectl {args:?} was not refused: {text}");
        }
    };
    let answered = tokio::time::timeout(SOON, asking).await;
    assert!(answered.is_ok(), "not {texts:?}: {:?}", cloud.kubectl(args).await);
}

async fn target_refused(cloud: &Cloud, target: &str, texts: &[&str]) {
    let patch = json!({"spec": {"targetVersion": target}}).to_string();
    refused(cloud, &["patch", "openstackversion", NAME, "--type", "merge", "-p", &patch], texts).await;
}

/// Peer: 9.30: refusals that do not say what is allowed.
#[tokio::test]
async fn an_unknown_target_is_refused_with_the_versions_to_choose_from() {
    let mut cloud = Cloud::offered("unknown", json!({})).await;
    target_refused(&cloud, "9.9.9", &["spec.targetVersion: 9.9.9", "allowed: 1.0.0, 1.0.1"]).await;
    target_refused(&cloud, "newest", &["spec.targetVersion", "newest"]).await;
    cloud.fence().await;
    let status = cloud.status().await;
    assert_eq!((status.update, cloud.version().await.spec.target_version.as_str()), (None, OLD));
    assert_eq!(moved(&cloud.objects().await, NEW), Vec::<String>::new());
    cloud.assert_alive();
}

/// Peer: 9.28, #1746, ci-framework#2249: the webhook is away while the operator is.
#[tokio::test]
async fn the_rules_hold_while_no_operator_runs() {
    let mut cloud = Cloud::installed("alone", json!({})).await;
    cloud.operator.kill().await.unwrap();
    target_refused(&cloud, "9.9.9", &["spec.targetVersion: 9.9.9", "allowed: 1.0.0"]).await;
    let pause = json!({"spec": {"update": {"paused": true}}});
    cloud.patch_version(pause).await.expect("nothing else is refused meanwhile");
}

/// Peer: 9.6: any older version is a target.
#[tokio::test]
async fn an_older_target_is_refused_because_rollback_is_not_supported() {
    let mut cloud = Cloud::offered("older", json!({})).await;
    cloud.target(NEW).await;
    cloud.deployed(NEW).await;
    let text = "spec.targetVersion: 1.0.0 is lower than the deployed version 1.0.1";
    target_refused(&cloud, OLD, &[text, "Rollback is not supported", "keep 1.0.1"]).await;
    cloud.fence().await;
    assert_eq!(moved(&cloud.objects().await, OLD), Vec::<String>::new());
    cloud.assert_alive();
}

/// Creates an object from a file, dry.
async fn create_refused(cloud: &Cloud, mut object: Value, texts: &[&str]) {
    object["metadata"]["name"] = json!("second");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), object.to_string()).unwrap();
    refused(cloud, &["create", "--dry-run=server", "-f", file.path().to_str().unwrap()], texts).await;
}

#[tokio::test]
async fn a_second_version_and_a_second_control_plane_are_refused() {
    let mut cloud = Cloud::installed("second", json!({})).await;
    let version = testbed::fixtures::version(&cloud.namespace, OLD);
    // By one of two policies, each with a reason of its own: there is one already, and it has another name.
    create_refused(&cloud, version, &["metadata.name: second", "OpenStackVersion", "\"openstack\""]).await;
    let plane = cloud.plane(json!({}));
    create_refused(&cloud, plane, &["metadata.name: second", "OpenStackControlPlane", "\"openstack\""]).await;
    cloud.assert_alive();
}

/// A version with custom images, in a file.
async fn apply_images(cloud: &Cloud, images: Value, arguments: &[&str]) -> (bool, String) {
    let mut version = testbed::fixtures::version(&cloud.namespace, OLD);
    version["spec"]["customContainerImages"] = images;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), version.to_string()).unwrap();
    cloud.kubectl(&[&["apply", "-f", file.path().to_str().unwrap()], arguments].concat()).await
}

/// Peer: 9.14: typing errors vanish.
#[tokio::test]
async fn a_misspelt_image_field_is_not_dropped_in_silence() {
    let mut cloud = Cloud::installed("misspelt", json!({})).await;
    let images = json!({"glanceApiImage": "registry.example.com/hotfix/glance:1"});
    let (done, text) = apply_images(&cloud, images.clone(), &[]).await;
    assert!(!done && text.contains("unknown field \"spec.customContainerImages.glanceApiImage\""), "{text}");
    // Whoever asks for less gets a warning.
    let (done, text) = apply_images(&cloud, images, &["--validate=warn"]).await;
    assert!(done && text.contains("unknown field \"spec.customContainerImages.glanceApiImage\""), "{text}");
    cloud.assert_alive();
}

#[tokio::test]
async fn a_malformed_image_is_refused_by_the_name_of_its_field() {
    let mut cloud = Cloud::installed("malformed", json!({})).await;
    for malformed in ["not an image", "registry.example.com/Glance:1", "registry.example.com/glance:"] {
        let (done, text) = apply_images(&cloud, json!({"glanceAPIImage": malformed}), &[]).await;
        assert!(!done && text.contains("spec.customContainerImages.glanceAPIImage"), "{malformed}: {text}");
    }
    let backends = json!({"cinderVolumeImages": {"pure": "<custom image URL location>"}});
    let (done, text) = apply_images(&cloud, backends, &[]).await;
    assert!(!done && text.contains("spec.customContainerImages.cinderVolumeImages.pure"), "{text}");
    cloud.assert_alive();
}

/// Peer: 9.14, ci-framework#4162: a backend that does not exist is not noticed.
#[tokio::test]
async fn an_unknown_backend_is_named_with_those_that_exist_and_the_other_images_apply() {
    let volumes = json!({"cinder": {"enabled": true, "template": {"cinderVolumes": {"pure": {}, "ceph": {}}}}});
    let mut cloud = Cloud::installed("backend", volumes).await;
    let image = "registry.example.com/certified/volume:7";
    let images = json!({"cinderVolumeImages": {"pur": image, "ceph": image}});
    cloud.patch_version(json!({"spec": {"customContainerImages": images}})).await.unwrap();
    let texts =
        ["spec.customContainerImages.cinderVolumeImages.pur:", "no such backend", "it has: ceph, pure", "correct"];
    let condition = cloud.refused("CustomImagesValid", &texts).await;
    assert_eq!(json!(condition.severity), json!("Warning"));
    cloud.event("Refused", "cinderVolumeImages.pur:").await;
    cloud.value("Cinder", "cinder", "/spec/cinderVolumes/ceph/containerImage", json!(image)).await;
    // It is kept for the day that the backend exists.
    cloud.patch_plane(json!({"cinder": {"template": {"cinderVolumes": {"pur": {"replicas": 1}}}}})).await;
    cloud.value("Cinder", "cinder", "/spec/cinderVolumes/pur/containerImage", json!(image)).await;
    cloud.until("valid", |status| said(status, "CustomImagesValid").starts_with("True")).await;
    cloud.assert_alive();
}

#[tokio::test]
async fn an_image_inside_a_template_is_refused_with_the_field_to_use() {
    let mut cloud = Cloud::installed("template", json!({})).await;
    let patch = json!({"spec": {"glance": {"template": {"containerImage": "registry.example.com/hotfix/glance:1"}}}});
    let args = ["patch", "openstackcontrolplane", NAME, "--type", "merge", "-p", &patch.to_string()];
    let texts = ["spec.glance.template.containerImage", "OpenStackVersion", "glanceAPIImage"];
    refused(&cloud, &args, &texts).await;
    cloud.assert_alive();
}

#[tokio::test]
async fn a_service_with_a_status_that_makes_no_sense_is_not_done_and_harms_nobody_else() {
    let mut cloud = Cloud::offered("garbage", json!({})).await;
    cloud.actors.hold("Glance", "glance");
    cloud.target(NEW).await;
    cloud.step_says(StepName::Controlplane, StepState::Running, "Glance/glance: status.observedGeneration").await;
    for garbage in [
        json!({"conditions": "all is well", "observedGeneration": "many"}),
        json!({"conditions": [1, null, {"type": 7}, {"type": "Ready", "status": true}], "observedGeneration": {"a": []}}),
        json!({"conditions": {"Ready": "True"}, "observedGeneration": -9_000_000_000_i64}),
        json!({"conditions": null, "observedGeneration": 1e300}),
    ] {
        cloud.actors.set_status("Glance", "glance", garbage).await.unwrap();
        cloud.fence().await;
        let status = cloud.status().await;
        let text = said(&status, "MinorUpdateControlplane");
        assert!(text.starts_with("False Requested: in progress: Glance/glance: status.observedGeneration"), "{text}");
        assert_eq!(condition_of(&status, "MinorUpdateKeystone").status.to_string(), "True");
        cloud.assert_alive();
    }
    cloud.actors.release("Glance", "glance");
    cloud.deployed(NEW).await;
}
