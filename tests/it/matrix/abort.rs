//! The way back to the deployed version, at each step of an update.

use api::{
    step::StepName,
    version::{OpenStackVersionStatus, StepState, UpdateResult},
};
use serde_json::{Value, json};

use super::{NODE_SET, Station, Stop, new_ones, no_way_back, stations};
use crate::support::{Cloud, NEW, OLD, Recorder, assert_truthful, release, said};

/// Peer: 2.7, 2.10d, 6.7, 9.9: a target that is set back freezes the cloud, or rolls everything at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_goes_back_from_each_step_that_can_be_undone_and_from_no_other() {
    let mut cloud = Cloud::installed("abort", json!({})).await;
    cloud.add_node_set(NODE_SET).await;
    let recorder = Recorder::start(&cloud);
    cloud.upgrade_operator(&same_data_services()).await;
    let stations = stations();
    let (undone, final_ones) = stations.split_at(6);
    for (at, station) in undone.iter().enumerate() {
        stand_at(&cloud, station, &undone[..at]).await;
        if station.step == StepName::Keystone {
            phase(&cloud, json!("Contracting")).await;
            no_way_back(&cloud, "Keystone/keystone").await;
            phase(&cloud, json!("Expanding")).await;
        }
        cloud.until("revertible", |status| status.update.as_ref().is_some_and(|update| update.revertible)).await;
        go_back(&cloud, station, at).await;
    }

    // Keystone goes through now, and nothing takes it back.
    let station = &final_ones[0];
    stand_at(&cloud, station, undone).await;
    no_way_back(&cloud, "Keystone/keystone").await;
    cloud.actors.release("Glance", "glance");
    final_ones[1].reached(&cloud).await;
    no_way_back(&cloud, "Keystone/keystone").await;
    final_ones[1].open(&cloud, 0).await;
    let status = cloud.deployed(NEW).await;
    assert_truthful(&recorder.frames().await);
    // One entry for each update; the ways back have none.
    let results: Vec<UpdateResult> = status.history.iter().map(|entry| entry.result).collect();
    let aborted = vec![UpdateResult::Aborted; undone.len()];
    assert_eq!(results, [&[UpdateResult::Installed][..], &aborted, &[UpdateResult::Completed]].concat());
}

/// 1.0.1 with the images that `RabbitMQ` and `MariaDB` have in 1.0.0.
fn same_data_services() -> testbed::Release {
    let old = release(OLD);
    ["rabbitmqImage", "mariadbImage"].iter().fold(release(NEW), |new, image| new.with_image(image, &old.images[*image]))
}

/// Begins the update, and lets it come as far as that step.
async fn stand_at(cloud: &Cloud, station: &Station, before: &[Station]) {
    // Nothing is written to these two, so they stand still only when they fail.
    let fails = matches!(station.step, StepName::Rabbitmq | StepName::Mariadb);
    match station.stop {
        Stop::Held { kind, name } if fails => cloud.actors.fail(kind, name, "no quorum"),
        _ => station.close(cloud),
    }
    cloud.target(NEW).await;
    for passed in before.iter().filter(|station| matches!(station.stop, Stop::Undeployed { .. })) {
        passed.reached(cloud).await;
        passed.open(cloud, api::step::position(station.step)).await;
    }
    match station.stop {
        Stop::Held { kind, name } if fails => {
            cloud.step_says(station.step, StepState::Running, &format!("{kind}/{name}: condition ")).await;
        }
        _ => station.reached(cloud).await,
    }
}

/// What Keystone's own upgrade says of itself while it is held.
async fn phase(cloud: &Cloud, phase: Value) {
    cloud.actors.set_status("Keystone", "keystone", json!({"upgradePhase": phase})).await.unwrap();
}

/// Sets the target back and does what that asks for, until the cloud is as it was.
async fn go_back(cloud: &Cloud, station: &Station, at: usize) {
    cloud.target(OLD).await;
    if let Stop::Held { kind, name } = station.stop {
        if station.step == StepName::Keystone {
            phase(cloud, Value::Null).await;
        }
        cloud.actors.release(kind, name);
    }
    // The nodesets that were deployed with the newer OVN go back by hand, as they came.
    if at > 1 {
        let text = format!("{NODE_SET}: status.containerImages.OvnControllerImage should be");
        cloud.step_says(StepName::OvnDataplane, StepState::Waiting, &text).await;
        cloud.deploy(&format!("back-{at}"), &[NODE_SET], &["ovn"]).await;
    }
    let back = |status: &OpenStackVersionStatus| {
        status.update.is_none() && said(status, "Ready") == "True Ready: 1.0.0 is deployed"
    };
    let status = cloud.until("back", back).await;
    assert_eq!(new_ones(cloud).await, Vec::<String>::new(), "from {}", station.step);
    let ended = status.history.iter().rev().find(|entry| entry.result == UpdateResult::Aborted);
    assert_eq!(ended.map(|entry| (entry.from.as_str(), entry.to.as_str())), Some((OLD, NEW)));
}
