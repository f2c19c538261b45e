//! Pause, hold, deadline, preview.

use api::{
    annotation,
    condition::Status,
    step::{MINOR_UPDATE, StepName},
    version::{DataplaneMode, ImageValue, StepState},
};
use plan::release::{Objects, preview};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{NEW, OLD, Sim, bundle, image_of, nodeset};

/// The steps that the operator moves itself.
fn own_steps() -> impl Iterator<Item = StepName> {
    MINOR_UPDATE.iter().filter(|step| step.scope == api::step::Scope::Services).map(|step| step.name)
}

#[test]
fn a_pause_at_any_step_writes_no_new_image_and_still_applies_templates() {
    for step in own_steps() {
        let mut sim = Sim::updating(None, OLD, NEW);
        sim.until(step);
        sim.spec().update.paused = true;
        sim.pass();
        let before = crate::support::random::Recipe::versions(&sim);
        sim.cloud("/glance/template/replicas", json!(7));
        sim.cloud("/galera/templates/openstack/replicas", json!(5));
        sim.settle();
        assert_eq!(sim.field("Glance", "glance", "spec.replicas"), Some(json!(7)));
        assert_eq!(sim.field("Galera", "openstack", "spec.replicas"), Some(json!(5)));
        assert_eq!(crate::support::random::Recipe::versions(&sim), before, "{step}");
        let held = sim.update().steps.iter().find(|status| !status.state.is_finished()).unwrap();
        assert_eq!(held.state, StepState::Held);
        assert!(held.message.starts_with("spec.update.paused is true"), "{}", held.message);
        sim.tick(86_400);
        sim.spec().update.paused = false;
        sim.finish();
        assert_eq!(sim.deployed(), Some(NEW), "{step}");
    }
}

#[test]
fn a_hold_stops_after_each_step_and_goes_on_when_removed() {
    let positions = MINOR_UPDATE.iter().enumerate().take(MINOR_UPDATE.len() - 1);
    for (index, step) in positions {
        let next = &MINOR_UPDATE[index + 1];
        let mut sim =
            Sim::updating(Some(&["ovn", "rabbitmq", "galera", "memcached", "keystone", "placement"]), OLD, NEW);
        sim.spec().update.hold_after = Some(step.name);
        sim.finish();
        assert_eq!(sim.update().step, Some(next.name));
        let (_, reason, message) = sim.condition(next.condition);
        assert_eq!(reason, "Held");
        assert!(message.contains(&format!("spec.update.holdAfter is {}", step.name)), "{message}");
        assert_eq!(sim.notes.iter().filter(|note| note.starts_with("StepHeld")).count(), 1);
        sim.tick(86_400);
        sim.pass();
        assert_eq!(sim.condition(next.condition).1, "Held", "a hold never stalls");
        sim.spec().update.hold_after = None;
        sim.finish();
        assert_eq!(sim.deployed(), Some(NEW));
    }
}

#[test]
fn the_annotation_holds_too_and_the_earlier_of_the_two_wins() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.spec().update.hold_after = Some(StepName::Keystone);
    sim.annotate(annotation::TARGET_STAGE, "rabbitmq");
    sim.settle();
    assert_eq!(sim.update().step, Some(StepName::Mariadb));
    assert!(sim.condition("MinorUpdateMariaDB").2.contains(annotation::TARGET_STAGE));
    sim.annotate(annotation::TARGET_STAGE, "controlplane");
    sim.settle();
    assert_eq!(sim.update().step, Some(StepName::Controlplane));
}

#[test]
fn a_stage_that_is_none_holds_everything_and_says_so() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.annotate(annotation::TARGET_STAGE, "");
    sim.settle();
    assert_eq!(sim.update().step, Some(StepName::OvnControlplane));
    let (_, reason, message) = sim.condition("UpdateOptionsValid");
    assert_eq!(reason, "NotSupported");
    assert!(message.contains("must be one of: ovn-controlplane, ovn-dataplane, rabbitmq"), "{message}");
}

#[test]
fn automatic_dataplane_is_refused_saying_so() {
    let mut sim = Sim::installed(Some(&["placement"]), OLD);
    sim.spec().update.dataplane = DataplaneMode::Automatic;
    sim.pass();
    assert!(sim.condition("UpdateOptionsValid").2.contains("spec.update.dataplane"));
}

#[test]
fn a_step_stalls_after_its_deadline_and_recovers() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.spec().update.step_deadline = Some("5m".into());
    sim.until(StepName::Mariadb);
    let plan = sim.pass();
    let due = plan.next.unwrap();
    sim.world.now = due;
    sim.pass();
    let (_, reason, message) = sim.condition("MinorUpdateMariaDB");
    assert_eq!(reason, "Stalled");
    assert!(message.contains("spec.update.stepDeadline") && message.contains("Galera/openstack"), "{message}");
    assert_eq!(sim.notes.iter().filter(|note| note.starts_with("StepStalled")).count(), 1);
    assert_eq!(sim.pass().notes, []);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

/// What needs a person, at the step that it stops, and how the person helps. However long that takes, nothing stalls,
/// and once it is done the step has its whole time.
#[rstest]
#[case::image("Memcached", "MissingImage", |sim: &mut Sim| {
    sim.spec().custom_container_images.insert("infraMemcachedImage".into(), ImageValue::Image("?".into()));
}, |sim: &mut Sim| sim.spec().custom_container_images.clear())]
#[case::kind("Memcached", "KindNotInstalled", |sim: &mut Sim| {
    sim.world.kinds.insert("Memcached.memcached.openstack.org".into(), Objects::Absent);
}, |sim: &mut Sim| {
    sim.world.kinds.insert("Memcached.memcached.openstack.org".into(), Objects::Known(Vec::new()));
})]
#[case::section("Memcached", "Waiting", |sim: &mut Sim| sim.cloud("/memcached/templates", json!("?")),
    |sim: &mut Sim| sim.cloud("/memcached/templates", json!({"memcached": {}})))]
#[case::template("Keystone", "Waiting", |sim: &mut Sim| sim.cloud("/keystone/template/federation", json!({"x": 1})),
    |sim: &mut Sim| sim.cloud("/keystone/template/federation", Value::Null))]
fn what_waits_for_a_person_never_stalls(
    #[case] step: &str,
    #[case] reason: &str,
    #[case] trouble: fn(&mut Sim),
    #[case] help: fn(&mut Sim),
) {
    let condition = format!("MinorUpdate{step}");
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(MINOR_UPDATE.iter().find(|row| row.condition == condition).unwrap().name);
    trouble(&mut sim);
    sim.settle();
    let name = sim.update().step.unwrap();
    for _ in 0..3 {
        let status = sim.update().steps.iter().find(|status| status.name == name).unwrap();
        assert_eq!((status.state, sim.condition(&condition).1.as_str()), (StepState::Waiting, reason), "{status:?}");
        assert_eq!(sim.pass().next, None, "there is nothing to look again for");
        sim.tick(86_400);
    }
    help(&mut sim);
    sim.pass();
    let status = sim.update().steps.iter().find(|status| status.name == name).unwrap();
    assert_eq!(status.state, StepState::Running, "{status:?}");
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert!(!sim.notes.iter().any(|note| note.starts_with("StepStalled")), "{:#?}", sim.notes);
}

/// Nor does a step that stalled before it was stopped.
#[rstest]
#[case::pause(|sim: &mut Sim, on| sim.spec().update.paused = on)]
#[case::hold(|sim: &mut Sim, on: bool| sim.spec().update.hold_after = on.then_some(StepName::Rabbitmq))]
fn a_stalled_step_that_is_stopped_is_held_and_begins_anew(#[case] stop: fn(&mut Sim, bool)) {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Mariadb);
    sim.pass();
    sim.tick(86_400);
    sim.pass();
    assert_eq!(sim.condition("MinorUpdateMariaDB").1, "Stalled");
    stop(&mut sim, true);
    for _ in 0..3 {
        sim.pass();
        assert_eq!(sim.condition("MinorUpdateMariaDB").1, "Held");
        sim.tick(86_400);
    }
    stop(&mut sim, false);
    sim.pass();
    assert_eq!(sim.condition("MinorUpdateMariaDB").1, "Requested");
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

#[test]
fn a_preview_says_what_each_step_would_do() {
    let mut sim = Sim::installed(None, OLD);
    sim.world.bundle = bundle(NEW).into();
    sim.world.nodesets = Objects::Known(vec![nodeset("edpm", 1, Sim::deployed_with(OLD))]);
    sim.settle();
    let preview = preview(&sim.world, NEW);
    assert_eq!((preview.from.as_str(), preview.to.as_str(), &preview.refusal), (OLD, NEW, &None));
    assert_eq!(preview.steps.len(), MINOR_UPDATE.len());
    let mariadb = preview.steps.iter().find(|step| step.name == "mariadb").unwrap();
    assert_eq!(mariadb.changes.len(), 2);
    assert_eq!(mariadb.changes[0].object, "Galera/openstack");
    assert_eq!(mariadb.changes[0].old, image_of("mariadbImage", OLD));
    assert_eq!(mariadb.changes[0].new, image_of("mariadbImage", NEW));
    let keystone = preview.steps.iter().find(|step| step.name == "keystone").unwrap();
    assert_eq!(keystone.changes[0].new, image_of("keystoneAPIImage", NEW));
    for name in ["ovn-dataplane", "dataplane"] {
        let step = preview.steps.iter().find(|step| step.name == name).unwrap();
        assert!(step.by_hand.as_ref().unwrap().contains("OpenStackDataPlaneDeployment"), "{step:?}");
    }
}

#[test]
fn a_preview_tells_a_refusal_and_changes_nothing() {
    let sim = Sim::installed(None, NEW);
    let refused = preview(&sim.world, "9.9.9");
    assert!(refused.refusal.unwrap().contains("not a version whose images are known"));
    assert!(refused.steps.iter().all(|step| step.changes.is_empty()));
    assert!(preview(&sim.world, NEW).steps.iter().all(|step| step.changes.is_empty()));
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.finish();
    let back = preview(&sim.world, OLD);
    assert!(back.refusal.unwrap().contains("rollback is not supported"));
    assert_eq!(sim.condition("Ready").0, Status::True);
}
