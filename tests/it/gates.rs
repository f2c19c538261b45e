//! Every gate of the update, closed and opened alone.

use api::{
    step::StepName,
    version::{OpenStackVersionStatus, StepState},
};
use serde_json::{Value, json};
use testbed::wait;

use crate::support::{Cloud, GATES, NEW, SOON, condition_of, moved, said, step};

/// The conditions that the kinds of the gates go by.
const CONDITIONS: &[&str] = &["Ready", "DeploymentReady"];
const NODE_SET: &str = "OpenStackDataPlaneNodeSet";

fn conditions(status: &str, reason: &str, message: &str) -> Value {
    let one = |type_: &&str| {
        json!({"type": type_, "status": status, "severity": "Error", "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    CONDITIONS.iter().map(one).collect()
}

/// A cloud in the middle of an update, in which no object of [`GATES`] gets ready.
async fn closed(prefix: &str) -> Cloud {
    let cloud = Cloud::offered(prefix, json!({})).await;
    for (_, kind, name) in GATES {
        cloud.actors.hold(kind, name);
    }
    cloud.target(NEW).await;
    cloud
}

/// Goes through the gates. At each, `status` is what the object says of itself, from its generation and what it said
/// before; `text` is what the step then waits for. An object that is not let go stops everything behind it.
async fn each_gate(cloud: &Cloud, status: impl Fn(i64, &Value) -> Option<Value>, text: impl Fn(&str) -> String) {
    for (at, (name, kind, object)) in GATES.iter().enumerate() {
        let label = format!("{kind}/{object}");
        // Written, and not observed.
        cloud.step_says(*name, StepState::Running, &format!("{label}: status.observedGeneration should be")).await;
        let live = cloud.unobserved(kind, object).await;
        if let Some(status) = status(live["metadata"]["generation"].as_i64().unwrap(), &live["status"]) {
            cloud.actors.set_status(kind, object, status).await.unwrap();
        }
        let step = cloud.step_says(*name, StepState::Running, &format!("{label}: {}", text(kind))).await;
        assert!(step.finished_at.is_none());
        cloud.fence().await;
        assert_nothing_beyond(cloud, at).await;
        cloud.actors.release(kind, object);
    }
    cloud.deployed(NEW).await;
}

/// Everything before the gate is done, and nothing behind it has moved.
async fn assert_nothing_beyond(cloud: &Cloud, at: usize) {
    let status = cloud.status().await;
    let all = |gates: &[(StepName, &str, &str)]| -> Vec<StepState> {
        gates.iter().map(|(name, ..)| step(&status, *name).unwrap().state).collect()
    };
    assert!(all(&GATES[..at]).iter().all(|state| *state == StepState::Done), "{status:?}");
    assert_eq!(all(&GATES[at..=at]), [StepState::Running]);
    assert!(all(&GATES[at + 1..]).iter().all(|state| *state == StepState::Pending), "{status:?}");
    if at + 1 < GATES.len() {
        let reached: Vec<String> = GATES[..=at].iter().map(|(_, kind, name)| format!("{kind}/{name}")).collect();
        let mut moved = moved(&cloud.objects().await, NEW);
        moved.sort_by_key(|label| reached.iter().position(|reached| reached == label));
        assert_eq!(moved, reached);
    }
}

/// Peer: 6.7, 9.16: a child that was ready with another spec is trusted.
#[tokio::test]
async fn a_ready_that_belongs_to_an_older_spec_opens_no_gate() {
    let cloud = closed("stale").await;
    // As it was before the change: ready, and of the generation before.
    let stale = |generation: i64, old: &Value| {
        assert_eq!(old["conditions"][0]["status"], json!("True"));
        Some(json!({"observedGeneration": generation - 1, "conditions": conditions("True", "Ready", "Setup complete")}))
    };
    each_gate(&cloud, stale, |_| "status.observedGeneration should be".to_owned()).await;
}

/// Peer: 2.10l: a message that says only that an error occurred.
#[tokio::test]
async fn a_service_that_is_not_ready_keeps_its_gate_closed_and_its_own_words_are_shown() {
    let cloud = closed("not-ready").await;
    let failing = |generation: i64, _: &Value| {
        Some(json!({"observedGeneration": generation, "conditions": conditions("False", "Error", "no quorum")}))
    };
    let says = |kind: &str| {
        let condition = if kind == "Galera" { "DeploymentReady" } else { "Ready" };
        format!("condition {condition} should be True, is False (Error: no quorum)")
    };
    each_gate(&cloud, failing, says).await;
}

#[tokio::test]
async fn a_service_without_conditions_keeps_its_gate_closed() {
    let cloud = closed("silent").await;
    let silent = |generation: i64, _: &Value| Some(json!({"observedGeneration": generation, "conditions": null}));
    let says = |kind: &str| {
        let condition = if kind == "Galera" { "DeploymentReady" } else { "Ready" };
        format!("condition {condition} should be True, is absent")
    };
    each_gate(&cloud, silent, says).await;
}

#[tokio::test]
async fn keystone_is_not_done_before_its_new_image_is_installed_everywhere() {
    let cloud = closed("keystone").await;
    for (_, kind, name) in &GATES[..4] {
        cloud.actors.release(kind, name);
    }
    cloud.step_says(StepName::Keystone, StepState::Running, "status.observedGeneration should be").await;
    let generation = cloud.unobserved("Keystone", "keystone").await["metadata"]["generation"].clone();
    let ready = json!({"observedGeneration": generation, "conditions": conditions("True", "Ready", "")});
    cloud.actors.set_status("Keystone", "keystone", ready).await.unwrap();
    let text = "Keystone/keystone: status.installedImage should be registry.example.com/openstack/keystone-api:1.0.1, is \
                registry.example.com/openstack/keystone-api:1.0.0";
    cloud.step_says(StepName::Keystone, StepState::Running, text).await;
    let upgrading =
        json!({"installedImage": "registry.example.com/openstack/keystone-api:1.0.1", "targetRelease": "2026.1"});
    cloud.actors.set_status("Keystone", "keystone", upgrading).await.unwrap();
    cloud.step_says(StepName::Keystone, StepState::Running, "status.targetRelease should be empty, is 2026.1").await;
    cloud.fence().await;
    assert_nothing_beyond(&cloud, 4).await;
    cloud.actors.release_all();
    cloud.deployed(NEW).await;
}

/// Where the update waits for a person.
fn waits(status: &OpenStackVersionStatus, name: StepName) -> bool {
    step(status, name).is_some_and(|step| step.state == StepState::Waiting)
}

/// Peer: 2.10c, 6.7, 9.32: a deployment that failed counts as running for ever, and nobody says which nodesets are
/// missing.
#[tokio::test]
async fn nodesets_are_waited_for_by_name_with_the_deployment_to_create() {
    let cloud = Cloud::offered("nodesets", json!({})).await;
    cloud.add_node_set("compute-a").await;
    cloud.add_node_set("compute-b").await;
    // A second is no time to walk to a node: waiting for a person is never Stalled.
    let spec = json!({"targetVersion": NEW, "update": {"stepDeadline": "1s"}});
    cloud.patch_version(json!({"spec": spec})).await.unwrap();

    let wanted = "OpenStackDataPlaneNodeSet/compute-a: status.containerImages.OvnControllerImage should be \
                  registry.example.com/openstack/ovn-controller:1.0.1, is registry.example.com/openstack/ovn-controller:1.0.0";
    let step = cloud.step_says(StepName::OvnDataplane, StepState::Waiting, wanted).await;
    assert!(step.message.contains("OpenStackDataPlaneNodeSet/compute-b"), "{}", step.message);
    let by_hand = "create an OpenStackDataPlaneDeployment for the nodesets with servicesOverride [ovn]";
    assert!(step.message.contains(by_hand), "{}", step.message);
    let status = cloud.status().await;
    assert!(said(&status, "MinorUpdateOVNDataplane").starts_with("False Waiting: "));
    assert_eq!(json!(condition_of(&status, "MinorUpdateOVNDataplane").severity), json!("Info"));

    // One of two is not enough, and a deployment that fails is none.
    cloud.deploy("ovn-a", &["compute-a"], &["ovn"]).await;
    cloud
        .until("compute-b", |status| {
            waits(status, StepName::OvnDataplane) && !said(status, "MinorUpdateOVNDataplane").contains("compute-a")
        })
        .await;
    cloud.actors.fail("OpenStackDataPlaneDeployment", "ovn-b", "unreachable");
    let failing = testbed::fixtures::deployment(&cloud.namespace, "ovn-b", &["compute-b"], &["ovn"]);
    cloud.cluster.apply(failing).await.unwrap();
    let api = cloud.api("OpenStackDataPlaneDeployment");
    cloud.expect("failed", wait::condition(&api, "ovn-b", "Ready", "False", SOON).await);
    cloud.fence().await;
    assert!(waits(&cloud.status().await, StepName::OvnDataplane));
    assert_eq!(moved(&cloud.objects().await, NEW), ["OVNController/ovncontroller"]);
    cloud.deploy("ovn-b-again", &["compute-b"], &["ovn"]).await;

    let wanted = "OpenStackDataPlaneNodeSet/compute-a: status.deployedVersion should be 1.0.1, is absent";
    let step = cloud.step_says(StepName::Dataplane, StepState::Waiting, wanted).await;
    assert!(step.message.contains("with servicesOverride [update]"), "{}", step.message);
    assert_eq!(cloud.status().await.deployed_version.as_deref(), Some("1.0.0"));
    cloud.deploy("update-b", &["compute-b"], &["update"]).await;
    cloud.deploy("update-a", &["compute-a"], &["update"]).await;
    let status = cloud.deployed(NEW).await;
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.1 is deployed");
}

#[tokio::test]
async fn a_nodeset_that_is_not_observed_or_not_ready_is_not_done() {
    let cloud = Cloud::offered("nodeset", json!({})).await;
    cloud.add_node_set("compute").await;
    cloud.target(NEW).await;
    cloud.step(StepName::OvnDataplane, StepState::Waiting).await;
    // The status is the new one, and speaks of the spec before.
    cloud.actors.hold(NODE_SET, "compute");
    let mut node_set = testbed::fixtures::node_set(&cloud.namespace, "compute");
    node_set["spec"]["preProvisioned"] = json!(false);
    cloud.cluster.apply(node_set).await.unwrap();
    let image = "registry.example.com/openstack/ovn-controller:1.0.1";
    let deployed = json!({"containerImages": {"OvnControllerImage": image}});
    cloud.actors.set_status(NODE_SET, "compute", deployed).await.unwrap();
    let text = "OpenStackDataPlaneNodeSet/compute: status.observedGeneration should be 2, is 1";
    cloud.step_says(StepName::OvnDataplane, StepState::Waiting, text).await;
    cloud.fence().await;
    assert_eq!(moved(&cloud.objects().await, NEW), ["OVNController/ovncontroller"]);
    cloud.actors.release(NODE_SET, "compute");

    cloud.step(StepName::Dataplane, StepState::Waiting).await;
    let failed = json!({"deployedVersion": NEW, "conditions": conditions("False", "Error", "a node is down")});
    cloud.actors.set_status(NODE_SET, "compute", failed).await.unwrap();
    cloud.step_says(StepName::Dataplane, StepState::Waiting, "compute: condition Ready should be True").await;
    cloud.fence().await;
    assert_eq!(cloud.status().await.deployed_version.as_deref(), Some("1.0.0"));
    cloud.actors.release(NODE_SET, "compute");
    cloud.deployed(NEW).await;
}

/// Peer: 9.7: no deadline, no word about a step that hangs.
#[tokio::test]
async fn a_step_over_its_deadline_is_reported_as_stalled_and_goes_on_when_its_service_does() {
    let cloud = Cloud::offered("stalled", json!({})).await;
    cloud.actors.hold("Galera", "openstack");
    let spec = json!({"targetVersion": NEW, "update": {"stepDeadline": "1s"}});
    cloud.patch_version(json!({"spec": spec})).await.unwrap();
    let text = "takes longer than spec.update.stepDeadline; Galera/openstack: status.observedGeneration should be";
    cloud.step_says(StepName::Mariadb, StepState::Stalled, text).await;
    cloud.event("StepStalled", "step mariadb").await;
    let status = cloud.status().await;
    assert!(said(&status, "MinorUpdateMariaDB").starts_with("False Stalled: takes longer"));
    assert_eq!(moved(&cloud.objects().await, NEW).len(), 3, "nothing is rolled back, nothing goes on");
    cloud.actors.release("Galera", "openstack");
    cloud.deployed(NEW).await;
}
