//! The `OpenStackVersion` is deleted at each step of an update.

use super::{closed, new_ones, offered};
use crate::{
    lifecycle::delete_version,
    support::{NEW, OLD, Recorder, assert_truthful},
};

/// Peer: 6.7, 9.10: the state machine has no memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_at_any_step_the_version_comes_back_and_the_update_goes_on_from_there() {
    let cloud = offered("recreated").await;
    let recorder = Recorder::start(&cloud);
    let stations = closed(&cloud);
    cloud.target(NEW).await;
    for (nth, station) in stations.iter().enumerate() {
        station.reached(&cloud).await;
        let before = new_ones(&cloud).await;
        let version = delete_version(&cloud).await;
        assert_eq!(version.spec.target_version, NEW);
        assert_eq!(version.status.unwrap().deployed_version.as_deref(), Some(OLD));
        station.reached(&cloud).await;
        cloud.fence().await;
        assert_eq!(new_ones(&cloud).await, before);
        station.open(&cloud, nth).await;
    }
    cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
    assert_truthful(&recorder.frames().await);
}
