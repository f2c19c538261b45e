//! What the pods that serve and the pods of Jobs have in common, and what is wrong with a pod.

use api::{
    DynamicObject,
    condition::Reason,
    keystone::{KeystoneSpec, SecretKey},
};
use serde_json::{Value, json};

use super::{
    Scene, config, failure,
    objects::{field, items, name},
    world::World,
};
use crate::{json, machine::Failure};

/// The user and the group of every container: keys are readable by the group.
pub(super) const USER: i64 = 42424;
/// Where the configuration's files are; `keystone.conf` is also where Keystone looks for it.
pub(super) const FILES: &str = "/opt/keystone-operator";
/// `0440`.
const GROUP_READS: i64 = 288;
/// The volumes with keys. In a backup, their folders.
pub(super) const KEYS: [&str; 2] = [FERNET, CREDENTIAL];
const FERNET: &str = "fernet-keys";
const CREDENTIAL: &str = "credential-keys";
const CA_FOLDER: &str = "/etc/keystone-database-ca";
/// The key of a Secret that names none.
const PASSWORD: &str = "password";

/// The name of the Secret of the keys for tokens.
pub(super) fn fernet_secret(world: &World) -> String {
    format!("{}-fernet-keys", world.name())
}

/// The name of the Secret of the keys for credentials.
pub(super) fn credential_secret(world: &World) -> String {
    format!("{}-credential-keys", world.name())
}

/// An environment variable with a key of a Secret.
pub(super) fn secret_env(variable: &str, secret: &str, key: &str) -> Value {
    json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
}

/// An environment variable. None without a value: the API server would drop it, and see a difference for ever.
pub(super) fn env(variable: &str, value: &str) -> Option<Value> {
    (!value.is_empty()).then(|| json!({"name": variable, "value": value}))
}

/// The host of the database. Upstream's Galera instances have a Service of their own name.
pub(super) fn database_host(spec: &KeystoneSpec) -> &str {
    let database = &spec.database;
    [&database.host, &database.instance]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .find(|host| !host.is_empty())
        .unwrap_or("openstack")
}

/// The Secret and the key with the database's password.
pub(super) fn database_secret(scene: &Scene<'_>, spec: &KeystoneSpec) -> (String, String) {
    match &spec.database.secret_ref {
        Some(secret) => (secret.name.clone(), key_of(secret, PASSWORD)),
        None => (format!("{}-db", scene.world.name()), PASSWORD.to_owned()),
    }
}

/// The Secret and the key with the administrator's password.
pub(super) fn admin_secret(scene: &Scene<'_>, spec: &KeystoneSpec) -> (String, String) {
    match (&spec.bootstrap.admin_password_secret_ref, &spec.secret) {
        (Some(secret), _) => (secret.name.clone(), key_of(secret, PASSWORD)),
        (None, Some(secret)) if !secret.is_empty() => (secret.clone(), "AdminPassword".to_owned()),
        (None, _) => (format!("{}-admin", scene.world.name()), PASSWORD.to_owned()),
    }
}

fn key_of(secret: &SecretKey, otherwise: &str) -> String {
    secret.key.clone().filter(|key| !key.is_empty()).unwrap_or_else(|| otherwise.to_owned())
}

/// How a container reaches the database.
pub(super) fn database_env(scene: &Scene<'_>, spec: &KeystoneSpec) -> Vec<Value> {
    let database = &spec.database;
    let (secret, key) = database_secret(scene, spec);
    let ca = database.tls.as_ref().map(|tls| format!("{CA_FOLDER}/{}", key_of(&tls.ca_secret_ref, "ca.crt")));
    let mut all: Vec<Value> = [
        env("DB_HOST", database_host(spec)),
        env("DB_PORT", &database.port.to_string()),
        env("DB_NAME", &database.database),
        env("DB_USER", &database.user),
        env("DB_CA", ca.as_deref().unwrap_or_default()),
        env("OS_KEYSTONE_CONFIG_FILES", config::PATH),
        // The root file system cannot be written to.
        env("HOME", "/tmp"),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.push(secret_env("DB_PASSWORD", &secret, &key));
    all
}

/// The volumes of configuration and keys. Keys are mounted whole, so that new ones are seen, and never optional:
/// without keys Keystone would encrypt with a key that everybody knows.
pub(super) fn volumes(scene: &Scene<'_>, spec: &KeystoneSpec, config: &str) -> Vec<Value> {
    let mut volumes = vec![
        json!({"name": "config", "configMap": {"name": config, "defaultMode": GROUP_READS}}),
        secret(FERNET, &fernet_secret(scene.world), false),
        secret(CREDENTIAL, &credential_secret(scene.world), false),
        json!({"name": "tmp", "emptyDir": {}}),
        // The password is in there: never on a disk.
        json!({"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}),
    ];
    if let Some(tls) = &spec.database.tls {
        volumes.push(secret("database-ca", &tls.ca_secret_ref.name, false));
    }
    volumes
}

/// Where they are mounted. The configuration never changes, so it may be mounted as a single file, beside the keys.
pub(super) fn mounts(spec: &KeystoneSpec) -> Vec<Value> {
    let mut mounts = vec![
        json!({"name": "config", "mountPath": config::PATH, "subPath": "keystone.conf", "readOnly": true}),
        mount("config", FILES),
        mount(FERNET, config::FERNET_KEYS),
        mount(CREDENTIAL, config::CREDENTIAL_KEYS),
        json!({"name": "tmp", "mountPath": "/tmp"}),
        json!({"name": "run", "mountPath": "/run/keystone-operator"}),
    ];
    if spec.database.tls.is_some() {
        mounts.push(mount("database-ca", CA_FOLDER));
    }
    mounts
}

/// The volume with the database's password as it is now, and where it is mounted: for what outlives a change of it. It may
/// be absent, because the variable may not: that is the one whose absence is told.
pub(super) fn password(scene: &Scene<'_>, spec: &KeystoneSpec) -> (Value, Value) {
    const VOLUME: &str = "database-password";
    let (name, key) = database_secret(scene, spec);
    let mut volume = secret(VOLUME, &name, true);
    json::set(&mut volume, &json::keys("secret.items"), json!([{"key": key, "path": "password"}]));
    (volume, mount(VOLUME, "/etc/keystone-database"))
}

/// A volume with a Secret's keys as files.
fn secret(volume: &str, name: &str, optional: bool) -> Value {
    json!({"name": volume, "secret": {"secretName": name, "defaultMode": GROUP_READS, "optional": optional}})
}

/// Where a volume that nobody writes to is mounted.
fn mount(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path, "readOnly": true})
}

/// What a pod may.
pub(super) fn pod_security() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// What a container may.
pub(super) fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    })
}

/// Whether nothing of the pod runs any more, for good.
pub(super) fn is_over(pod: &DynamicObject) -> bool {
    matches!(field(pod, "status.phase").and_then(Value::as_str), Some("Succeeded" | "Failed"))
}

/// Whether the pod ended, and not well.
pub(super) fn has_failed(pod: &DynamicObject) -> bool {
    field(pod, "status.phase").and_then(Value::as_str) == Some("Failed")
}

/// Whether the pod's container runs, or ran: what it was to do has begun.
pub(super) fn has_begun(pod: &DynamicObject) -> bool {
    field(pod, "status.phase").and_then(Value::as_str) == Some("Running")
        || items(pod, "status.containerStatuses").any(|status| json::get(status, "state.running").is_some())
}

/// The image of the pod.
pub(super) fn image(pod: &DynamicObject) -> Option<&str> {
    field(pod, "spec.containers.0.image").and_then(Value::as_str)
}

/// Why a container waits, as a reason of the kubelet, and what that means.
const WAITING: &[(&str, Reason)] = &[
    ("ImagePullBackOff", Reason::ImagePull),
    ("ErrImagePull", Reason::ImagePull),
    ("InvalidImageName", Reason::ImagePull),
    ("ErrImageNeverPull", Reason::ImagePull),
    ("ImageInspectError", Reason::ImagePull),
    ("CreateContainerConfigError", Reason::SecretMissing),
    ("CreateContainerError", Reason::Error),
    ("RunContainerError", Reason::Error),
    ("CrashLoopBackOff", Reason::Error),
];

/// What keeps a pod from running, when it will not pass by itself.
pub(super) fn trouble(pod: &DynamicObject) -> Option<Failure> {
    items(pod, "status.containerStatuses").find_map(|status| waits(pod, status).or_else(|| tries_again(pod, status)))
}

/// What a container waits for.
fn waits(pod: &DynamicObject, status: &Value) -> Option<Failure> {
    let waiting = json::get(status, "state.waiting")?;
    let word = json::text(waiting, "reason")?;
    let (_, reason) = WAITING.iter().find(|(known, _)| *known == word)?;
    let said = json::text(waiting, "message").unwrap_or(word);
    let message = match reason {
        Reason::ImagePull => format!(
            "Pod/{}: the image {} cannot be pulled ({word}: {said}); push it or correct the image",
            name(pod),
            image(pod).unwrap_or_default(),
        ),
        Reason::SecretMissing => {
            format!(
                "Pod/{}: {said}; create the Secret with that key, or correct the reference to it in the spec",
                name(pod)
            )
        }
        _ if ended(pod, status).is_some() => return ended(pod, status),
        _ => {
            let last = json::text(status, LAST_WORDS).unwrap_or(said);
            format!("Pod/{}: {word}: {}", name(pod), last.trim())
        }
    };
    Some(Failure { reason: *reason, message })
}

/// What a container said when it ended last.
const LAST_WORDS: &str = "lastState.terminated.message";

/// Why a container ended that was started again, when it said something that is known.
fn ended(pod: &DynamicObject, status: &Value) -> Option<Failure> {
    failure::known(&format!("Pod/{}", name(pod)), json::text(status, LAST_WORDS)?)
}

/// A container that was started again and does not serve yet: it may end as it did before.
fn tries_again(pod: &DynamicObject, status: &Value) -> Option<Failure> {
    let ready = json::get(status, "ready").and_then(Value::as_bool) == Some(true);
    ended(pod, status).filter(|_| !ready)
}

/// A pod that no node takes, and why.
pub(super) fn unscheduled(pod: &DynamicObject) -> Option<&str> {
    items(pod, "status.conditions").find_map(|condition| {
        let unscheduled = json::text(condition, "type") == Some("PodScheduled")
            && json::text(condition, "reason") == Some("Unschedulable");
        unscheduled.then(|| json::text(condition, "message")).flatten()
    })
}
