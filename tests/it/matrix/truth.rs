//! Everything that anybody could have seen of the root objects, from nothing to an update and beyond it, is true.

use api::{
    condition::{self, Status},
    step::{MINOR_UPDATE, StepName},
    version::{OpenStackVersionStatus, StepState},
};
use serde_json::json;

use super::NODE_SET;
use crate::support::{Cloud, Frame, NEW, OLD, Recorder, assert_truthful, release, said};

/// Peer: 2.10e, 9.19, 9.21, #1916: `Ready` while an installation is stuck, `MinorUpdateAvailable` gone in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_of_an_installation_and_an_update_is_true() {
    let mut cloud = Cloud::empty("truth").await;
    let recorder = Recorder::start(&cloud);
    // An installation that is stuck for a while.
    cloud.actors.fail("Glance", "glance", "no endpoint");
    cloud.cluster.apply(cloud.plane(json!({}))).await.unwrap();
    cloud.until("stuck", |status| said(status, "Ready").contains("no endpoint")).await;
    cloud.actors.release("Glance", "glance");
    cloud.deployed(OLD).await;
    cloud.add_node_set(NODE_SET).await;
    cloud.upgrade_operator(&release(NEW)).await;

    // An update with a service that is stuck, and one that is lost after its step.
    cloud.actors.hold("Memcached", "memcached");
    cloud.target(NEW).await;
    cloud.step(StepName::OvnDataplane, StepState::Waiting).await;
    cloud.deploy("ovn", &[NODE_SET], &["ovn"]).await;
    cloud.step_says(StepName::Memcached, StepState::Running, "Memcached/memcached").await;
    cloud.actors.fail("RabbitMq", "rabbitmq", "a node is down");
    cloud.until("seen", |status| status.services.iter().any(|line| line.message.contains("a node is down"))).await;
    cloud.actors.release("RabbitMq", "rabbitmq");
    cloud.actors.release("Memcached", "memcached");
    cloud.finish(&[NODE_SET]).await;
    // And the bundle of before once more.
    cloud.upgrade_operator(&release(OLD)).await;
    cloud.fence().await;

    let frames = recorder.frames().await;
    let states = assert_truthful(&frames);
    assert!(states > 2 * MINOR_UPDATE.len(), "only {states} states were seen");
    assert_eq!(available(&frames), [Status::False, Status::True, Status::False]);
    every_step_was_true(&frames);
}

/// Upstream's scripts `oc wait` for the condition of each step, that of the last one, too.
fn every_step_was_true(frames: &[Frame]) {
    let versions: Vec<OpenStackVersionStatus> = frames
        .iter()
        .filter(|frame| frame.kind == "OpenStackVersion")
        .filter_map(|frame| serde_json::from_value(frame.object.get("status")?.clone()).ok())
        .collect();
    for step in MINOR_UPDATE {
        let seen = versions.iter().any(|status| condition::is_true(&status.conditions, step.condition));
        assert!(seen, "{} was never True", step.condition);
    }
}

/// What `MinorUpdateAvailable` was, without repetition.
fn available(frames: &[Frame]) -> Vec<Status> {
    let versions = frames.iter().filter(|frame| frame.kind == "OpenStackVersion");
    let statuses = versions.filter_map(|frame| {
        let status: OpenStackVersionStatus = serde_json::from_value(frame.object.get("status")?.clone()).ok()?;
        condition::find(&status.conditions, "MinorUpdateAvailable").map(|condition| condition.status)
    });
    let mut seen: Vec<Status> = statuses.collect();
    seen.dedup();
    seen
}
