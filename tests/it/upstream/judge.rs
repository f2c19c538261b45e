//! What must hold of a cloud after each of these tests.

use api::{
    annotation,
    service::{CONFIG_MAP, Place, SERVICES, Source},
    version::{OpenStackVersionStatus, ServiceState},
};
use openstack_release_operator::engine::pointer;
use serde_json::{Value, json};
use testbed::{cluster::User, wait};

use crate::support::{Cloud, NEW, OLD, SOON, moved, moved_to, release};

/// The `ConfigMap` that fences are put on.
const FENCE: &str = "test-operator-config";

/// No service was refused by the API server, or could not be made for another reason.
#[track_caller]
pub fn nothing_blocked(status: &OpenStackVersionStatus) {
    let blocked: Vec<_> = status.services.iter().filter(|line| line.state == ServiceState::Blocked).collect();
    assert!(blocked.is_empty(), "{blocked:#?}");
}

/// Updates from 1.0.0 to 1.0.1, and asserts that each service object was written once and is as it should be.
pub async fn update(cloud: &mut Cloud, node_sets: &[&str]) -> OpenStackVersionStatus {
    let before = cloud.generations().await;
    cloud.upgrade_operator(&release(NEW)).await;
    cloud.target(NEW).await;
    let status = cloud.finish(node_sets).await;
    nothing_blocked(&status);
    cloud.assert_written_once(&before).await;
    let objects = cloud.objects().await;
    assert_eq!(moved(&objects, OLD), Vec::<String>::new());
    for (kind, name, object) in &objects {
        assert!(moved_to(object, NEW), "{kind}/{name}: {object:#}");
        every_slot(kind, name, object);
    }
    status
}

/// Every image of the row is in the object, and is that of 1.0.1.
fn every_slot(kind: &str, name: &str, object: &Value) {
    let images = release(NEW).images;
    let row = SERVICES.iter().find(|row| row.kind.kind == kind).unwrap();
    for slot in row.slots {
        let (Place::Path(path), Source::Image(image)) = (slot.place, slot.source) else { continue };
        let derived = api::image::DERIVED.iter().find(|derived| derived.name == image).map(|derived| derived.from);
        let found = object["spec"].pointer(&format!("/{}", path.replace('.', "/")));
        let wanted = &images[derived.unwrap_or(image)];
        assert_eq!(found.and_then(Value::as_str), Some(wanted.as_str()), "{kind}/{name}: {path}");
    }
}

/// What the operator wrote in the namespace, but for Leases and Events.
fn writes(cloud: &Cloud) -> Vec<String> {
    let all = cloud.cluster.writes(User::Operator).unwrap().into_iter();
    let ours = all.filter(|write| write.namespace == cloud.namespace);
    let ours = ours.filter(|write| write.resource != "leases" && write.resource != "events");
    ours.map(|write| format!("{} {}/{} {}", write.verb, write.resource, write.name, write.subresource)).collect()
}

/// Waits for two whole passes, which cost one write each: the annotation that the operator puts on each object is
/// spoiled, and it corrects that.
async fn fence(cloud: &Cloud) {
    let api = cloud.api(CONFIG_MAP.kind);
    for _ in 0..2 {
        let hash = cloud.get(CONFIG_MAP.kind, FENCE).await["metadata"]["annotations"][annotation::APPLIED].clone();
        let patch = json!({"metadata": {"annotations": {annotation::APPLIED: "spoiled"}}});
        api.patch(FENCE, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
        let pointer = pointer(&["metadata", "annotations", annotation::APPLIED]);
        cloud.expect("fence", wait::value(&api, FENCE, &pointer, &hash, SOON).await);
    }
}

/// A cloud that has what it wants is left alone, whatever moves in it that does not matter: what the CRDs add to our
/// objects must not look like a difference.
pub async fn quiet(cloud: &Cloud) {
    fence(cloud).await;
    let before = writes(cloud);
    let (kind, name, _) = cloud.objects().await.into_iter().find(|(kind, ..)| kind == "Memcached").unwrap();
    cloud.actors.set_status(&kind, &name, json!({"hash": {"touched": "by the test"}})).await.unwrap();
    assert_eq!(cloud.get(&kind, &name).await["status"]["hash"], json!({"touched": "by the test"}));
    fence(cloud).await;
    let after = writes(cloud);
    let fences = vec![format!("patch configmaps/{FENCE} "); 2];
    assert_eq!(after[before.len()..], fences, "nothing but the fences was written");
}
