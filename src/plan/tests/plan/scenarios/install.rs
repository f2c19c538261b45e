//! The first installation, and what an operator upgrade alone does.

use api::{annotation, condition::Status, service::SERVICES};
use plan::release::Objects;
use serde_json::json;

use crate::support::{NEW, NEWER, OLD, Sim, bundle, custom, image_of};

#[test]
fn deployed_and_ready_come_together_and_only_when_everything_is_ready() {
    let mut sim = Sim::new(None, bundle(OLD));
    sim.pass();
    assert!(sim.world.version.is_some(), "the OpenStackVersion is made for the control plane");
    sim.pass();
    assert_eq!(sim.world.version_spec().unwrap().target_version, OLD, "set once, at creation");
    sim.pass();
    assert_eq!(sim.deployed(), None);
    assert_eq!(sim.condition("Ready").0, Status::False);
    assert_eq!(sim.cp_condition("Ready").0, Status::False);
    sim.services();
    sim.break_one("Glance", "glance", "no endpoint");
    sim.pass();
    assert_eq!(sim.deployed(), None);
    assert!(sim.condition("Ready").2.contains("no endpoint"), "{:?}", sim.condition("Ready"));
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
    assert_eq!(sim.condition("Ready").0, Status::True);
    assert_eq!(sim.cp_condition("Ready").0, Status::True);
    assert_eq!(sim.notes.iter().filter(|note| note.starts_with("Installed")).count(), 1);
    assert!(sim.status().update.is_none() && sim.status().history.len() == 1);
}

#[test]
fn a_paused_installation_that_waits_for_an_image_says_so() {
    let mut sim = Sim::new(None, bundle(OLD));
    (0..3).for_each(|_| drop(sim.pass()));
    sim.spec().update.paused = true;
    sim.spec().custom_container_images = custom(json!({"glanceAPIImage": "fix.io/glance:1"}));
    sim.settle();
    assert_eq!(sim.deployed(), None);
    for (status, reason, message) in [sim.condition("Ready"), sim.cp_condition("Ready")] {
        assert_eq!((status, reason.as_str()), (Status::False, "Held"));
        for named in ["status.deployedVersion is not set yet", "spec.update.paused is true", "Glance/glance"] {
            assert!(message.contains(named), "{message}");
        }
    }
    assert_eq!(sim.condition("CustomImagesValid").1, "Held");
    sim.spec().update.paused = false;
    sim.settle();
    assert_eq!((sim.deployed(), sim.condition("Ready").0), (Some(OLD), Status::True));
}

#[test]
fn a_service_is_created_only_with_its_config_map_data_and_nothing_of_the_control_plane() {
    let sim = Sim::installed(None, OLD);
    let data = sim.field("ConfigMap", "test-operator-config", "data").unwrap();
    let keys: Vec<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["ansibletest-image", "horizontest-image", "tempest-image", "tobiko-image"]);
}

/// To choose the custom images first one looks at what the release brings.
#[test]
fn a_version_before_its_control_plane_says_which_images_it_is_going_to_use() {
    let mut sim = Sim::new(None, bundle(OLD));
    sim.pass();
    let plane = sim.world.control_plane.take();
    sim.settle();
    assert_eq!(sim.world.version_spec().unwrap().target_version, OLD);
    let image = |sim: &Sim, name: &str| serde_json::to_value(&sim.status().container_images).unwrap()[name].clone();
    assert_eq!(image(&sim, "glanceAPIImage"), json!(image_of("glanceAPIImage", OLD)));
    assert_eq!(image(&sim, "cinderVolumeImages"), json!({"default": image_of("cinderVolumeImage", OLD)}));
    assert_eq!(sim.status().service_defaults, api::service::release_defaults());
    let (status, _, message) = sim.condition("Initialized");
    assert_eq!((status, message.as_str()), (Status::True, "the images of 1.0.0 are known"));
    assert_eq!(sim.condition("Ready").1, "NotFound");

    sim.spec().custom_container_images = custom(json!({"glanceAPIImage": "fix.io/glance:1"}));
    sim.settle();
    assert_eq!(image(&sim, "glanceAPIImage"), json!("fix.io/glance:1"));
    assert!(sim.world.kinds.values().flatten().next().is_none() && sim.status().update.is_none());
    assert_eq!(sim.deployed(), None);
    sim.world.control_plane = plane;
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), "fix.io/glance:1");
}

/// Peer: #1429, #1439: defaults of a newer operator reach older services.
#[test]
fn an_operator_upgrade_alone_says_that_an_update_is_available_and_writes_nothing() {
    let mut sim = Sim::installed(None, OLD);
    assert_eq!(sim.condition("MinorUpdateAvailable").1, "UpToDate");
    let writes = sim.writes;
    sim.world.bundle = bundle(NEW).into();
    sim.bundle().release = "2026.1".into();
    sim.bundle().service_defaults.insert("rabbitmqVersion".into(), "9.9".into());
    sim.settle();
    assert_eq!(sim.writes, writes);
    assert_eq!(sim.status().available_version.as_deref(), Some(NEW));
    assert_eq!(sim.condition("MinorUpdateAvailable").0, Status::True);
    assert_eq!((sim.deployed(), sim.condition("Ready").0), (Some(OLD), Status::True));
    assert_eq!(sim.text("Keystone", "keystone", "spec.release"), "2025.2");
}

#[test]
fn a_bundle_that_did_not_say_its_openstack_release_may_be_corrected() {
    let mut sim = Sim::new(Some(&["keystone", "placement"]), bundle(OLD));
    sim.bundle().release = String::new();
    sim.settle();
    assert_eq!((sim.deployed(), sim.status().available_releases.len()), (Some(OLD), 0));
    sim.bundle().release = "2025.2".into();
    sim.settle();
    assert_eq!(sim.text("Keystone", "keystone", "spec.release"), "2025.2");
}

/// Peer: 9.6: anything that differs is offered as an update.
#[test]
fn an_older_operator_offers_no_update() {
    let mut sim = Sim::installed(None, NEW);
    sim.world.bundle = bundle(OLD).into();
    sim.settle();
    assert_eq!(sim.condition("MinorUpdateAvailable").0, Status::False);
}

/// Peer: 2.10g: Redis is ready whatever spec its status speaks of.
#[test]
fn a_stale_ready_is_not_ready() {
    let mut sim = Sim::new(None, bundle(OLD));
    (0..3).for_each(|_| drop(sim.pass()));
    sim.services();
    sim.one("Redis", "redis").metadata.generation = Some(7);
    sim.pass();
    assert_eq!(sim.deployed(), None);
    assert!(sim.condition("Ready").2.contains("Redis/redis: status.observedGeneration should be 7, is 1"));
}

#[test]
fn the_infrastructure_comes_first_when_asked_for() {
    let mut sim = Sim::new(None, bundle(OLD));
    let meta = &mut sim.world.control_plane.as_mut().unwrap().meta;
    meta.annotations.insert(annotation::DEPLOYMENT_STAGE.into(), "infrastructure-only".into());
    sim.settle();
    assert!(sim.exists("Galera", "openstack") && !sim.exists("Glance", "glance"));
    assert!(sim.deployed().is_none() && sim.condition("Ready").0 == Status::False);
    sim.world.control_plane.as_mut().unwrap().meta.annotations.clear();
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
}

#[test]
fn a_bad_target_during_the_installation_leaves_the_accepted_one_in_force() {
    let mut sim = Sim::new(None, bundle(OLD));
    (0..3).for_each(|_| drop(sim.pass()));
    sim.target("7.7.7");
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
    let (status, reason, message) = sim.condition("TargetVersionValid");
    assert_eq!((status, reason.as_str()), (Status::False, "UnknownVersion"));
    assert!(message.contains("set it to one of: 1.0.0"), "{message}");
}

#[test]
fn a_newer_bundle_during_the_installation_does_not_change_its_target() {
    let mut sim = Sim::new(None, bundle(OLD));
    (0..3).for_each(|_| drop(sim.pass()));
    sim.world.bundle = bundle(NEWER).into();
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
}

#[test]
fn a_missing_image_blocks_its_service_and_no_other() {
    let mut sim = Sim::new(None, bundle(OLD));
    sim.bundle().images.remove("placementAPIImage");
    sim.settle();
    assert!(!sim.exists("PlacementAPI", "placement") && sim.exists("Glance", "glance"));
    assert!(sim.condition("ContainerImagesKnown").2.contains("placementAPIImage"));
    assert_eq!(sim.condition("Ready").1, "Error");
    sim.spec().custom_container_images = custom(json!({"placementAPIImage": "fix.io/placement:1"}));
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
}

#[test]
fn a_kind_that_cannot_be_read_says_so_and_is_not_written_blindly() {
    let mut sim = Sim::new(None, bundle(OLD));
    sim.world.kinds.insert("Heat.heat.openstack.org".into(), Objects::Unreadable("forbidden".into()));
    sim.settle();
    let line = sim.status().services.iter().find(|line| line.name == "heat").unwrap();
    assert!(line.message.contains("kind Heat cannot be read: forbidden; check the RBAC"), "{line:?}");
    assert!(sim.exists("Glance", "glance") && sim.deployed().is_none());
}

#[test]
fn a_kind_that_is_not_installed_blocks_its_service_and_no_other() {
    let mut sim = Sim::new(None, bundle(OLD));
    sim.world.kinds.insert("Heat.heat.openstack.org".into(), Objects::Absent);
    sim.settle();
    let line = sim.status().services.iter().find(|line| line.name == "heat").unwrap();
    assert!(line.message.contains("kind Heat is not installed"), "{line:?}");
    assert!(sim.exists("Glance", "glance") && sim.deployed().is_none());
    sim.world.kinds.insert("Heat.heat.openstack.org".into(), Objects::Known(Vec::new()));
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
    assert_eq!(sim.status().services.len(), SERVICES.len());
}

#[test]
fn a_bundle_without_a_version_says_what_to_set() {
    let mut sim = Sim::new(None, plan::release::Bundle::default());
    sim.bundle().problems = vec!["OPENSTACK_RELEASE_VERSION: not set".into()];
    sim.settle();
    assert!(sim.condition("TargetVersionValid").2.contains("OPENSTACK_RELEASE_VERSION"));
    assert_eq!(sim.condition("Ready").0, Status::False);
    assert!(sim.world.kinds.values().flatten().next().is_none());
}
