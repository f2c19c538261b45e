//! Where the peer hangs or acts by mistake, and no other scenario comes by.

use api::{annotation, step::StepName, version::StepState};
use plan::release::Objects;
use rstest::rstest;
use serde_json::json;

use crate::support::{NEW, OLD, Sim, bundle, custom, image_of, nodeset};

const OVN: &str = "ovnControllerImage";

fn ovn_dataplane(sim: &Sim) -> (StepState, String) {
    let step = sim.update().steps.iter().find(|step| step.name == StepName::OvnDataplane).unwrap();
    (step.state, step.message.clone())
}

/// A cloud with a nodeset that runs this image of OVN, and a newer bundle whose OVN is that of the old one, if asked.
fn with_nodeset(image: &str, same_default: bool) -> Sim {
    let mut sim = Sim::installed(None, OLD);
    let mut status = Sim::deployed_with(OLD);
    status["containerImages"]["OvnControllerImage"] = json!(image);
    sim.world.nodesets = Objects::Known(vec![nodeset("edpm", 1, status)]);
    sim.world.bundle = bundle(NEW).into();
    if same_default {
        sim.bundle().images.insert(OVN.into(), image_of(OVN, OLD));
    }
    sim
}

/// Peer: 2.10b: a deployment is waited for although nothing runs OVN.
#[rstest]
#[case::none(Objects::Known(Vec::new()))]
#[case::no_kind(Objects::Absent)]
#[case::without_ovn(Objects::Known(vec![nodeset("storage", 1, json!({"observedGeneration": 1, "deployedVersion": OLD}))]))]
fn an_unchanged_ovn_image_waits_for_no_deployment_where_nothing_runs_it(#[case] nodesets: Objects) {
    let mut sim = with_nodeset(&image_of(OVN, OLD), true);
    sim.world.nodesets = nodesets;
    sim.settle();
    sim.target(NEW);
    sim.until(StepName::Rabbitmq);
    assert_eq!(ovn_dataplane(&sim).0, StepState::NotNeeded);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

/// Peer: 2.10f: the defaults are compared instead of the images in effect.
#[test]
fn a_custom_ovn_image_that_stays_needs_no_deployment_although_the_defaults_differ() {
    let image = "fix.io/ovn:1";
    let mut sim = with_nodeset(image, false);
    sim.spec().custom_container_images = custom(json!({OVN: image}));
    sim.settle();
    sim.annotate(annotation::SKIP_CUSTOM_IMAGES, "");
    sim.target(NEW);
    sim.until(StepName::Rabbitmq);
    let (state, message) = ovn_dataplane(&sim);
    assert_eq!((state, message.as_str()), (StepState::NotNeeded, "ovnControllerImage is the same in 1.0.0 and 1.0.1"));
}

/// Peer: 2.10f: the other way round.
#[test]
fn a_custom_ovn_image_that_comes_needs_a_deployment_although_the_defaults_are_the_same() {
    let mut sim = with_nodeset(&image_of(OVN, OLD), true);
    sim.settle();
    sim.spec().custom_container_images = custom(json!({OVN: "fix.io/ovn:1"}));
    sim.target(NEW);
    sim.settle();
    let (state, message) = ovn_dataplane(&sim);
    assert_eq!(state, StepState::Waiting, "{message}");
    assert!(message.contains("should be fix.io/ovn:1"), "{message}");
}

/// Peer: #1867: it comes back while the control plane is being deleted.
#[test]
fn a_version_is_not_made_again_for_a_control_plane_that_goes() {
    let mut sim = Sim::installed(None, OLD);
    sim.world.control_plane.as_mut().unwrap().meta.deleting = true;
    sim.world.version = None;
    let writes = sim.writes;
    sim.settle();
    assert!(sim.world.version.is_none());
    assert_eq!(sim.writes, writes);
}
