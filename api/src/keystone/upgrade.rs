//! How an upgrade goes, and the end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{filled, release_schema};

/// Whether users notice an upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Strategy {
    /// The API serves all the time: expand, migrate, rolling update, contract.
    #[default]
    Online,
    /// Stop, back up, change the schema, check, start (seed 002).
    Offline,
}

/// Which releases may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SkipLevel {
    /// None.
    #[default]
    #[serde(rename = "")]
    None,
    /// From one SLURP release (`YYYY.1`) to the next one.
    #[serde(rename = "SLURP")]
    Slurp,
}

/// How an upgrade goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradeSpec {
    /// Whether users notice.
    pub strategy: Strategy,
    /// Which releases may be left out.
    pub skip_level: SkipLevel,
    /// A backup of database and keys before the schema changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Says that the database was restored to this release: permits to go back to it once.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(schema_with = "release_schema")]
    pub restored_release: Option<String>,
    /// Seconds that one Job may take. Default 3600: an index on a large table takes its time.
    #[schemars(range(min = 30, max = 604_800))]
    pub job_deadline_seconds: i64,
    /// Seconds that the rolling update may take before it is reported as stuck. Default 1800.
    #[schemars(range(min = 30, max = 604_800))]
    pub rollout_deadline_seconds: i64,
}

impl Default for UpgradeSpec {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            skip_level: SkipLevel::default(),
            backup: None,
            restored_release: None,
            job_deadline_seconds: 3600,
            rollout_deadline_seconds: 1800,
        }
    }
}

/// A backup before the schema changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// The `PersistentVolumeClaim` that the backup is written to.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// An image with `mariadb-dump` and a shell.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Whether the keys are copied, too. Without those of its time, the credentials in a restored database cannot be read:
    /// set it to false only where the Secrets have a backup of their own.
    #[serde(default = "yes")]
    pub keys: bool,
}

fn yes() -> bool {
    true
}

/// What happens to keys and database when the object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Retain,
    /// The keys go; the database is the database operator's.
    Delete,
}
