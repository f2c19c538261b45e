//! The keys: made once, never again by themselves.

use api::{condition::Reason, keystone::DeletionPolicy, service::Kind};
use serde_json::{Map, Value, json};

use super::{
    Scene, objects, pod,
    world::{Action, SECRET},
};
use crate::{json, machine::Failure};

/// How many keys Keystone keeps for credentials: a constant of its code.
const CREDENTIAL_KEYS: usize = 3;

/// A Secret of keys, and which of the fresh keys it takes.
struct Repository {
    name: String,
    skip: usize,
    count: usize,
}

fn repositories(scene: &Scene<'_>) -> [Repository; 2] {
    let tokens = scene.spec.map_or(CREDENTIAL_KEYS, |spec| usize::try_from(spec.fernet.max_active_keys).unwrap_or(3));
    [
        Repository { name: pod::fernet_secret(scene), skip: 0, count: tokens },
        Repository { name: pod::credential_secret(scene), skip: tokens, count: CREDENTIAL_KEYS },
    ]
}

/// The creation of the key Secrets, when they were never made.
pub(crate) fn actions(scene: &Scene<'_>) -> Vec<Action> {
    let Some(spec) = scene.spec.filter(|_| !scene.before.keys_created && scene.to().is_some()) else {
        return Vec::new();
    };
    let missing = repositories(scene).into_iter().filter(|keys| scene.world.object(&SECRET, &keys.name).is_none());
    missing.filter_map(|keys| create(scene, &keys, spec.deletion_policy)).collect()
}

/// Created, not applied: keys that are there are never replaced.
fn create(scene: &Scene<'_>, keys: &Repository, policy: DeletionPolicy) -> Option<Action> {
    let fresh = scene.world.fresh_keys.get(keys.skip..keys.skip.checked_add(keys.count)?)?;
    let texts: Map<String, Value> =
        fresh.iter().enumerate().map(|(index, key)| (index.to_string(), json!(key))).collect();
    let fields =
        Map::from_iter([("type".to_owned(), json!("Opaque")), ("stringData".to_owned(), Value::Object(texts))]);
    let kind: &Kind = &SECRET;
    let mut object = objects::object(scene, kind, &keys.name, objects::KEYS, fields);
    if policy == DeletionPolicy::Retain {
        // An owner would take the keys with it.
        json::remove(&mut object, &["metadata".into(), "ownerReferences".into()]);
    }
    Some(Action::Create { kind: kind.kind, object })
}

/// Whether both Secrets are there.
pub(crate) fn exist(scene: &Scene<'_>) -> bool {
    repositories(scene).iter().all(|keys| scene.world.object(&SECRET, &keys.name).is_some())
}

/// What is wrong with the keys, if anything is.
pub(crate) fn trouble(scene: &Scene<'_>) -> Option<Failure> {
    let missing = repositories(scene).into_iter().find(|keys| scene.world.object(&SECRET, &keys.name).is_none())?;
    let object = format!("Secret/{}", missing.name);
    if scene.before.keys_created {
        let (label, value) = api::MANAGED_BY;
        let message = format!(
            "{object} was made once and is gone; new keys would make what it encrypted unreadable: restore it from a \
             backup, with the labels {label}={value} and {}={}",
            super::INSTANCE,
            scene.world.name(),
        );
        return Some(Failure { reason: Reason::KeysLost, message });
    }
    let error = scene.world.failures.get(&object)?;
    let message = format!("{object} cannot be created: {error}");
    Some(Failure { reason: Reason::Error, message })
}
