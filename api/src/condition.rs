//! Conditions in upstream's shape: `type`, `status`, `severity`, `reason`, `message`, `lastTransitionTime`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{service::SERVICES, step::MINOR_UPDATE};

/// Whether a condition holds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold; reason and message say why.
    False,
    /// Not known yet.
    Unknown,
}

/// How much a condition that is False matters (upstream's words). Empty unless the status is False.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::IntoStaticStr)]
pub enum Severity {
    /// Not False.
    #[default]
    #[serde(rename = "")]
    None,
    /// Expected on the way, or for information.
    Info,
    /// A person should look.
    Warning,
    /// Nothing goes on before a person acts.
    Error,
}

/// Why a condition has its status. A closed set: alerts and scripts match on it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum Reason {
    /// Not reached yet (upstream).
    Init,
    /// In progress (upstream).
    Requested,
    /// Holds (upstream).
    Ready,
    /// Something does not fit; the message names it (upstream).
    Error,
    /// A person has to act, e.g. deploy a nodeset.
    Waiting,
    /// Stopped where the administrator asked for it.
    Held,
    /// Takes longer than `spec.update.stepDeadline`.
    Stalled,
    /// There was nothing to do.
    NotNeeded,
    /// The deployed version is the available one.
    UpToDate,
    /// The object does not parse.
    InvalidSpec,
    /// The target is not a version whose images are known.
    UnknownVersion,
    /// The target is older than the deployed version.
    RollbackNotSupported,
    /// A step that was already begun cannot be undone.
    NotRevertible,
    /// The custom images stayed as they were while the target changed.
    CustomImagesUnchanged,
    /// A custom image names a field or a backend that does not exist, or is no image reference.
    InvalidCustomImage,
    /// A version carries no value for an image that an enabled service needs.
    MissingImage,
    /// The bundle's images of a version that is in use changed.
    ImageSetChanged,
    /// The bundle's environment is incomplete or wrong.
    InvalidBundle,
    /// Another object of the kind exists in the namespace, or the names differ.
    Conflict,
    /// The kind's CRD is not installed.
    KindNotInstalled,
    /// A field is accepted and not acted on.
    NotSupported,
    /// The object is missing.
    NotFound,
    /// `Keystone`: neither `spec.release` nor the tag says which release the image is (seed 000's event).
    VersionParseError,
    /// `Keystone`: the target is older than what is installed (seed 000).
    DowngradeNotSupported,
    /// `Keystone`: a release in between may not be left out (seed 000).
    UpgradePathInvalid,
    /// `Keystone`: another target was set in the middle of an upgrade.
    UpgradeTargetChanged,
    /// A Job failed; the message has what it said.
    JobFailed,
    /// A Job took longer than its deadline.
    DeadlineExceeded,
    /// The database cannot be reached.
    DatabaseUnreachable,
    /// The database refuses the user or the password.
    DatabaseAccessDenied,
    /// A schema change stopped half-way: repeating it fails for ever.
    PartiallyApplied,
    /// The schema is newer than the image.
    SchemaAhead,
    /// An image cannot be pulled.
    ImagePull,
    /// A Secret, or a key of it, is missing.
    SecretMissing,
    /// The keys were made once and are gone: new ones would make what they encrypted unreadable.
    KeysLost,
    /// A new set of keys is not what a rotation makes of the published one: it was not published.
    RotationRejected,
    /// A Job was to rotate keys, and did not.
    RotationFailed,
    /// A pod does not get the published keys.
    KeysLagging,
    /// Rotations of the schedule are missing, and nothing says why.
    KeysOverdue,
    /// Keys are gone before the tokens that they encrypted have expired.
    TooFewKeys,
    /// Something else uses the same database.
    DatabaseInUse,
    /// A backup is asked for and there is none.
    BackupFailed,
    /// Issuing or validating a token failed.
    VerificationFailed,
}

/// One condition of a root object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The type, unique within the list.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether it holds.
    pub status: Status,
    /// How much it matters when it does not.
    #[serde(default)]
    pub severity: Severity,
    /// Why, as one word.
    pub reason: Reason,
    /// Why, for a person: names the object and the field.
    pub message: String,
    /// When the status last changed.
    pub last_transition_time: Timestamp,
}

/// What a condition says, before the time of its last change is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub status: Status,
    /// How much it matters when it does not.
    pub severity: Severity,
    /// Why, as one word.
    pub reason: Reason,
    /// Why, for a person.
    pub message: String,
}

impl Verdict {
    /// It holds.
    pub fn yes(message: impl Into<String>) -> Self {
        Self { status: Status::True, severity: Severity::None, reason: Reason::Ready, message: message.into() }
    }

    /// It does not hold.
    pub fn no(severity: Severity, reason: Reason, message: impl Into<String>) -> Self {
        Self { status: Status::False, severity, reason, message: message.into() }
    }

    /// It is not known yet.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { status: Status::Unknown, severity: Severity::None, reason: Reason::Init, message: message.into() }
    }

    /// The same with another reason.
    #[must_use]
    pub fn because(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }
}

/// Turns verdicts into conditions: `Ready` first, the others by type (upstream's order; printer columns rely on it).
/// A condition keeps its transition time while its status stays the same. Types that are not in `verdicts` disappear.
pub fn fold(verdicts: Vec<(String, Verdict)>, previous: &[Condition], now: Timestamp) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = verdicts
        .into_iter()
        .map(|(type_, verdict)| {
            let kept = previous.iter().find(|old| old.type_ == type_ && old.status == verdict.status);
            Condition {
                last_transition_time: kept.map_or(now, |old| old.last_transition_time),
                type_,
                status: verdict.status,
                severity: verdict.severity,
                reason: verdict.reason,
                message: verdict.message,
            }
        })
        .collect();
    conditions.sort_by(|a, b| (a.type_ != READY, &a.type_).cmp(&(b.type_ != READY, &b.type_)));
    conditions
}

/// The condition type that sums up all others.
pub const READY: &str = "Ready";

/// The condition type that says whether a newer version is available.
pub const MINOR_UPDATE_AVAILABLE: &str = "MinorUpdateAvailable";

/// The condition types of all root objects, besides those of the steps and of the services.
const TYPES: &[&str] = &[
    READY,
    // OpenStackVersion
    "Initialized",
    "BundleValid",
    "ContainerImagesKnown",
    "CustomImagesValid",
    "ImageSetConfirmed",
    "KindsWatched",
    MINOR_UPDATE_AVAILABLE,
    "TargetVersionValid",
    "UpdateOptionsValid",
    // OpenStackControlPlane
    "OpenStackControlPlaneOpenStackVersionInitializationReadyCondition",
    "SpecFullyManaged",
    // Keystone
    "Available",
    "Progressing",
    "Degraded",
    "KeysReady",
    "KeysRotate",
    "KeysSuffice",
    "TargetReleaseValid",
];

/// The type as a constant, if it is one of ours: a status may have been written by others, and a label of a metric must
/// not be any text.
pub fn known(type_: &str) -> Option<&'static str> {
    let steps = MINOR_UPDATE.iter().map(|step| step.condition);
    let services = SERVICES.iter().map(|row| row.condition);
    TYPES.iter().copied().chain(steps).chain(services).find(|known| *known == type_)
}

/// The condition of that type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of that type is True.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == Status::True)
}
