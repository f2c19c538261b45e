//! Oracles: what must hold of every plan, judged from outside.

use std::collections::BTreeMap;

use api::{
    condition::{Condition, Status},
    release::Version,
    service::{self, SERVICES, Service},
    step::{MINOR_UPDATE, Scope, StepName, position},
    version::{StepState, StepStatus},
};
use plan::{
    gate,
    release::{Action, Plan, World, plan},
};
use serde_json::Value;

/// Plans, and checks what must hold of every plan of every world.
pub fn checked(world: &World) -> Plan {
    let plan = plan(world);
    explained(world, &plan);
    ordered(world, &plan);
    truthful(world, &plan);
    plan
}

/// Every condition that is not True has a message that names something, and every service has its line.
fn explained(world: &World, plan: &Plan) {
    let version = plan.statuses.version.iter().flat_map(|status| &status.conditions);
    let control_plane = plan.statuses.control_plane.iter().flat_map(|status| &status.conditions);
    let surplus = plan.statuses.surplus.iter().flat_map(|surplus| &surplus.conditions);
    for condition in version.chain(control_plane).chain(surplus) {
        if condition.status != Status::True {
            assert!(names_something(condition), "{condition:?} explains nothing");
        }
    }
    if let Some(status) = &plan.statuses.version {
        let names: Vec<&str> = status.services.iter().map(|line| line.name.as_str()).collect();
        let rows: Vec<&str> = SERVICES.iter().map(|row| row.name).collect();
        assert_eq!(names, rows, "one line for each service, always");
        assert!(status.history.len() <= api::version::HISTORY_MAX);
    }
    if world.version.is_none() {
        assert!(plan.statuses.version.is_none());
    }
}

fn names_something(condition: &Condition) -> bool {
    let message = &condition.message;
    let waits_its_turn = condition.status == Status::Unknown && message == "not started";
    let named = ["spec.", "status.", "/", "annotation ", "RELATED_IMAGE", "OPENSTACK_RELEASE", "metadata.", "kind "]
        .iter()
        .any(|mark| message.contains(mark));
    let object = message.contains("OpenStackControlPlane") || message.contains("OpenStackVersion");
    waits_its_turn || named || object
}

/// No image of a service changes while a step before its own is not finished, nor before the status says that its own
/// has begun; none changes while paused.
fn ordered(world: &World, plan: &Plan) {
    let Some(update) = plan.statuses.version.as_ref().and_then(|status| status.update.as_ref()) else { return };
    let paused = world.version.as_ref().and_then(|v| v.spec.as_ref().ok()).is_some_and(|spec| spec.update.paused);
    for (row, name, changes) in image_changes(world, plan) {
        assert!(!paused, "{name} changes while paused: {changes:?}");
        // A step that is done keeps its services at their images, also while one before it was opened again.
        let done = update.steps.iter().any(|step| step.name == row.step && step.state.is_finished());
        for step in update.steps.iter().filter(|step| !done && position(step.name) < position(row.step)) {
            assert!(step.state.is_finished(), "{name} changes in {}, but {} is {}", row.step, step.name, step.state);
        }
        let recorded = world.version.as_ref().and_then(|version| version.status.update.as_ref());
        let recorded = recorded.and_then(|update| update.steps.iter().find(|step| step.name == row.step));
        assert!(
            recorded.is_some_and(|step| !matches!(step.state, StepState::Pending | StepState::Held)),
            "{name} changes in {}, which is not recorded as begun",
            row.step
        );
    }
}

/// Row, `Kind/name`, and the changes.
type Changes = (&'static Service, String, Vec<(String, String, String)>);

/// Row, `Kind/name`, and (path, old, new) of the images that an apply changes in an object that is there.
pub fn image_changes(world: &World, plan: &Plan) -> Vec<Changes> {
    let mut all = Vec::new();
    for action in &plan.actions {
        let Action::Apply { service, object } = action else { continue };
        let row = service::find(service).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let Some(live) = world.object(&row.kind, name) else { continue };
        let old = image_leaves(&live.data);
        let changes: Vec<_> = image_leaves(object)
            .into_iter()
            .filter_map(|(path, new)| {
                let old = old.get(&path)?;
                (*old != new).then(|| (path, old.clone(), new))
            })
            .collect();
        if !changes.is_empty() {
            all.push((row, format!("{}/{name}", row.kind.kind), changes));
        }
    }
    all
}

/// What the statuses claim is so: steps that became done in this pass, `Ready`, `deployedVersion`.
fn truthful(world: &World, plan: &Plan) {
    let Some(status) = &plan.statuses.version else { return };
    let before = world.version.as_ref().map(|version| &version.status).unwrap();
    for step in status.update.iter().flat_map(|update| &update.steps) {
        let old = before.update.iter().flat_map(|update| &update.steps).find(|old| old.name == step.name);
        if step.state == StepState::Done && old.is_none_or(|old| !latched(old, step)) {
            services_ready(world, step.name);
        }
    }
    for conditions in [Some(&status.conditions), plan.statuses.control_plane.as_ref().map(|cp| &cp.conditions)] {
        let ready = conditions.is_some_and(|conditions| api::condition::is_true(conditions, "Ready"));
        assert!(!ready || status.deployed_version.is_some(), "Ready before anything is deployed");
    }
}

fn latched(old: &StepStatus, new: &StepStatus) -> bool {
    old.state == StepState::Done && old.images_hash == new.images_hash
}

fn services_ready(world: &World, step: StepName) {
    if MINOR_UPDATE.iter().any(|row| row.name == step && row.scope != Scope::Services) {
        return;
    }
    for row in SERVICES.iter().filter(|row| row.step == step) {
        for object in world.objects(&row.kind).known().iter().filter(|object| owned(object)) {
            let unmet = gate::first_unmet(row.kind.kind, object, row.ready);
            assert!(unmet.is_none(), "{step} is done, but {}", unmet.unwrap());
        }
    }
}

fn owned(object: &api::DynamicObject) -> bool {
    object.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(api::MANAGED_BY.0))
}

/// The image references in an object, by path; the parts of an image count one by one.
pub fn image_leaves(value: &Value) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    for field in ["spec", "data"] {
        if let Some(body) = value.get(field) {
            collect(body, field, &mut leaves);
        }
    }
    leaves
}

fn collect(value: &Value, path: &str, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| collect(inner, &format!("{path}.{key}"), leaves)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| collect(inner, &format!("{path}.{index}"), leaves));
        }
        Value::String(text) if text.contains(".io/") || path.ends_with(".tag") => {
            leaves.insert(path.to_owned(), text.clone());
        }
        _ => {}
    }
}

/// The versions that the images of an object belong to, by their tags.
pub fn versions_of(value: &Value) -> BTreeMap<String, Version> {
    let version = |text: &str| text.rsplit(':').next().and_then(|tag| tag.parse().ok());
    image_leaves(value).into_iter().filter_map(|(path, text)| Some((path, version(&text)?))).collect()
}
