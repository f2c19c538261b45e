//! `OpenStackControlPlane`: which services the cloud has.
//!
//! The spec is kept as it was written: its sections are the service table's, its templates belong to the service
//! operators. [`crate::crd`] builds the schema from the table.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    condition::Condition,
    crd,
    version::{ContainerImages, readable_items},
};

/// Which services the cloud has, with their templates.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "core.openstack.org",
    version = "v1beta1",
    kind = "OpenStackControlPlane",
    doc = "The services of a cloud.",
    plural = "openstackcontrolplanes",
    singular = "openstackcontrolplane",
    shortname = "osctlplane",
    shortname = "osctlplanes",
    shortname = "oscp",
    shortname = "oscps",
    namespaced,
    status = "OpenStackControlPlaneStatus",
    label("backup.openstack.org/restore", "true"),
    label("backup.openstack.org/category", "controlplane"),
    label("backup.openstack.org/restore-order", "30"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.conditions[0].status"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[0].message")
)]
pub struct OpenStackControlPlaneSpec {
    /// Sections and top-level fields, as written.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// Top-level fields that services inherit (the table's `inherits` columns refer to them).
pub const INHERITED: &[&str] = &["secret", "storageClass", "nodeSelector", "topologyRef"];

/// What is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenStackControlPlaneStatus {
    /// The conditions, `Ready` first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "readable_items")]
    pub conditions: Vec<Condition>,
    /// The version that the whole cloud has; an `OpenStackVersion` that is created again takes it back from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_version: Option<String>,
    /// The version whose OVN images the control plane's OVN runs.
    #[serde(default, rename = "deployedOVNVersion", skip_serializing_if = "Option::is_none")]
    pub deployed_ovn_version: Option<String>,
    /// The last target that was accepted; an `OpenStackVersion` that is created again takes it back from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_version: Option<String>,
    /// The hash of the images of the deployed version, as deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_image_set: Option<String>,
    /// The images that ready services carry.
    #[serde(default, skip_serializing_if = "ContainerImages::is_empty")]
    #[schemars(schema_with = "crd::container_images_schema")]
    pub container_images: ContainerImages,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
