//! What a `Keystone` says about its own upgrade and its keys.

use api::{DynamicObject, condition};
use jiff::Timestamp;
use plan::json;
use serde::Serialize;
use serde_json::Value;

use super::{items, read::conditions, text, texts, time};

/// A `Keystone`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Keystone {
    /// Its name.
    pub name: String,
    /// The release that every pod has.
    pub installed_release: Option<String>,
    /// The release that it goes to; absent when nothing is under way.
    pub target_release: Option<String>,
    /// The phase of the upgrade: `Expanding`, `Migrating`, `RollingUpdate` or `Contracting`.
    pub phase: Option<String>,
    /// The step; a phase has one or more.
    pub step: Option<String>,
    /// Which attempt of the step it is, from 1.
    pub attempt: Option<i64>,
    /// When the upgrade began.
    pub started_at: Option<Timestamp>,
    /// When the step began.
    pub step_started_at: Option<Timestamp>,
    /// The Job of the step.
    pub job: Option<String>,
    /// What it waits for.
    pub message: String,
    /// What stopped the step.
    pub failure: Option<String>,
    /// Whether users are served.
    pub available: bool,
    /// Whether what was asked for is installed.
    pub ready: bool,
    /// The keys that are published; never a key.
    pub keys: Vec<KeySet>,
}

/// A set of keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeySet {
    /// What they are for: `fernet` or `credential`.
    pub name: String,
    /// How many there are.
    pub count: i64,
    /// The number of the one that encrypts.
    pub primary: i64,
    /// Since when they are published.
    pub since: Option<Timestamp>,
    /// Whether every pod has them.
    pub everywhere: bool,
    /// The pods that do not have them yet.
    pub lagging: Vec<String>,
    /// Why the last rotation brought no new set.
    pub failure: Option<String>,
}

impl Keystone {
    pub(super) fn of(object: &DynamicObject) -> Self {
        let nothing = Value::Null;
        let status = object.data.get("status").unwrap_or(&nothing);
        let owned = |path: &str| json::text(status, path).map(str::to_owned);
        let conditions = conditions(&object.data);
        let holds = |type_: &str| {
            conditions.iter().any(|said| said.type_ == type_ && said.status == Some(condition::Status::True))
        };
        Self {
            name: object.metadata.name.clone().unwrap_or_default(),
            installed_release: owned("installedRelease"),
            target_release: owned("targetRelease"),
            phase: owned("upgradePhase"),
            step: owned("upgrade.step"),
            attempt: json::get(status, "upgrade.attempt").and_then(Value::as_i64),
            started_at: time(status, "upgrade.startedAt"),
            step_started_at: time(status, "upgrade.stepStartedAt"),
            job: owned("upgrade.job"),
            message: text(status, "upgrade.message"),
            failure: owned("upgrade.failure.message"),
            available: holds("Available"),
            ready: holds("Ready"),
            keys: items(status, "keys").map(key_set).collect(),
        }
    }

    /// `2025.2 -> 2026.1`, or what is installed.
    pub fn releases(&self) -> String {
        let installed = self.installed_release.as_deref().unwrap_or("-");
        match &self.target_release {
            Some(target) if Some(target) != self.installed_release.as_ref() => format!("{installed} -> {target}"),
            _ => installed.to_owned(),
        }
    }
}

fn key_set(set: &Value) -> KeySet {
    let number = |field: &str| set.get(field).and_then(Value::as_i64).unwrap_or_default();
    let fruitless = texts(set, "fruitless");
    let fruitless = (!fruitless.is_empty()).then(|| format!("without new keys: {}", fruitless.join(", ")));
    KeySet {
        name: text(set, "name"),
        count: number("count"),
        primary: number("primary"),
        since: time(set, "since"),
        everywhere: set.get("everywhere").and_then(Value::as_bool).unwrap_or_default(),
        lagging: texts(set, "lagging"),
        failure: json::text(set, "rejected.message").map(str::to_owned).or(fruitless),
    }
}
