//! `OpenStackVersion`: what is available, what is wanted, what is deployed, and how far an update is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use crate::{condition::Condition, crd, image::Images, step::StepName};

/// Feature switches of a release, by name (upstream's `ServiceDefaults`).
pub type ServiceDefaults = BTreeMap<String, String>;

/// One value of `customContainerImages` or `containerImages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ImageValue {
    /// One image.
    Image(String),
    /// Images by backend name.
    Backends(BTreeMap<String, Option<String>>),
}

/// Images by field name, with the per-backend maps inline, as upstream writes them.
pub type ContainerImages = BTreeMap<String, ImageValue>;

/// The wish: which version, with which custom images, and how the update goes.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "core.openstack.org",
    version = "v1beta1",
    kind = "OpenStackVersion",
    doc = "Which release the cloud of the OpenStackControlPlane of the same name has, and its update to another one.",
    plural = "openstackversions",
    singular = "openstackversion",
    shortname = "osv",
    shortname = "osvs",
    namespaced,
    status = "OpenStackVersionStatus",
    label("backup.openstack.org/restore", "true"),
    label("backup.openstack.org/category", "controlplane"),
    label("backup.openstack.org/restore-order", "20"),
    printcolumn(name = "Target Version", type_ = "string", json_path = ".spec.targetVersion"),
    printcolumn(name = "Available Version", type_ = "string", json_path = ".status.availableVersion"),
    printcolumn(name = "Deployed Version", type_ = "string", json_path = ".status.deployedVersion"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.update.step", priority = 1),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct OpenStackVersionSpec {
    /// The version the cloud shall have. Absent at creation: set once to the available version. Never means "latest".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "crd::version_schema")]
    pub target_version: String,
    /// Images that replace the release's: hotfixes and vendor backends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crd::custom_images_schema")]
    pub custom_container_images: ContainerImages,
    /// How an update goes.
    #[serde(default)]
    pub update: UpdateSpec,
}

/// Who moves the nodesets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DataplaneMode {
    /// An administrator creates the `OpenStackDataPlaneDeployment`s.
    #[default]
    Manual,
    /// The operator would. Not supported yet: refused.
    Automatic,
}

/// How an update goes. Everything here may change at any time, also in the middle of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSpec {
    /// No new image is written; progress is kept; everything else still reconciles.
    #[serde(default)]
    pub paused: bool,
    /// Stop after this step until the field changes or goes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_after: Option<StepName>,
    /// Who moves the nodesets.
    #[serde(default)]
    pub dataplane: DataplaneMode,
    /// The hash of a changed image set of a version that is in use: accepts it, to be applied in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub confirm_image_set: Option<String>,
    /// How long a step may take before it is reported as `Stalled`, e.g. `30m` or `1h30m`. It is never rolled back by
    /// itself. Default 30m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::duration_schema")]
    pub step_deadline: Option<String>,
}

/// What is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenStackVersionStatus {
    /// The conditions, `Ready` first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "readable_items")]
    pub conditions: Vec<Condition>,
    /// The version that the whole cloud has; moves only when every step is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_version: Option<String>,
    /// The hash of the images of the deployed version, as deployed: tells a respin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_image_set: Option<String>,
    /// The version of the running bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_version: Option<String>,
    /// The hash of the images that the bundle brings for a version in use whose images were others, until
    /// `spec.update.confirmImageSet` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed_image_set: Option<String>,
    /// The images in effect for the target: custom over release, aliases resolved, derived names added.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crd::container_images_schema")]
    pub container_images: ContainerImages,
    /// The images of the deployed, target, available and last few versions, as their bundles brought them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crd::image_defaults_schema")]
    pub container_image_version_defaults: BTreeMap<String, Images>,
    /// The OpenStack release of each of those versions, e.g. `2025.2`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub available_releases: BTreeMap<String, String>,
    /// The feature switches of each of those versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub available_service_defaults: BTreeMap<String, ServiceDefaults>,
    /// The feature switches of the target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_defaults: ServiceDefaults,
    /// The custom images that each version had while it was the target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crd::tracked_images_schema")]
    pub tracked_custom_images: BTreeMap<String, ContainerImages>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The running update; absent when none runs.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub update: Option<UpdateStatus>,
    /// One line for each service, always.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "readable_items")]
    pub services: Vec<ServiceStatus>,
    /// The last updates, newest last; at most [`HISTORY_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "readable_items")]
    pub history: Vec<HistoryEntry>,
}

/// How many finished updates `status.history` keeps.
pub const HISTORY_MAX: usize = 10;

/// A running update: the memory that survives restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStatus {
    /// The version that was deployed when it began.
    pub from: String,
    /// The version it goes to.
    pub to: String,
    /// The hash of the images it goes to.
    pub image_set_hash: String,
    /// When it began.
    pub started_at: Timestamp,
    /// The first step that is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// Whether the target may still return to `from`; admission asks this.
    #[serde(default)]
    pub revertible: bool,
    /// Why not, when it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_revertible_reason: Option<String>,
    /// Every step, in order.
    #[serde(default)]
    pub steps: Vec<StepStatus>,
}

/// Where a step is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum StepState {
    /// A step before it is not done.
    Pending,
    /// Its images are written; its services are on the way.
    Running,
    /// An administrator has to act, e.g. deploy a nodeset.
    Waiting,
    /// Every gate was met; not judged again while its images stay the wanted ones.
    Done,
    /// There was nothing to move.
    NotNeeded,
    /// Stopped where the administrator asked for it.
    Held,
    /// Takes longer than the deadline.
    Stalled,
}

impl StepState {
    /// Whether the walk is past it.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Done | Self::NotNeeded)
    }
}

/// One step of a running update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// The step.
    pub name: StepName,
    /// Where it is.
    pub state: StepState,
    /// The version whose images it wrote last, also for a target that was given up: what somebody deletes comes back
    /// with them. Absent while it has written none: then there is nothing to take back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
    /// The hash of the images that it moved to: the latch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_hash: Option<String>,
    /// The nodesets that an administrator has to deploy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_sets: Vec<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// What it waits for, or what it did.
    #[serde(default)]
    pub message: String,
}

/// Where a service is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum ServiceState {
    /// Not enabled.
    Disabled,
    /// Has its images and is ready.
    Ready,
    /// Has its images and is not ready.
    NotReady,
    /// Keeps its images until its step.
    Pending,
    /// Something prevents the operator from writing it; the message says what.
    Blocked,
}

/// One line for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// The service.
    pub name: String,
    /// The kind of its objects.
    pub kind: String,
    /// The version whose images its objects carry. Absent while they are mixed, or gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it is.
    pub state: ServiceState,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum UpdateResult {
    /// The first installation.
    Installed,
    /// Every step is done.
    Completed,
    /// The target returned to the deployed version.
    Aborted,
    /// The target moved on to a newer version before the end.
    Superseded,
}

/// A finished update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The version before; empty for an installation.
    #[serde(default)]
    pub from: String,
    /// The version it went to.
    pub to: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; one that was aborted ended when the target returned.
    pub finished_at: Timestamp,
    /// How it ended.
    pub result: UpdateResult,
}

/// Items that this version of the operator cannot read are left out: an object written by another operator must not
/// stop this one.
pub(crate) fn readable_items<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let items = Option::<Vec<serde_json::Value>>::deserialize(from)?.unwrap_or_default();
    Ok(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}

/// A value that this version of the operator cannot read counts as absent.
pub(crate) fn readable<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(from)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}
