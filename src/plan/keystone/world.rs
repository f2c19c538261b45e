//! What goes in and what comes out.

use std::collections::BTreeMap;

use api::{
    DynamicObject, MANAGED_BY,
    condition::Reason,
    keystone::{KeystoneSpec, KeystoneStatus},
    service::{CONFIG_MAP, Kind, RBAC},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::release::{Kinds, Objects, Root, kind_key};

/// `Deployment`.
pub const DEPLOYMENT: Kind = Kind { group: "apps", version: "v1", kind: "Deployment", plural: "deployments" };
/// `Job`.
pub const JOB: Kind = Kind { group: "batch", version: "v1", kind: "Job", plural: "jobs" };
/// `Pod`.
pub const POD: Kind = Kind { group: "", version: "v1", kind: "Pod", plural: "pods" };
/// `Secret`.
pub const SECRET: Kind = Kind { group: "", version: "v1", kind: "Secret", plural: "secrets" };
/// `Service`.
pub const SERVICE: Kind = Kind { group: "", version: "v1", kind: "Service", plural: "services" };
/// `PodDisruptionBudget`.
pub const PDB: Kind =
    Kind { group: "policy", version: "v1", kind: "PodDisruptionBudget", plural: "poddisruptionbudgets" };
/// `HorizontalPodAutoscaler`.
pub const HPA: Kind =
    Kind { group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler", plural: "horizontalpodautoscalers" };
/// `CronJob`.
pub const CRON_JOB: Kind = Kind { group: "batch", version: "v1", kind: "CronJob", plural: "cronjobs" };
/// `ServiceAccount`.
pub const ACCOUNT: Kind = Kind { group: "", version: "v1", kind: "ServiceAccount", plural: "serviceaccounts" };
/// `Role`.
pub const ROLE: Kind = Kind { group: RBAC, version: "v1", kind: "Role", plural: "roles" };
/// `RoleBinding`.
pub const ROLE_BINDING: Kind = Kind { group: RBAC, version: "v1", kind: "RoleBinding", plural: "rolebindings" };

/// The kinds of the objects that a `Keystone` is made of: what is watched, and what the operator may write.
pub const KINDS: &[Kind] =
    &[CONFIG_MAP, CRON_JOB, DEPLOYMENT, HPA, JOB, PDB, POD, ROLE, ROLE_BINDING, SECRET, SERVICE, ACCOUNT];

/// The label whose value is the name of the `Keystone`.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label that tells the pods that serve from those of Jobs.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The label of Jobs, and their pods, that write to the schema.
pub const SCHEMA_WRITER: &str = "keystone.openstack.org/schema-writer";

/// Another `Keystone` of the namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// When it was created: the older one keeps a database that both want.
    pub created: Option<Timestamp>,
    /// Its wish.
    pub spec: KeystoneSpec,
}

/// Everything the keystone controller knows about one `Keystone`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    /// The time of the observation, in whole seconds.
    pub now: Timestamp,
    /// The namespace.
    pub namespace: String,
    /// The object.
    pub keystone: Root<KeystoneSpec, KeystoneStatus>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The others of the namespace.
    pub others: Vec<Other>,
    /// The objects of [`KINDS`] that carry the operator's label, by [`kind_key`].
    pub kinds: Kinds,
    /// Random keys, in the form that Keystone reads: used when the keys are made, and only then.
    pub fresh_keys: Vec<String>,
    /// The last errors of writes that did not succeed, by `Kind/name`.
    pub failures: BTreeMap<String, String>,
}

impl World {
    /// The name of the object.
    pub fn name(&self) -> &str {
        &self.keystone.meta.name
    }

    /// The objects of a kind that belong to this `Keystone`.
    pub fn own(&self, kind: &Kind) -> impl Iterator<Item = &DynamicObject> {
        let objects = self.kinds.get(&kind_key(kind)).map(Objects::known).unwrap_or_default();
        objects.iter().map(AsRef::as_ref).filter(|object| {
            let labels = object.metadata.labels.as_ref();
            let has = |label: &str, value: &str| labels.and_then(|all| all.get(label)).is_some_and(|own| own == value);
            has(INSTANCE, self.name()) && has(MANAGED_BY.0, MANAGED_BY.1)
        })
    }

    /// One of them.
    pub fn object(&self, kind: &Kind, name: &str) -> Option<&DynamicObject> {
        self.own(kind).find(|object| object.metadata.name.as_deref() == Some(name))
    }

    /// A kind that could not be read, and why: whatever depends on it would be a guess.
    pub fn unreadable(&self) -> Option<(&'static str, &str)> {
        KINDS.iter().find_map(|kind| match self.kinds.get(&kind_key(kind)) {
            Some(Objects::Known(_)) => None,
            Some(Objects::Unreadable(error)) => Some((kind.kind, error.as_str())),
            Some(Objects::Absent) | None => Some((kind.kind, "the kind is not installed")),
        })
    }
}

/// A write.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Apply an object.
    Apply {
        /// The kind.
        kind: &'static str,
        /// The object, with its name.
        object: Value,
    },
    /// Create an object that must not replace another one: keys, and Jobs.
    Create {
        /// The kind.
        kind: &'static str,
        /// The object, with its name.
        object: Value,
    },
    /// Change some fields of the object that was observed, and only of that one: nothing is written over what somebody
    /// else wrote in between.
    Merge {
        /// The kind.
        kind: &'static str,
        /// The fields, with name and resource version; `null` removes one.
        object: Value,
    },
    /// Delete this very object, and what it owns.
    Delete {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: String,
        /// The uid.
        uid: String,
    },
}

/// The kind of that name in [`KINDS`].
pub fn kind_named(name: &str) -> Option<Kind> {
    KINDS.iter().find(|kind| kind.kind == name).copied()
}

/// Why a note was made: the Event's reason (seed 000's and the peer's words where there are any).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::IntoStaticStr)]
pub enum NoteReason {
    /// The keys for tokens were made.
    FernetKeysGenerated,
    /// The keys for credentials were made.
    CredentialKeysGenerated,
    /// New keys for tokens are published.
    FernetKeysRotated,
    /// New keys for credentials are published.
    CredentialKeysRotated,
    /// The published keys for tokens were changed, and not by a rotation.
    FernetKeysChanged,
    /// The published keys for credentials were changed, and not by a rotation.
    CredentialKeysChanged,
    /// A new set of keys is not what a rotation makes of the published one.
    RotationRejected,
    /// A Job was to rotate keys, and did not.
    RotationFailed,
    /// A pod does not get the published keys.
    KeysLagging,
    /// Keys are gone before the tokens that they encrypted have expired.
    TooFewKeys,
    /// The first schema is there.
    DatabaseSynced,
    /// The first administrator and endpoint are there.
    BootstrapComplete,
    /// The first installation is complete.
    Installed,
    /// An upgrade began.
    UpgradeInitiated,
    /// The backup is complete.
    BackupComplete,
    /// The path, the schema and the image allow the upgrade.
    PreparationComplete,
    /// Every pod is stopped.
    Stopped,
    /// The schema has grown.
    ExpandComplete,
    /// Data has moved.
    MigrateComplete,
    /// Every pod has the new image.
    DeploymentRolloutComplete,
    /// A token of one pod was accepted by another.
    VerificationComplete,
    /// The schema has shrunk.
    ContractComplete,
    /// The upgrade is complete.
    UpgradeComplete,
    /// The old image is back.
    UpgradeAborted,
    /// Another image of the same release took its place.
    UpgradeRetargeted,
    /// The schema could not be made.
    DBSyncFailed,
    /// The first administrator or endpoint could not be made.
    BootstrapFailed,
    /// The path, the schema or the image does not allow the upgrade.
    PreparationFailed,
    /// The pods do not stop.
    StopFailed,
    /// The backup failed.
    BackupFailed,
    /// Expand failed.
    ExpandFailed,
    /// Migrate failed.
    MigrateFailed,
    /// The pods with the new image do not get ready.
    RolloutFailed,
    /// Issuing or validating a token failed.
    VerificationFailed,
    /// Contract failed.
    ContractFailed,
    /// Neither `spec.release` nor the tag says which release the image is.
    VersionParseError,
    /// The target is older than what is installed.
    DowngradeNotSupported,
    /// A release in between may not be left out.
    UpgradePathInvalid,
    /// Another target was set in the middle of an upgrade.
    UpgradeTargetChanged,
    /// Something else was refused; the message names the field.
    Refused,
}

/// Something worth an Event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Whether a person should look.
    pub warning: bool,
    /// Why.
    pub reason: NoteReason,
    /// For a person.
    pub message: String,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The status.
    pub status: KeystoneStatus,
    /// What to write, once the status says so.
    pub actions: Vec<Action>,
    /// What is worth an Event, once the status is written.
    pub notes: Vec<Note>,
    /// When to look again although nothing changed.
    pub next: Option<Timestamp>,
}

/// Why a target is not gone to.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The kind of refusal.
    pub reason: Reason,
    /// What is wrong with which field, and what to set it to.
    pub message: String,
}
