//! A cloud where nothing happens costs the API server nothing but the Lease.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;
use testbed::cluster::{User, Write};

use crate::{
    crash::settled,
    support::{Cloud, NEW},
};

/// How long it is watched that nothing is written.
const WATCHED: Duration = Duration::from_secs(60);

/// What the operator wrote in the namespace, but for the Lease.
fn writes(cloud: &Cloud) -> Vec<Write> {
    let all = cloud.cluster.writes(User::Operator).unwrap();
    all.into_iter().filter(|write| write.namespace == cloud.namespace && write.resource != "leases").collect()
}

/// Peer: 6.7, #913, #968: endless reconcile loops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_operator_writes_nothing_but_its_lease() {
    let cloud = Cloud::offered("idle", json!({})).await;
    cloud.target(NEW).await;
    cloud.deployed(NEW).await;
    settled(&cloud).await;
    // It is published beside the last pass.
    cloud.event("UpdateCompleted", "from 1.0.0 to 1.0.1").await;
    let before = writes(&cloud);
    let glances = cloud.api("Glance");
    // Everything that happens to a status and means nothing to us.
    for number in 0..10 {
        let status = json!({"status": {"apiEndpoints": {"public": format!("http://glance/{number}")}}});
        glances.patch_status("glance", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        tokio::time::sleep(WATCHED / 10).await;
    }
    let after = writes(&cloud);
    assert_eq!(after[before.len()..], [], "an idle operator writes");
}
