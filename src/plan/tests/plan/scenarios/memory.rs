//! What is remembered where, and what happens when it is lost.

use api::{
    condition::Status,
    step::StepName,
    version::{ServiceState, StepState},
};
use plan::release::{Action, Meta, Surplus};
use rstest::rstest;
use serde_json::json;

use crate::support::{NEW, NEWER, OLD, Sim, bundle, custom, image_of};

#[test]
fn deleted_in_steady_state_it_takes_everything_back() {
    let mut sim = Sim::installed(None, OLD);
    let writes = sim.writes;
    sim.world.version = None;
    sim.settle();
    assert_eq!(sim.world.version_spec().unwrap().target_version, OLD);
    assert_eq!((sim.deployed(), sim.condition("Ready").0), (Some(OLD), Status::True));
    assert_eq!(sim.writes, writes + 2, "created, and its target set");
    assert!(sim.status().update.is_none());
}

/// Upstream's operator had put them there. The operator may not write to a control plane.
#[test]
fn a_control_plane_that_waits_for_finalizers_says_so() {
    let mut sim = Sim::installed(None, OLD);
    let meta = &mut sim.world.control_plane.as_mut().unwrap().meta;
    (meta.deleting, meta.finalizers) = (true, vec!["foregroundDeletion".into()]);
    sim.pass();
    assert_eq!(sim.condition("Ready").2, "OpenStackControlPlane is being deleted");
    sim.world.control_plane.as_mut().unwrap().meta.finalizers.push("openstack.org/openstackcontrolplane".into());
    sim.pass();
    for (_, reason, said) in [sim.condition("Ready"), sim.cp_condition("Ready")] {
        let waits = "waits for its finalizers foregroundDeletion, openstack.org/openstackcontrolplane; ";
        assert!(
            reason == "Waiting" && said.contains(waits) && said.contains("metadata.finalizers"),
            "{reason}: {said}"
        );
    }
}

/// Upstream's operator puts its finalizer on each, and is not there any more; a backup brings it back, too.
#[test]
fn one_that_is_deleted_and_has_upstreams_finalizer_goes_and_comes_again() {
    let mut sim = Sim::installed(None, OLD);
    let others = "example.com/backup";
    sim.version().meta.finalizers = vec![others.into(), api::UPSTREAM_FINALIZER.into()];
    sim.settle();
    assert_eq!(sim.version().meta.finalizers.len(), 2, "it is not being deleted");
    sim.version().meta.deleting = true;
    sim.world.failures.insert("OpenStackVersion/cloud".into(), "forbidden".into());
    sim.cloud("/glance/template/replicas", json!(7));
    let plan = sim.pass();
    assert!(matches!(plan.actions.as_slice(), [Action::RemoveFinalizer { .. }]), "{:?}", plan.actions);
    let (status, reason, message) = sim.cp_condition("Ready");
    assert_eq!((status, reason.as_str()), (Status::False, "Waiting"));
    let all = format!("{others}, {}", api::UPSTREAM_FINALIZER);
    for named in ["OpenStackVersion/cloud is being deleted", &all, "stays: forbidden", "metadata.finalizers"] {
        assert!(message.contains(named), "{message}");
    }
    let conditions = &sim.world.control_plane.as_ref().unwrap().status.conditions;
    let initialized = "OpenStackControlPlaneOpenStackVersionInitializationReadyCondition";
    assert_eq!(api::condition::find(conditions, initialized).unwrap().severity, api::condition::Severity::Warning);

    sim.world.failures.clear();
    sim.settle();
    assert_eq!(sim.version().meta.finalizers, [others], "what others set is theirs");
    assert!(sim.cp_condition("Ready").2.contains("waits for its finalizers example.com/backup;"));
    assert_ne!(sim.field("Glance", "glance", "spec.replicas"), Some(json!(7)), "nothing is written until it is gone");
    sim.version().meta.finalizers.clear();
    sim.collect();
    sim.settle();
    assert!(!sim.version().meta.deleting);
    assert_eq!((sim.deployed(), sim.cp_condition("Ready").0), (Some(OLD), Status::True));
    assert_eq!(sim.field("Glance", "glance", "spec.replicas"), Some(json!(7)));
}

/// The condition of a second one asks to delete it: that must be possible.
#[test]
fn a_second_one_that_is_deleted_goes_too() {
    let mut sim = Sim::installed(Some(&["placement"]), OLD);
    let finalizers = vec![api::UPSTREAM_FINALIZER.to_owned()];
    let meta = Meta { name: "second".into(), uid: "second".into(), deleting: true, finalizers, ..Meta::default() };
    sim.world.surplus.push(Surplus { kind: "OpenStackVersion".into(), meta, conditions: Vec::new() });
    sim.settle();
    assert_eq!(sim.world.surplus, []);
    assert_eq!((sim.condition("Ready").0, sim.version().meta.name.as_str()), (Status::True, "cloud"));
}

#[test]
fn with_unknown_images_the_services_keep_what_they_have_and_a_condition_says_so() {
    let mut sim = Sim::installed(None, OLD);
    sim.world.bundle = bundle(NEW).into();
    sim.settle();
    let before = sim.world.kinds.clone();
    sim.world.version = None;
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
    assert_eq!(sim.world.kinds, before, "not one field changes");
    let (status, _, message) = sim.condition("ContainerImagesKnown");
    assert_eq!(status, Status::False);
    assert!(message.contains("keeps the images it has") && message.contains(NEW), "{message}");
    sim.cloud("/glance/template/replicas", json!(7));
    sim.settle();
    assert_eq!(sim.field("Glance", "glance", "spec.replicas"), Some(json!(7)), "templates still reach them");
    assert_eq!(sim.text("RabbitMq", "rabbitmq", "spec.targetVersion"), "4.2");
    sim.target(NEW);
    sim.finish();
    assert_eq!((sim.deployed(), sim.condition("ContainerImagesKnown").0), (Some(NEW), Status::True));
}

#[test]
fn deleted_in_the_middle_of_an_update_it_goes_on() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    sim.world.version = None;
    sim.pass();
    sim.pass();
    assert_eq!(sim.world.version_spec().unwrap().target_version, NEW);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

#[test]
fn created_again_in_the_middle_with_the_old_target_it_does_not_take_back_what_it_cannot_tell() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    let before = crate::support::random::Recipe::versions(&sim);
    sim.world.bundle = bundle(OLD).into();
    let version = sim.world.version.as_mut().unwrap();
    version.status = api::version::OpenStackVersionStatus::default();
    sim.target(OLD);
    sim.settle();
    assert_eq!(crate::support::random::Recipe::versions(&sim), before, "RabbitMQ and MariaDB stay where they are");
    let (status, reason, message) = sim.condition("TargetVersionValid");
    assert_eq!((status, reason.as_str()), (Status::False, "NotRevertible"));
    assert!(message.contains("Set it to 1.0.1 or newer"), "{message}");
    sim.world.bundle = bundle(NEW).into();
    sim.target(NEW);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

#[test]
fn deleted_in_the_middle_with_a_newer_operator_nothing_moves_until_a_known_target_is_set() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    sim.pass();
    sim.services();
    sim.world.version = None;
    sim.world.bundle = bundle(NEWER).into();
    let before = crate::support::random::Recipe::versions(&sim);
    sim.settle();
    assert_eq!(crate::support::random::Recipe::versions(&sim), before);
    assert!(sim.condition("ContainerImagesKnown").2.contains(NEWER));
    // It waits for a person, however long; what has moved cannot be told, so there is no way back.
    sim.tick(86_400);
    sim.settle();
    let first = sim.update().steps[0].clone();
    assert_eq!(
        (first.state, sim.condition("MinorUpdateOVNControlplane").1.as_str()),
        (StepState::Waiting, "MissingImage")
    );
    for named in ["status.containerImageVersionDefaults has no 1.0.1", "spec.targetVersion", "known: 1.0.2"] {
        assert!(first.message.contains(named), "{}", first.message);
    }
    assert!(!sim.notes.iter().any(|note| note.starts_with("StepStalled")), "{:#?}", sim.notes);
    for (bundle, reason) in [(bundle(NEWER), "UnknownVersion"), (bundle(OLD), "NotRevertible")] {
        sim.world.bundle = bundle.into();
        sim.target(OLD);
        sim.settle();
        assert_eq!(sim.condition("TargetVersionValid").1, reason);
        assert_eq!(crate::support::random::Recipe::versions(&sim), before);
    }
    sim.world.bundle = bundle(NEWER).into();
    sim.target(NEWER);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEWER));
}

/// Nothing in such a cloud has an image, so nothing lacks one.
#[test]
fn an_update_to_unknown_images_does_not_end_where_no_service_has_any() {
    let mut sim = Sim::updating(Some(&[]), OLD, NEW);
    sim.pass();
    sim.world.version = None;
    sim.world.bundle = bundle(NEWER).into();
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
    assert_eq!(sim.update().steps[0].state, StepState::Waiting);
}

/// A spec that does not parse for a moment must not make the operator forget the update.
#[test]
fn a_spec_that_does_not_parse_stops_everything_and_forgets_nothing() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    let (spec, update, writes) = (sim.version().spec.clone(), sim.update().clone(), sim.writes);
    sim.version().spec = Err("invalid type: string \"yes\", expected a boolean at spec.update.paused".into());
    sim.pass();
    assert_eq!(sim.pass().notes, []);
    assert_eq!((sim.update(), sim.writes), (&update, writes));
    assert!(sim.condition("Initialized").2.contains("spec.update.paused"));
    assert_eq!(sim.condition("Ready").1, "InvalidSpec");
    sim.version().spec = spec;
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert!(!sim.notes.iter().any(|note| note.starts_with("UpdateStarted") && note.contains("1.0.1 to")));
}

#[test]
fn a_control_plane_that_does_not_parse_deletes_nothing() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    let (spec, kinds) = (sim.world.control_plane.clone().unwrap().spec, sim.world.kinds.clone());
    sim.world.control_plane.as_mut().unwrap().spec = Err("spec: invalid".into());
    sim.pass();
    assert_eq!(sim.world.kinds, kinds);
    assert_eq!(sim.cp_condition("Ready").1, "InvalidSpec");
    sim.world.control_plane.as_mut().unwrap().spec = spec;
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

#[test]
fn a_second_object_is_told_so_and_not_acted_on() {
    let mut sim = Sim::installed(Some(&["placement"]), OLD);
    for kind in ["OpenStackVersion", "OpenStackControlPlane"] {
        let meta = Meta { name: "second".into(), ..Meta::default() };
        sim.world.surplus.push(Surplus { kind: kind.into(), meta, conditions: Vec::new() });
    }
    let writes = sim.writes;
    sim.settle();
    assert_eq!(sim.writes, writes);
    for surplus in &sim.world.surplus {
        let condition = &surplus.conditions[0];
        assert_eq!((condition.status, condition.reason.to_string().as_str()), (Status::False, "Conflict"));
        assert!(condition.message.contains("cloud is in charge; delete second"), "{}", condition.message);
    }
    assert_eq!(sim.condition("Ready").0, Status::True);
}

#[test]
fn other_names_do_not_match() {
    let mut sim = Sim::installed(Some(&["placement"]), OLD);
    sim.world.control_plane.as_mut().unwrap().meta.name = "other".into();
    let writes = sim.writes;
    sim.settle();
    assert_eq!(sim.writes, writes);
    assert_eq!((sim.condition("Ready").1, sim.cp_condition("Ready").1), ("Conflict".to_owned(), "Conflict".to_owned()));
}

#[test]
fn many_versions_fit_into_the_status() {
    let mut sim = Sim::installed(None, OLD);
    let digest = "0123456789abcdef".repeat(4);
    for patch in 1..=60 {
        sim.world.bundle = bundle(&format!("1.0.{patch}")).into();
        // As long as real ones.
        for image in sim.bundle().images.values_mut() {
            let name = image.rsplit('/').next().unwrap().split(':').next().unwrap().to_owned();
            *image = format!("quay.io/podified-antelope-centos9/openstack-{name}@sha256:{digest}");
        }
        sim.pass();
    }
    let known: Vec<&String> = sim.status().container_image_version_defaults.keys().collect();
    assert!(known.contains(&&OLD.to_owned()) && known.contains(&&"1.0.60".to_owned()), "{known:?}");
    let size = serde_json::to_string(sim.status()).unwrap().len();
    assert!(size < 64 * 1024, "{size} bytes");
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", OLD));
}

/// Peer: 9.31: one lump for thirty services.
#[test]
fn every_line_has_a_version_while_services_are_ready() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    for line in &sim.status().services {
        if line.state != ServiceState::Disabled {
            assert!(line.version.is_some(), "{line:?}");
        }
    }
    let version = |sim: &Sim, name: &str| {
        sim.status().services.iter().find(|line| line.name == name).unwrap().version.clone().unwrap()
    };
    assert_eq!((version(&sim, "galera").as_str(), version(&sim, "glance").as_str()), (NEW, OLD));
}

/// Peer: 2.10e: a version of OVN is recorded before it is ready.
#[test]
fn the_control_plane_says_which_images_ready_services_carry() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    let images = serde_json::to_value(&sim.world.control_plane.as_ref().unwrap().status.container_images).unwrap();
    assert_eq!(images["mariadbImage"], json!(image_of("mariadbImage", NEW)));
    assert_eq!(images["glanceAPIImage"], json!(image_of("glanceAPIImage", OLD)));
    assert_eq!(images["keystoneAPIImage"], json!(image_of("keystoneAPIImage", OLD)));
    let cp = &sim.world.control_plane.as_ref().unwrap().status;
    assert_eq!(cp.deployed_ovn_version.as_deref(), Some(NEW));
    assert_eq!((cp.deployed_version.as_deref(), cp.target_version.as_deref()), (Some(OLD), Some(NEW)));
    sim.break_one("Glance", "glance", "down");
    sim.pass();
    let images = serde_json::to_value(&sim.world.control_plane.as_ref().unwrap().status.container_images).unwrap();
    assert_eq!(images["glanceAPIImage"], json!(image_of("glanceAPIImage", OLD)), "as when it last was ready");
}

/// Seen with 1,000 random schedules: the update was paused, or had got another target, and `RabbitMQ` came back with the
/// images of the deployed version, older than its data.
#[rstest]
#[case::paused(|sim: &mut Sim| sim.spec().update.paused = true, NEW)]
#[case::held(|sim: &mut Sim| sim.spec().update.hold_after = Some(StepName::Mariadb), NEW)]
#[case::another_target(|sim: &mut Sim| sim.target(NEWER), NEW)]
#[case::paused_and_another_target(|sim: &mut Sim| {
    sim.spec().update.paused = true;
    sim.pass();
    sim.target(NEWER);
    sim.pass();
}, NEW)]
fn what_was_moved_and_is_deleted_comes_back_as_it_was(#[case] turn: fn(&mut Sim), #[case] version: &str) {
    let mut sim = Sim::installed(None, OLD);
    for version in [NEW, NEWER] {
        sim.world.bundle = bundle(version).into();
        sim.settle();
    }
    sim.target(NEW);
    sim.until(StepName::Mariadb);
    turn(&mut sim);
    sim.delete("RabbitMq", "rabbitmq");
    sim.delete("Memcached", "memcached");
    sim.pass();
    let image = |kind: &str, name: &str| sim.text(kind, name, "spec.containerImage");
    assert_eq!(image("RabbitMq", "rabbitmq"), image_of("rabbitmqImage", version));
    assert_eq!(image("Memcached", "memcached"), image_of("infraMemcachedImage", OLD), "its step has not come");
}

#[test]
fn what_was_written_and_deleted_before_it_was_seen_comes_back_as_it_was_written() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Rabbitmq);
    sim.pass();
    sim.spec().update.paused = true;
    sim.delete("RabbitMq", "rabbitmq");
    sim.pass();
    assert_eq!(sim.text("RabbitMq", "rabbitmq", "spec.containerImage"), image_of("rabbitmqImage", NEW));
}

/// Found by the law `no_image_steps_back`: a step that was done is held again when its images change.
#[test]
fn what_was_moved_and_waits_for_another_custom_image_comes_back_with_it() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Mariadb);
    let fix = "fix.io/rabbitmq:1";
    sim.spec().update.hold_after = Some(StepName::OvnDataplane);
    sim.spec().custom_container_images = custom(json!({"rabbitmqImage": fix}));
    sim.settle();
    let image = |sim: &Sim| sim.text("RabbitMq", "rabbitmq", "spec.containerImage");
    assert_eq!(image(&sim), image_of("rabbitmqImage", NEW), "held");
    sim.delete("RabbitMq", "rabbitmq");
    sim.settle();
    assert_eq!(image(&sim), fix);
}
