//! Many small clouds, with service operators that answer for all of them.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, bail};
use api::{controlplane::OpenStackControlPlane, service, version::OpenStackVersion};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, Object, Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::Deserialize;
use serde_json::json;
use testbed::{Cluster, actors, fixtures::NAME, wait};
use tokio::{sync::watch, task::JoinSet};

/// How long a service takes to get ready: the peer was measured with this.
const DELAY: Duration = Duration::from_millis(50);

/// How long any wait may take.
const TIMEOUT: Duration = Duration::from_secs(1200);

/// What of the status of an `OpenStackVersion` is waited for. The rest is not even read: it is not the operator's work that
/// is measured here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Versions {
    available_version: String,
    deployed_version: String,
}

/// The clouds.
pub(super) struct Clouds {
    client: Client,
    namespaces: Vec<String>,
    /// By namespace.
    versions: watch::Receiver<HashMap<String, Versions>>,
    _tasks: JoinSet<()>,
}

impl Clouds {
    pub(super) fn new(client: Client) -> Self {
        let mut tasks = JoinSet::new();
        for kind in service::kinds().into_iter().filter(|kind| *kind != service::CONFIG_MAP) {
            tasks.spawn(play(client.clone(), kind));
        }
        let (sender, versions) = watch::channel(HashMap::new());
        tasks.spawn(look(client.clone(), sender));
        Self { client, namespaces: Vec::new(), versions, _tasks: tasks }
    }

    pub(super) fn count(&self) -> usize {
        self.namespaces.len()
    }

    /// Installs clouds until there are `count`, all of the version that is available.
    pub(super) async fn install(&mut self, cluster: &Cluster, count: usize) -> anyhow::Result<()> {
        let missing = count.saturating_sub(self.namespaces.len());
        let bar = bar(missing)?;
        let created: Vec<String> = stream::iter(0..missing)
            .map(|_| async {
                let namespace = cluster.namespace("bench").await?;
                let api: Api<OpenStackControlPlane> = Api::namespaced(self.client.clone(), &namespace);
                let cloud = serde_json::from_value(control_plane(&namespace))?;
                api.create(&kube::api::PostParams::default(), &cloud).await?;
                self.until(std::slice::from_ref(&namespace), |versions| !versions.deployed_version.is_empty()).await?;
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
        self.until(self.first(count)?, |versions| versions.available_version == version).await
    }

    /// Updates the first `count` clouds at once.
    pub(super) async fn update(&self, version: &str, count: usize) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"spec": {"targetVersion": version}}));
        let namespaces = self.first(count)?;
        stream::iter(namespaces)
            .map(|namespace| {
                let api: Api<OpenStackVersion> = Api::namespaced(self.client.clone(), namespace);
                let patch = patch.clone();
                async move { api.patch(NAME, &PatchParams::default(), &patch).await }
            })
            // More only wait for each other in the client.
            .buffer_unordered(50)
            .try_collect::<Vec<_>>()
            .await?;
        self.until(namespaces, |versions| versions.deployed_version == version).await
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

    fn first(&self, count: usize) -> anyhow::Result<&[String]> {
        self.namespaces.get(..count).with_context(|| format!("{} clouds are installed", self.namespaces.len()))
    }

    async fn until(&self, namespaces: &[String], holds: impl Fn(&Versions) -> bool) -> anyhow::Result<()> {
        let holds = |all: &HashMap<String, Versions>, namespace| all.get(namespace).is_some_and(&holds);
        let mut versions = self.versions.clone();
        let all_hold = versions.wait_for(|all| namespaces.iter().all(|namespace| holds(all, namespace)));
        if let Ok(held) = tokio::time::timeout(TIMEOUT, all_hold).await {
            return held.map(drop).context("the watch has ended");
        }
        let all = self.versions.borrow();
        let late: Vec<_> = namespaces.iter().filter(|namespace| !holds(&all, namespace)).collect();
        bail!("waited {TIMEOUT:?} in vain for {} clouds, {:?} is one of them", late.len(), late.first())
    }
}

/// A bar of progress.
pub(super) fn bar(length: usize) -> anyhow::Result<ProgressBar> {
    Ok(ProgressBar::new(length as u64).with_style(ProgressStyle::with_template("  {bar:40} {pos}/{len}")?))
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
    // With pauses: when the API server is gone, at the end, a watch fails at once and for ever.
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
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

/// Keeps the versions of all clouds up to date, with one watch.
async fn look(client: Client, versions: watch::Sender<HashMap<String, Versions>>) {
    #[derive(Clone, Debug, Default, Deserialize)]
    struct Nothing {}
    type Slim = Object<Nothing, Versions>;
    let api: Api<Slim> = Api::all_with(client, &ApiResource::erase::<OpenStackVersion>(&()));
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(object) | Event::InitApply(object)) = event else { continue };
        let status = object.status.clone().unwrap_or_default();
        versions.send_modify(|all| {
            all.insert(object.namespace().unwrap_or_default(), status);
        });
    }
}
