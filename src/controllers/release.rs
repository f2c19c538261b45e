//! The release controller: `OpenStackVersion`, `OpenStackControlPlane` and every service object.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    DynamicObject, MANAGED_BY, condition,
    controlplane::OpenStackControlPlaneStatus,
    dataplane::NODE_SET,
    manager,
    service::{self, Kind},
    version::OpenStackVersionStatus,
};
use jiff::Timestamp;
use plan::release::{About, Action, Bundle, Kinds, Plan, Surplus, World, kind_key, plan};
use serde_json::{Value, json};

use super::object::{event, meta, objects, root, status_write};
use crate::client::Deadlines;
use crate::engine::{Cache, Controller, Failures, Intent, Seen, Status, Urgency, Watched, Write, pointer};

pub(crate) const VERSION: Kind =
    Kind { group: api::GROUP, version: api::API_VERSION, kind: "OpenStackVersion", plural: "openstackversions" };

pub(crate) const CONTROL_PLANE: Kind = Kind {
    group: api::GROUP,
    version: api::API_VERSION,
    kind: "OpenStackControlPlane",
    plural: "openstackcontrolplanes",
};

/// The release controller.
pub struct Release {
    /// What the bundle of this process brings.
    pub bundle: Arc<Bundle>,
}

impl Release {
    /// The kinds that make up a world.
    pub fn kinds() -> Vec<Watched> {
        let (label, value) = MANAGED_BY;
        let children = service::kinds().into_iter().map(|kind| {
            // ConfigMaps are everybody's: only our own are worth the memory.
            let label = kind.group.is_empty().then(|| format!("{label}={value}"));
            Watched { kind, label }
        });
        let others = [VERSION, CONTROL_PLANE, NODE_SET].map(|kind| Watched { kind, label: None });
        others.into_iter().chain(children).collect()
    }
}

impl Controller for Release {
    fn name(&self) -> &'static str {
        "release"
    }

    fn watched(&self) -> Vec<Watched> {
        Self::kinds()
    }

    fn roots(&self) -> Vec<Kind> {
        vec![VERSION, CONTROL_PLANE]
    }

    fn decide(&self, cache: &Cache, namespace: &str, failures: &Failures, now: Timestamp) -> Vec<Intent> {
        if let Some((kind, reason)) = unreadable(cache) {
            tracing::error!(namespace, kind, reason, "nothing is decided while this kind cannot be read");
            return Vec::new();
        }
        let world = world(cache, namespace, self.bundle.clone(), failures, now);
        world.map(|world| intent(&world, plan(&world))).into_iter().collect()
    }
}

/// A root kind that is there and cannot be read: every decision would be a guess.
fn unreadable(cache: &Cache) -> Option<(&'static str, String)> {
    [VERSION, CONTROL_PLANE].iter().find_map(|kind| match cache.seen(kind) {
        Seen::Unreadable(reason) => Some((kind.kind, reason)),
        _ => None,
    })
}

/// Everything that the cache knows about a namespace; `None` when it has no root object.
pub fn world(
    cache: &Cache,
    namespace: &str,
    bundle: Arc<Bundle>,
    failures: &Failures,
    now: Timestamp,
) -> Option<World> {
    let control_planes = cache.objects(&CONTROL_PLANE, namespace);
    let versions = cache.objects(&VERSION, namespace);
    let Charge { version, control_plane } = in_charge(&versions, &control_planes);
    if control_plane.is_none() && version.is_none() {
        return None;
    }
    let beyond = |kind, objects: &[Arc<DynamicObject>], kept: Option<&DynamicObject>| -> Vec<Surplus> {
        let beyond = objects.iter().filter(|object| kept.is_none_or(|kept| !std::ptr::eq(kept, object.as_ref())));
        beyond.map(|object| surplus(kind, object)).collect()
    };
    let surplus =
        [beyond(&VERSION, &versions, version), beyond(&CONTROL_PLANE, &control_planes, control_plane)].concat();
    Some(World {
        now,
        namespace: namespace.to_owned(),
        bundle,
        version: version.map(root),
        control_plane: control_plane.map(root),
        surplus,
        kinds: kinds(cache, namespace),
        nodesets: objects(cache, &NODE_SET, namespace),
        failures: failures.clone(),
        stale: stale(cache),
    })
}

fn stale(cache: &Cache) -> BTreeMap<String, String> {
    let failing = cache.all_failing(Deadlines::get().stale());
    failing.into_iter().map(|(kind, error)| (kind.kind.to_owned(), error)).collect()
}

fn kinds(cache: &Cache, namespace: &str) -> Kinds {
    service::kinds().iter().map(|kind| (kind_key(kind), objects(cache, kind, namespace))).collect()
}

/// The root objects of a namespace that are acted on.
pub(crate) struct Charge<'a> {
    pub(crate) version: Option<&'a DynamicObject>,
    pub(crate) control_plane: Option<&'a DynamicObject>,
}

/// Which of them are in charge: the oldest ones, but the version that belongs to the control plane whatever its age.
pub(crate) fn in_charge<'a>(
    versions: &'a [Arc<DynamicObject>],
    control_planes: &'a [Arc<DynamicObject>],
) -> Charge<'a> {
    let age = |object: &&'a DynamicObject| (object.metadata.creation_timestamp.clone(), object.metadata.name.clone());
    let oldest = |objects: &'a [Arc<DynamicObject>]| objects.iter().map(AsRef::as_ref).min_by_key(age);
    let control_plane = oldest(control_planes);
    let belongs =
        |version: &&'a DynamicObject| control_plane.is_some_and(|plane| plane.metadata.name == version.metadata.name);
    let version = versions.iter().map(AsRef::as_ref).find(belongs).or_else(|| oldest(versions));
    Charge { version, control_plane }
}

fn surplus(kind: &Kind, object: &DynamicObject) -> Surplus {
    let conditions = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
    Surplus {
        kind: kind.kind.to_owned(),
        meta: meta(object),
        conditions: serde_json::from_value(conditions).unwrap_or_default(),
    }
}

/// The plan as writes.
fn intent(world: &World, plan: Plan) -> Intent {
    let Plan { statuses, actions, notes, next } = plan;
    let mut changed = Vec::new();
    if let (Some(root), Some(status)) = (&world.version, &statuses.version) {
        let urgency = if admits(&root.status) == admits(status) { Urgency::default() } else { Urgency::Now };
        let write = status_write(VERSION, &root.meta, &root.status, status);
        changed.extend(write.map(|write| Status { urgency, ..write }));
    }
    if let (Some(root), Some(status)) = (&world.control_plane, &statuses.control_plane) {
        let write = status_write(CONTROL_PLANE, &root.meta, &root.status, status);
        let urgency = if only_shows(&root.status, status) { Urgency::Later } else { Urgency::default() };
        changed.extend(write.map(|write| Status { urgency, ..write }));
    }
    for (before, after) in world.surplus.iter().zip(&statuses.surplus) {
        let kind = if after.kind == VERSION.kind { VERSION } else { CONTROL_PLANE };
        let conditions = |surplus: &Surplus| BTreeMap::from([("conditions", surplus.conditions.clone())]);
        changed.extend(status_write(kind, &after.meta, &conditions(before), &conditions(after)));
    }
    for note in notes {
        let kind = match note.about {
            About::Version => VERSION,
            About::ControlPlane => CONTROL_PLANE,
        };
        if let Some(status) = changed.iter_mut().find(|status| status.kind == kind) {
            status.events.push(event(note.warning, note.reason.to_string(), note.message));
        }
    }
    let writes = actions.into_iter().filter_map(|action| write(world, action)).collect();
    Intent { statuses: changed, writes, next }
}

/// What the admission policies read: what a person may ask for now.
fn admits(status: &OpenStackVersionStatus) -> impl PartialEq + '_ {
    let known: Vec<&String> = status.container_image_version_defaults.keys().collect();
    let update = status.update.as_ref().map(|update| (&update.to, update.revertible));
    (&status.available_version, &status.deployed_version, known, update)
}

/// Whether the two differ only in what the services say: not in what an `OpenStackVersion` that is created again takes
/// back, nor in whether the control plane is ready.
fn only_shows(before: &OpenStackControlPlaneStatus, after: &OpenStackControlPlaneStatus) -> bool {
    let ready = |status: &OpenStackControlPlaneStatus| {
        condition::find(&status.conditions, condition::READY).map(|condition| condition.status)
    };
    let remembered = |status: &OpenStackControlPlaneStatus| {
        [&status.deployed_version, &status.target_version, &status.deployed_image_set].map(Clone::clone)
    };
    ready(before) == ready(after) && remembered(before) == remembered(after)
}

fn write(world: &World, action: Action) -> Option<Write> {
    let version = |manager, force, metadata: Value, spec: Value| Write::Apply {
        kind: VERSION,
        manager,
        force,
        object: json!({
            "apiVersion": VERSION.api_version(),
            "kind": VERSION.kind,
            "metadata": metadata,
            "spec": spec,
        }),
    };
    let namespace = &world.namespace;
    Some(match action {
        Action::CreateVersion { name, owner } | Action::AdoptVersion { name, owner } => {
            let metadata = json!({"name": name, "namespace": namespace, "ownerReferences": [owner]});
            version(manager::OWNER, false, metadata, json!({}))
        }
        Action::DefaultTarget { name, uid, resource_version, target } => {
            let metadata =
                json!({"name": name, "namespace": namespace, "uid": uid, "resourceVersion": resource_version});
            // An empty value that a person has written is the person's field.
            version(manager::DEFAULT_TARGET, true, metadata, json!({"targetVersion": target}))
        }
        Action::RemoveAnnotation { name, target, annotation } => {
            let place = pointer(&["metadata", "annotations", &annotation]);
            let only_while = vec![(pointer(&["spec", "targetVersion"]), json!(target))];
            Write::Remove { kind: VERSION, name, place, only_while }
        }
        Action::RemoveFinalizer { name, uid, finalizer, at } => {
            let place = pointer(&["metadata", "finalizers", &at.to_string()]);
            let only_while = vec![(pointer(&["metadata", "uid"]), json!(uid)), (place.clone(), json!(finalizer))];
            Write::Remove { kind: VERSION, name, place, only_while }
        }
        Action::Apply { service, object } => {
            Write::Apply { kind: service::find(&service)?.kind, manager: manager::CHILDREN, force: true, object }
        }
        Action::Delete { service, name, uid } => Write::Delete { kind: service::find(&service)?.kind, name, uid },
    })
}
