//! Which targets are taken, when.

use api::{
    annotation,
    condition::Status,
    step::StepName,
    version::{HistoryEntry, UpdateResult},
};
use plan::release::Objects;
use rstest::rstest;
use serde_json::json;

use crate::support::{NEW, NEWER, OLD, Sim, bundle, image_of, nodeset};

fn refused(sim: &mut Sim, reason: &str) -> String {
    sim.pass();
    let (status, found, message) = sim.condition("TargetVersionValid");
    assert_eq!((status, found.as_str()), (Status::False, reason), "{message}");
    assert!(message.contains("spec.targetVersion"), "{message}");
    assert_eq!(sim.condition("Ready").1, reason);
    message
}

#[rstest]
#[case("9.9.9")]
#[case("latest")]
#[case("1.0")]
fn an_unknown_version_is_refused_naming_the_known_ones(#[case] target: &str) {
    let mut sim = Sim::installed(Some(&["placement"]), OLD);
    sim.world.bundle = bundle(NEW).into();
    sim.pass();
    let writes = sim.writes;
    sim.target(target);
    assert!(refused(&mut sim, "UnknownVersion").ends_with("set it to one of: 1.0.1, 1.0.0"));
    sim.settle();
    assert_eq!(sim.writes, writes);
    assert_eq!(sim.notes.iter().filter(|note| note.starts_with("Refused")).count(), 1);
}

#[test]
fn rollback_is_refused_and_allowed_by_annotation_in_the_same_order() {
    let mut sim = Sim::updating(Some(&["galera", "placement"]), OLD, NEW);
    sim.finish();
    sim.target(OLD);
    assert!(refused(&mut sim, "RollbackNotSupported").contains(annotation::ALLOW_ROLLBACK));
    sim.annotate(annotation::ALLOW_ROLLBACK, "false");
    refused(&mut sim, "RollbackNotSupported");
    sim.annotate(annotation::ALLOW_ROLLBACK, "true");
    sim.until(StepName::Mariadb);
    assert_eq!(sim.text("PlacementAPI", "placement", "spec.containerImage"), image_of("placementAPIImage", NEW));
    sim.finish();
    assert_eq!(sim.deployed(), Some(OLD));
}

/// What may become the target stays known; of what may not, one version.
#[rstest]
#[case::in_production(None, &[NEW, NEWER])]
#[case::in_development(Some("true"), &[OLD, NEW, NEWER])]
fn versions_that_nobody_may_go_to_are_forgotten(#[case] rollback: Option<&str>, #[case] known: &[&str]) {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.finish();
    let versions = |sim: &Sim| sim.status().container_image_version_defaults.keys().cloned().collect::<Vec<_>>();
    assert_eq!(versions(&sim), [OLD, NEW], "the one before");
    if let Some(rollback) = rollback {
        sim.annotate(annotation::ALLOW_ROLLBACK, rollback);
    }
    sim.world.bundle = bundle(NEWER).into();
    sim.settle();
    assert_eq!(versions(&sim), known);
    // Those in between may become the target.
    sim.world.bundle = bundle("1.0.3").into();
    sim.settle();
    assert_eq!(versions(&sim), [NEW, NEWER, "1.0.3"]);
    sim.target(NEWER);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEWER));
}

#[test]
fn a_newer_target_restarts_the_walk() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    sim.world.bundle = bundle(NEWER).into();
    sim.pass();
    sim.target(NEWER);
    sim.pass();
    assert_eq!(sim.update().step, Some(StepName::OvnControlplane));
    assert_eq!((sim.update().from.as_str(), sim.update().to.as_str()), (OLD, NEWER));
    assert!(sim.update().steps[0].message.starts_with("re-opened because its images changed"));
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEWER));
    let results: Vec<_> = sim.status().history.iter().map(|entry| entry.result).collect();
    assert_eq!(results, [UpdateResult::Installed, UpdateResult::Superseded, UpdateResult::Completed]);
}

#[test]
fn an_update_can_be_taken_back_while_only_ovn_has_moved() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets = Objects::Known(vec![nodeset("edpm", 1, Sim::deployed_with(OLD))]);
    sim.settle();
    assert!(sim.update().revertible, "{:?}", sim.update().not_revertible_reason);
    sim.target(OLD);
    sim.finish();
    assert_eq!(sim.deployed(), Some(OLD));
    assert_eq!(
        sim.text("OVNController", "ovncontroller", "spec.ovnContainerImage"),
        image_of("ovnControllerImage", OLD)
    );
    assert!(sim.status().history.iter().any(|entry| entry.result == UpdateResult::Aborted));
    assert!(sim.notes.iter().any(|note| note.starts_with("UpdateAborted")));
}

/// The history as a person reads it.
fn history(sim: &Sim) -> Vec<String> {
    let entry = |entry: &HistoryEntry| format!("{} {} -> {}", entry.result, entry.from, entry.to);
    sim.status().history.iter().skip(1).map(entry).collect()
}

fn noted(sim: &Sim, reason: &str) -> Vec<String> {
    sim.notes.iter().filter_map(|note| note.strip_prefix(&format!("{reason}: "))).map(str::to_owned).collect()
}

/// It is the end of the update that it takes back, and no update of its own.
#[test]
fn a_return_is_told_once_in_the_history_and_its_end_in_a_note() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::OvnControlplane);
    (0..2).for_each(|_| drop(sim.pass()));
    sim.target(OLD);
    sim.pass();
    let ended = sim.status().history.last().unwrap().finished_at;
    let ready = sim.condition("Ready").2;
    assert!(ready.starts_with("return to 1.0.0: step ovn-controlplane: "), "{ready}");
    assert_eq!(noted(&sim, "UpdateReturned"), Vec::<String>::new());
    sim.finish();
    assert_eq!((sim.deployed(), sim.condition("Ready").0), (Some(OLD), Status::True));
    assert_eq!(history(&sim), ["Aborted 1.0.0 -> 1.0.1"]);
    assert_eq!(sim.status().history.last().unwrap().finished_at, ended, "it ended when the target returned");
    assert_eq!(noted(&sim, "UpdateReturned"), ["1.0.0 is deployed as it was before"]);
    assert_eq!(noted(&sim, "UpdateStarted"), ["update from 1.0.0 to 1.0.1"]);
    assert_eq!(noted(&sim, "UpdateCompleted"), Vec::<String>::new());
}

#[test]
fn a_return_before_anything_moved_is_told_the_same() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.pass();
    sim.target(OLD);
    sim.finish();
    assert_eq!(history(&sim), ["Aborted 1.0.0 -> 1.0.1"]);
    assert_eq!(noted(&sim, "UpdateReturned").len(), 1);
}

#[test]
fn a_return_that_turns_forward_again_was_no_update_either() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::OvnControlplane);
    (0..2).for_each(|_| drop(sim.pass()));
    sim.target(OLD);
    sim.pass();
    sim.target(NEW);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert_eq!(history(&sim), ["Aborted 1.0.0 -> 1.0.1", "Completed 1.0.0 -> 1.0.1"]);
    assert_eq!((noted(&sim, "UpdateReturned").len(), noted(&sim, "UpdateSuperseded").len()), (0, 0));
}

#[rstest]
#[case(StepName::Rabbitmq, "RabbitMq/rabbitmq")]
#[case(StepName::Mariadb, "RabbitMq/rabbitmq")]
fn not_once_rabbitmq_or_mariadb_have_begun(#[case] step: StepName, #[case] named: &str) {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(step);
    assert!(!sim.update().revertible);
    sim.target(OLD);
    let message = refused(&mut sim, "NotRevertible");
    assert!(message.contains(named), "{message}");
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW), "the accepted target stays in force");
}

/// Its data stay what they are, wherever the object is.
#[rstest]
#[case::deleted(|sim: &mut Sim| sim.delete("Galera", "openstack"))]
#[case::unreadable(|sim: &mut Sim| {
    sim.world.kinds.insert("Galera.mariadb.openstack.org".into(), Objects::Unreadable("forbidden".into()));
})]
#[case::disabled(|sim: &mut Sim| sim.cloud("/galera/enabled", json!(false)))]
fn nor_while_they_cannot_be_seen(#[case] hide: fn(&mut Sim)) {
    let mut sim = Sim::installed(None, OLD);
    sim.world.bundle = bundle(NEW).into();
    sim.bundle().images.insert("rabbitmqImage".into(), image_of("rabbitmqImage", OLD));
    sim.settle();
    sim.target(NEW);
    sim.until(StepName::Keystone);
    assert!(!sim.update().revertible);
    hide(&mut sim);
    sim.pass();
    assert!(!sim.update().revertible, "{:?}", sim.update());
    sim.target(OLD);
    assert!(refused(&mut sim, "NotRevertible").contains("step mariadb"));
}

#[test]
fn keystone_does_not_go_back_once_it_has_contracted_whatever_its_phase() {
    let mut sim = Sim::updating(Some(&["keystone", "placement"]), OLD, NEW);
    sim.until(StepName::Keystone);
    sim.pass();
    let keystone = sim.one("Keystone", "keystone");
    keystone.data["status"]["upgradePhase"] = json!("RollingUpdate");
    keystone.data["status"]["upgrade"] = json!({"contracted": true});
    sim.pass();
    assert!(!sim.update().revertible);
    sim.target(OLD);
    assert!(refused(&mut sim, "NotRevertible").contains("Keystone/keystone"));
}

#[test]
fn but_when_their_images_are_the_same() {
    let mut sim = Sim::installed(None, OLD);
    sim.world.bundle = bundle(NEW).into();
    for image in ["rabbitmqImage", "mariadbImage"] {
        sim.bundle().images.insert(image.into(), image_of(image, OLD));
    }
    sim.settle();
    sim.target(NEW);
    sim.until(StepName::Keystone);
    sim.target(OLD);
    sim.pass();
    assert_eq!(sim.condition("TargetVersionValid").0, Status::True);
    sim.finish();
    assert_eq!(sim.deployed(), Some(OLD));
}

#[rstest]
#[case("Expanding", false, true)]
#[case("Migrating", false, true)]
#[case("RollingUpdate", false, true)]
#[case("Contracting", false, false)]
#[case::preparing("", false, true)]
#[case::through("", true, false)]
fn keystone_goes_back_before_it_contracts(#[case] phase: &str, #[case] installed: bool, #[case] may: bool) {
    let mut sim = Sim::updating(Some(&["keystone", "placement"]), OLD, NEW);
    sim.until(StepName::Keystone);
    sim.pass();
    let keystone = sim.one("Keystone", "keystone");
    keystone.data["status"]["upgradePhase"] = json!(phase);
    if installed {
        let image = image_of("keystoneAPIImage", NEW);
        keystone.data["status"]["installedImage"] = json!(image);
    }
    sim.pass();
    assert_eq!(sim.update().revertible, may, "{:?}", sim.update().not_revertible_reason);
    sim.target(OLD);
    if may {
        sim.finish();
        assert_eq!(sim.deployed(), Some(OLD));
    } else {
        assert!(refused(&mut sim, "NotRevertible").contains("Keystone/keystone"));
    }
}

#[test]
fn an_older_version_in_between_is_refused_during_an_update() {
    let mut sim = Sim::installed(Some(&["placement"]), OLD);
    for version in [NEW, NEWER] {
        sim.world.bundle = bundle(version).into();
        sim.pass();
    }
    sim.target(NEWER);
    sim.pass();
    sim.target(NEW);
    assert!(refused(&mut sim, "NotRevertible").contains("may only move on to a newer version or return to 1.0.0"));
}

/// A crash after the first write and before the report, and the target returns: nothing may have moved unseen.
#[test]
fn a_begun_step_is_recorded_before_its_images_are_written() {
    let mut sim = Sim::updating(Some(&["rabbitmq"]), OLD, NEW);
    for _ in 0..4 {
        let plan = crate::support::checked(&sim.world);
        sim.act(&plan);
    }
    assert_eq!(sim.text("RabbitMq", "rabbitmq", "spec.containerImage"), image_of("rabbitmqImage", OLD));
    sim.target(OLD);
    sim.settle();
    assert_eq!(sim.deployed(), Some(OLD));
}

#[test]
fn an_empty_target_is_what_was_accepted_before_and_never_the_latest() {
    let mut sim = Sim::installed(Some(&["placement"]), OLD);
    sim.world.bundle = bundle(NEW).into();
    sim.pass();
    sim.target("");
    sim.settle();
    assert_eq!(sim.world.version_spec().unwrap().target_version, OLD);
    assert_eq!(sim.deployed(), Some(OLD));
}
