//! What users, services and networks do.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use api::{annotation, step::MINOR_UPDATE};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::{
    fixtures::NAME,
    proxy::{Fault, Rule},
};

use super::{
    schedule::{What, Which},
    stage::{NEWEST, PATIENCE, SUPERVISION, Stage},
};
use crate::{
    keystone::keys::{self, Keys},
    support::{GATES, NEW},
};

/// The images that a user chooses, by field.
const CUSTOM: [&str; 4] = ["glanceAPIImage", "rabbitmqImage", "infraMemcachedImage", "openstackClientImage"];

impl Stage {
    pub(super) async fn service(&mut self, what: &What) {
        let (What::Flap { service, .. } | What::Dawdle { service, .. } | What::DeleteService(service)) = what else {
            return;
        };
        let (_, kind, name) = GATES[service % GATES.len()];
        if self.kubelet.is_some() && kind == "Keystone" {
            // Its pods are what is not ready then; to delete it would be to delete its keys.
            return;
        }
        match what {
            What::Flap { millis, .. } => {
                self.cloud.actors.fail(kind, name, "it flaps");
                tokio::time::sleep(Duration::from_millis(*millis)).await;
                self.cloud.actors.release(kind, name);
            }
            What::Dawdle { millis, .. } => {
                self.cloud.actors.hold(kind, name);
                tokio::time::sleep(Duration::from_millis(*millis)).await;
                self.cloud.actors.release(kind, name);
            }
            _ => {
                let api = self.cloud.api(kind);
                let _ = insist_once(|| async { api.delete(name, &DeleteParams::default()).await }).await;
            }
        }
    }

    pub(super) async fn rotate(&mut self, word: &str) {
        if self.kubelet.is_none() {
            return;
        }
        let (cluster, client, namespace) = (self.cloud.cluster, &self.cloud.client, &self.cloud.namespace);
        let published: Keys = keys::read(client, namespace, &format!("keystone-{word}-keys")).await.unwrap_or_default();
        let seed = u8::try_from(self.staged + 1).unwrap();
        if published.is_empty() {
            return;
        }
        let set = keys::rotated(&published, seed);
        match keys::stage_once(cluster, client, namespace, word, &set).await {
            Ok(()) => {
                self.staged += 1;
                self.sets.insert(word.to_owned(), set);
            }
            Err(error) => self.tell(&format!("not staged: {error}")),
        }
    }

    pub(super) async fn move_on(&mut self) {
        if self.went_back || self.bundle.version != NEW {
            return;
        }
        self.offer(NEWEST).await;
        self.target(NEWEST).await;
    }

    /// Asks for a target; whether it was accepted.
    pub async fn target(&mut self, version: &str) -> bool {
        let annotations = json!({annotation::SKIP_CUSTOM_IMAGES: ""});
        self.patch(json!({"metadata": {"annotations": annotations}, "spec": {"targetVersion": version}})).await
    }

    pub(super) async fn edit(&mut self, what: &What) {
        match what {
            What::Edit { field, value } => {
                let spec = match field % 4 {
                    0 => json!({"glance": {"template": {"marker": value}}}),
                    1 => json!({"rabbitmq": {"templates": {"rabbitmq": {"replicas": value}}}}),
                    2 => json!({"galera": {"templates": {"openstack": {"replicas": value}}}}),
                    _ => json!({"keystone": {"template": {"replicas": 1 + value % 2}}}),
                };
                let planes = self.cloud.planes();
                let patch = Patch::Merge(json!({"spec": spec}));
                let done = insist(|| async { planes.patch(NAME, &PatchParams::default(), &patch).await }).await;
                done.unwrap();
            }
            What::Custom { image, set } => {
                let field = CUSTOM[image % CUSTOM.len()];
                let image =
                    if *set { json!(format!("registry.example.com/hotfix/image{image}:1")) } else { Value::Null };
                self.patch(json!({"spec": {"customContainerImages": {field: image}}})).await;
            }
            What::Pause(paused) => {
                self.patch(json!({"spec": {"update": {"paused": paused}}})).await;
            }
            What::Hold(after) => {
                let step = after.map(|step| MINOR_UPDATE[step % MINOR_UPDATE.len()].name);
                self.patch(json!({"spec": {"update": {"holdAfter": step}}})).await;
            }
            _ => {}
        }
    }

    /// Changes the `OpenStackVersion`; whether it was accepted.
    pub async fn patch(&mut self, patch: Value) -> bool {
        let cloud = &self.cloud;
        match insist(|| cloud.patch_version(patch.clone())).await {
            Ok(_) => true,
            Err(error) => {
                self.tell(&format!("refused: {error:.400}"));
                false
            }
        }
    }
}

/// What the network does.
pub(super) fn rule(what: &What) -> Rule {
    match what {
        What::Refuse { code, which, times } => {
            let retry_after = (*code == 429).then_some(1);
            let rule = Rule::new(Fault::Answer { code: *code, retry_after }).times(*times);
            match which {
                Which::All => rule,
                Which::Writes => rule.writes().subresource(""),
                Which::Statuses => rule.writes().subresource("status"),
                Which::Lists => rule.verbs(&["list", "watch"]),
            }
        }
        What::Lose { answer: true, times } => Rule::new(Fault::DropAnswer).writes().times(*times),
        What::Lose { times, .. } => Rule::new(Fault::Drop).writes().times(*times),
        What::Silence { times } => Rule::new(Fault::Silence).writes().times(*times),
        What::Delay { times, millis } => Rule::new(Fault::Delay(Duration::from_millis(*millis))).times(*times),
        _ => unreachable!("{what:?} is not a fault of the network"),
    }
}

/// Does something as an administrator does: again, when it did not arrive or the object is about to come back.
pub(super) async fn insist<T, F: Future<Output = kube::Result<T>>>(act: impl Fn() -> F) -> kube::Result<T> {
    let start = Instant::now();
    loop {
        match act().await {
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
                return Err(kube::Error::Api(status));
            }
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(SUPERVISION).await,
            done => return done,
        }
    }
}

/// The same, when the object need not be there.
async fn insist_once<T, F: Future<Output = kube::Result<T>>>(act: impl Fn() -> F) -> kube::Result<Option<T>> {
    insist(|| async {
        match act().await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            done => done.map(Some),
        }
    })
    .await
}
