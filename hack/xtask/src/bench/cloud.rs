//! Many small clouds, with service operators that answer for all of them.

use std::time::Duration;

use anyhow::{Context, bail};
use api::{controlplane::OpenStackControlPlane, service, version::OpenStackVersion};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    runtime::watcher::{self, Event, watcher},
};
use serde_json::json;
use testbed::{Cluster, actors, fixtures::NAME, wait};
use tokio::task::JoinSet;

/// How long a service takes to get ready: the peer was measured with this.
const DELAY: Duration = Duration::from_millis(50);

/// How long any wait may take.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The clouds.
pub(super) struct Clouds {
    client: Client,
    namespaces: Vec<String>,
    _operators: JoinSet<()>,
}

impl Clouds {
    pub(super) fn new(client: Client) -> Self {
        let mut operators = JoinSet::new();
        for kind in service::kinds().into_iter().filter(|kind| *kind != service::CONFIG_MAP) {
            operators.spawn(play(client.clone(), kind));
        }
        Self { client, namespaces: Vec::new(), _operators: operators }
    }

    pub(super) fn count(&self) -> usize {
        self.namespaces.len()
    }

    /// Installs clouds until there are `count`, all of the version that is available.
    pub(super) async fn install(&mut self, cluster: &Cluster, count: usize) -> anyhow::Result<()> {
        let missing = count.saturating_sub(self.namespaces.len());
        let bar = ProgressBar::new(missing as u64).with_style(ProgressStyle::with_template("  {bar:40} {pos}/{len}")?);
        let created: Vec<String> = stream::iter(0..missing)
            .map(|_| async {
                let namespace = cluster.namespace("bench").await?;
                let api: Api<OpenStackControlPlane> = Api::namespaced(self.client.clone(), &namespace);
                let cloud = serde_json::from_value(control_plane(&namespace))?;
                api.create(&kube::api::PostParams::default(), &cloud).await?;
                self.until(&namespace, |version| version.status.as_ref().is_some_and(|s| s.deployed_version.is_some()))
                    .await?;
                bar.inc(1);
                anyhow::Ok(namespace)
            })
            .buffer_unordered(10)
            .try_collect()
            .await?;
        self.namespaces.extend(created);
        Ok(())
    }

    /// Waits until the first `count` clouds show the version as available.
    pub(super) async fn available(&self, version: &str, count: usize) -> anyhow::Result<()> {
        self.each(count, |status| status.available_version.as_deref() == Some(version)).await
    }

    /// Updates the first `count` clouds at once.
    pub(super) async fn update(&self, version: &str, count: usize) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"spec": {"targetVersion": version}}));
        stream::iter(self.namespaces.iter().take(count))
            .map(|namespace| {
                let (api, patch) = (self.versions(namespace), patch.clone());
                async move { api.patch(NAME, &PatchParams::default(), &patch).await }
            })
            .buffer_unordered(count)
            .try_collect::<Vec<_>>()
            .await?;
        self.each(count, |status| status.deployed_version.as_deref() == Some(version)).await
    }

    /// Changes the control plane of the first cloud, and waits until the change is where the operator takes it.
    pub(super) async fn mark(&self, marker: &str) -> anyhow::Result<()> {
        let namespace = self.namespaces.first().context("no cloud is installed")?;
        let planes: Api<OpenStackControlPlane> = Api::namespaced(self.client.clone(), namespace);
        let patch = Patch::Merge(json!({"spec": {"glance": {"template": {"marker": marker}}}}));
        planes.patch(NAME, &PatchParams::default(), &patch).await?;
        let glance = service::kinds().into_iter().find(|kind| kind.kind == "Glance").context("no such kind")?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &actors::resource(glance));
        wait::value(&api, "glance", "/spec/marker", &json!(marker), TIMEOUT).await?;
        Ok(())
    }

    /// Waits for a holder of the Lease of whom that holds.
    pub(super) async fn leader(&self, namespace: &str, holds: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        let led = |lease: &Lease| holder(lease).is_some_and(|holder| !holder.is_empty() && holds(&holder));
        let lease = wait::until(&api, "openstack-release-operator", TIMEOUT, led).await?;
        holder(&lease).context("nobody leads")
    }

    async fn each(
        &self,
        count: usize,
        holds: impl Fn(&api::version::OpenStackVersionStatus) -> bool + Copy + Send,
    ) -> anyhow::Result<()> {
        if self.namespaces.is_empty() {
            bail!("no cloud is installed");
        }
        stream::iter(self.namespaces.iter().take(count))
            .map(|namespace| self.until(namespace, move |version| version.status.as_ref().is_some_and(holds)))
            .buffer_unordered(count)
            .try_collect()
            .await
    }

    async fn until(&self, namespace: &str, holds: impl Fn(&OpenStackVersion) -> bool) -> anyhow::Result<()> {
        let api = self.versions(namespace);
        wait::until(&api, NAME, TIMEOUT, holds).await.with_context(|| namespace.to_owned())?;
        Ok(())
    }

    fn versions(&self, namespace: &str) -> Api<OpenStackVersion> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// Nine service objects.
fn control_plane(namespace: &str) -> serde_json::Value {
    json!({
        "apiVersion": "core.openstack.org/v1beta1",
        "kind": "OpenStackControlPlane",
        "metadata": {"namespace": namespace, "name": NAME},
        "spec": {
            "secret": "osp-secret",
            "storageClass": "local-storage",
            "galera": {"templates": {"openstack": {"replicas": 1, "storageRequest": "5G"}}},
            "rabbitmq": {"templates": {"rabbitmq": {"replicas": 1}}},
            "memcached": {"templates": {"memcached": {"replicas": 1}}},
            "keystone": {"template": {"database": {"instance": "openstack"}}},
            "ovn": {"template": {"ovnController": {"nicMappings": {"datacentre": "ospbr"}}}},
            "glance": {"template": {"databaseInstance": "openstack"}},
            "placement": {"template": {"databaseInstance": "openstack"}},
        },
    })
}

/// Makes every object of a kind ready, whatever its namespace.
async fn play(client: Client, kind: service::Kind) {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &actors::resource(kind));
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    let mut answers = JoinSet::new();
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(mut object) | Event::InitApply(mut object)) = event else { continue };
        object.types = Some(kube::core::TypeMeta { api_version: kind.api_version(), kind: kind.kind.to_owned() });
        let Some(status) = actors::ready_status(&object) else { continue };
        let namespace = object.namespace().unwrap_or_default();
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &actors::resource(kind));
        answers.spawn(async move {
            tokio::time::sleep(DELAY).await;
            let patch = Patch::Merge(json!({"status": status}));
            let _ = api.patch_status(&object.name_any(), &PatchParams::default(), &patch).await;
        });
    }
}
