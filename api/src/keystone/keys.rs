//! What is known of the keys: everything but the keys.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::version::readable;

/// What keys are for.
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
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum KeyRepository {
    /// Tokens.
    Fernet,
    /// Credentials at rest.
    Credential,
}

/// A set of keys that is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySetStatus {
    /// What they are for.
    pub name: KeyRepository,
    /// Which set it is: a hash that tells nothing of the keys.
    pub set: String,
    /// How many keys it has.
    #[serde(default)]
    pub count: i64,
    /// The number of the key that encrypts.
    #[serde(default)]
    pub primary: i64,
    /// Since when it is published.
    pub since: Timestamp,
    /// When two rotations of the schedule are missing, should there be none by then. Absent while nothing rotates by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_at: Option<Timestamp>,
    /// Whether every pod was seen to have it. The next set is not published before.
    #[serde(default)]
    pub everywhere: bool,
    /// The pods that were asked last and do not have it yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lagging: Vec<String>,
    /// Since when some pod is known not to have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lagging_since: Option<Timestamp>,
    /// The last new set that was not published, until one is.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub rejected: Option<RejectedSet>,
    /// Jobs since then that ended and brought no new set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fruitless: Vec<String>,
}

/// A new set that was not published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedSet {
    /// When.
    pub at: Timestamp,
    /// The resource version of the Secret that it was found in.
    pub version: String,
    /// What is wrong with it.
    pub problem: SetProblem,
    /// The same, for a person.
    pub message: String,
}

/// Why a new set of keys is not what a rotation makes of the published one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum SetProblem {
    /// A name is not the number of a key.
    Name,
    /// A key is not what Keystone reads.
    Format,
    /// A key is there twice.
    Duplicate,
    /// It does not say when it was made, or says it of another time.
    Time,
    /// It was made of keys that are not the published ones any more.
    Outdated,
    /// It has too few or too many keys, or others than it should keep.
    Count,
    /// The key that encrypts is not the one that was announced, or a key that stays has changed.
    Continuity,
    /// The announced key is not new.
    Stale,
}
