//! The bundle brings other images for a version that is in use.

use api::{
    condition::Status,
    step::StepName,
    version::{StepState, UpdateResult},
};
use plan::release::Objects;

use crate::support::{NEW, OLD, Sim, bundle, image_of, nodeset};

fn respun(version: &str) -> plan::release::Bundle {
    let mut bundle = bundle(version);
    for name in ["glanceAPIImage", "mariadbImage"] {
        bundle.images.insert(name.into(), format!("respun.io/{}:{version}", name.to_lowercase()));
    }
    bundle
}

fn hash_asked_for(sim: &Sim) -> String {
    let (status, reason, message) = sim.condition("ImageSetConfirmed");
    assert_eq!((status, reason.as_str()), (Status::False, "ImageSetChanged"));
    assert!(message.contains("glanceAPIImage, mariadbImage"), "{message}");
    let hash = message.rsplit(' ').next().unwrap();
    assert_eq!(sim.status().unconfirmed_image_set.as_deref(), Some(hash));
    hash.to_owned()
}

#[test]
fn a_respin_is_held_then_confirmed_then_applied_in_order() {
    let mut sim = Sim::installed(None, OLD);
    sim.world.bundle = respun(OLD).into();
    let writes = sim.writes;
    sim.settle();
    assert_eq!((sim.writes, sim.condition("Ready").0), (writes, Status::True));
    let hash = hash_asked_for(&sim);
    sim.spec().update.confirm_image_set = Some("wrong".into());
    sim.settle();
    assert_eq!(sim.writes, writes);
    sim.spec().update.confirm_image_set = Some(hash);
    sim.until(StepName::Mariadb);
    assert_eq!((sim.update().from.as_str(), sim.update().to.as_str()), (OLD, OLD));
    assert!(
        sim.condition("Ready").2.starts_with("new images of 1.0.0: step mariadb: "),
        "{:?}",
        sim.condition("Ready")
    );
    sim.pass();
    assert_eq!(sim.text("Galera", "openstack", "spec.containerImage"), "respun.io/mariadbimage:1.0.0");
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", OLD));
    sim.finish();
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), "respun.io/glanceapiimage:1.0.0");
    assert_eq!(sim.condition("ImageSetConfirmed").0, Status::True);
    assert_eq!(sim.status().unconfirmed_image_set, None);
    sim.spec().update.confirm_image_set = None;
    sim.settle();
    assert!(sim.status().update.is_none());
    let last = sim.status().history.last().unwrap();
    assert_eq!((last.from.as_str(), last.to.as_str(), last.result), (OLD, OLD, UpdateResult::Completed));
    let ends = ["UpdateStarted", "UpdateCompleted"].map(|end| format!("{end}: new images of 1.0.0"));
    assert!(ends.iter().all(|end| sim.notes.contains(end)), "{:#?}", sim.notes);
}

/// Waiting for a confirmation is waiting for a person; what it opens again has its whole time.
#[test]
fn a_respin_that_waits_for_its_confirmation_never_stalls() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets = Objects::Known(vec![nodeset("edpm", 1, Sim::deployed_with(OLD))]);
    sim.until(StepName::Dataplane);
    sim.world.bundle = respun(NEW).into();
    sim.pass();
    let hash = hash_asked_for(&sim);
    sim.tick(86_400);
    sim.settle();
    assert_eq!(sim.update().steps.last().unwrap().state, StepState::Waiting);
    sim.spec().update.confirm_image_set = Some(hash);
    sim.pass();
    assert_eq!(sim.condition("MinorUpdateMariaDB").1, "Requested");
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert!(!sim.notes.iter().any(|note| note.starts_with("StepStalled")), "{:#?}", sim.notes);
}

#[test]
fn a_respin_of_the_target_in_the_middle_is_held_too() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Controlplane);
    sim.world.bundle = respun(NEW).into();
    sim.pass();
    let hash = hash_asked_for(&sim);
    assert_eq!(sim.update().step, Some(StepName::Controlplane));
    sim.spec().update.confirm_image_set = Some(hash);
    sim.pass();
    assert_eq!(sim.update().step, Some(StepName::Mariadb), "re-opened");
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert_eq!(sim.text("Galera", "openstack", "spec.containerImage"), "respun.io/mariadbimage:1.0.1");
}

#[test]
fn a_respin_during_the_first_installation_is_taken_at_once() {
    let mut sim = Sim::new(None, bundle(OLD));
    (0..3).for_each(|_| drop(sim.pass()));
    sim.world.bundle = respun(OLD).into();
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), "respun.io/glanceapiimage:1.0.0");
}

#[test]
fn a_respin_of_a_version_that_is_only_available_is_taken() {
    let mut sim = Sim::installed(None, OLD);
    for bundle in [bundle(NEW), respun(NEW)] {
        sim.world.bundle = bundle.into();
        sim.settle();
        assert_eq!(sim.condition("ImageSetConfirmed").0, Status::True);
    }
    assert!(sim.status().container_image_version_defaults[NEW]["mariadbImage"].starts_with("respun.io"));
}
