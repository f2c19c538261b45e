//! The operator is killed, SIGKILL, in the middle of things, and starts again.

use std::collections::BTreeMap;

use api::{
    step::{MINOR_UPDATE, Scope, StepName},
    version::StepState,
};
use serde_json::{Value, json};
use testbed::{fixtures::NAME, wait};

use crate::support::{Cloud, GATES, NEW, OLD, Recorder, SOON, said, step};

/// The spec of every service object.
async fn specs(cloud: &Cloud) -> BTreeMap<String, Value> {
    let objects = cloud.objects().await.into_iter();
    objects.map(|(kind, name, object)| (format!("{kind}/{name}"), object["spec"].clone())).collect()
}

/// What the specs are after an update that nobody disturbed: the same with other images.
fn updated(specs: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    serde_json::from_str(&serde_json::to_string(specs).unwrap().replace(OLD, NEW)).unwrap()
}

/// Peer: 2.10c, 6.7, #1671, #1607: a deployment that starts and ends between two passes is never seen.
#[tokio::test]
async fn killed_while_a_step_waits_for_its_service_it_goes_on_where_it_was() {
    let mut cloud = Cloud::offered("killed", json!({})).await;
    cloud.add_node_set("compute").await;
    let before = specs(&cloud).await;
    let recorder = Recorder::start(&cloud);
    for (_, kind, name) in GATES {
        cloud.actors.hold(kind, name);
    }
    cloud.target(NEW).await;
    let mut started = None;
    for row in MINOR_UPDATE {
        let held = GATES.iter().find(|(name, ..)| *name == row.name);
        let state = if row.scope == Scope::Services { StepState::Running } else { StepState::Waiting };
        let text = held.map_or(String::new(), |(_, kind, name)| format!("{kind}/{name}: status.observedGeneration"));
        cloud.step_says(row.name, state, &text).await;
        cloud.operator.kill().await.unwrap();
        let update = cloud.status().await.update.unwrap();
        assert_eq!(*started.get_or_insert(update.started_at), update.started_at, "the update is the same");

        // What happens while it is away counts, too.
        let by_hand = match (held, row.name) {
            (Some((_, kind, name)), _) => {
                cloud.actors.release(kind, name);
                None
            }
            (None, StepName::OvnDataplane) => Some("ovn"),
            (None, _) => Some("update"),
        };
        if let Some(service) = by_hand {
            cloud.deploy(&format!("killed-{service}"), &["compute"], &[service]).await;
        }
        cloud.operator.restart().await.unwrap();
        cloud
            .until("the step is done", |status| {
                status.update.is_none() || step(status, row.name).is_some_and(|step| step.state == StepState::Done)
            })
            .await;
    }
    let status = cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
    assert_eq!(specs(&cloud).await, updated(&before));
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.1 is deployed");
    assert_eq!(status.history.len(), 2, "one installation, one update: {:?}", status.history);
}

#[tokio::test]
async fn killed_at_the_moment_a_step_begins_it_goes_on_where_it_was() {
    let mut cloud = Cloud::offered("killed", json!({})).await;
    let before = specs(&cloud).await;
    let recorder = Recorder::start(&cloud);
    cloud.target(NEW).await;
    for row in MINOR_UPDATE.iter().filter(|row| row.scope == Scope::Services) {
        // The status is written before the images: the step is announced, and perhaps nothing of it is done.
        let status = cloud
            .until("the step begins", |status| {
                let begun = step(status, row.name).is_some_and(|step| step.started_at.is_some());
                begun || status.deployed_version.as_deref() == Some(NEW)
            })
            .await;
        assert_eq!(status.deployed_version.as_deref(), Some(OLD), "it was too fast for {}", row.name);
        cloud.operator.restart().await.unwrap();
    }
    let status = cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
    assert_eq!(specs(&cloud).await, updated(&before));
    assert_eq!(status.history.len(), 2, "{:?}", status.history);
}

#[tokio::test]
async fn killed_during_the_installation_it_installs_the_rest() {
    let mut cloud = Cloud::empty("killed").await;
    cloud.cluster.apply(cloud.plane(json!({}))).await.unwrap();
    // Somewhere in the first pass.
    let found = wait::until(&cloud.api("RabbitMq"), "rabbitmq", SOON, |_| true).await;
    cloud.expect("the first objects", found);
    cloud.operator.restart().await.unwrap();
    let status = cloud.deployed(OLD).await;
    assert_eq!(status.history.len(), 1);
    for (kind, name, object) in cloud.objects().await {
        assert_eq!(object["metadata"]["generation"], json!(1), "{kind}/{name} is written once");
    }
    let version = cloud.version().await;
    assert_eq!((version.metadata.name.as_deref(), version.spec.target_version.as_str()), (Some(NAME), OLD));
}

#[tokio::test]
async fn killed_between_custom_images_it_applies_the_rest() {
    let mut cloud = Cloud::installed("killed", json!({})).await;
    let hotfix = |name: &str| json!(format!("registry.example.com/hotfix/{name}:1"));
    let images = json!({"ovnControllerImage": hotfix("ovn"), "glanceAPIImage": hotfix("glance")});
    cloud.patch_version(json!({"spec": {"customContainerImages": images}})).await.unwrap();
    let api = cloud.api("OVNController");
    let first = wait::value(&api, "ovncontroller", "/spec/ovnContainerImage", &hotfix("ovn"), SOON).await;
    cloud.expect("the first image", first);
    cloud.operator.restart().await.unwrap();
    let second = wait::value(&cloud.api("Glance"), "glance", "/spec/containerImage", &hotfix("glance"), SOON).await;
    cloud.expect("the second image", second);
    cloud.until("ready", |status| said(status, "Ready") == "True Ready: 1.0.0 is deployed").await;
}
