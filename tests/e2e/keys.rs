//! The keys of a real Keystone: who has which, who rotates them, and who can still read what they encrypted.

use std::{sync::Arc, time::Duration};

use api::keystone::{KeyRepository, KeySetStatus, KeystoneStatus};
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::{Pod, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use testbed::{load, wait};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{scene::Scene, smoke::SOON};

/// What readers of a credential have in it.
const BLOB: &str = "a secret of somebody";

/// A pod that serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    pub name: String,
    pub uid: String,
    address: String,
}

impl Scene {
    async fn all<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.node.client().await.unwrap(), self.namespace())
    }

    /// What is on record about keys.
    pub async fn record(&self, name: KeyRepository) -> KeySetStatus {
        let status = self.api().await.get("keystone").await.unwrap().status.unwrap();
        status.keys.into_iter().find(|keys| keys.name == name).unwrap()
    }

    /// The pods that serve.
    pub async fn pods(&self) -> Vec<Server> {
        let selector = ListParams::default().labels("app.kubernetes.io/component=api");
        let pods = self.all::<Pod>().await.list(&selector).await.unwrap().items;
        let server = |pod: &Pod| Server {
            name: pod.name_any(),
            uid: pod.uid().unwrap(),
            address: pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap(),
        };
        let mut pods: Vec<_> = pods.iter().map(server).collect();
        pods.sort();
        pods
    }

    /// Each pod by itself.
    pub async fn each(&self) -> Vec<load::Api> {
        let api = |pod: Server| load::Api { authority: format!("{}:5000", pod.address), ..self.identity() };
        self.pods().await.into_iter().map(api).collect()
    }

    /// The seed's own command; the name of the Job.
    pub async fn rotate(&self, name: KeyRepository, round: i64) -> String {
        let name = format!("keystone-{name}-rotate");
        let (from, manual) = (format!("--from=cronjob/{name}"), format!("{name}-manual-{round}"));
        self.kubectl(&["create", "job", &from, &manual]).await;
        manual
    }

    /// Waits until every pod is known to have the set with that key as the one that encrypts.
    pub async fn spread(&self, name: KeyRepository, primary: i64) {
        self.keys(name, &format!("{name} key {primary} everywhere"), |keys| keys.primary == primary && keys.everywhere)
            .await;
    }

    /// Waits until what is on record about keys is as wanted.
    pub async fn keys(&self, name: KeyRepository, what: &str, mut holds: impl FnMut(&KeySetStatus) -> bool) {
        let holds = |status: &KeystoneStatus| status.keys.iter().any(|keys| keys.name == name && holds(keys));
        self.until(what, holds).await;
    }

    /// Deletes the Secret that new sets come in.
    pub async fn lose_staging(&self) {
        let secrets = self.all::<Secret>().await;
        secrets.delete("keystone-fernet-keys-rotation", &DeleteParams::default()).await.unwrap();
    }

    /// Waits until a Job has a pod that runs.
    pub async fn runs(&self, job: &str) {
        let active = |job: &Job| job.status.as_ref().is_some_and(|status| status.ready == Some(1));
        let ended = |job: &Job| job.status.as_ref().is_some_and(|status| status.succeeded == Some(1));
        Box::pin(wait::until(&self.all::<Job>().await, job, SOON, |job| active(job) || ended(job))).await.unwrap();
    }

    /// Sets a field of a `CronJob`, as a person does.
    pub async fn patch_cron(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.all::<CronJob>().await.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Watches a `CronJob` until it is as wanted.
    pub async fn cron(&self, name: &str, what: &str, holds: impl FnMut(&CronJob) -> bool) {
        if let Err(error) = Box::pin(wait::until(&self.all::<CronJob>().await, name, SOON, holds)).await {
            panic!("{what}: {error:#}\n{}", self.operator.log_tail());
        }
    }

    /// How many Jobs a `CronJob` made by itself so far.
    pub async fn by_the_clock(&self, name: &str) -> usize {
        let jobs = self.all::<Job>().await.list(&ListParams::default()).await.unwrap().items;
        let of = |job: &&Job| job.owner_references().iter().any(|owner| owner.name == name);
        jobs.iter()
            .filter(of)
            .filter(|job| !job.annotations().contains_key("cronjob.kubernetes.io/instantiate"))
            .count()
    }

    /// Every credential is encrypted with the key that is published as the one that encrypts.
    pub async fn is_encrypted_anew(&self) {
        let primary = self.record(KeyRepository::Credential).await.primary.to_string();
        let data = self.all::<Secret>().await.get("keystone-credential-keys").await.unwrap().data.unwrap();
        let key = String::from_utf8(data[&primary].0.clone()).unwrap();
        let all = self.sql("select count(*) from credential").await;
        let anew = self.sql(&format!("select count(*) from credential where key_hash = sha1(\"{key}\")")).await;
        assert_eq!(all.trim(), anew.trim(), "rows that are encrypted with the published key");
        assert_ne!(all.trim(), "0");
    }
}

/// Reads a credential at each pod, over and over.
pub struct Reader {
    stop: Arc<Notify>,
    reading: JoinHandle<(usize, Vec<String>)>,
}

impl Reader {
    pub async fn start(scene: &Scene) -> Self {
        let (pods, stop) = (scene.each().await, Arc::new(Notify::new()));
        let id = scene.identity().create_credential(BLOB).await.unwrap();
        let stopped = Arc::clone(&stop);
        let read = async move {
            let (mut good, mut bad) = (0, Vec::new());
            loop {
                for pod in &pods {
                    match pod.credential(&id).await {
                        Ok(blob) if blob == BLOB => good += 1,
                        other => bad.push(format!("{}: {other:?}", pod.authority)),
                    }
                }
                let rest = tokio::time::sleep(Duration::from_millis(200));
                tokio::select! { () = stopped.notified() => return (good, bad), () = rest => {} }
            }
        };
        Self { stop, reading: tokio::spawn(read) }
    }

    /// Nobody missed anything.
    pub async fn stop(self) {
        self.stop.notify_one();
        let (good, bad) = self.reading.await.unwrap();
        eprintln!("credentials: read {good} times, {} failed", bad.len());
        assert_eq!(bad, Vec::<String>::new());
        assert!(good > 0);
    }
}
