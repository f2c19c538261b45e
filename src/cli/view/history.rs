//! What is over: the updates of a cloud, and the upgrades of its Keystones with their backups.

use api::DynamicObject;
use jiff::Timestamp;
use plan::json;
use serde::Serialize;
use serde_json::Value;

use super::{Objects, items, text, time};

/// What is over, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The namespace.
    pub namespace: String,
    /// The name of the cloud.
    pub name: String,
    /// The updates of the cloud.
    pub updates: Vec<PastUpdate>,
    /// The upgrades of its Keystones.
    pub keystone: Vec<PastUpgrade>,
}

/// An update that is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PastUpdate {
    /// The version before; empty for an installation.
    pub from: String,
    /// The version it went to.
    pub to: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub result: String,
}

/// An upgrade that is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PastUpgrade {
    /// The `Keystone`.
    pub keystone: String,
    /// The images, the times and the result.
    #[serde(flatten)]
    pub upgrade: PastUpdate,
    /// Where its backup is: the claim, and the folder in it.
    pub backup: Option<String>,
    /// The release that the backup belongs to.
    pub backup_release: Option<String>,
}

impl History {
    /// The history of a namespace; none when there is no cloud in it.
    pub fn of(namespace: &str, objects: &Objects) -> Option<Self> {
        let version = objects.charge().version?;
        Some(Self {
            namespace: namespace.to_owned(),
            name: version.metadata.name.clone().unwrap_or_default(),
            updates: items(&version.data, "status.history").map(past).collect(),
            keystone: objects.keystones.iter().flat_map(|keystone| upgrades(keystone)).collect(),
        })
    }
}

fn upgrades(keystone: &DynamicObject) -> Vec<PastUpgrade> {
    let upgrade = |entry: &Value| PastUpgrade {
        keystone: keystone.metadata.name.clone().unwrap_or_default(),
        upgrade: past(entry),
        backup: json::text(entry, "backup.path").map(|path| format!("{}:{path}", text(entry, "backup.claimName"))),
        backup_release: json::text(entry, "backup.release").map(str::to_owned),
    };
    items(&keystone.data, "status.history").map(upgrade).collect()
}

fn past(entry: &Value) -> PastUpdate {
    PastUpdate {
        from: text(entry, "from"),
        to: text(entry, "to"),
        started_at: time(entry, "startedAt"),
        finished_at: time(entry, "finishedAt"),
        result: text(entry, "result"),
    }
}
