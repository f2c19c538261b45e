//! Everybody else: the service operators, and the administrator of the nodesets.

use plan::release::Objects;
use std::sync::Arc;

use api::{
    DynamicObject,
    condition::Status,
    service::{self, Check, Kind, SERVICES},
    step::StepName,
    version::StepState,
};
use plan::{gate, json};
use serde_json::{Value, json};

use super::{Sim, image_of, known_mut};

impl Sim {
    /// Every service operator brings every object to what its spec says.
    pub fn services(&mut self) {
        for kind in service::kinds() {
            if matches!(self.world.objects(&kind), Objects::Known(_)) {
                for object in self.objects(&kind) {
                    if !is_settled(&kind, object) {
                        settle(&kind, Arc::make_mut(object));
                    }
                }
            }
        }
    }

    /// Only the objects of that kind are brought on.
    pub fn serve(&mut self, kind: &str) {
        let kind = kind_named(kind);
        for object in self.objects(&kind) {
            settle(&kind, Arc::make_mut(object));
        }
    }

    /// An object's `Ready` turns False at its present generation.
    pub fn break_one(&mut self, kind: &str, name: &str, why: &str) {
        let check = row(&kind_named(kind)).ready.iter().find_map(|check| match check {
            Check::Condition(type_) => Some(*type_),
            _ => None,
        });
        let object = self.one(kind, name);
        object.data["status"]["conditions"] =
            json!([{"type": check.unwrap(), "status": "False", "reason": "Error", "message": why}]);
    }

    /// One object, to be changed.
    pub fn one(&mut self, kind: &str, name: &str) -> &mut DynamicObject {
        let objects = self.objects(&kind_named(kind));
        let object = objects.iter_mut().find(|object| object.metadata.name.as_deref() == Some(name));
        Arc::make_mut(object.unwrap_or_else(|| panic!("no {kind}/{name}")))
    }

    /// A field of an object's spec.
    pub fn field(&self, kind: &str, name: &str, path: &str) -> Option<Value> {
        let object = self.world.object(&kind_named(kind), name)?;
        json::get(&object.data, path).cloned()
    }

    /// A field of an object's spec, as text.
    pub fn text(&self, kind: &str, name: &str, path: &str) -> String {
        self.field(kind, name, path).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }

    pub fn exists(&self, kind: &str, name: &str) -> bool {
        self.world.object(&kind_named(kind), name).is_some()
    }

    /// Somebody deletes an object.
    pub fn delete(&mut self, kind: &str, name: &str) {
        self.objects(&kind_named(kind)).retain(|object| object.metadata.name.as_deref() != Some(name));
    }

    /// Somebody deletes one of all the objects.
    pub fn lose(&mut self, which: u64) {
        let known = self.world.kinds.values_mut().filter_map(|kind| match kind {
            Objects::Known(objects) if !objects.is_empty() => Some(objects),
            _ => None,
        });
        let mut known: Vec<_> = known.collect();
        let count = u64::try_from(known.len()).unwrap();
        if count > 0 {
            known[usize::try_from(which % count).unwrap()].remove(0);
        }
    }

    /// A nodeset, to be changed.
    pub fn nodeset(&mut self, name: &str) -> &mut DynamicObject {
        let all = known_mut(&mut self.world.nodesets);
        Arc::make_mut(all.iter_mut().find(|nodeset| nodeset.metadata.name.as_deref() == Some(name)).unwrap())
    }

    /// The administrator deploys the nodesets that a step waits for.
    pub fn administrator(&mut self) {
        let Some(update) = self.status().update.clone() else { return };
        let waiting = |name| update.steps.iter().any(|step| step.name == name && step.state == StepState::Waiting);
        if waiting(StepName::OvnDataplane) {
            let image = self.status().container_images.get("ovnControllerImage").cloned();
            self.deploy(|status| {
                if status["containerImages"].get("OvnControllerImage").is_some() {
                    status["containerImages"]["OvnControllerImage"] = json!(image);
                }
            });
        }
        if waiting(StepName::Dataplane) {
            self.deploy(|status| status["deployedVersion"] = json!(update.to));
        }
    }

    /// A deployment of every nodeset.
    pub fn deploy(&mut self, change: impl Fn(&mut Value)) {
        for nodeset in &mut self.world.nodesets {
            let nodeset = Arc::make_mut(nodeset);
            let generation = nodeset.metadata.generation;
            let status = &mut nodeset.data["status"];
            if !status.is_object() {
                *status = json!({});
            }
            status["observedGeneration"] = json!(generation);
            status["conditions"] = json!([{"type": "Ready", "status": "True"}]);
            change(status);
        }
    }

    /// The status of a nodeset that was deployed with a version.
    pub fn deployed_with(version: &str) -> Value {
        json!({
            "observedGeneration": 1,
            "deployedVersion": version,
            "containerImages": {"OvnControllerImage": image_of("ovnControllerImage", version)},
            "conditions": [{"type": "Ready", "status": "True"}],
        })
    }

    /// The condition of the `OpenStackVersion`: status, reason, message.
    pub fn condition(&self, type_: &str) -> (Status, String, String) {
        let found = api::condition::find(&self.status().conditions, type_).unwrap_or_else(|| panic!("no {type_}"));
        (found.status, found.reason.to_string(), found.message.clone())
    }

    /// The condition of the control plane.
    pub fn cp_condition(&self, type_: &str) -> (Status, String, String) {
        let conditions = &self.world.control_plane.as_ref().unwrap().status.conditions;
        let found = api::condition::find(conditions, type_).unwrap_or_else(|| panic!("no {type_}"));
        (found.status, found.reason.to_string(), found.message.clone())
    }
}

pub fn kind_named(kind: &str) -> Kind {
    *service::kinds().iter().find(|found| found.kind == kind).unwrap_or_else(|| panic!("no kind {kind}"))
}

fn row(kind: &Kind) -> &'static service::Service {
    SERVICES.iter().find(|row| row.kind == *kind).unwrap()
}

fn is_settled(kind: &Kind, object: &DynamicObject) -> bool {
    gate::first_unmet(kind.kind, object, row(kind).ready).is_none()
}

/// What a well-behaved operator writes.
fn settle(kind: &Kind, object: &mut DynamicObject) {
    let row = row(kind);
    if row.ready.is_empty() {
        return;
    }
    let mut status: Value = serde_json::from_str(row.required_status).unwrap();
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let mut conditions = Vec::new();
    for check in row.ready {
        match *check {
            Check::Observed => status["observedGeneration"] = json!(object.metadata.generation.unwrap_or_default()),
            Check::Condition(type_) => conditions.push(json!({"type": type_, "status": "True"})),
            Check::StatusEmpty(_) => {}
            Check::StatusFollowsSpec { status: field, spec: wanted } => status[field] = spec[wanted].clone(),
            Check::StatusHasImage { status: field, spec: parts } => {
                status[field] = json!(gate::joined_reference(&spec[parts]));
            }
        }
    }
    status["conditions"] = json!(conditions);
    object.data["status"] = status;
}
