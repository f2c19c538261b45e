//! `Keystone`: an identity service that upgrades itself without a failed request.

mod spec;
mod status;

pub use spec::{
    Autoscaling, Backup, Bootstrap, Cache, CredentialKeys, Database, DatabaseTls, DeletionPolicy, FernetKeys, Image,
    Keystone, KeystoneSpec, SecretKey, SkipLevel, Strategy, UpgradeSpec,
};
pub use status::{
    BackupReference, FailedJob, KeystoneStatus, SchemaState, UpgradeHistoryEntry, UpgradePhase, UpgradeResult,
    UpgradeStatus, UpgradeStep,
};

use crate::service::Kind;

/// The API group of `Keystone`.
pub const GROUP: &str = "keystone.openstack.org";

/// The kind.
pub const KEYSTONE: Kind = Kind { group: GROUP, version: crate::API_VERSION, kind: "Keystone", plural: "keystones" };

/// On `Keystone`: any new value asks for another attempt of a step that failed.
pub const RETRY: &str = "keystone.openstack.org/retry";
