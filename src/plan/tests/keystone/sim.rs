//! A world and the means to change it: plans are applied as the engine and the API server would.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    DynamicObject,
    keystone::{KeystoneSpec, KeystoneStatus},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::SignedDuration;
use plan::{
    json,
    keystone::{Action, KINDS, Plan, World, kind_named, plan},
    release::{Meta, Objects, Root, kind_key},
};
use serde_json::{Value, json};

use super::keys::Keys;

pub const OLD: &str = "quay.io/keystone:2025.2";
pub const NEW: &str = "quay.io/keystone:2026.1";

/// What a Job or a pod does when its turn comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Behaviour {
    /// It succeeds and leaves this message.
    Succeeds(String),
    /// Its Job fails, and the container leaves this message.
    Fails(String),
    /// It never ends.
    Hangs,
    /// Its container waits with this reason and message.
    Waits(&'static str, &'static str),
}

#[derive(Clone, Debug)]
pub struct Sim {
    pub world: World,
    /// How Jobs of a task behave; they succeed when nothing else is said.
    pub jobs: BTreeMap<&'static str, Behaviour>,
    /// Images whose pods cannot be pulled.
    pub broken: Vec<String>,
    /// Whether pods that are asked to end take their time.
    pub lingering: bool,
    /// The next uid.
    pub uids: u64,
    /// The notes so far.
    pub notes: Vec<String>,
    /// The Jobs that ran to their end, in order.
    pub ran: Vec<String>,
    /// The `CronJobs` that a person has suspended: it holds where the operator says nothing about it.
    pub suspended: Vec<String>,
    /// The keys that each pod sees: by pod and Secret.
    pub seen: BTreeMap<(String, String), Keys>,
}

pub fn spec(image: &str) -> Value {
    let (repository, tag) = image.rsplit_once(':').unwrap();
    json!({
        "image": {"repository": repository, "tag": tag},
        "database": {"host": "db", "secretRef": {"name": "db-secret"}},
        "cache": {"servers": ["memcached:11211"]},
        "bootstrap": {"adminPasswordSecretRef": {"name": "admin"}},
        "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
    })
}

impl Sim {
    /// A new Keystone.
    pub fn new(image: &str) -> Self {
        let meta = Meta { name: "keystone".into(), uid: "ks-uid".into(), generation: 1, ..Meta::default() };
        let world = World {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            namespace: "openstack".into(),
            keystone: Root {
                meta,
                spec: Ok(serde_json::from_value(spec(image)).unwrap()),
                status: KeystoneStatus::default(),
            },
            created: Some("2025-12-31T00:00:00Z".parse().unwrap()),
            others: Vec::new(),
            kinds: KINDS.iter().map(|kind| (kind_key(kind), Objects::Known(Vec::new()))).collect(),
            fresh_keys: (0..10).map(|n| format!("{n}{}=", "k".repeat(42))).collect(),
            failures: BTreeMap::new(),
        };
        Self {
            world,
            jobs: BTreeMap::new(),
            broken: Vec::new(),
            lingering: false,
            uids: 0,
            notes: Vec::new(),
            ran: Vec::new(),
            suspended: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// One that has that image.
    pub fn installed(image: &str) -> Self {
        let mut sim = Self::new(image);
        sim.settle();
        assert_eq!(
            sim.world.keystone.status.installed_image.as_deref(),
            Some(image),
            "{:#?}",
            sim.world.keystone.status
        );
        sim
    }

    pub fn spec(&mut self, change: impl FnOnce(&mut KeystoneSpec)) -> &mut Self {
        change(self.world.keystone.spec.as_mut().unwrap());
        self.world.keystone.meta.generation += 1;
        self
    }

    pub fn image(&mut self, image: &str) -> &mut Self {
        let tag = image.rsplit_once(':').unwrap().1.to_owned();
        self.spec(|spec| spec.image.tag = Some(tag))
    }

    /// The Keystone was deleted, and there is one of the same name again.
    pub fn created_again(&mut self, uid: &str) -> &mut Self {
        let keystone = &mut self.world.keystone;
        keystone.meta.uid = uid.into();
        keystone.status = KeystoneStatus::default();
        self
    }

    /// One pass of the operator.
    pub fn pass(&mut self) -> Plan {
        let planned = plan(&self.world);
        assert_eq!(planned, plan(&self.world), "deterministic");
        self.act(&planned);
        self.report(&planned);
        planned
    }

    /// The status is written, before the actions.
    pub fn report(&mut self, planned: &Plan) {
        let text = serde_json::to_value(&planned.status).unwrap();
        self.world.keystone.status = serde_json::from_value(text).unwrap();
        self.notes.extend(planned.notes.iter().map(|note| format!("{}: {}", note.reason, note.message)));
        self.world.now += SignedDuration::from_secs(1);
    }

    pub fn act(&mut self, planned: &Plan) {
        for action in &planned.actions {
            match action {
                Action::Apply { kind, object } => self.apply(kind, object),
                Action::Create { kind, object } => {
                    let name = json::text(object, "metadata.name").unwrap();
                    if self.find(kind, name).is_none() {
                        self.apply(kind, object);
                    }
                }
                Action::Merge { kind, object } => self.merge(kind, object),
                Action::Delete { kind, name, uid } => {
                    if self.find(kind, name).and_then(|live| live.metadata.uid.clone()).as_ref() == Some(uid) {
                        self.delete(kind, name);
                    }
                }
            }
        }
    }

    pub fn objects(&mut self, kind: &str) -> &mut Vec<Arc<DynamicObject>> {
        match self.world.kinds.get_mut(&kind_key(&kind_named(kind).unwrap())).unwrap() {
            Objects::Known(objects) => objects,
            other => panic!("{other:?}"),
        }
    }

    pub fn find(&self, kind: &str, name: &str) -> Option<&DynamicObject> {
        self.world.kinds[&kind_key(&kind_named(kind).unwrap())].find(name).map(Arc::as_ref)
    }

    pub fn names(&self, kind: &str) -> Vec<String> {
        self.world.kinds[&kind_key(&kind_named(kind).unwrap())]
            .iter()
            .map(|object| object.metadata.name.clone().unwrap())
            .collect()
    }

    /// Server-side apply by the one manager: what was applied before and is not any more, goes. Here the manager owns the
    /// whole spec, but for what the API server adds.
    fn apply(&mut self, kind: &str, object: &Value) {
        let name = json::text(object, "metadata.name").unwrap().to_owned();
        let live = self.find(kind, &name).cloned();
        if let (Some(wanted), Some(live)) = (json::text(object, "metadata.resourceVersion"), &live) {
            assert_eq!(Some(wanted), live.metadata.resource_version.as_deref(), "a conflict");
        }
        let mut new = object.clone();
        normalize(&mut new);
        if kind == "CronJob" && json::get(&new, "spec.suspend").is_none() {
            json::set(&mut new, &json::keys("spec.suspend"), json!(self.suspended.contains(&name)));
        }
        self.uids += 1;
        json::set(&mut new, &json::keys("metadata.resourceVersion"), json!(self.uids.to_string()));
        let mut generation = 1;
        let mut uid = format!("uid-{}", self.uids);
        if let Some(live) = live {
            let changed = new.get("spec") != live.data.get("spec");
            generation = live.metadata.generation.unwrap_or(1) + i64::from(changed);
            uid = live.metadata.uid.unwrap_or_default();
            if let Some(status) = live.data.get("status") {
                json::set(&mut new, &json::keys("status"), status.clone());
            }
            self.objects(kind).retain(|old| old.metadata.name.as_deref() != Some(&name));
        }
        json::set(&mut new, &json::keys("metadata.uid"), json!(uid));
        json::set(&mut new, &json::keys("metadata.generation"), json!(generation));
        self.objects(kind).push(Arc::new(serde_json::from_value(new).unwrap()));
    }

    /// A merge patch of the object that was observed.
    fn merge(&mut self, kind: &str, patch: &Value) {
        let name = json::text(patch, "metadata.name").unwrap().to_owned();
        let live = self.find(kind, &name).unwrap();
        let version = json::text(patch, "metadata.resourceVersion");
        assert_eq!(version, live.metadata.resource_version.as_deref(), "a conflict");
        self.uids += 1;
        let version = self.uids.to_string();
        self.edit(kind, &name, |live| {
            merge_into(live, patch);
            json::set(live, &json::keys("metadata.resourceVersion"), json!(version));
        });
    }

    /// Changes an object in place.
    pub fn edit(&mut self, kind: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let slot = self.objects(kind).iter_mut().find(|object| object.metadata.name.as_deref() == Some(name)).unwrap();
        let mut value = serde_json::to_value(slot.as_ref()).unwrap();
        change(&mut value);
        *slot = Arc::new(serde_json::from_value(value).unwrap());
    }

    /// One pass that is killed after so many writes.
    pub fn killed_after(&mut self, writes: usize) {
        let mut planned = plan(&self.world);
        planned.actions.truncate(writes);
        self.act(&planned);
        self.report(&planned);
    }

    /// The object goes; pods of a Job end first.
    pub fn delete(&mut self, kind: &str, name: &str) {
        if kind == "Job" {
            let pods = self.pods_of(name);
            for pod in pods {
                self.terminate(&pod);
            }
        }
        self.objects(kind).retain(|object| object.metadata.name.as_deref() != Some(name));
    }

    /// Asks a pod to end.
    pub fn terminate(&mut self, pod: &str) {
        let now = self.world.now.to_string();
        self.edit("Pod", pod, |pod| json::set(pod, &json::keys("metadata.deletionTimestamp"), json!(now)));
    }

    pub fn pods_of(&self, job: &str) -> Vec<String> {
        self.names("Pod").into_iter().filter(|pod| pod.starts_with(&format!("{job}-"))).collect()
    }

    /// Rounds of the operator and the cluster until a pass changes nothing.
    pub fn settle(&mut self) -> usize {
        for round in 0..200 {
            let before = self.world.clone();
            let planned = self.pass();
            self.cluster();
            if before.kinds == self.world.kinds && before.keystone == self.world.keystone {
                assert_eq!(planned.actions, Vec::new(), "a steady world is quiet");
                return round;
            }
        }
        panic!("no rest: {:#?}", self.world.keystone.status);
    }

    /// The tasks of the Jobs of installations and upgrades that ran to their end.
    pub fn tasks(&self) -> Vec<String> {
        let task = |job: &String| Some(job.split("-db-").nth(1)?.rsplit_once('-').unwrap().0.to_owned());
        self.ran.iter().filter_map(task).collect()
    }

    /// Rounds until the record names that step.
    pub fn until(&mut self, step: &str) -> &mut Self {
        for _ in 0..200 {
            if self.step().as_deref() == Some(step) {
                return self;
            }
            self.pass();
            self.cluster();
        }
        panic!("{step} is never reached: {:#?}", self.world.keystone.status);
    }

    /// The administrator asks for another attempt.
    pub fn retry(&mut self, value: &str) -> &mut Self {
        self.world.keystone.meta.annotations.insert(api::keystone::RETRY.to_owned(), value.to_owned());
        self
    }

    /// Somebody else scales the Deployment.
    pub fn scale(&mut self, replicas: i32) {
        self.uids += 1;
        let version = self.uids.to_string();
        self.edit("Deployment", "keystone", |live| {
            json::set(live, &json::keys("spec.replicas"), json!(replicas));
            json::set(live, &json::keys("metadata.resourceVersion"), json!(version));
            let generation = live["metadata"]["generation"].as_i64().unwrap() + 1;
            json::set(live, &json::keys("metadata.generation"), json!(generation));
        });
    }

    pub fn step(&self) -> Option<String> {
        self.world.keystone.status.upgrade.as_ref().map(|upgrade| upgrade.step.to_string())
    }

    /// The reason of a condition.
    pub fn reason(&self, type_: &str) -> String {
        let conditions = &self.world.keystone.status.conditions;
        api::condition::find(conditions, type_).unwrap().reason.to_string()
    }

    pub fn condition(&self, type_: &str) -> (bool, String) {
        let found = api::condition::find(&self.world.keystone.status.conditions, type_).unwrap();
        (found.status == api::condition::Status::True, found.message.clone())
    }
}

fn merge_into(value: &mut Value, patch: &Value) {
    match patch {
        Value::Object(fields) => {
            for (field, new) in fields {
                if new.is_null() {
                    json::remove(value, std::slice::from_ref(field));
                } else {
                    let mut inner = value.get(field).cloned().unwrap_or_default();
                    merge_into(&mut inner, new);
                    json::set(value, std::slice::from_ref(field), inner);
                }
            }
        }
        new => *value = new.clone(),
    }
}

/// What the API server makes of what it gets: quantities in their canonical form, defaults.
fn normalize(object: &mut Value) {
    let container = "spec.template.spec.containers.0";
    if json::text(object, "kind") == Some("Deployment") {
        let request = format!("{container}.resources.requests");
        if json::get(object, &request).is_some() {
            json::set(object, &json::keys(&request), json!({"cpu": "500m", "memory": "1Gi"}));
        }
        json::set(object, &json::keys("spec.template.spec.dnsPolicy"), json!("ClusterFirst"));
    }
    for pod in ["spec.template.spec", "spec.jobTemplate.spec.template.spec"] {
        for list in ["tolerations", "topologySpreadConstraints"].map(|list| format!("{pod}.{list}")) {
            let items = json::get(object, &list).and_then(Value::as_array).cloned().unwrap_or_default();
            for (index, mut item) in items.into_iter().enumerate() {
                drop_empty(&mut item);
                json::set(object, &json::keys(&format!("{list}.{index}")), item);
            }
        }
    }
    if json::text(object, "kind") == Some("Secret") {
        let texts = json::get(object, "stringData").and_then(Value::as_object).cloned().unwrap_or_default();
        for (key, text) in texts {
            json::set(object, &["data".into(), key], json!(STANDARD.encode(text.as_str().unwrap())));
        }
        json::remove(object, &json::keys("stringData"));
    }
    // Of the apply; the API server gives the object a new one.
    json::remove(object, &json::keys("metadata.resourceVersion"));
}

/// `omitempty`: of what is empty, only objects behind a pointer stay.
fn drop_empty(value: &mut Value) {
    let Value::Object(map) = value else { return };
    let empty = |key: &str, value: &Value| match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty() && key != "labelSelector",
        other => other.is_null(),
    };
    map.retain(|key, value| !empty(key, value));
    map.values_mut().for_each(drop_empty);
}
