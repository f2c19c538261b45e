//! The configuration of one release: immutable, named by its content, so that old pods keep the old one.

use std::{collections::BTreeMap, fmt::Write, sync::LazyLock};

use api::{DynamicObject, keystone::KeystoneSpec, service::CONFIG_MAP};
use serde_json::{Map, Value, json};

use super::{
    Scene, objects, pod, server,
    target::Place,
    world::{Action, CRON_JOB, DEPLOYMENT, JOB, POD},
};
use crate::{json, machine::Progress};

/// Where Keystone looks for its configuration.
pub(super) const PATH: &str = "/etc/keystone/keystone.conf";
/// Where the keys for tokens are.
pub(super) const FERNET_KEYS: &str = "/etc/keystone/fernet-keys";
/// Where the keys for credentials are: where the upgrade check looks for them, too.
pub(super) const CREDENTIAL_KEYS: &str = "/etc/keystone/credential-keys";

/// The files that serve: they are in the pod template, so that a change of one rolls the pods.
const SERVE: &[(&str, &str)] = &[
    ("cachemiss.py", include_str!("scripts/cachemiss.py")),
    ("dbpassword.py", include_str!("scripts/dbpassword.py")),
    ("keyproof.py", include_str!("scripts/keyproof.py")),
    ("launch.py", include_str!("scripts/launch.py")),
    ("probe.py", include_str!("scripts/probe.py")),
    ("wsgi.py", include_str!("scripts/wsgi.py")),
];
/// The files of Jobs: apart, so that a change of one rolls nothing.
const TASKS: &[(&str, &str)] = &[
    ("job.py", include_str!("scripts/job.py")),
    ("keys.py", include_str!("scripts/keys.py")),
    ("backup.sh", include_str!("scripts/backup.sh")),
];

type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// A configuration as an object to be: files that come with the operator, and those of this `Keystone`.
struct Files {
    name: String,
    fixed: &'static Fixed,
    own: BTreeMap<&'static str, String>,
}

/// Files that come with the operator. Their hash is made once.
struct Fixed {
    files: &'static [(&'static str, &'static str)],
    hash: String,
}

impl Fixed {
    fn new(files: &'static [(&'static str, &'static str)]) -> Self {
        Self { files, hash: json::hash(&json!(files)) }
    }
}

static SERVING: LazyLock<Fixed> = LazyLock::new(|| Fixed::new(SERVE));
static WORKING: LazyLock<Fixed> = LazyLock::new(|| Fixed::new(TASKS));

/// The name of the `ConfigMap` for the pods that serve, and for Jobs, of an image.
pub(super) fn name(scene: &Scene<'_>, spec: &KeystoneSpec, place: &Place) -> String {
    serve(scene, spec, place).name
}

/// The name of the `ConfigMap` with the scripts of Jobs.
pub(super) fn tasks_name(scene: &Scene<'_>) -> String {
    tasks(scene).name
}

/// The `ConfigMaps` that are missing, and those that nobody needs any more.
pub(super) fn actions(scene: &Scene<'_>) -> Vec<Action> {
    let Some(spec) = scene.spec else { return Vec::new() };
    let mut wanted: Vec<Files> = places(scene).iter().map(|place| serve(scene, spec, place)).collect();
    wanted.push(tasks(scene));
    wanted.dedup_by(|a, b| a.name == b.name);
    let missing = wanted.iter().filter(|files| scene.world.object(&CONFIG_MAP, &files.name).is_none());
    let mut actions: Vec<Action> = missing.map(|files| write(scene, files)).collect();
    let settled = scene.before.upgrade.is_none()
        && server::serving(scene).place().is_some_and(|place| server::rollout(scene, place) == Progress::Done);
    if settled {
        let unused = maps(scene).filter(|live| {
            let name = objects::name(live);
            wanted.iter().all(|files| files.name != name) && !is_used(scene, name)
        });
        actions.extend(unused.filter_map(|live| objects::delete(&CONFIG_MAP, live)));
    }
    actions
}

/// The images that run, or will: each has its configuration.
fn places(scene: &Scene<'_>) -> Vec<Place> {
    let serving = server::serving(scene);
    let mut places: Vec<Place> = serving.place().into_iter().chain(scene.to()).chain(scene.from()).cloned().collect();
    places.dedup();
    places
}

fn maps<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = &'a DynamicObject> {
    scene.world.own(&CONFIG_MAP).filter(|live| objects::component(live) == Some(objects::CONFIG))
}

/// Whether a pod, or what makes pods, refers to it.
fn is_used(scene: &Scene<'_>, name: &str) -> bool {
    let refers = |live: &DynamicObject, path: &str| {
        objects::items(live, path).any(|volume| json::text(volume, "configMap.name") == Some(name))
    };
    let template = "spec.template.spec.volumes";
    scene.world.own(&POD).any(|live| !pod::is_over(live) && refers(live, "spec.volumes"))
        || scene.world.own(&DEPLOYMENT).any(|live| refers(live, template))
        || scene.world.own(&JOB).any(|live| refers(live, template))
        || scene.world.own(&CRON_JOB).any(|live| refers(live, "spec.jobTemplate.spec.template.spec.volumes"))
}

fn write(scene: &Scene<'_>, files: &Files) -> Action {
    let fixed = files.fixed.files.iter().copied();
    let own = files.own.iter().map(|(name, text)| (*name, text.as_str()));
    let data: Map<String, Value> = fixed.chain(own).map(|(name, text)| (name.to_owned(), json!(text))).collect();
    let fields = Map::from_iter([("immutable".to_owned(), json!(true)), ("data".to_owned(), Value::Object(data))]);
    let object = objects::object(scene, &CONFIG_MAP, &files.name, objects::CONFIG, fields);
    Action::Apply { kind: CONFIG_MAP.kind, object }
}

fn serve(scene: &Scene<'_>, spec: &KeystoneSpec, place: &Place) -> Files {
    named(scene, "config", &SERVING, BTreeMap::from([("keystone.conf", render(spec, place))]))
}

fn tasks(scene: &Scene<'_>) -> Files {
    named(scene, "scripts", &WORKING, BTreeMap::new())
}

fn named(scene: &Scene<'_>, what: &str, fixed: &'static Fixed, own: BTreeMap<&'static str, String>) -> Files {
    let hash = json::hash(&json!([fixed.hash, own]));
    Files { name: format!("{}-{what}-{}", scene.world.name(), hash.get(..10).unwrap_or(&hash)), fixed, own }
}

/// `keystone.conf`.
pub(super) fn render(spec: &KeystoneSpec, place: &Place) -> String {
    let mut sections = defaults(spec);
    for (section, options) in &spec.extra_config {
        let section = sections.entry(section.clone()).or_default();
        section.extend(options.iter().map(|(option, value)| (option.clone(), value.clone())));
    }
    let mut text = format!("# Keystone {}. The database's address comes with the environment.\n", place.release);
    for (section, options) in &sections {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "\n[{section}]");
        for (option, value) in options {
            // A second line of a value has to be indented.
            let _ = writeln!(text, "{option} = {}", value.replace('\n', "\n  "));
        }
    }
    text
}

fn defaults(spec: &KeystoneSpec) -> Sections {
    let keys = spec.fernet.max_active_keys.to_string();
    let mut options: Vec<(&str, &str, &str)> = vec![
        // A request that waits for ever for a database holds its worker for ever.
        ("database", "max_retries", "3"),
        ("database", "retry_interval", "2"),
        ("database", "connection_recycle_time", "300"),
        ("token", "provider", "fernet"),
        ("fernet_tokens", "key_repository", FERNET_KEYS),
        ("fernet_tokens", "max_active_keys", &keys),
        // Without these bootstrap fails: receipts have a repository of their own by default.
        ("fernet_receipts", "key_repository", FERNET_KEYS),
        ("fernet_receipts", "max_active_keys", &keys),
        ("credential", "key_repository", CREDENTIAL_KEYS),
        // Links in answers have the scheme that the user used.
        ("oslo_middleware", "enable_proxy_headers_parsing", "true"),
    ];
    let servers = cache_servers(spec);
    if servers.is_empty() {
        options.push(("cache", "enabled", "false"));
    } else {
        options.push(("cache", "enabled", "true"));
        options.push(("cache", "backend", "dogpile.cache.pymemcache"));
        options.push(("cache", "memcache_servers", &servers));
        options.push(("cache", "proxies", "cachemiss.Forgiving"));
    }
    let mut sections = Sections::new();
    for (section, option, value) in options {
        sections.entry(section.to_owned()).or_default().insert(option.to_owned(), value.to_owned());
    }
    sections
}

fn cache_servers(spec: &KeystoneSpec) -> String {
    match &spec.cache.instance {
        _ if !spec.cache.servers.is_empty() => spec.cache.servers.join(","),
        Some(instance) if !instance.is_empty() => format!("{instance}:11211"),
        _ => String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_the_spec_wins() {
        let mut spec: KeystoneSpec = serde_json::from_value(json!({})).unwrap();
        spec.cache.servers = vec!["a:11211".into(), "b:11211".into()];
        spec.extra_config.insert("token".into(), BTreeMap::from([("expiration".into(), "7200".into())]));
        spec.extra_config.insert("cache".into(), BTreeMap::from([("enabled".into(), "false".into())]));
        let place = Place { image: "k:2025.2".into(), release: "2025.2".parse().unwrap() };
        let text = render(&spec, &place);
        assert!(text.starts_with("# Keystone 2025.2"), "{text}");
        assert!(text.contains("[token]\nexpiration = 7200\nprovider = fernet\n"), "{text}");
        assert!(text.contains("enabled = false\nmemcache_servers = a:11211,b:11211\nproxies = "), "{text}");
        assert!(text.contains("[fernet_receipts]\nkey_repository = /etc/keystone/fernet-keys\n"), "{text}");
    }
}
