//! What is.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{keys::KeySetStatus, upgrade::Strategy};
use crate::{
    condition::{Condition, Reason},
    version::{readable, readable_items},
};

/// What is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeystoneStatus {
    /// The conditions, `Ready` first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "readable_items")]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The release that the schema and every pod have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_release: Option<String>,
    /// The image that every pod has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_image: Option<String>,
    /// The release that is being installed or upgraded to; absent when nothing is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_release: Option<String>,
    /// The phase of the running upgrade (seed 000: only these four).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub upgrade_phase: Option<UpgradePhase>,
    /// The running installation or upgrade: the memory that survives restarts.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub upgrade: Option<UpgradeStatus>,
    /// A release whose expand has run against the database although it is not installed: an upgrade was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_release: Option<String>,
    /// The URL that bootstrap wrote into the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How many pods serve.
    #[serde(default)]
    pub ready_replicas: i64,
    /// Whether the keys were made once: they are never made again by themselves.
    #[serde(default)]
    pub keys_created: bool,
    /// The keys that are published.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "readable_items")]
    pub keys: Vec<KeySetStatus>,
    /// The last upgrades, newest last; at most [`super::super::version::HISTORY_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "readable_items")]
    pub history: Vec<UpgradeHistoryEntry>,
}

/// The phase of an upgrade, in the seed's words.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum UpgradePhase {
    /// `db_sync --expand` with the new image.
    Expanding,
    /// `db_sync --migrate` with the new image.
    Migrating,
    /// The pods get the new image.
    RollingUpdate,
    /// `db_sync --contract` with the new image.
    Contracting,
}

/// The place in the table of steps: the phases, and what frames them.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::IntoStaticStr,
)]
pub enum UpgradeStep {
    /// The first installation makes the schema.
    Installing,
    /// The first administrator and endpoint are made.
    Bootstrapping,
    /// The path is checked, the schema is looked at, doctor and upgrade check are read.
    Preparing,
    /// Every pod is stopped (strategy `Offline`).
    Stopping,
    /// Database and keys are saved.
    BackingUp,
    /// The schema grows.
    Expanding,
    /// Data moves.
    Migrating,
    /// The pods change.
    RollingUpdate,
    /// No old pod is left, and a token of one pod is accepted by another.
    Verifying,
    /// The schema shrinks.
    Contracting,
}

/// What is known of the schema, before anything changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SchemaState {
    /// Not looked at, or the release's own check cannot be trusted.
    #[default]
    Unknown,
    /// It is what the new release needs.
    Current,
    /// It has to be changed.
    Behind,
}

/// A running installation or upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// The release before; empty for an installation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The release to come.
    pub to: String,
    /// The image before; empty for an installation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from_image: String,
    /// The image to come.
    pub to_image: String,
    /// The strategy that it began with: the order of its steps stays, whatever the spec says meanwhile. Absent for an
    /// installation.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub strategy: Option<Strategy>,
    /// Where it is.
    pub step: UpgradeStep,
    /// When it began.
    pub started_at: Timestamp,
    /// When the step began.
    pub step_started_at: Timestamp,
    /// Which attempt of the step this is, from 1.
    pub attempt: u32,
    /// The value of the retry annotation that the attempt answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// The Job of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// What the schema was found to be.
    #[serde(default)]
    pub schema: SchemaState,
    /// Whether expand has begun: the schema may be ahead of the old release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expanded: bool,
    /// Whether contract has begun: the old release may not find its columns any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contracted: bool,
    /// Whether the target was taken back: what runs is stopped first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aborting: bool,
    /// The backup that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupReference>,
    /// What stopped the step, when something did.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub failure: Option<FailedJob>,
    /// What it waits for.
    #[serde(default)]
    pub message: String,
}

/// Where a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupReference {
    /// The claim.
    pub claim_name: String,
    /// The folder in it, with the dump and the keys.
    pub path: String,
    /// The release that the schema in it has.
    pub release: String,
    /// When it was complete.
    pub taken_at: Timestamp,
}

/// Why a step stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedJob {
    /// The kind of failure.
    pub reason: Reason,
    /// What happened, and what to do.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// How an upgrade ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum UpgradeResult {
    /// The first installation.
    Installed,
    /// Every step is done.
    Completed,
    /// The old image came back before Contracting.
    Aborted,
    /// Another image of the same release took its place.
    Superseded,
}

/// A finished upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeHistoryEntry {
    /// The image before; empty for an installation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The image it went to.
    pub to: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub result: UpgradeResult,
    /// The backup that was taken on the way.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub backup: Option<BackupReference>,
}
