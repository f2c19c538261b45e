//! The two steps that an administrator makes.

use api::{condition::Status, step::StepName, version::StepState};
use plan::release::Objects;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{NEW, OLD, Sim, image_of, nodeset};

fn step(sim: &Sim, name: StepName) -> (StepState, String) {
    let step = sim.update().steps.iter().find(|step| step.name == name).unwrap();
    (step.state, step.message.clone())
}

/// None of these has anything to wait for in the OVN step, and the update ends by itself.
#[rstest]
#[case::issue_1744_ovn_disabled("/ovn/enabled", json!(false), Some(Sim::deployed_with(NEW)))]
#[case::issue_1212_no_nic_mappings(
    "/ovn/template/ovnController/nicMappings",
    Value::Null,
    Some(Sim::deployed_with(NEW))
)]
#[case::issue_1128_never_deployed("/secret", json!("osp-secret"), Some(json!({})))]
#[case::issue_1786_no_nodesets("/secret", json!("osp-secret"), None)]
fn nothing_to_wait_for(#[case] pointer: &str, #[case] value: Value, #[case] status: Option<Value>) {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.cloud(pointer, value);
    sim.world.nodesets = status.map_or(Objects::Absent, |status| Objects::Known(vec![nodeset("edpm", 1, status)]));
    sim.settle();
    assert_eq!(sim.deployed(), Some(NEW), "{:#?}", sim.status().update);
}

/// As if there were none, the update would end without the nodes.
#[test]
fn nodesets_that_cannot_be_read_are_waited_for() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets = Objects::Unreadable("forbidden".into());
    sim.settle();
    let (state, message) = step(&sim, StepName::OvnDataplane);
    assert_eq!(state, StepState::Running);
    assert!(message.contains("OpenStackDataPlaneNodeSet cannot be read: forbidden"), "{message}");
    assert_eq!(sim.deployed(), Some(OLD));
    sim.world.nodesets = Objects::Known(Vec::new());
    sim.settle();
    assert_eq!(sim.deployed(), Some(NEW));
}

#[test]
fn issue_1823_a_nodeset_without_nodes_is_not_waited_for() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets = Objects::Known(vec![nodeset("empty", 0, Sim::deployed_with(OLD))]);
    sim.settle();
    assert_eq!(sim.deployed(), Some(NEW));
}

/// What a nodeset runs need not be what either version says.
#[test]
fn a_nodeset_with_another_image_than_both_versions_is_waited_for() {
    let mut sim = Sim::updating(None, OLD, NEW);
    let same = image_of("ovnControllerImage", OLD);
    for images in sim.version().status.container_image_version_defaults.values_mut() {
        images.insert("ovnControllerImage".into(), same.clone());
    }
    sim.bundle().images.insert("ovnControllerImage".into(), same);
    sim.world.nodesets = Objects::Known(vec![nodeset("edpm", 1, Sim::deployed_with(OLD))]);
    sim.nodeset("edpm").data["status"]["containerImages"]["OvnControllerImage"] = json!("registry/ovn:hotfix");
    sim.settle();
    let (state, message) = step(&sim, StepName::OvnDataplane);
    assert_eq!(state, StepState::Waiting);
    assert!(message.contains("registry/ovn:hotfix") && message.contains("servicesOverride [ovn]"), "{message}");
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

/// Peer: 2.10a, #1864: the condition turns False again in the next pass.
#[test]
fn issue_1864_an_unchanged_ovn_image_needs_no_deployment_and_does_not_flap() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets = Objects::Known(vec![nodeset("edpm", 1, Sim::deployed_with(OLD))]);
    let same = image_of("ovnControllerImage", OLD);
    for images in sim.version().status.container_image_version_defaults.values_mut() {
        images.insert("ovnControllerImage".into(), same.clone());
    }
    sim.bundle().images.insert("ovnControllerImage".into(), same);
    sim.until(StepName::Rabbitmq);
    for _ in 0..3 {
        sim.pass();
        let (state, message) = step(&sim, StepName::OvnDataplane);
        assert_eq!(state, StepState::NotNeeded);
        assert!(message.contains("ovnControllerImage is the same in 1.0.0 and 1.0.1"), "{message}");
        assert_eq!(sim.condition("MinorUpdateOVNDataplane").0, Status::True);
    }
}

/// The message tells the administrator what to create; waiting for a person never stalls.
#[test]
fn manual_steps_wait_without_stalling() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets = Objects::Known(vec![nodeset("edpm", 1, Sim::deployed_with(OLD))]);
    sim.settle();
    assert_eq!(sim.update().step, Some(StepName::OvnDataplane));
    sim.tick(86_400 * 30);
    sim.pass();
    let (state, message) = step(&sim, StepName::OvnDataplane);
    assert_eq!(state, StepState::Waiting);
    assert!(
        message.contains("OpenStackDataPlaneNodeSet/edpm") && message.contains("servicesOverride [ovn]"),
        "{message}"
    );
    assert_eq!(sim.condition("MinorUpdateOVNDataplane").1, "Waiting");
    assert_eq!(sim.text("RabbitMq", "rabbitmq", "spec.containerImage"), image_of("rabbitmqImage", OLD));
    sim.administrator();
    sim.settle();
    let (state, message) = step(&sim, StepName::Dataplane);
    assert_eq!(state, StepState::Waiting);
    assert!(message.contains("servicesOverride [update]"), "{message}");
    sim.nodeset("edpm").data["status"]["deployedVersion"] = json!(NEW);
    sim.nodeset("edpm").metadata.generation = Some(9);
    sim.settle();
    assert!(step(&sim, StepName::Dataplane).1.contains("observedGeneration should be 9, is 1"));
    sim.administrator();
    sim.settle();
    assert_eq!(sim.deployed(), Some(NEW));
}

#[test]
fn every_nodeset_counts() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets =
        Objects::Known(vec![nodeset("a", 1, Sim::deployed_with(NEW)), nodeset("b", 1, Sim::deployed_with(OLD))]);
    sim.settle();
    let (_, message) = step(&sim, StepName::OvnDataplane);
    assert!(message.contains("NodeSet/b") && !message.contains("NodeSet/a"), "{message}");
    // Programs need not read the message.
    let step = sim.update().steps.iter().find(|step| step.name == StepName::OvnDataplane).unwrap();
    assert_eq!(step.node_sets, ["b"]);
}

#[test]
fn the_dataplane_takes_a_hotfix_at_its_next_deployment_and_nothing_waits_for_it() {
    let mut sim = Sim::installed(None, OLD);
    sim.world.nodesets = Objects::Known(vec![nodeset("edpm", 1, Sim::deployed_with(OLD))]);
    sim.spec().custom_container_images = crate::support::custom(json!({"ovnControllerImage": "fix.io/ovn:1"}));
    sim.settle();
    assert_eq!(sim.text("OVNController", "ovncontroller", "spec.ovnContainerImage"), "fix.io/ovn:1");
    assert_eq!(sim.condition("Ready").0, Status::True);
}
