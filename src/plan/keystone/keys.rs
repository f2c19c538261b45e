//! The keys: a table of what they are for, and their creation. They are made once, never again by themselves; how they
//! rotate is told in [`super::rotation`].

use api::{
    DynamicObject,
    condition::Reason,
    keystone::{DeletionPolicy, KeyRepository, KeystoneSpec, names},
    service::Kind,
};
use serde_json::{Map, Value, json};

use super::{
    Scene, objects, pod,
    world::{Action, NoteReason, SECRET, World},
};
use crate::{json, machine::Failure};

/// How many keys Keystone keeps for credentials: a constant of its code.
const CREDENTIAL_KEYS: usize = 3;

/// When keys rotate.
pub(super) struct Schedule<'a> {
    /// The cron expression.
    pub(super) cron: &'a str,
    /// Its time zone.
    pub(super) zone: Option<&'a str>,
    /// Whether the administrator wants none for now.
    pub(super) suspend: bool,
}

/// Keys of one kind.
pub(super) struct Repository {
    /// What they are for.
    pub(super) id: KeyRepository,
    /// The Secret that every pod reads.
    pub(super) secret: fn(&World) -> String,
    /// The name of the `CronJob` that rotates them, and of what belongs to it (seed 000).
    pub(super) rotation: names::Derived,
    /// The part of the spec that is about them.
    pub(super) section: &'static str,
    /// How many keys it has at most.
    pub(super) most: fn(&KeystoneSpec) -> usize,
    /// When they rotate.
    pub(super) schedule: fn(&KeystoneSpec) -> Schedule<'_>,
    /// Whether a key may go as soon as no token of it is valid any more; the others may when nothing is encrypted with it.
    pub(super) expires: bool,
    /// They were made.
    pub(super) generated: NoteReason,
    /// New ones are published.
    pub(super) rotated: NoteReason,
    /// Somebody else published others.
    pub(super) changed: NoteReason,
}

/// All keys there are.
pub(super) const REPOSITORIES: [Repository; 2] = [
    Repository {
        id: KeyRepository::Fernet,
        secret: pod::fernet_secret,
        rotation: names::FERNET_ROTATE,
        section: "spec.fernet",
        most: |spec| usize::try_from(spec.fernet.max_active_keys).unwrap_or(CREDENTIAL_KEYS),
        schedule: |spec| {
            let keys = &spec.fernet;
            Schedule { cron: &keys.rotation_schedule, zone: keys.time_zone.as_deref(), suspend: keys.suspend }
        },
        expires: true,
        generated: NoteReason::FernetKeysGenerated,
        rotated: NoteReason::FernetKeysRotated,
        changed: NoteReason::FernetKeysChanged,
    },
    Repository {
        id: KeyRepository::Credential,
        secret: pod::credential_secret,
        rotation: names::CREDENTIAL_ROTATE,
        section: "spec.credentialKeys",
        most: |_| CREDENTIAL_KEYS,
        schedule: |spec| {
            let keys = &spec.credential_keys;
            Schedule { cron: &keys.rotation_schedule, zone: keys.time_zone.as_deref(), suspend: keys.suspend }
        },
        expires: false,
        generated: NoteReason::CredentialKeysGenerated,
        rotated: NoteReason::CredentialKeysRotated,
        changed: NoteReason::CredentialKeysChanged,
    },
];

/// The creation of the key Secrets, when they were never made.
pub(crate) fn actions(scene: &Scene<'_>) -> Vec<Action> {
    let Some(spec) = scene.spec.filter(|_| !scene.before.keys_created && scene.to().is_some()) else {
        return Vec::new();
    };
    let mut skip: usize = 0;
    let mut actions = Vec::new();
    for row in &REPOSITORIES {
        let count = (row.most)(spec);
        if secret(scene.world, row).is_none() {
            actions.extend(create(scene, row, skip, count, spec.deletion_policy));
        }
        skip = skip.saturating_add(count);
    }
    actions
}

/// Created, not applied: keys that are there are never replaced. Each Secret has fresh keys of its own: `count` of them,
/// after the first `skip`.
fn create(scene: &Scene<'_>, row: &Repository, skip: usize, count: usize, policy: DeletionPolicy) -> Option<Action> {
    let fresh = scene.world.fresh_keys.get(skip..skip.checked_add(count)?)?;
    let texts: Map<String, Value> =
        fresh.iter().enumerate().map(|(index, key)| (index.to_string(), json!(key))).collect();
    let fields =
        Map::from_iter([("type".to_owned(), json!("Opaque")), ("stringData".to_owned(), Value::Object(texts))]);
    let kind: &Kind = &SECRET;
    let mut object = objects::object(scene, kind, &(row.secret)(scene.world), objects::KEYS, fields);
    if policy == DeletionPolicy::Retain {
        // An owner would take the keys with it.
        json::remove(&mut object, &["metadata".into(), "ownerReferences".into()]);
    }
    Some(Action::Create { kind: kind.kind, object })
}

fn secret<'a>(world: &'a World, row: &Repository) -> Option<&'a DynamicObject> {
    world.object(&SECRET, &(row.secret)(world))
}

/// The Secret with the keys, when it is there to stay.
pub(super) fn published<'a>(world: &'a World, row: &Repository) -> Option<&'a DynamicObject> {
    secret(world, row).filter(|live| !objects::goes(world, live))
}

/// The names of the Secrets that are not there, or are about to go.
fn missing(world: &World) -> impl Iterator<Item = String> {
    REPOSITORIES.iter().filter(|row| published(world, row).is_none()).map(|row| (row.secret)(world))
}

/// What has to be gone before keys can be made: those of a deleted `Keystone` of the same name.
pub(crate) fn waits(scene: &Scene<'_>) -> Option<String> {
    let name = missing(scene.world).find(|name| scene.world.object(&SECRET, name).is_some())?;
    Some(format!(
        "waits until Secret/{name} of the deleted Keystone is gone; if it stays, look at its metadata.finalizers and \
         metadata.ownerReferences"
    ))
}

/// How many fresh keys the world needs: randomness is not taken in every pass.
pub fn keys_to_make(world: &World) -> usize {
    let Ok(spec) = &world.keystone.spec else { return 0 };
    if world.keystone.status.keys_created || REPOSITORIES.iter().all(|row| secret(world, row).is_some()) {
        return 0;
    }
    REPOSITORIES.iter().map(|row| (row.most)(spec)).fold(0, usize::saturating_add)
}

/// Whether all of them are there to stay.
pub(crate) fn exist(scene: &Scene<'_>) -> bool {
    missing(scene.world).next().is_none()
}

/// What is wrong with the keys, if anything is.
pub(crate) fn trouble(scene: &Scene<'_>) -> Option<Failure> {
    let object = format!("Secret/{}", missing(scene.world).next()?);
    if scene.before.keys_created {
        let (label, value) = api::MANAGED_BY;
        let message = format!(
            "{object} was made once and is gone; new keys would make what it encrypted unreadable: restore it from a \
             backup, with the labels {label}={value} and {}={} and without metadata.ownerReferences",
            super::INSTANCE,
            scene.world.name(),
        );
        return Some(Failure { reason: Reason::KeysLost, message });
    }
    let error = scene.world.failures.get(&object)?;
    let message = format!("{object} cannot be created: {error}");
    Some(Failure { reason: Reason::Error, message })
}
