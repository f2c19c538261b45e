//! The cluster: plans are applied to it as the engine and the API server would.

use std::sync::Arc;

use api::{
    DynamicObject,
    controlplane::{OpenStackControlPlaneSpec, OpenStackControlPlaneStatus},
    service::{self, Kind},
    step::StepName,
    version::{OpenStackVersionSpec, OpenStackVersionStatus, UpdateStatus},
};
use jiff::SignedDuration;
use plan::release::{Action, Bundle, Meta, Objects, Plan, Root, World, kind_key, plan};
use serde_json::{Value, json};

use super::{bundle, checked, control_plane, epoch, known_mut};

/// A world and the means to change it.
#[derive(Clone, Debug)]
pub struct Sim {
    pub world: World,
    uids: u64,
    /// The notes so far, as `Reason: message`.
    pub notes: Vec<String>,
    /// How many objects were written.
    pub writes: usize,
}

impl Sim {
    /// A new namespace with a control plane of these sections (all by default), and nothing else.
    pub fn new(sections: Option<&[&str]>, bundle: Bundle) -> Self {
        let fields = control_plane(sections).as_object().unwrap().clone();
        let meta = Meta { name: "cloud".into(), uid: "cp-uid".into(), generation: 1, ..Meta::default() };
        let world = World {
            now: epoch(),
            namespace: "openstack".into(),
            bundle: bundle.into(),
            version: None,
            control_plane: Some(Root {
                meta,
                spec: Ok(OpenStackControlPlaneSpec { fields }),
                status: OpenStackControlPlaneStatus::default(),
            }),
            surplus: Vec::new(),
            kinds: service::kinds().iter().map(|kind| (kind_key(kind), Objects::Known(Vec::new()))).collect(),
            nodesets: Objects::Known(Vec::new()),
            failures: std::collections::BTreeMap::default(),
            stale: std::collections::BTreeMap::default(),
        };
        Self { world, uids: 0, notes: Vec::new(), writes: 0 }
    }

    /// A cloud that has that version.
    pub fn installed(sections: Option<&[&str]>, version: &str) -> Self {
        let mut sim = Self::new(sections, bundle(version));
        sim.settle();
        assert_eq!(sim.deployed(), Some(version));
        sim
    }

    /// The same with a newer bundle, and the target set to it.
    pub fn updating(sections: Option<&[&str]>, from: &str, to: &str) -> Self {
        let mut sim = Self::installed(sections, from);
        sim.world.bundle = bundle(to).into();
        sim.settle();
        sim.target(to);
        sim
    }

    /// One pass: plan, check the laws that hold of every plan, act, report, and the time goes on.
    pub fn pass(&mut self) -> Plan {
        let plan = checked(&self.world);
        self.act(&plan);
        self.report(&plan);
        self.tick(10);
        plan
    }

    /// One pass, then the service operators do their work.
    pub fn round(&mut self) -> Plan {
        let plan = self.pass();
        self.services();
        plan
    }

    /// Rounds until nothing changes; the service operators work, the administrator does not.
    pub fn settle(&mut self) -> usize {
        self.rounds(80, |_| {})
    }

    /// Rounds until nothing changes, with an administrator who deploys nodesets when asked to.
    pub fn finish(&mut self) -> usize {
        self.rounds(120, Self::administrator)
    }

    /// Rounds with `after` each, until a pass changes nothing.
    pub fn rounds(&mut self, most: usize, mut after: impl FnMut(&mut Self)) -> usize {
        for round in 0..most {
            let before = self.world.clone();
            self.round();
            after(self);
            if same_but_time(&before, &self.world) {
                return round;
            }
        }
        panic!("no rest after {most} rounds: {:#?}", plan(&self.world));
    }

    /// Passes (with service operators) until the frontier is that step.
    pub fn until(&mut self, step: StepName) -> &mut Self {
        for _ in 0..60 {
            if self.world.version.as_ref().unwrap().status.update.as_ref().is_some_and(|u| u.step == Some(step)) {
                return self;
            }
            self.round();
            if self.world.version.as_ref().unwrap().status.update.as_ref().is_some_and(|u| u.step != Some(step)) {
                self.administrator();
            }
        }
        panic!("{step} is never reached: {:#?}", self.status().update);
    }

    /// Makes the writes of a plan.
    pub fn act(&mut self, plan: &Plan) {
        for action in &plan.actions {
            self.act_one(action);
        }
    }

    pub fn act_one(&mut self, action: &Action) {
        self.writes += 1;
        let owner_uid = |owner: &Value| owner["uid"].as_str().unwrap().to_owned();
        match action {
            Action::CreateVersion { name, owner } => {
                self.uids += 1;
                let uid = format!("osv-{}", self.uids);
                let owners = vec![owner_uid(owner)];
                let meta = Meta { name: name.clone(), uid, generation: 1, owners, ..Meta::default() };
                let spec = Ok(OpenStackVersionSpec::default());
                self.world.version = Some(Root { meta, spec, status: OpenStackVersionStatus::default() });
            }
            Action::AdoptVersion { owner, .. } => self.version().meta.owners.push(owner_uid(owner)),
            Action::DefaultTarget { target, .. } => self.target(target),
            Action::RemoveAnnotation { annotation, .. } => {
                self.version().meta.annotations.remove(annotation);
            }
            Action::RemoveFinalizer { name, uid, finalizer, at } => {
                let surplus = self.world.surplus.iter_mut().map(|surplus| &mut surplus.meta);
                let mut all = self.world.version.iter_mut().map(|version| &mut version.meta).chain(surplus);
                let meta = all.find(|meta| meta.name == *name).unwrap();
                assert_eq!((&meta.uid, &meta.finalizers.remove(*at)), (uid, finalizer));
                self.collect();
            }
            Action::Apply { object, .. } => self.apply(object),
            Action::Delete { service, name, uid } => {
                let kind = service::find(service).unwrap().kind;
                let objects = self.objects(&kind);
                objects.retain(|o| o.metadata.name.as_deref() != Some(name) || o.metadata.uid.as_deref() != Some(uid));
            }
        }
    }

    /// What is being deleted and waits for nothing more is gone.
    pub fn collect(&mut self) {
        let gone = |meta: &Meta| meta.deleting && meta.finalizers.is_empty();
        self.world.version.take_if(|version| gone(&version.meta));
        self.world.surplus.retain(|surplus| !gone(&surplus.meta));
    }

    /// Writes the statuses.
    pub fn report(&mut self, plan: &Plan) {
        if let (Some(root), Some(status)) = (&mut self.world.version, &plan.statuses.version) {
            // Through JSON, as the API server stores it.
            root.status = serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
        }
        if let (Some(root), Some(status)) = (&mut self.world.control_plane, &plan.statuses.control_plane) {
            root.status = serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
        }
        for surplus in &mut self.world.surplus {
            let written = plan.statuses.surplus.iter().find(|written| written.meta.uid == surplus.meta.uid);
            surplus.conditions.clone_from(&written.unwrap().conditions);
        }
        self.notes.extend(plan.notes.iter().map(|note| format!("{}: {}", note.reason, note.message)));
    }

    /// Server-side apply by one manager: the body is ours as a whole; the API server adds defaults.
    fn apply(&mut self, applied: &Value) {
        let kind = kind_of(applied);
        let name = applied["metadata"]["name"].as_str().unwrap();
        let field = if applied.get("data").is_some() { "data" } else { "spec" };
        let mut body = applied[field].clone();
        if field == "spec" {
            body["defaulted"] = json!("by the API server");
        }
        self.uids += 1;
        let uid = format!("uid-{}", self.uids);
        let objects = self.objects(&kind);
        let old = objects.iter().find(|object| object.metadata.name.as_deref() == Some(name));
        let mut value = applied.clone();
        value["metadata"]["uid"] = json!(old.and_then(|old| old.metadata.uid.clone()).unwrap_or(uid));
        let before = old.and_then(|old| old.metadata.generation).unwrap_or(0);
        let changed = old.is_none_or(|old| old.data.get(field) != Some(&body));
        value["metadata"]["generation"] = json!(before + i64::from(changed));
        if let Some(status) = old.and_then(|old| old.data.get("status")) {
            value["status"] = status.clone();
        }
        value[field] = body;
        let new: DynamicObject = serde_json::from_value(value).unwrap();
        objects.retain(|object| object.metadata.name.as_deref() != Some(name));
        objects.push(Arc::new(new));
        objects.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    }

    /// The objects of a kind, to be changed.
    pub fn objects(&mut self, kind: &Kind) -> &mut Vec<Arc<DynamicObject>> {
        known_mut(self.world.kinds.get_mut(&kind_key(kind)).unwrap())
    }

    pub fn tick(&mut self, seconds: i64) {
        self.world.now = self.world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    pub fn version(&mut self) -> &mut Root<OpenStackVersionSpec, OpenStackVersionStatus> {
        self.world.version.as_mut().unwrap()
    }

    /// Edits the spec of the `OpenStackVersion`.
    pub fn spec(&mut self) -> &mut OpenStackVersionSpec {
        self.version().meta.generation += 1;
        self.version().spec.as_mut().unwrap()
    }

    /// The bundle of the running operator, to be changed.
    pub fn bundle(&mut self) -> &mut Bundle {
        Arc::make_mut(&mut self.world.bundle)
    }

    pub fn target(&mut self, target: &str) {
        target.clone_into(&mut self.spec().target_version);
    }

    pub fn annotate(&mut self, name: &str, value: &str) {
        self.version().meta.annotations.insert(name.to_owned(), value.to_owned());
    }

    /// A field of the control plane's spec, by JSON pointer; parents must exist.
    pub fn cloud(&mut self, pointer: &str, value: Value) {
        let cp = self.world.control_plane.as_mut().unwrap();
        cp.meta.generation += 1;
        let fields = &mut cp.spec.as_mut().unwrap().fields;
        let mut spec = Value::Object(std::mem::take(fields));
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = spec.pointer_mut(parent).expect("the parent exists").as_object_mut().unwrap();
        if value.is_null() {
            parent.remove(key);
        } else {
            parent.insert(key.to_owned(), value);
        }
        *fields = spec.as_object().unwrap().clone();
    }

    pub fn status(&self) -> &OpenStackVersionStatus {
        &self.world.version.as_ref().unwrap().status
    }

    pub fn update(&self) -> &UpdateStatus {
        self.status().update.as_ref().expect("an update runs")
    }

    pub fn deployed(&self) -> Option<&str> {
        self.status().deployed_version.as_deref()
    }
}

fn kind_of(applied: &Value) -> Kind {
    let wanted = (applied["apiVersion"].as_str().unwrap(), applied["kind"].as_str().unwrap());
    let kinds = service::kinds();
    *kinds.iter().find(|kind| (kind.api_version().as_str(), kind.kind) == wanted).expect("a kind of the table")
}

/// Whether two worlds differ in nothing but the time.
pub fn same_but_time(left: &World, right: &World) -> bool {
    left.bundle == right.bundle
        && left.version == right.version
        && left.control_plane == right.control_plane
        && left.surplus == right.surplus
        && left.kinds == right.kinds
        && left.nodesets == right.nodesets
}
