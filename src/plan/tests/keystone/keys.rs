//! Keys in the simulated cluster: what pods see of them, and what Keystone makes of them.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    DynamicObject,
    keystone::{KeyRepository, KeySetStatus},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use plan::json;
use serde_json::{Value, json};

use super::sim::Sim;

/// Keys by number.
pub type Keys = BTreeMap<u64, String>;

pub const FERNET: &str = "keystone-fernet-keys";
pub const CREDENTIAL: &str = "keystone-credential-keys";
const PREFIX: &str = "keystone.openstack.org/";

/// The `n`th key.
pub fn key(n: u64) -> String {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    URL_SAFE.encode(bytes)
}

/// What Keystone makes of keys.
pub fn rotated(keys: &Keys, most: usize, fresh: String) -> Keys {
    let mut new = keys.clone();
    let staged = new.insert(0, fresh).unwrap();
    new.insert(keys.keys().max().unwrap() + 1, staged);
    while new.len() > most {
        let oldest = *new.keys().nth(1).unwrap();
        new.remove(&oldest);
    }
    new
}

fn data(keys: &Keys) -> Value {
    keys.iter().map(|(number, key)| (number.to_string(), json!(STANDARD.encode(key)))).collect()
}

impl Sim {
    /// The keys that a Secret has.
    pub fn keys(&self, secret: &str) -> Keys {
        let Some(live) = self.find("Secret", secret) else { return Keys::new() };
        let data = live.data.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        let text = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap();
        data.iter().map(|(name, value)| (name.parse().unwrap(), text(value))).collect()
    }

    /// How many Events of a reason there were.
    pub fn noted(&self, reason: &str) -> usize {
        self.notes.iter().filter(|note| note.split(':').next() == Some(reason)).count()
    }

    /// What is on record about keys.
    pub fn record(&self, secret: &str) -> KeySetStatus {
        let name = if secret == FERNET { KeyRepository::Fernet } else { KeyRepository::Credential };
        self.world.keystone.status.keys.iter().find(|keys| keys.name == name).unwrap().clone()
    }

    /// The kubelet brings a pod the keys that are published.
    pub fn refresh(&mut self, pod: &str) {
        for secret in [FERNET, CREDENTIAL] {
            let keys = self.keys(secret);
            if !keys.is_empty() {
                self.seen.insert((pod.to_owned(), secret.to_owned()), keys);
            }
        }
    }

    pub fn refresh_all(&mut self) {
        for pod in self.names("Pod") {
            self.refresh(&pod);
        }
    }

    /// The pods that serve.
    pub fn servers(&self) -> Vec<String> {
        self.names("Pod").into_iter().filter(|name| name.starts_with("api-")).collect()
    }

    /// Whether the Job of this pod finds the keys that it asks for everywhere; any other Job may always end.
    pub fn may_confirm(&self, pod: &DynamicObject) -> bool {
        let env = json::get(&pod.data, "spec.containers.0.env").and_then(Value::as_array).cloned().unwrap_or_default();
        let value = |name: &str| env.iter().find(|env| env["name"] == name).and_then(|env| env["value"].as_str());
        let Some(pods) = value("PODS").filter(|_| value("KEYS").is_some()) else { return true };
        let pod = pod.metadata.name.as_deref().unwrap();
        let secret = if pod.contains("-fernet-") { FERNET } else { CREDENTIAL };
        let published = self.keys(secret);
        pods.split(',').all(|pod| {
            let name = pod.split('=').next().unwrap().to_owned();
            self.seen.get(&(name, secret.to_owned())) == Some(&published)
        })
    }

    /// Writes a new set, as the Job does.
    pub fn stage(&mut self, secret: &str, keys: &Keys) {
        let from = self.record(secret).set;
        self.stage_from(secret, keys, &from, 0);
    }

    pub fn stage_from(&mut self, secret: &str, keys: &Keys, from: &str, late: i64) {
        let at = (self.world.now + jiff::SignedDuration::from_secs(late)).to_string();
        let name = format!("{secret}-rotation");
        if self.find("Secret", &name).is_none() {
            return;
        }
        self.uids += 1;
        let version = self.uids.to_string();
        self.edit("Secret", &name, |live| {
            let annotations = json!({format!("{PREFIX}rotated-at"): at, format!("{PREFIX}rotated-from"): from});
            json::set(live, &json::keys("metadata.annotations"), annotations);
            json::set(live, &json::keys("metadata.resourceVersion"), json!(version));
            live["data"] = data(keys);
        });
    }

    /// A rotation of what is published.
    pub fn rotate(&mut self, secret: &str) -> Keys {
        self.uids += 1;
        let most = match secret {
            FERNET => usize::try_from(self.world.keystone.spec.as_ref().unwrap().fernet.max_active_keys).unwrap(),
            _ => 3,
        };
        let new = rotated(&self.keys(secret), most, key(self.uids));
        self.stage(secret, &new);
        new
    }

    /// A Job that somebody made of the `CronJob`, and that has ended.
    pub fn rotation_job(&mut self, name: &str, condition: &str, said: &str) {
        let cron = self.find("CronJob", "keystone-fernet-rotate").unwrap();
        let labels = json::get(&cron.data, "spec.jobTemplate.metadata.labels").cloned().unwrap();
        let now = self.world.now.to_string();
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "uid": format!("{name}-uid"), "labels": labels, "creationTimestamp": now},
            "spec": {},
            "status": {
                "startTime": now, "completionTime": now,
                "conditions": [{"type": condition, "status": "True", "reason": "BackoffLimitExceeded"}],
            },
        });
        self.objects("Job").push(Arc::new(serde_json::from_value(job).unwrap()));
        let mut labels = labels;
        labels["batch.kubernetes.io/job-name"] = json!(name);
        let state = json!({"terminated": {"message": said, "finishedAt": now}});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{name}-p"), "labels": labels},
            "spec": {"containers": [{"image": "x"}]},
            "status": {"phase": "Succeeded", "containerStatuses": [{"state": state}]},
        });
        self.objects("Pod").push(Arc::new(serde_json::from_value(pod).unwrap()));
    }
}
