//! The service objects: what to write, keep and delete, and one status line for each service.

use std::collections::BTreeMap;

use api::{
    DynamicObject, MANAGED_BY, annotation,
    condition::Reason,
    service::{Kind, Service},
    version::{ServiceState, ServiceStatus},
};
use serde_json::{Map, Value, json};

use super::{
    Scene,
    images::SlotValue,
    slots::{all_carry, body_field, first_difference, live_value, set_value},
    target::Course,
    walk::Walk,
    wanted::{Address, Wanted, WantedObject, Wish, infrastructure_only},
    world::{Action, owner_reference},
};
use crate::{gate, json};

/// What is decided about the service objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Children {
    pub(crate) actions: Vec<Action>,
    /// One line for each row, in the table's order.
    pub(crate) lines: Vec<ServiceStatus>,
    /// The images that an enabled service needs and the version does not have.
    pub(crate) missing: Vec<String>,
}

impl Children {
    /// Decides.
    pub(crate) fn plan(scene: &Scene<'_>, walk: &Walk) -> Self {
        let mut children = Self::default();
        for wanted in &scene.wanted {
            let mut blocked = None;
            for object in wanted.objects() {
                match compose(scene, walk, wanted, object) {
                    Ok(Some(action)) => children.actions.push(action),
                    Ok(None) => {}
                    Err(problem) => {
                        blocked.get_or_insert(problem.text.clone());
                        children.missing.push(problem.text);
                    }
                }
            }
            children.lines.push(line(scene, walk, wanted, blocked));
        }
        if scene.decision.course == Course::Idle {
            children.actions.clear();
        } else {
            children.actions.extend(deletions(scene));
        }
        children
    }
}

/// A release lacks an image that an object cannot be made without.
struct MissingImage {
    text: String,
}

/// The apply of an object, if one is needed.
fn compose(
    scene: &Scene<'_>,
    walk: &Walk,
    wanted: &Wanted,
    object: &WantedObject,
) -> Result<Option<Action>, MissingImage> {
    let Some(owner) = scene.world.control_plane.as_ref().map(|cp| &cp.meta) else { return Ok(None) };
    if !scene.world.installed(wanted.kind()) {
        return Ok(None);
    }
    let live = scene.world.object(wanted.kind(), &object.name);
    if live.is_none() && infrastructure_only(scene.world) && !wanted.service.infrastructure {
        return Ok(None);
    }
    let (body, mut annotations) = filled(scene, walk, wanted, object, live)?;
    let field = body_field(wanted.service);
    // Over everything that is applied but the owner and the names, which cannot change.
    let hash = json::hash(&json!([body, annotations]));
    annotations.insert(annotation::APPLIED.to_owned(), json!(hash));
    if live.is_some_and(|live| is_applied(live, field, &body, &annotations, &owner.uid)) {
        return Ok(None);
    }
    let (label, value) = MANAGED_BY;
    let object = json!({
        "apiVersion": wanted.kind().api_version(),
        "kind": wanted.kind().kind,
        "metadata": {
            "name": object.name,
            "namespace": scene.world.namespace,
            "labels": {label: value},
            "annotations": annotations,
            "ownerReferences": [owner_reference(owner)],
        },
        field: body,
    });
    Ok(Some(Action::Apply { service: wanted.service.name.to_owned(), object }))
}

/// The template with the values that it may have now.
fn filled(
    scene: &Scene<'_>,
    walk: &Walk,
    wanted: &Wanted,
    object: &WantedObject,
    live: Option<&DynamicObject>,
) -> Result<(Value, Map<String, Value>), MissingImage> {
    let mut body = object.body.clone();
    let mut annotations = Map::new();
    for spot in &object.spots {
        let target = set_value(&scene.to, object, spot);
        let carried = live.and_then(|live| live_value(wanted.service, live, &spot.address));
        let before = match set_value(&scene.from, object, spot) {
            SlotValue::Value(value) => Some(value),
            _ => None,
        };
        let value = match (target, walk.opens(wanted.service.step)) {
            (SlotValue::Value(value), true) => Some(value),
            (SlotValue::Nothing, true) => None,
            // Not its turn: it keeps what it has. What is new in between starts with the version before.
            (SlotValue::Value(target), false) => carried.or(before).or(live.is_none().then_some(target)),
            (SlotValue::Nothing, false) => carried.or(before),
            (SlotValue::Missing(image), _) => match carried.or(before) {
                None if live.is_none() => return Err(missing(scene, wanted, object, &image)),
                kept => kept,
            },
        };
        if let Some(value) = value {
            match &spot.address {
                Address::Body(path) => json::set(&mut body, path, value),
                Address::Annotation(name) => {
                    annotations.insert((*name).to_owned(), value);
                }
            }
        }
    }
    Ok((body, annotations))
}

fn missing(scene: &Scene<'_>, wanted: &Wanted, object: &WantedObject, image: &str) -> MissingImage {
    MissingImage {
        text: format!(
            "{}/{}: {image} has no value in version {}; set spec.customContainerImages.{image} or correct the bundle",
            wanted.kind().kind,
            object.name,
            scene.to.version
        ),
    }
}

/// Whether applying would change nothing.
fn is_applied(
    live: &DynamicObject,
    field: &str,
    body: &Value,
    annotations: &Map<String, Value>,
    owner_uid: &str,
) -> bool {
    let found = live.metadata.annotations.as_ref();
    let annotated = annotations.iter().all(|(name, value)| {
        found.and_then(|found| found.get(name)).is_some_and(|found| value.as_str() == Some(found))
    });
    annotated && owned_by(live, owner_uid) && json::covers(live.data.get(field).unwrap_or(&Value::Null), body)
}

fn owned_by(live: &DynamicObject, uid: &str) -> bool {
    live.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
}

/// Objects that the control plane owns and no longer asks for.
fn deletions(scene: &Scene<'_>) -> Vec<Action> {
    let Some(owner) = scene.world.control_plane.as_ref().filter(|cp| cp.spec.is_ok()) else { return Vec::new() };
    let mut by_kind: BTreeMap<String, (&'static Service, &'static Kind, bool, Vec<&str>)> = BTreeMap::new();
    for wanted in &scene.wanted {
        let key = super::kind_key(wanted.kind());
        let entry = by_kind.entry(key).or_insert((wanted.service, wanted.kind(), false, Vec::new()));
        entry.2 |= matches!(wanted.wish, Wish::Blocked(_));
        entry.3.extend(wanted.objects().iter().map(|object| object.name.as_str()));
    }
    let mut deletions = Vec::new();
    // A row that cannot be read says nothing about its objects: they stay.
    for (service, kind, _, names) in by_kind.into_values().filter(|(_, _, unreadable, _)| !unreadable) {
        for live in scene.world.objects(kind) {
            let name = live.metadata.name.clone().unwrap_or_default();
            let going = live.metadata.deletion_timestamp.is_some();
            if !going && owned_by(live, &owner.meta.uid) && !names.contains(&name.as_str()) {
                let uid = live.metadata.uid.clone().unwrap_or_default();
                deletions.push(Action::Delete { service: service.name.to_owned(), name, uid });
            }
        }
    }
    deletions
}

/// Why the service is not done with the images of the target, if it is not.
pub(crate) fn why_not_done(scene: &Scene<'_>, wanted: &Wanted) -> Option<(Reason, String)> {
    why_not_made(scene, wanted).or_else(|| {
        wanted.objects().iter().find_map(|object| {
            let Some(live) = scene.world.object(wanted.kind(), &object.name) else {
                return Some((Reason::Requested, format!("{}/{} does not exist yet", wanted.kind().kind, object.name)));
            };
            let lacks =
                object.spots.iter().any(|spot| matches!(set_value(&scene.to, object, spot), SlotValue::Missing(_)));
            let reason = if lacks { Reason::MissingImage } else { Reason::Requested };
            let unmet = first_difference(&scene.to, wanted, object, live)
                .or_else(|| gate::first_unmet(wanted.kind().kind, live, wanted.service.ready));
            unmet.map(|unmet| (reason, unmet.to_string()))
        })
    })
}

/// Why no object of the service can be written at all.
fn why_not_made(scene: &Scene<'_>, wanted: &Wanted) -> Option<(Reason, String)> {
    match &wanted.wish {
        Wish::No(_) => None,
        Wish::Blocked(problem) => Some((Reason::Error, problem.clone())),
        Wish::Objects(_) if !scene.world.installed(wanted.kind()) => {
            let Kind { kind, .. } = wanted.kind();
            let text = format!("kind {kind} is not installed; install the CRD {}", wanted.kind().crd_name());
            Some((Reason::KindNotInstalled, text))
        }
        Wish::Objects(_) => None,
    }
}

fn line(scene: &Scene<'_>, walk: &Walk, wanted: &Wanted, blocked: Option<String>) -> ServiceStatus {
    let (state, message) = match (&wanted.wish, blocked) {
        (Wish::No(reason), _) => (ServiceState::Disabled, reason.clone()),
        (_, Some(problem)) => (ServiceState::Blocked, problem),
        (_, None) => match why_not_made(scene, wanted) {
            Some((_, problem)) => (ServiceState::Blocked, problem),
            None => health(scene, walk, wanted),
        },
    };
    let version = [&scene.to, &scene.from].into_iter().find(|set| all_carry(scene, wanted, set));
    ServiceStatus {
        name: wanted.service.name.to_owned(),
        kind: wanted.kind().kind.to_owned(),
        version: version.map(|set| set.version.clone()),
        state,
        message,
    }
}

/// Ready or not, whatever the images; then whether the images are still to come.
fn health(scene: &Scene<'_>, walk: &Walk, wanted: &Wanted) -> (ServiceState, String) {
    let objects = wanted.objects();
    let mut problems = objects.iter().filter_map(|object| match scene.world.object(wanted.kind(), &object.name) {
        None if infrastructure_only(scene.world) && !wanted.service.infrastructure => {
            Some(format!("annotation {} is infrastructure-only", annotation::DEPLOYMENT_STAGE))
        }
        None => Some(format!("{}/{} does not exist yet", wanted.kind().kind, object.name)),
        Some(live) => gate::first_unmet(wanted.kind().kind, live, wanted.service.ready).map(|unmet| unmet.to_string()),
    });
    if let Some(first) = problems.next() {
        let failing = 1 + problems.count();
        let count = if objects.len() > 1 { format!("{failing} of {}: ", objects.len()) } else { String::new() };
        return (ServiceState::NotReady, format!("{count}{first}"));
    }
    let difference = objects.iter().find_map(|object| {
        let live = scene.world.object(wanted.kind(), &object.name)?;
        first_difference(&scene.to, wanted, object, live)
    });
    match difference {
        Some(_) if !scene.to.known => (ServiceState::Ready, "keeps its images: they are not known".to_owned()),
        Some(unmet) if walk.opens(wanted.service.step) => (ServiceState::NotReady, unmet.to_string()),
        Some(unmet) => (ServiceState::Pending, unmet.to_string()),
        None => (ServiceState::Ready, String::new()),
    }
}
