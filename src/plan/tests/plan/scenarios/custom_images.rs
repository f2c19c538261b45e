//! Custom images: hotfixes and vendor backends.

use api::{
    annotation,
    condition::Status,
    step::StepName,
    version::{ServiceState, StepState},
};
use serde_json::json;

use crate::support::{NEW, OLD, Sim, bundle, custom, image_of};

fn glance(reference: &str) -> api::version::ContainerImages {
    custom(json!({"glanceAPIImage": reference}))
}

#[test]
fn a_hotfix_outside_an_update_is_immediate_and_parallel() {
    let mut sim = Sim::installed(None, OLD);
    sim.spec().custom_container_images = custom(
        json!({"glanceAPIImage": "fix.io/glance:1", "rabbitmqImage": "fix.io/rabbit:1", "mariadbImage": "fix.io/m:1"}),
    );
    let plan = sim.pass();
    assert_eq!(plan.actions.len(), 5, "two RabbitMq, two Galera, one Glance in one pass");
    assert!(sim.status().update.is_none());
    sim.settle();
    assert_eq!((sim.deployed(), sim.condition("Ready").0), (Some(OLD), Status::True));
    sim.spec().custom_container_images.clear();
    sim.settle();
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", OLD));
}

/// A pause outlives the update that it was for: the next hotfix must not wait unseen.
#[test]
fn a_hotfix_while_paused_waits_and_says_for_what() {
    let mut sim = Sim::installed(None, OLD);
    sim.spec().update.paused = true;
    sim.settle();
    assert_eq!(sim.condition("CustomImagesValid").0, Status::True, "nothing waits");
    sim.spec().custom_container_images =
        custom(json!({"glanceAPIImage": "fix.io/glance:1", "rabbitmqImage": "fix.io/rabbit:1"}));
    // What waits is said of a service in trouble, too.
    sim.break_one("RabbitMq", "rabbitmq", "no quorum");
    sim.pass();
    let (status, reason, message) = sim.condition("CustomImagesValid");
    assert_eq!((status, reason.as_str()), (Status::False, "Held"));
    for named in ["spec.update.paused is true", "rabbitmq, glance", "RabbitMq/rabbitmq", "set it to false"] {
        assert!(message.contains(named), "{message}");
    }
    let severity = api::condition::find(&sim.status().conditions, "CustomImagesValid").unwrap().severity;
    assert_eq!(severity, api::condition::Severity::Info);
    assert!(!sim.notes.iter().any(|note| note.starts_with("Refused")), "it was asked for: {:#?}", sim.notes);
    let line = sim.status().services.iter().find(|line| line.name == "glance").unwrap();
    assert_eq!(line.state, ServiceState::Pending);
    assert!(line.message.starts_with("spec.update.paused is true; Glance/glance"), "{}", line.message);
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", OLD));
    sim.spec().update.paused = false;
    sim.settle();
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), "fix.io/glance:1");
    assert_eq!((sim.condition("CustomImagesValid").0, sim.condition("Ready").0), (Status::True, Status::True));
}

/// An image that is missing waits for the image, not for the end of the pause.
/// They were made for the target beside them.
#[test]
fn the_images_that_stand_beside_a_refused_target_are_not_used() {
    let mut sim = Sim::installed(None, NEW);
    let before = sim.world.kinds.clone();
    sim.spec().custom_container_images = custom(json!({"mariadbImage": "registry/mariadb:for-1.0.0"}));
    sim.target(OLD);
    sim.settle();
    assert_eq!(sim.condition("TargetVersionValid").0, Status::False);
    assert!(sim.condition("CustomImagesValid").2.contains("spec.targetVersion is refused"));
    assert_eq!(sim.world.kinds, before);
    // The same for an object that was created again: what the images were is not known.
    sim.version().status = api::version::OpenStackVersionStatus::default();
    sim.settle();
    assert_eq!(sim.world.kinds, before);
    assert!(sim.condition("ContainerImagesKnown").2.contains("correct spec.targetVersion"));
    sim.target(NEW);
    sim.settle();
    assert_eq!(sim.text("Galera", "openstack", "spec.containerImage"), "registry/mariadb:for-1.0.0");
    assert_eq!(sim.condition("CustomImagesValid").2, "every custom image is in effect");
}

#[test]
fn a_missing_image_is_not_held_by_a_pause() {
    let mut sim = Sim::installed(Some(&["glance"]), OLD);
    sim.spec().update.paused = true;
    sim.version().status.container_image_version_defaults.get_mut(OLD).unwrap().remove("glanceAPIImage");
    sim.bundle().images.remove("glanceAPIImage");
    sim.pass();
    assert_eq!(sim.condition("CustomImagesValid").0, Status::True);
    assert!(sim.condition("ContainerImagesKnown").2.contains("glanceAPIImage"));
}

#[test]
fn one_on_a_pending_step_waits_for_its_turn() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Mariadb);
    sim.spec().custom_container_images = glance("fix.io/glance:1");
    sim.pass();
    assert_eq!(sim.update().step, Some(StepName::Mariadb));
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", OLD));
    sim.finish();
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), "fix.io/glance:1");
}

#[test]
fn one_on_a_done_step_reopens_it_in_order_with_the_reason() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Controlplane);
    sim.pass();
    sim.spec().custom_container_images =
        custom(json!({"mariadbImage": "fix.io/m:1", "infraMemcachedImage": "fix.io/mc:1"}));
    sim.pass();
    assert_eq!(sim.update().step, Some(StepName::Mariadb));
    let (_, _, message) = sim.condition("MinorUpdateMariaDB");
    assert!(message.contains("re-opened because its images changed"), "{message}");
    let memcached = sim.update().steps.iter().find(|step| step.name == StepName::Memcached).unwrap();
    assert_eq!(memcached.state, StepState::Pending);
    let rabbitmq = sim.update().steps.iter().find(|step| step.name == StepName::Rabbitmq).unwrap();
    assert_eq!(rabbitmq.state, StepState::Done);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert_eq!(sim.text("Memcached", "memcached", "spec.containerImage"), "fix.io/mc:1");
}

#[test]
fn unchanged_ones_refuse_a_new_target_and_single_ones_are_warned_about() {
    let mut sim = Sim::installed(None, OLD);
    sim.world.bundle = bundle(NEW).into();
    sim.spec().custom_container_images = custom(json!({"glanceAPIImage": "fix.io/g:1", "heatAPIImage": "fix.io/h:1"}));
    sim.settle();
    sim.target(NEW);
    sim.settle();
    let (_, reason, message) = sim.condition("TargetVersionValid");
    assert_eq!(reason, "CustomImagesUnchanged");
    assert!(message.contains("glanceAPIImage, heatAPIImage"), "{message}");
    assert_eq!((sim.deployed(), sim.status().update.is_none()), (Some(OLD), true));
    sim.spec().custom_container_images.remove("heatAPIImage");
    sim.pass();
    // The correction was first applied for the old version; upstream asks for one edit, too.
    sim.target(OLD);
    sim.settle();
    sim.spec().custom_container_images = custom(json!({"glanceAPIImage": "fix.io/g:1", "heatAPIImage": "fix.io/h:2"}));
    sim.target(NEW);
    sim.pass();
    assert_eq!(sim.condition("TargetVersionValid").0, Status::True);
    let (status, reason, message) = sim.condition("CustomImagesValid");
    assert_eq!((status, reason.as_str()), (Status::False, "CustomImagesUnchanged"));
    assert!(message.contains("glanceAPIImage stayed") && !message.contains("heatAPIImage"), "{message}");
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert_eq!(sim.condition("CustomImagesValid").0, Status::True);
}

/// Peer: 2.10k: the pass that removes the annotation forgets what is deployed.
#[test]
fn the_annotation_permits_them_for_one_update() {
    let mut sim = Sim::installed(None, OLD);
    sim.world.bundle = bundle(NEW).into();
    sim.spec().custom_container_images = glance("fix.io/g:1");
    sim.settle();
    sim.annotate(annotation::SKIP_CUSTOM_IMAGES, "");
    sim.target(NEW);
    sim.until(StepName::Controlplane);
    assert!(sim.world.version_annotation(annotation::SKIP_CUSTOM_IMAGES).is_some());
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), "fix.io/g:1");
    assert_eq!(sim.world.version_annotation(annotation::SKIP_CUSTOM_IMAGES), None);
}

/// ci-framework 4100, 4162: upstream overwrites a custom default.
#[test]
fn backends_take_their_own_then_the_custom_default_then_the_releases() {
    let mut sim = Sim::installed(None, OLD);
    let image = |sim: &Sim, backend: &str| {
        sim.text("Cinder", "cinder", &format!("spec.cinderVolumes.{backend}.containerImage"))
    };
    assert_eq!(image(&sim, "ceph"), image_of("cinderVolumeImage", OLD));
    sim.spec().custom_container_images = custom(json!({"cinderVolumeImages": {"pure": "v.io/pure:1"}}));
    sim.settle();
    assert_eq!((image(&sim, "pure"), image(&sim, "ceph")), ("v.io/pure:1".into(), image_of("cinderVolumeImage", OLD)));
    sim.spec().custom_container_images =
        custom(json!({"cinderVolumeImages": {"pure": "v.io/pure:1", "default": "v.io/d:1"}}));
    sim.settle();
    assert_eq!((image(&sim, "pure"), image(&sim, "ceph")), ("v.io/pure:1".into(), "v.io/d:1".into()));
    let cp = serde_json::to_value(&sim.world.control_plane.as_ref().unwrap().status.container_images).unwrap();
    assert_eq!(cp["cinderVolumeImages"], json!({"ceph": "v.io/d:1", "pure": "v.io/pure:1"}));
}

#[test]
fn wrong_ones_are_named_and_nothing_falls_back_silently() {
    let mut sim = Sim::installed(None, OLD);
    sim.spec().custom_container_images = custom(json!({
        "glanceAPIImage": "not an image", "glanceImage": "a.io/b:1", "cinderVolumeImages": {"gone": "v.io/x:1"},
    }));
    sim.settle();
    let (_, reason, message) = sim.condition("CustomImagesValid");
    assert_eq!(reason, "InvalidCustomImage");
    for named in [
        "customContainerImages.glanceAPIImage",
        "customContainerImages.glanceImage is no image field",
        "cinderVolumeImages.gone",
    ] {
        assert!(message.contains(named), "{message}");
    }
    assert_eq!(
        sim.text("Glance", "glance", "spec.containerImage"),
        image_of("glanceAPIImage", OLD),
        "keeps what it has"
    );
}

#[test]
fn images_in_templates_are_stripped() {
    let mut sim = Sim::installed(None, OLD);
    sim.cloud("/glance/template/containerImage", json!("evil.io/glance:1"));
    sim.cloud("/cinder/template/cinderVolumes/pure", json!({"containerImage": "evil.io/pure:1"}));
    sim.settle();
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", OLD));
    assert_eq!(
        sim.text("Cinder", "cinder", "spec.cinderVolumes.pure.containerImage"),
        image_of("cinderVolumeImage", OLD)
    );
}
