//! What goes in and what comes out.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    DynamicObject, annotation,
    condition::Condition,
    controlplane::{OpenStackControlPlaneSpec, OpenStackControlPlaneStatus},
    image::Images,
    service::Kind,
    version::{ContainerImages, OpenStackVersionSpec, OpenStackVersionStatus, ServiceDefaults},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{notes::Note, target::Decision};

/// What the bundle of the running operator brings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Bundle {
    /// The version; empty when the environment has none.
    pub version: String,
    /// The OpenStack release; empty when the environment has none.
    pub release: String,
    /// The images.
    pub images: Images,
    /// The feature switches of this operator.
    pub service_defaults: ServiceDefaults,
    /// What is wrong with the environment, each naming the variable and the next action.
    pub problems: Vec<String>,
}

/// What is needed of a root object's metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The name.
    pub name: String,
    /// The uid.
    pub uid: String,
    /// The generation of the spec.
    pub generation: i64,
    /// The resource version that a status write must be based on.
    pub resource_version: String,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// The uids of its owners.
    pub owners: Vec<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What has to be taken away from it before it is gone.
    pub finalizers: Vec<String>,
}

/// A root object. `spec` is `Err` when the object does not parse, with what the parser said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Root<S, T> {
    /// The metadata.
    pub meta: Meta,
    /// The wish, or why it cannot be read.
    pub spec: Result<S, String>,
    /// What was reported last.
    pub status: T,
}

/// The service objects of a namespace, by [`kind_key`].
pub type Kinds = BTreeMap<String, Objects>;

/// What is known of the objects of a kind in a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Objects {
    /// The kind is not installed.
    Absent,
    /// The kind is there and was never read, for this reason: nothing that depends on it may be decided.
    Unreadable(String),
    /// These objects.
    Known(Vec<Arc<DynamicObject>>),
}

impl Objects {
    /// The objects; none when they are not known.
    pub fn known(&self) -> &[Arc<DynamicObject>] {
        match self {
            Self::Known(objects) => objects,
            Self::Absent | Self::Unreadable(_) => &[],
        }
    }

    /// The object of that name.
    pub fn find(&self, name: &str) -> Option<&Arc<DynamicObject>> {
        self.iter().find(|object| object.metadata.name.as_deref() == Some(name))
    }

    /// The same, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<DynamicObject>> {
        self.known().iter()
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Arc<DynamicObject>> {
        match self {
            Self::Known(objects) => objects.iter_mut(),
            Self::Absent | Self::Unreadable(_) => [].iter_mut(),
        }
    }
}

impl<'a> IntoIterator for &'a Objects {
    type Item = &'a Arc<DynamicObject>;
    type IntoIter = std::slice::Iter<'a, Arc<DynamicObject>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Objects {
    type Item = &'a mut Arc<DynamicObject>;
    type IntoIter = std::slice::IterMut<'a, Arc<DynamicObject>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

/// The key of a kind in [`Kinds`].
pub fn kind_key(kind: &Kind) -> String {
    format!("{}.{}", kind.kind, kind.group)
}

/// Everything the release controller knows about one namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct World {
    /// The time of the observation, in whole seconds.
    pub now: Timestamp,
    /// The namespace.
    pub namespace: String,
    /// What the bundle of the running operator brings.
    pub bundle: Arc<Bundle>,
    /// The `OpenStackVersion` of the namespace.
    pub version: Option<Root<OpenStackVersionSpec, OpenStackVersionStatus>>,
    /// The `OpenStackControlPlane` of the namespace.
    pub control_plane: Option<Root<OpenStackControlPlaneSpec, OpenStackControlPlaneStatus>>,
    /// Further objects of these kinds, which should not be there: they are told so and not acted on.
    #[serde(default)]
    pub surplus: Vec<Surplus>,
    /// The service objects.
    pub kinds: Kinds,
    /// The nodesets.
    pub nodesets: Objects,
    /// Writes that did not succeed yet, with what the API server said, by `Kind/name`.
    #[serde(default)]
    pub failures: BTreeMap<String, String>,
    /// The kinds whose watches fail although they worked before, and how: their objects may be out of date.
    #[serde(default)]
    pub stale: BTreeMap<String, String>,
}

/// A root object beyond the one that its namespace may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Surplus {
    /// Its kind.
    pub kind: String,
    /// Its metadata.
    pub meta: Meta,
    /// The conditions that it has.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

impl World {
    /// The custom images as the administrator wrote them.
    pub fn custom_images(&self) -> ContainerImages {
        self.version_spec().map(|spec| spec.custom_container_images.clone()).unwrap_or_default()
    }

    /// The spec of the `OpenStackVersion`, if it is there and parses.
    pub fn version_spec(&self) -> Option<&OpenStackVersionSpec> {
        self.version.as_ref().and_then(|version| version.spec.as_ref().ok())
    }

    /// An annotation of the `OpenStackVersion`.
    pub fn version_annotation(&self, name: &str) -> Option<&str> {
        self.version.as_ref().and_then(|version| version.meta.annotations.get(name)).map(String::as_str)
    }

    /// Whether the target may be an older version than the deployed one: for development.
    pub fn may_roll_back(&self) -> bool {
        self.version_annotation(annotation::ALLOW_ROLLBACK) == Some("true")
    }

    /// Whether custom images may stay as they are while the target changes. Any value of the annotation counts.
    pub fn may_keep_custom_images(&self) -> bool {
        self.version_annotation(annotation::SKIP_CUSTOM_IMAGES).is_some()
    }

    /// What is known of the objects of a kind.
    pub fn objects(&self, kind: &Kind) -> &Objects {
        self.kinds.get(&kind_key(kind)).unwrap_or(&Objects::Absent)
    }

    /// The object of that kind and name.
    pub fn object(&self, kind: &Kind, name: &str) -> Option<&DynamicObject> {
        self.objects(kind).find(name).map(Arc::as_ref)
    }
}

/// A write that is to be made. Closed, so that the engine cannot forget one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Create the `OpenStackVersion` of a control plane that has none.
    CreateVersion {
        /// Its name.
        name: String,
        /// Its owner, as an owner reference.
        owner: Value,
    },
    /// Make the control plane the owner of its `OpenStackVersion`.
    AdoptVersion {
        /// The `OpenStackVersion`.
        name: String,
        /// The owner reference.
        owner: Value,
    },
    /// Give an empty `spec.targetVersion` its value, once.
    DefaultTarget {
        /// The `OpenStackVersion`.
        name: String,
        /// Its uid: one that is gone by then must not come back by this write, without its owner.
        uid: String,
        /// The resource version that was empty: who sets a value in between has said it better.
        resource_version: String,
        /// The value.
        target: String,
    },
    /// Remove an annotation that has served its purpose: while the target is still the one that it was for. Somebody may
    /// set it again for the next one at the same time.
    RemoveAnnotation {
        /// The `OpenStackVersion`.
        name: String,
        /// What `spec.targetVersion` has to be.
        target: String,
        /// The annotation.
        annotation: String,
    },
    /// Remove a finalizer of an `OpenStackVersion` that is being deleted: of this very object, and while it is at that place.
    RemoveFinalizer {
        /// The `OpenStackVersion`.
        name: String,
        /// Its uid.
        uid: String,
        /// The finalizer.
        finalizer: String,
        /// Its place in the list.
        at: usize,
    },
    /// Apply a service object.
    Apply {
        /// The row's name.
        service: String,
        /// The whole apply body.
        object: Value,
    },
    /// Delete a service object that the control plane no longer asks for.
    Delete {
        /// The row's name.
        service: String,
        /// The object's name.
        name: String,
        /// Its uid: only this very object is meant.
        uid: String,
    },
}

/// The statuses that the root objects shall have; absent when there is no such object to write to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RootStatus {
    /// Of the `OpenStackVersion`.
    pub version: Option<OpenStackVersionStatus>,
    /// Of the `OpenStackControlPlane`.
    pub control_plane: Option<OpenStackControlPlaneStatus>,
    /// The conditions of surplus root objects.
    pub surplus: Vec<Surplus>,
}

/// Everything that was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the root objects shall say.
    pub statuses: RootStatus,
    /// What is to be written, in this order. A failed action does not keep the others from being made.
    pub actions: Vec<Action>,
    /// What is worth an Event, once the statuses are written.
    pub notes: Vec<Note>,
    /// When to look again although nothing changed.
    pub next: Option<Timestamp>,
}

/// Whether the `OpenStackVersion` belongs to the control plane and does not know it.
fn is_orphan(version: &Meta, owner: &Meta) -> bool {
    !version.deleting && version.name == owner.name && !version.owners.contains(&owner.uid)
}

/// The writes to the root objects themselves: existence, owner, default target, end.
pub(crate) fn root_actions(world: &World, decision: &Decision) -> Vec<Action> {
    let owner = world.control_plane.as_ref().filter(|cp| !cp.meta.deleting).map(|cp| &cp.meta);
    let mut actions = Vec::new();
    match (&world.version, owner) {
        (None, Some(owner)) => {
            actions.push(Action::CreateVersion { name: owner.name.clone(), owner: owner_reference(owner) });
        }
        (Some(version), Some(owner)) if is_orphan(&version.meta, owner) => {
            actions.push(Action::AdoptVersion { name: version.meta.name.clone(), owner: owner_reference(owner) });
        }
        _ => {}
    }
    if let Some(version) = world.version.as_ref().filter(|version| !version.meta.deleting)
        && let Some(target) = &decision.default_target
    {
        actions.push(Action::DefaultTarget {
            name: version.meta.name.clone(),
            uid: version.meta.uid.clone(),
            resource_version: version.meta.resource_version.clone(),
            target: target.clone(),
        });
    }
    actions.extend(releases(world));
    actions
}

/// What lets every `OpenStackVersion` go that is being deleted: upstream's operator, which put its finalizer there, is
/// not there any more to take it away. That of others is not ours to remove.
fn releases(world: &World) -> impl Iterator<Item = Action> {
    let surplus = world.surplus.iter().filter(|surplus| surplus.kind == "OpenStackVersion");
    let versions = world.version.iter().map(|version| &version.meta).chain(surplus.map(|surplus| &surplus.meta));
    versions.filter(|version| version.deleting).filter_map(|version| {
        let at = version.finalizers.iter().position(|finalizer| finalizer == api::UPSTREAM_FINALIZER)?;
        Some(Action::RemoveFinalizer {
            name: version.name.clone(),
            uid: version.uid.clone(),
            finalizer: api::UPSTREAM_FINALIZER.to_owned(),
            at,
        })
    })
}

/// The write that ends an update: the permission to keep the custom images was for this update only. The update counts
/// as running until the annotation is gone, so that a kill between the two writes cannot leave it behind.
pub(crate) fn closing_actions(world: &World, all_steps_done: bool) -> Vec<Action> {
    let annotated = world.may_keep_custom_images();
    match (&world.version, world.version_spec()) {
        (Some(version), Some(spec)) if annotated && all_steps_done => vec![Action::RemoveAnnotation {
            name: version.meta.name.clone(),
            target: spec.target_version.clone(),
            annotation: annotation::SKIP_CUSTOM_IMAGES.to_owned(),
        }],
        _ => Vec::new(),
    }
}

/// The owner reference that makes the garbage collector remove what the control plane owns.
pub(crate) fn owner_reference(owner: &Meta) -> Value {
    serde_json::json!({
        "apiVersion": format!("{}/{}", api::GROUP, api::API_VERSION),
        "kind": "OpenStackControlPlane",
        "name": owner.name,
        "uid": owner.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}
