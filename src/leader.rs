//! Which replica acts. All watch and plan; only the holder of the Lease writes.

use anyhow::Context as _;
use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::{sync::watch, task::JoinHandle};

/// The name of the Lease.
pub const LEASE: &str = "openstack-release-operator";

/// Seconds that a Lease lives without renewal: the longest time without a leader after a crash.
const DURATION_SECONDS: u64 = 12;

/// Seconds before the end at which the holder renews.
const GRACE_SECONDS: u64 = 5;

/// The membership in the election.
pub struct Leadership {
    state: watch::Receiver<bool>,
    task: JoinHandle<kube_lease_manager::Result<LeaseManager>>,
}

impl Leadership {
    /// Joins the election. `identity` is the pod's name: a restarted container takes its own Lease up again at once.
    pub async fn join(client: Client, namespace: &str, identity: &str) -> anyhow::Result<Self> {
        let manager = LeaseManagerBuilder::new(client, LEASE)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(DURATION_SECONDS)
            .with_grace(GRACE_SECONDS)
            .build()
            .await
            .with_context(|| format!("Lease {namespace}/{LEASE} cannot be used; check the RBAC rules for leases"))?;
        let (state, task) = manager.watch().await;
        Ok(Self { state, task })
    }

    /// Whether this process leads, as it changes.
    pub fn state(&self) -> watch::Receiver<bool> {
        self.state.clone()
    }

    /// Gives the Lease back. Every receiver of [`Self::state`] must be gone, or the election goes on.
    pub async fn release(self) {
        drop(self.state);
        match self.task.await {
            Ok(Ok(_)) => tracing::info!("lease released"),
            Ok(Err(error)) => tracing::warn!(%error, "lease not released; it expires by itself"),
            Err(error) => tracing::warn!(%error, "leader election task failed"),
        }
    }
}
