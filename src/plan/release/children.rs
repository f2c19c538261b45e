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
    images::{ImageSet, SlotValue},
    last,
    slots::{all_carry, body_field, first_difference, is_to_be_written, live_value, set_value},
    target::Course,
    walk::{PAUSED, Walk},
    wanted::{Address, Wanted, WantedObject, Wish, infrastructure_only},
    world::{Action, Objects, owner_reference},
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
    /// What a pause keeps from the services while no update runs, for a person.
    pub(crate) held: Option<String>,
}

impl Children {
    /// Decides.
    pub(crate) fn plan(scene: &Scene<'_>, walk: &Walk) -> Self {
        let mut children = Self::default();
        let idle = scene.decision.course == Course::Idle;
        for wanted in &scene.wanted {
            let mut unmade = None;
            for object in wanted.objects().iter().filter(|_| !idle) {
                let missing = missing(scene, wanted, object);
                match &missing {
                    Some(missing) if missing.prevents => unmade = unmade.or_else(|| Some(missing.text.clone())),
                    _ => children.actions.extend(compose(scene, walk, wanted, object)),
                }
                children.missing.extend(missing.map(|missing| missing.text));
            }
            children.lines.push(line(scene, walk, wanted, unmade));
        }
        children.held = walk.only_paused().then(|| held(scene)).flatten();
        if !idle {
            children.actions.extend(deletions(scene));
        }
        children
    }
}

/// The version lacks an image of an object.
struct MissingImage {
    text: String,
    /// Whether the object cannot be made without; one that is there keeps what it has.
    prevents: bool,
}

/// The first image of the object that the version lacks.
fn missing(scene: &Scene<'_>, wanted: &Wanted, object: &WantedObject) -> Option<MissingImage> {
    let live = object.live.as_deref();
    object.spots.iter().find_map(|spot| {
        let SlotValue::Missing(image) = set_value(&scene.to, object, spot) else { return None };
        let before = matches!(set_value(&scene.from, object, spot), SlotValue::Value(_));
        let label = format!("{}/{}", wanted.kind().kind, object.name);
        let version = &scene.to.version;
        let text = if scene.to.known {
            format!(
                "{label}: {image} has no value in version {version}; set spec.customContainerImages.{image} or correct \
                 the bundle"
            )
        } else {
            format!("{label}: the images of version {version} are not known; set spec.targetVersion to a known version")
        };
        Some(MissingImage { text, prevents: live.is_none() && !before })
    })
}

/// The apply of an object, if one is needed and possible.
fn compose(scene: &Scene<'_>, walk: &Walk, wanted: &Wanted, object: &WantedObject) -> Option<Action> {
    let owner = scene.world.control_plane.as_ref().map(|cp| &cp.meta)?;
    if !matches!(scene.world.objects(wanted.kind()), Objects::Known(_)) {
        return None;
    }
    let live = object.live.as_deref();
    if live.is_none() && infrastructure_only(scene.world) && !wanted.service.infrastructure {
        return None;
    }
    let (body, mut annotations) = filled(scene, walk, wanted, object, live);
    let field = body_field(wanted.service);
    // Over everything that is applied but the owner and the names, which cannot change.
    let hash = json::hash_of(&body, &annotations);
    annotations.insert(annotation::APPLIED.to_owned(), json!(hash));
    if live.is_some_and(|live| is_applied(live, field, &body, &annotations, &owner.uid)) {
        return None;
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
    Some(Action::Apply { service: wanted.service.name.to_owned(), object })
}

/// The template with the values that it may have now.
fn filled(
    scene: &Scene<'_>,
    walk: &Walk,
    wanted: &Wanted,
    object: &WantedObject,
    live: Option<&DynamicObject>,
) -> (Value, Map<String, Value>) {
    let mut body = object.body.clone();
    let mut annotations = Map::new();
    let opens = walk.opens(wanted.service.step);
    let before = last::images(scene, wanted);
    for spot in &object.spots {
        let carried = live.and_then(|live| live_value(wanted.service, live, &spot.address));
        let before = match set_value(&before, object, spot) {
            SlotValue::Value(value) => Some(value),
            _ => None,
        };
        let value = match set_value(&scene.to, object, spot) {
            SlotValue::Value(value) if opens => Some(value),
            // Not its turn: it keeps what it has. What is new in between, and what was deleted, starts with the version
            // that the service has.
            SlotValue::Value(target) => carried.or(before).or(live.is_none().then_some(target)),
            SlotValue::Nothing if opens && scene.to.known => None,
            SlotValue::Nothing | SlotValue::Missing(_) => carried.or(before),
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
    (body, annotations)
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
    // The API server does not store what is empty.
    let nothing = json!({});
    annotated && owned_by(live, owner_uid) && json::covers(live.data.get(field).unwrap_or(&nothing), body)
}

fn owned_by(live: &DynamicObject, uid: &str) -> bool {
    live.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
}

/// Objects that the operator made and the control plane no longer asks for.
fn deletions(scene: &Scene<'_>) -> Vec<Action> {
    let Some(owner) = scene.world.control_plane.as_ref().filter(|cp| cp.spec.is_ok()) else { return Vec::new() };
    // A section that cannot be read says nothing about its objects: they stay, also those of the other variant.
    let unreadable: Vec<&str> = scene
        .wanted
        .iter()
        .filter(|wanted| matches!(wanted.wish, Wish::Blocked(_)))
        .map(|wanted| wanted.service.section)
        .collect();
    let mut by_kind: BTreeMap<String, (&'static Service, bool, Vec<&str>)> = BTreeMap::new();
    for wanted in &scene.wanted {
        let key = super::kind_key(wanted.kind());
        let (_, keep, names) = by_kind.entry(key).or_insert((wanted.service, false, Vec::new()));
        *keep |= unreadable.contains(&wanted.service.section);
        names.extend(wanted.objects().iter().map(|object| object.name.as_str()));
    }
    let mut deletions = Vec::new();
    for (service, _, names) in by_kind.into_values().filter(|(_, keep, _)| !keep) {
        for live in scene.world.objects(&service.kind).known() {
            let name = live.metadata.name.clone().unwrap_or_default();
            let going = live.metadata.deletion_timestamp.is_some();
            if !going && ours(live) && owned_by(live, &owner.meta.uid) && !names.contains(&name.as_str()) {
                let uid = live.metadata.uid.clone().unwrap_or_default();
                deletions.push(Action::Delete { service: service.name.to_owned(), name, uid });
            }
        }
    }
    deletions
}

/// Whether the operator applied the object: what others made for the same control plane (`ConfigMaps`, the objects of
/// an upstream operator) is not its to delete.
fn ours(live: &DynamicObject) -> bool {
    let (label, value) = MANAGED_BY;
    live.metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_some_and(|found| found == value)
}

/// Why the service is not done with the images of the target, if it is not. `moves` tells that they are written now.
pub(crate) fn why_not_done(scene: &Scene<'_>, wanted: &Wanted, moves: bool) -> Option<(Reason, String)> {
    why_not_made(scene, wanted).or_else(|| {
        wanted.objects().iter().find_map(|object| {
            let Some(live) = object.live.as_deref() else {
                return Some((Reason::Requested, format!("{}/{} does not exist yet", wanted.kind().kind, object.name)));
            };
            if moves && is_to_be_written(&scene.to, wanted, object, live) {
                let unmet = gate::unmet_once_written(wanted.kind().kind, live);
                return Some((Reason::Requested, unmet.to_string()));
            }
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
        Wish::Blocked(problem) => Some((Reason::Waiting, problem.clone())),
        Wish::Objects(objects) => unknown_kind(scene, wanted.kind()).or_else(|| {
            objects.iter().find_map(|object| {
                let key = format!("{}/{}", wanted.kind().kind, object.name);
                let error = scene.world.failures.get(&key)?;
                Some((Reason::Error, format!("{key} cannot be written: {error}")))
            })
        }),
    }
}

/// Why nothing is known of the objects of a kind, if nothing is.
fn unknown_kind(scene: &Scene<'_>, kind: &Kind) -> Option<(Reason, String)> {
    match scene.world.objects(kind) {
        Objects::Known(_) => None,
        Objects::Absent => {
            let text = format!("kind {} is not installed; install the CRD {}", kind.kind, kind.crd_name());
            Some((Reason::KindNotInstalled, text))
        }
        Objects::Unreadable(error) => Some((
            Reason::Error,
            format!("kind {} cannot be read: {error}; check the RBAC rules of the operator", kind.kind),
        )),
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
    ServiceStatus {
        name: wanted.service.name.to_owned(),
        kind: wanted.kind().kind.to_owned(),
        version: carried(scene, wanted),
        state,
        message,
    }
}

/// The version that the service has: an update that took another turn left it where it was.
fn carried(scene: &Scene<'_>, wanted: &Wanted) -> Option<String> {
    let now = [&scene.to, &scene.from].into_iter().find(|set| all_carry(wanted, set));
    let version = |set: &ImageSet| set.version.clone();
    now.map(version)
        .or_else(|| Some(last::images(scene, wanted)).filter(|set| all_carry(wanted, set)).map(|set| version(&set)))
}

/// The services whose images wait for the end of the pause, and the first that does.
fn held(scene: &Scene<'_>) -> Option<String> {
    let waits = |wanted: &Wanted| {
        let objects = wanted.objects().iter().filter(|object| missing(scene, wanted, object).is_none());
        let mut waiting =
            objects.filter_map(|object| first_difference(&scene.to, wanted, object, object.live.as_deref()?));
        Some((wanted.service.name, waiting.next()?))
    };
    let waiting: Vec<_> = scene.wanted.iter().filter_map(waits).collect();
    let (_, first) = waiting.first()?;
    let names: Vec<&str> = waiting.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    Some(format!("{PAUSED}, so no new image is written: {names}; {first}; set it to false, and they are"))
}

/// Ready or not, whatever the images; then whether the images are still to come.
fn health(scene: &Scene<'_>, walk: &Walk, wanted: &Wanted) -> (ServiceState, String) {
    let objects = wanted.objects();
    let mut problems = objects.iter().filter_map(|object| match object.live.as_deref() {
        None if infrastructure_only(scene.world) && !wanted.service.infrastructure => {
            Some(format!("annotation {} is infrastructure-only", annotation::DEPLOYMENT_STAGE))
        }
        None => Some(format!("{}/{} does not exist yet", wanted.kind().kind, object.name)),
        Some(live) if walk.moves(wanted.service.step) && is_to_be_written(&scene.to, wanted, object, live) => {
            Some(gate::unmet_once_written(wanted.kind().kind, live).to_string())
        }
        Some(live) => gate::first_unmet(wanted.kind().kind, live, wanted.service.ready).map(|unmet| unmet.to_string()),
    });
    if let Some(first) = problems.next() {
        let failing = 1 + problems.count();
        let count = if objects.len() > 1 { format!("{failing} of {}: ", objects.len()) } else { String::new() };
        return (ServiceState::NotReady, format!("{count}{first}"));
    }
    let difference = objects.iter().find_map(|object| {
        let live = object.live.as_deref()?;
        first_difference(&scene.to, wanted, object, live)
    });
    match difference {
        Some(_) if !scene.to.known => (ServiceState::Ready, "keeps its images: they are not known".to_owned()),
        Some(unmet) if walk.moves(wanted.service.step) => (ServiceState::NotReady, unmet.to_string()),
        Some(unmet) if walk.only_paused() => (ServiceState::Pending, format!("{PAUSED}; {unmet}")),
        Some(unmet) => (ServiceState::Pending, unmet.to_string()),
        None => (ServiceState::Ready, String::new()),
    }
}
