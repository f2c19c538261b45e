//! The wish.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    backing::{Bootstrap, Cache, CredentialKeys, Database, FernetKeys},
    status::KeystoneStatus,
    upgrade::{DeletionPolicy, UpgradeSpec},
};
use crate::release::RELEASE_PATTERN;

/// The wish: which image, with which database, how many, and how an upgrade goes.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keystone.openstack.org",
    version = "v1beta1",
    kind = "Keystone",
    doc = "The identity service of a cloud: its API, its keys, and its upgrades without a failed request.",
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

/// Empty counts as absent, as for every Kubernetes string.
pub(super) fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

pub(super) fn release_schema(_: &mut SchemaGenerator) -> Schema {
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
