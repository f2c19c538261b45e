//! A newer version becomes the target at each step of an update.

use std::{collections::BTreeMap, time::Duration};

use api::{
    annotation,
    version::{OpenStackVersionStatus, UpdateResult},
};
use serde_json::{Value, json};
use testbed::{
    Proxy, cluster,
    proxy::{Fault, Rule},
};

use super::{Station, Stop, closed, offered};
use crate::support::{Cloud, Frame, NEW, OLD, Recorder, assert_truthful, condition_of, release, versions};

/// It stays the same all the way, so that every new target needs the permission for it.
const CUSTOM: &str = "registry.example.com/vendor/network-exporter:1.0.0";

/// Peer: 2.7, 6.7, 9.10, #1569, #1582: the version that was given up is forgotten, custom images come along unseen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_any_step_the_target_moves_on_and_the_walk_begins_again_with_it() {
    let mut cloud = offered("retarget").await;
    let spec = json!({"targetVersion": NEW, "customContainerImages": {"openstackNetworkExporterImage": CUSTOM}});
    let recorder = Recorder::start(&cloud);
    let stations = closed(&cloud);
    cloud.patch_version(json!({"spec": spec})).await.unwrap();
    let (mut target, mut nth) = (NEW.to_owned(), 0);
    for (at, station) in stations.iter().enumerate() {
        station.reached(&cloud).await;
        let newer = format!("1.0.{}", at + 2);
        cloud.upgrade_operator(&release(NEW).with_version(&newer)).await;
        assert_eq!(condition_of(&cloud.status().await, "MinorUpdateAvailable").status.to_string(), "True");
        move_on(&cloud, &target, &newer).await;
        target = newer;
        // Through all the steps again, up to the one behind this.
        for passed in &stations[..=at] {
            pass(&cloud, passed, &mut nth).await;
        }
    }
    let status = cloud.deployed(&target).await;
    never_back(&recorder.frames().await);
    assert_truthful(&recorder.frames().await);
    let results: Vec<UpdateResult> = status.history.iter().map(|entry| entry.result).collect();
    let superseded = vec![UpdateResult::Superseded; stations.len()];
    assert_eq!(results, [&[UpdateResult::Installed][..], &superseded, &[UpdateResult::Completed]].concat());
    let annotations = cloud.version().await.metadata.annotations.unwrap_or_default();
    assert!(!annotations.contains_key(annotation::SKIP_CUSTOM_IMAGES), "the permission was for one update");
}

/// Seen with 1,000 random schedules: the update ends and its permission goes, and somebody gives the one for the next update
/// while that write is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_for_the_next_update_does_not_go_with_the_last_one() {
    let proxy = Proxy::start(cluster::shared().await.unwrap()).await.unwrap();
    let mut cloud = Cloud::with("permission", release(OLD), |mut options| {
        options.kubeconfig = Some(proxy.kubeconfig().to_owned());
        options
    })
    .await;
    cloud.install(json!({})).await;
    for version in [NEW, "1.0.2"] {
        cloud.upgrade_operator(&release(NEW).with_version(version)).await;
    }
    let custom = json!({"openstackNetworkExporterImage": CUSTOM});
    let permitted = |target: &str| {
        let metadata = json!({"annotations": {annotation::SKIP_CUSTOM_IMAGES: ""}});
        cloud.patch_version(json!({
            "metadata": metadata,
            "spec": {"targetVersion": target, "customContainerImages": custom},
        }))
    };
    proxy.add(Rule::new(Fault::Delay(Duration::from_secs(2))).verbs(&["patch"]).resource("openstackversions").times(1));
    permitted(NEW).await.unwrap();
    let over = |status: &OpenStackVersionStatus| {
        status.update.as_ref().is_some_and(|update| update.steps.iter().all(|step| step.state.is_finished()))
    };
    cloud.until("every step is done", over).await;
    permitted("1.0.2").await.unwrap();
    cloud.deployed("1.0.2").await;
}

/// Changes the target: without the annotation it is refused, as the custom images stay.
async fn move_on(cloud: &Cloud, from: &str, to: &str) {
    let patch = |annotation: Value| {
        let metadata = json!({"annotations": {annotation::SKIP_CUSTOM_IMAGES: annotation}});
        cloud.patch_version(json!({"metadata": metadata, "spec": {"targetVersion": to}}))
    };
    let refusal = patch(Value::Null).await.unwrap_err().to_string();
    assert!(refusal.contains(&format!("still the images that were chosen for {from}")), "{refusal}");
    patch(json!("")).await.unwrap();
    let begun = |status: &OpenStackVersionStatus| {
        let update = status.update.as_ref().filter(|update| update.to == to);
        update.is_some_and(|update| update.from == OLD && update.steps[0].started_at.is_some())
    };
    cloud.until("begun again", begun).await;
}

/// Lets the update through a step; one of nodesets has to be reached first.
async fn pass(cloud: &Cloud, station: &Station, nth: &mut usize) {
    if let Stop::Undeployed { .. } = station.stop {
        station.reached(cloud).await;
    }
    *nth += 1;
    station.open(cloud, *nth).await;
}

/// No image of a service ever became older.
fn never_back(frames: &[Frame]) {
    let mut last: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for frame in frames.iter().filter(|frame| frame.is_service()) {
        let now: Vec<String> = versions(&frame.object).into_iter().collect();
        let Some(before) = last.insert(frame.label(), now.clone()) else { continue };
        // One digit each: text compares as the versions do.
        assert!(before.first() <= now.first() && before.last() <= now.last(), "{}: {before:?}, {now:?}", frame.label());
    }
    assert!(last.contains_key("OVNController/ovncontroller"), "{last:?}");
}
