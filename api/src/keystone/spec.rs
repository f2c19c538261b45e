//! The wish.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::status::KeystoneStatus;
use crate::release::RELEASE_PATTERN;

/// The wish: which image, with which database, how many, and how an upgrade goes.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keystone.openstack.org",
    version = "v1beta1",
    kind = "Keystone",
    plural = "keystones",
    singular = "keystone",
    namespaced,
    status = "KeystoneStatus",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Release", type_ = "string", json_path = ".status.installedRelease"),
    printcolumn(name = "Target", type_ = "string", json_path = ".status.targetRelease"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.upgradePhase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.upgrade.step", priority = 1),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct KeystoneSpec {
    /// How many pods serve; ignored while `spec.autoscaling` is set. Default 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,
    /// The image: what is installed, or upgraded to.
    #[serde(default)]
    pub image: Image,
    /// The OpenStack release of the image, e.g. `2025.2`. May be left out when the tag says it; a digest needs it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(schema_with = "release_schema")]
    pub release: Option<String>,
    /// Lets a `HorizontalPodAutoscaler` own the number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// The database.
    #[serde(default)]
    pub database: Database,
    /// The cache that all pods share.
    #[serde(default)]
    pub cache: Cache,
    /// The keys that tokens are encrypted with.
    #[serde(default)]
    pub fernet: FernetKeys,
    /// The keys that credentials are encrypted with at rest.
    #[serde(default)]
    pub credential_keys: CredentialKeys,
    /// The first administrator and the first endpoint.
    #[serde(default)]
    pub bootstrap: Bootstrap,
    /// A Secret with the administrator's password under `AdminPassword`, as upstream's control plane has it;
    /// `spec.bootstrap.adminPasswordSecretRef` says it better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub secret: Option<String>,
    /// More configuration: section, option, value. Wins over what the operator writes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_config: BTreeMap<String, BTreeMap<String, String>>,
    /// Resources of each API container (Kubernetes `ResourceRequirements`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_schema")]
    pub resources: Option<Value>,
    /// Labels of the nodes that pods may run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that pods tolerate (Kubernetes `Toleration`s).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "objects_schema")]
    pub tolerations: Vec<Value>,
    /// How pods are spread (Kubernetes `TopologySpreadConstraint`s); by host and zone when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "objects_schema")]
    pub topology_spread_constraints: Option<Vec<Value>>,
    /// The priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,
    /// Upstream's reference to a topology. Accepted, not acted on; `spec.topologySpreadConstraints` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_schema")]
    pub topology_ref: Option<Value>,
    /// Seconds a pod goes on serving after it was asked to end, so that every load balancer has heard of it. Default 8.
    #[serde(default = "eight")]
    #[schemars(range(min = 0, max = 300))]
    pub pre_stop_sleep_seconds: i64,
    /// Seconds until a pod that still has requests in flight is killed. Default 60.
    #[serde(default = "sixty")]
    #[schemars(range(min = 10, max = 3600))]
    pub termination_grace_period_seconds: i64,
    /// Server processes of a pod. Default 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 64))]
    pub processes: i32,
    /// How an upgrade goes.
    #[serde(default)]
    pub upgrade: UpgradeSpec,
    /// What happens to keys and database when the object is deleted. Default `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl Default for KeystoneSpec {
    fn default() -> Self {
        Self {
            replicas: three(),
            image: Image::default(),
            release: None,
            autoscaling: None,
            database: Database::default(),
            cache: Cache::default(),
            fernet: FernetKeys::default(),
            credential_keys: CredentialKeys::default(),
            bootstrap: Bootstrap::default(),
            secret: None,
            extra_config: BTreeMap::new(),
            resources: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            topology_spread_constraints: None,
            priority_class_name: None,
            topology_ref: None,
            pre_stop_sleep_seconds: eight(),
            termination_grace_period_seconds: sixty(),
            processes: two(),
            upgrade: UpgradeSpec::default(),
            deletion_policy: DeletionPolicy::default(),
        }
    }
}

fn two() -> i32 {
    2
}

fn three() -> i32 {
    3
}

fn eight() -> i64 {
    8
}

fn sixty() -> i64 {
    60
}

/// An image: a repository with a tag or a digest, never both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// The repository, with the registry.
    #[schemars(length(min = 1, max = 384))]
    pub repository: String,
    /// The tag.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(max = 128))]
    pub tag: Option<String>,
    /// The digest: `sha256:` and 64 hexadecimal digits. Needs `spec.release`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(max = 71))]
    pub digest: Option<String>,
}

impl Image {
    /// The reference that a container has.
    pub fn reference(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.repository),
            (None, Some(tag)) => format!("{}:{tag}", self.repository),
            (None, None) => self.repository.clone(),
        }
    }
}

/// Bounds and targets of the `HorizontalPodAutoscaler`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// The fewest pods; `spec.replicas` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub min_replicas: Option<i32>,
    /// The most pods.
    #[schemars(range(min = 1, max = 100))]
    pub max_replicas: i32,
    /// Average CPU use to aim for, in percent of the request.
    #[serde(default, rename = "targetCPUUtilization", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub target_cpu_utilization: Option<i32>,
    /// Average memory use to aim for, in percent of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub target_memory_utilization: Option<i32>,
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKey {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key; `password` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub key: Option<String>,
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// The host; a Service of the namespace or any name or address.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// A Galera instance of the control plane: upstream's Service has the name of the instance; `host` says it better.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(max = 253))]
    pub instance: Option<String>,
    /// The port. Default 3306.
    #[serde(default = "mysql_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The schema. Default `keystone`.
    #[serde(default = "keystone")]
    #[schemars(length(min = 1, max = 64))]
    pub database: String,
    /// The user. Default `keystone`.
    #[serde(default = "keystone")]
    #[schemars(length(min = 1, max = 80))]
    pub user: String,
    /// The user's password. Default: key `password` of the Secret `<name>-db`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// TLS to the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<DatabaseTls>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            host: None,
            instance: None,
            port: mysql_port(),
            database: keystone(),
            user: keystone(),
            secret_ref: None,
            tls: None,
        }
    }
}

fn mysql_port() -> i32 {
    3306
}

fn keystone() -> String {
    "keystone".to_owned()
}

/// TLS to the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseTls {
    /// The authorities that the server's certificate is checked against; key `ca.crt` when absent.
    pub ca_secret_ref: SecretKey,
}

/// The cache that all pods share. Without one every request asks the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cache {
    /// memcached servers, `host:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub servers: Vec<String>,
    /// A Memcached instance of the control plane: the Service of that name, port 11211.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(max = 253))]
    pub instance: Option<String>,
}

/// The keys that tokens are encrypted with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FernetKeys {
    /// When keys rotate, as a cron expression. Default weekly.
    #[schemars(length(max = 100))]
    pub rotation_schedule: String,
    /// How many keys are kept. Default 3.
    #[schemars(range(min = 3, max = 100))]
    pub max_active_keys: i32,
    /// No scheduled rotation.
    pub suspend: bool,
    /// The time zone of the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
}

impl Default for FernetKeys {
    fn default() -> Self {
        Self { rotation_schedule: WEEKLY.to_owned(), max_active_keys: 3, suspend: false, time_zone: None }
    }
}

/// Every Sunday at midnight (seed 000: weekly).
const WEEKLY: &str = "0 0 * * 0";

/// The keys that credentials are encrypted with. Keystone keeps three of them, always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CredentialKeys {
    /// When keys rotate, as a cron expression. Default weekly.
    #[schemars(length(max = 100))]
    pub rotation_schedule: String,
    /// No scheduled rotation.
    pub suspend: bool,
    /// The time zone of the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
}

impl Default for CredentialKeys {
    fn default() -> Self {
        Self { rotation_schedule: WEEKLY.to_owned(), suspend: false, time_zone: None }
    }
}

/// The first administrator and the first endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Bootstrap {
    /// The administrator. Default `admin`.
    #[schemars(length(min = 1, max = 255))]
    pub admin_user: String,
    /// The administrator's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_password_secret_ref: Option<SecretKey>,
    /// The region. Default `RegionOne`.
    #[schemars(length(min = 1, max = 255))]
    pub region: String,
    /// The URL that users reach; the Service's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub public_endpoint: Option<String>,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            admin_user: "admin".to_owned(),
            admin_password_secret_ref: None,
            region: "RegionOne".to_owned(),
            public_endpoint: None,
        }
    }
}

/// Whether users notice an upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// The `PersistentVolumeClaim` that the backup is written to.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// An image with `mariadb-dump` and a shell.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
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

/// Empty counts as absent, as for every Kubernetes string.
fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

fn release_schema(_: &mut SchemaGenerator) -> Schema {
    // Empty counts as absent, as for every Kubernetes string.
    let pattern = format!("^$|{RELEASE_PATTERN}");
    json_schema!({"type": "string", "maxLength": 6, "pattern": pattern})
}

fn object_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn objects_schema(_: &mut SchemaGenerator) -> Schema {
    let object = json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json_schema!({"type": "array", "maxItems": 64, "items": object})
}
