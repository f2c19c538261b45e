//! A pause, edits, hotfixes, a hold that comes too late and a wish to go back, at each step of one update.

use api::{step::StepName, version::StepState};
use serde_json::{Value, json};

use super::{Station, Stop, closed, new_ones, no_way_back, offered, stations};
use crate::support::{Cloud, NEW, OLD, Recorder, assert_truthful, step};

/// Peer: 2.7, 2.8, 6.7, 9.2, 9.20: the control plane is frozen while a stage waits, and nothing is remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_at_a_step_the_update_goes_on_from_there() {
    let cloud = offered("tour").await;
    let recorder = Recorder::start(&cloud);
    let stations = closed(&cloud);
    cloud.target(NEW).await;
    for (at, station) in stations.iter().enumerate() {
        station.reached(&cloud).await;
        pause(&cloud, station).await;
        edit(&cloud, at).await;
        if at > 0 {
            hold_too_late(&cloud, station).await;
        }
        // In the first step nothing that keeps data has moved, and the nodeset follows the control plane.
        if at > 1 {
            no_way_back(&cloud, "RabbitMq/rabbitmq").await;
        }
        hotfix(&cloud, at, station).await;
        station.open(&cloud, at).await;
    }
    cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
    assert_truthful(&recorder.frames().await);
    assert_eq!(cloud.status().await.history.len(), 2, "one installation and one update");
}

/// Pauses, and goes on.
async fn pause(cloud: &Cloud, station: &Station) {
    let paused = |paused: bool| cloud.patch_version(json!({"spec": {"update": {"paused": paused}}}));
    let before = new_ones(cloud).await;
    paused(true).await.unwrap();
    cloud.step_says(station.step, StepState::Held, "spec.update.paused is true; ").await;
    cloud.fence().await;
    assert_eq!(new_ones(cloud).await, before);
    paused(false).await.unwrap();
    station.reached(cloud).await;
}

/// Every service gets its edit at once: those that are done, the one that is waited for, and those to come, each with the
/// images that it has.
async fn edit(cloud: &Cloud, at: usize) {
    let before = new_ones(cloud).await;
    let replicas = json!(at + 2);
    let instance = |name: &str| json!({"templates": {name: {"replicas": replicas}}});
    cloud
        .patch_plane(json!({
            "ovn": {"template": {"ovnController": {"replicas": replicas}}},
            "rabbitmq": instance("rabbitmq"),
            "galera": instance("openstack"),
            "memcached": instance("memcached"),
            "keystone": {"template": {"replicas": replicas}},
            "glance": {"template": {"replicas": replicas}},
        }))
        .await;
    for station in stations() {
        if let Stop::Held { kind, name } = station.stop {
            cloud.value(kind, name, "/spec/replicas", replicas.clone()).await;
        }
    }
    assert_eq!(new_ones(cloud).await, before, "no image moves with an edit");
}

/// The update is told to hold after a step that is behind: it stops where it is, takes nothing back, and goes on later.
async fn hold_too_late(cloud: &Cloud, station: &Station) {
    let hold = |after: Value| cloud.patch_version(json!({"spec": {"update": {"holdAfter": after}}}));
    let before = new_ones(cloud).await;
    hold(json!(StepName::OvnControlplane)).await.unwrap();
    // The nodesets come next; the steps behind them that are done stay done.
    let text = "held before this step: spec.update.holdAfter is ovn-controlplane";
    cloud.step_says(station.step, StepState::Held, text).await;
    cloud.fence().await;
    assert_eq!(new_ones(cloud).await, before);
    hold(Value::Null).await.unwrap();
    station.reached(cloud).await;
}

/// A custom image of the first step: it is done again, the step that was reached waits for it, and its object keeps the
/// images that it has.
async fn hotfix(cloud: &Cloud, at: usize, station: &Station) {
    let before = new_ones(cloud).await;
    cloud.actors.hold("OVNController", "ovncontroller");
    let image = format!("registry.example.com/hotfix-{at}/ovn-base:{NEW}");
    cloud.patch_version(json!({"spec": {"customContainerImages": {"ovnControllerOvsImage": image}}})).await.unwrap();
    cloud.value("OVNController", "ovncontroller", "/spec/ovsContainerImage", json!(image)).await;
    if at > 0 {
        let text = "re-opened because its images changed; OVNController/ovncontroller: status.observedGeneration";
        cloud.step_says(StepName::OvnControlplane, StepState::Running, text).await;
        let status = cloud.status().await;
        assert_eq!(step(&status, station.step).unwrap().state, StepState::Pending);
        assert_eq!(new_ones(cloud).await, before, "nothing steps back");
        cloud.actors.release("OVNController", "ovncontroller");
    }
    station.reached(cloud).await;
}
