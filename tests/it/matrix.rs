//! What can come in between, at each step of an update: one cloud goes through all steps, stands still in each, and has
//! something done to it there.

use api::{
    dataplane, manager,
    step::{MINOR_UPDATE, StepName},
    version::StepState,
};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;
use testbed::{fixtures::NAME, wait};

use crate::support::{Cloud, GATES, NEW, OLD, SOON, carries, moved, said};

mod abort;
mod first;
mod many;
mod namespaces;
mod recreated;
mod retarget;
mod tour;
mod truth;

/// The nodeset of the clouds here.
const NODE_SET: &str = "compute";

/// A step in which an update stands still.
#[derive(Clone, Copy, Debug)]
struct Station {
    step: StepName,
    stop: Stop,
}

/// Why it stands still there.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// This object of the step does not get ready.
    Held { kind: &'static str, name: &'static str },
    /// Nobody deployed the nodeset with this service yet.
    Undeployed { service: &'static str },
}

/// Every step of the update, in order.
fn stations() -> Vec<Station> {
    let stop = |step: StepName| match GATES.iter().find(|(gate, ..)| *gate == step) {
        Some((_, kind, name)) => Stop::Held { kind, name },
        None if step == StepName::OvnDataplane => Stop::Undeployed { service: "ovn" },
        None => Stop::Undeployed { service: "update" },
    };
    MINOR_UPDATE.iter().map(|row| Station { step: row.name, stop: stop(row.name) }).collect()
}

/// Every step, each of which the next update stands still in.
fn closed(cloud: &Cloud) -> Vec<Station> {
    let stations = stations();
    for station in &stations {
        station.close(cloud);
    }
    stations
}

impl Station {
    /// Makes the next update stand still here; a step of nodesets does so by itself.
    fn close(&self, cloud: &Cloud) {
        if let Stop::Held { kind, name } = self.stop {
            cloud.actors.hold(kind, name);
        }
    }

    /// Waits until the update stands here: with the object written and not ready, or waiting for the nodeset.
    async fn reached(&self, cloud: &Cloud) {
        match self.stop {
            Stop::Held { kind, name } => {
                cloud
                    .step_says(self.step, StepState::Running, &format!("{kind}/{name}: status.observedGeneration"))
                    .await;
                // An edit is not observed either: the images are what counts.
                let target = cloud.status().await.update.unwrap().to;
                let moved = |object: &DynamicObject| carries(&serde_json::to_value(object).unwrap(), &target);
                let found = wait::until(&cloud.api(kind), name, SOON, moved).await;
                cloud.expect("moved", found);
                cloud.unobserved(kind, name).await;
            }
            Stop::Undeployed { .. } => {
                let text = format!("{}/{NODE_SET}: status.", dataplane::NODE_SET.kind);
                cloud.step_says(self.step, StepState::Waiting, &text).await;
            }
        }
    }

    /// Lets the update go on. `nth` tells the deployments of one step apart.
    async fn open(&self, cloud: &Cloud, nth: usize) {
        match self.stop {
            Stop::Held { kind, name } => cloud.actors.release(kind, name),
            Stop::Undeployed { service } => cloud.deploy(&format!("{service}-{nth}"), &[NODE_SET], &[service]).await,
        }
    }
}

/// A cloud with a nodeset that has 1.0.0, and an operator that offers 1.0.1.
async fn offered(prefix: &str) -> Cloud {
    let cloud = Cloud::offered(prefix, json!({})).await;
    cloud.add_node_set(NODE_SET).await;
    cloud
}

/// The objects that carry images of 1.0.1, sorted.
async fn new_ones(cloud: &Cloud) -> Vec<String> {
    let mut moved = moved(&cloud.objects().await, NEW);
    moved.sort();
    moved
}

/// The target may not return to 1.0.0, because of the object that is named: admission says so, and so does the operator
/// when admission was got round. Nothing moves by it.
async fn no_way_back(cloud: &Cloud, named: &str) {
    let because = |status: &api::version::OpenStackVersionStatus| {
        let update = status.update.as_ref().filter(|update| !update.revertible);
        update.and_then(|update| update.not_revertible_reason.as_ref()).is_some_and(|reason| reason.contains(named))
    };
    cloud.until("the reason", because).await;
    let before = new_ones(cloud).await;
    let back = json!({"spec": {"targetVersion": OLD}});
    let refusal = cloud.patch_version(back.clone()).await.unwrap_err().to_string();
    assert!(refusal.contains("can no longer be taken back") && refusal.contains(named), "{refusal}");

    // What the operator's own default is written with is not judged at admission.
    let borrowed = PatchParams { field_manager: Some(manager::DEFAULT_TARGET.to_owned()), ..PatchParams::default() };
    cloud.versions().patch(NAME, &borrowed, &Patch::Merge(back)).await.unwrap();
    let shown = "spec.targetVersion: the update from 1.0.0 to 1.0.1 cannot change to 1.0.0";
    cloud.refused("TargetVersionValid", &[shown, named, "Set it to 1.0.1 or newer"]).await;
    cloud.fence().await;
    assert_eq!(new_ones(cloud).await, before);
    cloud.target(NEW).await;
    cloud.until("the target is valid", |status| said(status, "TargetVersionValid").starts_with("True")).await;
}
