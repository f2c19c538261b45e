//! The order of an update, and what counts as done.

use std::sync::Arc;

use api::{
    DynamicObject,
    condition::Status,
    step::{MINOR_UPDATE, Step, StepName},
    version::{ServiceState, StepState},
};
use plan::release::Objects;
use rstest::rstest;
use serde_json::json;

use crate::support::{NEW, NEWER, OLD, Sim, bundle, checked, nodeset};

fn state(sim: &Sim, step: StepName) -> StepState {
    sim.update().steps.iter().find(|status| status.name == step).unwrap().state
}

#[test]
fn the_whole_sequence_runs_in_order_and_says_so() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets =
        Objects::Known(vec![nodeset("edpm", 1, Sim::deployed_with(OLD)), nodeset("empty", 0, json!({}))]);
    for step in MINOR_UPDATE {
        sim.until(step.name);
        assert_eq!(sim.condition(step.condition).0, Status::False, "{}", step.condition);
        let later = MINOR_UPDATE.iter().skip_while(|other| other.name != step.name).skip(1);
        for later in later {
            assert_eq!(sim.condition(later.condition).1, "Init", "{}", later.condition);
        }
        assert_eq!(sim.deployed(), Some(OLD), "deployedVersion moves at the end only");
    }
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert_eq!(sim.condition("Ready").0, Status::True);
    let finished: Vec<_> = sim.notes.iter().filter(|note| note.starts_with("StepFinished")).collect();
    assert_eq!(finished.len(), MINOR_UPDATE.len(), "{finished:#?}");
    let started = sim.notes.iter().filter(|note| note.starts_with("StepStarted")).count();
    let waited = sim.notes.iter().filter(|note| note.starts_with("StepWaiting")).count();
    assert_eq!((started, waited), (6, 2));
    assert_eq!(sim.status().history.last().unwrap().to, NEW);
    assert!(api::condition::find(&sim.status().conditions, "MinorUpdateKeystone").is_none());
}

/// Upstream's scripts `oc wait` for the condition of each step, that of the last one, too. It goes when the update ends.
#[rstest]
#[case::with_nodesets(&[nodeset("edpm", 1, Sim::deployed_with(OLD))])]
#[case::without(&[])]
fn the_condition_of_every_step_was_true_before_the_update_ended(#[case] nodesets: &[Arc<DynamicObject>]) {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets = Objects::Known(nodesets.to_vec());
    let seen = ends(&mut sim);
    let [.., all_true, ended] = seen.as_slice() else { panic!("{seen:#?}") };
    let conditions: Vec<&str> = MINOR_UPDATE.iter().map(|step| step.condition).collect();
    assert_eq!(*all_true, (Some(OLD.to_owned()), conditions));
    assert_eq!(*ended, (Some(NEW.to_owned()), Vec::new()));
    assert_eq!(sim.status().history.iter().filter(|entry| entry.to == NEW).count(), 1);
}

/// A crash right before the last status: nothing is done twice, and the update ends all the same.
#[test]
fn an_update_whose_last_step_is_recorded_ends_after_a_restart() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Controlplane);
    while sim.status().update.as_ref().is_some_and(|update| update.step.is_some()) {
        sim.round();
    }
    assert_eq!(sim.deployed(), Some(OLD));
    let (_, reason, message) = sim.condition("Ready");
    assert_eq!(reason, "Requested");
    assert!(message.contains("every step is done; status.deployedVersion follows"), "{message}");
    let lost = checked(&sim.world);
    assert_eq!(lost.actions, []);
    sim.tick(3600);
    assert_eq!(sim.pass().actions, []);
    assert_eq!((sim.deployed(), sim.condition("Ready").0), (Some(NEW), Status::True));
    let completed = sim.notes.iter().filter(|note| note.starts_with("UpdateCompleted")).count();
    let finished = sim.notes.iter().filter(|note| note.starts_with("StepFinished: step controlplane")).count();
    assert_eq!((completed, finished), (1, 1));
}

/// An update to its end: what each status said was deployed, and the steps whose conditions it had True, without repetition.
fn ends(sim: &mut Sim) -> Vec<(Option<String>, Vec<&'static str>)> {
    let mut seen = Vec::new();
    sim.rounds(120, |sim| {
        sim.administrator();
        let is_true = |step: &&Step| api::condition::is_true(&sim.status().conditions, step.condition);
        let all_true = MINOR_UPDATE.iter().filter(is_true).map(|step| step.condition).collect();
        seen.push((sim.deployed().map(str::to_owned), all_true));
    });
    seen.dedup();
    seen
}

/// Peer: 2.10h: without Keystone the openstackclient never gets ready.
#[rstest]
#[case::rabbitmq("rabbitmq", StepName::Rabbitmq)]
#[case::mariadb("galera", StepName::Mariadb)]
#[case::memcached("memcached", StepName::Memcached)]
#[case::keystone("keystone", StepName::Keystone)]
#[case::ovn("ovn", StepName::OvnControlplane)]
fn a_disabled_service_does_not_stop_the_walk(#[case] section: &str, #[case] step: StepName) {
    let sections: Vec<&str> = api::service::sections().into_iter().filter(|name| *name != section).collect();
    let mut sim = Sim::updating(Some(&sections), OLD, NEW);
    sim.until(StepName::Controlplane);
    assert_eq!(state(&sim, step), StepState::NotNeeded);
    assert!(sim.update().steps.iter().find(|s| s.name == step).unwrap().message.contains("is not enabled"));
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

/// Peer: 2.10g: the first instance that is ready stands for all.
#[rstest]
#[case("Galera", "openstack-cell1", StepName::Mariadb)]
#[case("RabbitMq", "rabbitmq-cell1", StepName::Rabbitmq)]
fn one_instance_that_lags_holds_its_step(#[case] kind: &str, #[case] name: &str, #[case] step: StepName) {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(step);
    for _ in 0..4 {
        sim.pass();
        sim.services();
        sim.break_one(kind, name, "resynchronising");
    }
    assert_eq!(sim.update().step, Some(step));
    let message = &sim.update().steps.iter().find(|status| status.name == step).unwrap().message;
    assert!(message.contains(name) && message.contains("resynchronising"), "{message}");
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

/// `Ready` with a stale observedGeneration belongs to the old image.
#[test]
fn ready_from_another_spec_does_not_finish_a_step() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Mariadb);
    (0..5).for_each(|_| drop(sim.pass()));
    assert_eq!(sim.update().step, Some(StepName::Mariadb));
    assert_eq!(sim.text("Galera", "openstack", "spec.containerImage"), "quay.io/cloud/mariadbimage:1.0.1");
    assert!(sim.condition("MinorUpdateMariaDB").2.contains("observedGeneration should be 2, is 1"));
    sim.serve("Galera");
    sim.pass();
    assert_ne!(sim.update().step, Some(StepName::Mariadb));
}

#[test]
fn keystone_is_done_when_the_new_image_is_installed_and_no_upgrade_runs() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    (0..2).for_each(|_| drop(sim.pass()));
    sim.serve("Keystone");
    sim.one("Keystone", "keystone").data["status"]["targetRelease"] = json!("2025.2");
    sim.pass();
    assert!(sim.condition("MinorUpdateKeystone").2.contains("status.targetRelease should be empty"));
    sim.one("Keystone", "keystone").data["status"]["targetRelease"] = json!("");
    sim.one("Keystone", "keystone").data["status"]["installedImage"] = json!("quay.io/cloud/keystoneapiimage:1.0.0");
    sim.pass();
    assert!(sim.condition("MinorUpdateKeystone").2.contains("status.installedImage should be"));
    sim.serve("Keystone");
    sim.pass();
    assert_eq!(state(&sim, StepName::Keystone), StepState::Done);
}

/// Peer: 9.10, #1966: OVN flaps, and later stages go back.
#[test]
fn a_service_that_flaps_after_its_step_shows_and_does_not_rewind() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    sim.break_one("Galera", "openstack", "lost quorum");
    sim.pass();
    assert_eq!(sim.update().step, Some(StepName::Keystone));
    assert_eq!(state(&sim, StepName::Mariadb), StepState::Done);
    let line = sim.status().services.iter().find(|line| line.name == "galera").unwrap();
    assert!(
        line.state == ServiceState::NotReady && line.message.contains("1 of 2") && line.message.contains("lost quorum")
    );
    assert_eq!(sim.cp_condition("Ready").0, Status::False);
    assert_eq!(sim.cp_condition("OpenStackControlPlaneMariaDBReady").0, Status::False);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

#[test]
fn an_update_is_not_done_while_a_service_of_a_finished_step_is_down_but_says_so_in_ready() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.finish();
    sim.break_one("Galera", "openstack", "lost quorum");
    sim.pass();
    assert_eq!(sim.deployed(), Some(NEW));
    assert!(sim.condition("Ready").2.contains("lost quorum"));
}

#[test]
fn each_service_is_written_once_for_each_image_change() {
    let mut sim = Sim::updating(None, OLD, NEW);
    let writes = sim.writes;
    sim.finish();
    let objects: usize = sim.world.kinds.values().flatten().count();
    assert_eq!(sim.writes - writes, objects);
}

#[test]
fn the_history_is_bounded() {
    let mut sim = Sim::installed(Some(&["placement"]), OLD);
    for patch in 1..15 {
        let version = format!("1.0.{patch}");
        sim.world.bundle = bundle(&version).into();
        sim.settle();
        sim.target(&version);
        sim.finish();
        assert_eq!(sim.deployed(), Some(version.as_str()));
    }
    assert_eq!(sim.status().history.len(), api::version::HISTORY_MAX);
    assert_eq!(sim.status().history.last().unwrap().to, "1.0.14");
}

#[test]
fn a_skipped_version_is_no_trouble() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.target(OLD);
    sim.world.bundle = bundle(NEWER).into();
    sim.settle();
    sim.target(NEWER);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEWER));
}
