//! The keystone controller: `Keystone` and everything that one is made of.

use std::sync::Arc;

use api::{
    DynamicObject, MANAGED_BY,
    keystone::{KEYSTONE, KeystoneSpec, KeystoneStatus},
    manager,
    service::Kind,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use jiff::Timestamp;
use plan::{
    keystone::{Action, KINDS, Other, Plan, World, keys_to_make, kind_named, plan},
    release::{Kinds, Root, kind_key},
};

use super::object::{event, objects, root, status_write};
use crate::engine::{Cache, Controller, Failures, Intent, Seen, Watched, Write};

/// The keystone controller.
pub struct Keystone;

impl Controller for Keystone {
    fn name(&self) -> &'static str {
        "keystone"
    }

    fn watched(&self) -> Vec<Watched> {
        let (label, value) = MANAGED_BY;
        // Pods, Secrets and the like are everybody's: only our own are worth the memory.
        let own = KINDS.iter().map(|kind| Watched { kind: *kind, label: Some(format!("{label}={value}")) });
        [Watched { kind: KEYSTONE, label: None }].into_iter().chain(own).collect()
    }

    fn roots(&self) -> Vec<Kind> {
        vec![KEYSTONE]
    }

    fn decide(&self, cache: &Cache, namespace: &str, failures: &Failures, now: Timestamp) -> Vec<Intent> {
        if let Seen::Unreadable(reason) = cache.seen(&KEYSTONE) {
            tracing::error!(
                namespace,
                kind = KEYSTONE.kind,
                reason,
                "nothing is decided while this kind cannot be read"
            );
            return Vec::new();
        }
        worlds(cache, namespace, failures, now).into_iter().map(|world| intent(&world, plan(&world))).collect()
    }
}

/// One world for each `Keystone` of the namespace. One that is being deleted has none: the garbage collector takes what
/// it owns, and nothing may be made again in the meantime.
fn worlds(cache: &Cache, namespace: &str, failures: &Failures, now: Timestamp) -> Vec<World> {
    let keystones = cache.objects(&KEYSTONE, namespace);
    if keystones.is_empty() {
        return Vec::new();
    }
    let kinds: Kinds = KINDS.iter().map(|kind| (kind_key(kind), objects(cache, kind, namespace))).collect();
    let staying = keystones.iter().filter(|object| object.metadata.deletion_timestamp.is_none());
    let world = |object: &Arc<DynamicObject>| {
        let keystone: Root<KeystoneSpec, KeystoneStatus> = root(object);
        let mut world = World {
            now,
            namespace: namespace.to_owned(),
            created: created(object),
            // Those that are being deleted count: their pods and Jobs may still use a database.
            others: keystones
                .iter()
                .filter(|other| other.metadata.name != object.metadata.name)
                .filter_map(|other| self::other(other))
                .collect(),
            fresh_keys: Vec::new(),
            keystone,
            kinds: kinds.clone(),
            failures: failures.clone(),
        };
        world.fresh_keys = fresh_keys(keys_to_make(&world));
        world
    };
    staying.map(world).collect()
}

fn other(object: &DynamicObject) -> Option<Other> {
    let root: Root<KeystoneSpec, KeystoneStatus> = root(object);
    // One that cannot be read is refused itself and writes nothing.
    Some(Other { name: root.meta.name, created: created(object), spec: root.spec.ok()? })
}

fn created(object: &DynamicObject) -> Option<Timestamp> {
    object.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// Keys as Keystone reads them: 32 random bytes in URL-safe base64.
fn fresh_keys(count: usize) -> Vec<String> {
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let mut key = [0; 32];
        if let Err(error) = getrandom::fill(&mut key) {
            // Weak keys would be worse than none: the plan waits for them.
            tracing::error!(%error, "the system has no random bytes; keys are made when it has");
            return Vec::new();
        }
        keys.push(URL_SAFE.encode(key));
    }
    keys
}

/// The plan as writes.
fn intent(world: &World, plan: Plan) -> Intent {
    let Plan { status, actions, notes, next } = plan;
    let mut status = status_write(KEYSTONE, &world.keystone.meta, &world.keystone.status, &status);
    if let Some(status) = &mut status {
        let events = notes.into_iter().map(|note| event(note.warning, note.reason.to_string(), note.message));
        status.events.extend(events);
    }
    let writes = actions.into_iter().filter_map(write).collect();
    Intent { statuses: status.into_iter().collect(), writes, next }
}

fn write(action: Action) -> Option<Write> {
    Some(match action {
        Action::Apply { kind, object } => {
            Write::Apply { kind: kind_named(kind)?, manager: manager::CHILDREN, force: true, object }
        }
        Action::Create { kind, object } => {
            Write::Create { kind: kind_named(kind)?, manager: manager::CHILDREN, object }
        }
        Action::Merge { kind, object } => Write::Merge { kind: kind_named(kind)?, manager: manager::CHILDREN, object },
        Action::Delete { kind, name, uid } => Write::Delete { kind: kind_named(kind)?, name, uid },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_are_what_keystone_reads_and_never_the_same() {
        let keys: HashSet<String> = (0..8).flat_map(|_| fresh_keys(4)).collect();
        assert_eq!(keys.len(), 32);
        assert!(keys.iter().all(|key| key.len() == 44 && URL_SAFE.decode(key).unwrap().len() == 32));
    }
}
