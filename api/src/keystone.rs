//! `Keystone`: an identity service that upgrades itself without a failed request.

mod backing;
mod keys;
pub mod names;
mod spec;
mod status;
mod upgrade;

pub use backing::{Bootstrap, Cache, CredentialKeys, Database, DatabaseTls, FernetKeys, SecretKey};
pub use keys::{KeyRepository, KeySetStatus, RejectedSet, SetProblem};
pub use spec::{Autoscaling, Image, Keystone, KeystoneSpec};
pub use status::{
    BackupReference, FailedJob, KeystoneStatus, SchemaState, UpgradeHistoryEntry, UpgradePhase, UpgradeResult,
    UpgradeStatus, UpgradeStep,
};
pub use upgrade::{Backup, DeletionPolicy, SkipLevel, Strategy, UpgradeSpec};

use crate::service::Kind;

/// The API group of `Keystone`.
pub const GROUP: &str = "keystone.openstack.org";

/// The kind.
pub const KEYSTONE: Kind = Kind { group: GROUP, version: crate::API_VERSION, kind: "Keystone", plural: "keystones" };

/// On `Keystone`: any new value asks for another attempt of a step that failed.
pub const RETRY: &str = "keystone.openstack.org/retry";
