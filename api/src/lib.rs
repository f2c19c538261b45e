//! The API types and the tables.
//!
//! Three tables are the source of everything that varies:
//!
//! * [`image::fields`]: every container image a release carries, and the environment variable that brings it;
//! * [`service::SERVICES`]: every service object, where its images go and when it counts as ready;
//! * [`step::MINOR_UPDATE`]: the order of a minor update.
//!
//! CRD schemas, admission policies, RBAC, watches, the scripted services of the tests and the reference tables in the
//! README are projections of these three. Adding a service means adding its row.

// kube's `printcolumn(...)` looks like one attribute given several times.
#![allow(clippy::duplicated_attributes)]

pub mod condition;
pub mod controlplane;
pub mod crd;
pub mod dataplane;
pub mod image;
pub mod keystone;
pub mod release;
pub mod series;
pub mod service;
pub mod step;
pub mod version;

pub use kube::core::DynamicObject;

/// The API group of `OpenStackVersion` and `OpenStackControlPlane`.
pub const GROUP: &str = "core.openstack.org";

/// The API version of every kind this project serves.
pub const API_VERSION: &str = "v1beta1";

/// Field managers of the operator's server-side applies. One per concern, so that `managedFields` tells who did what.
pub mod manager {
    /// Service objects and the `ConfigMaps` that the control plane owns.
    pub const CHILDREN: &str = "openstack-release-operator/children";
    /// The status of the root objects.
    pub const STATUS: &str = "openstack-release-operator/status";
    /// The existence and the owner of the `OpenStackVersion`.
    pub const OWNER: &str = "openstack-release-operator/owner";
    /// The one-time default of `spec.targetVersion`; never applied again once the field has a value.
    pub const DEFAULT_TARGET: &str = "openstack-release-operator/default-target";
}

/// Annotations that users set, and those that the operator sets.
pub mod annotation {
    /// On `OpenStackVersion`: custom images may stay as they are while the target changes. Any value counts, also an
    /// empty one; removed by the operator when the update is complete (upstream's name and meaning).
    pub const SKIP_CUSTOM_IMAGES: &str = "core.openstack.org/skip-custom-images-validation";
    /// On `OpenStackVersion`: the same as `spec.update.holdAfter` (upstream's name); the earlier of the two holds.
    pub const TARGET_STAGE: &str = "core.openstack.org/update-target-stage";
    /// On `OpenStackVersion`: `"true"` allows a target below the deployed version. For development only.
    pub const ALLOW_ROLLBACK: &str = "core.openstack.org/allow-rollback";
    /// On `OpenStackControlPlane`: `infrastructure-only` stops an installation after the infrastructure services.
    pub const DEPLOYMENT_STAGE: &str = "core.openstack.org/deployment-stage";
    /// On service objects, set by the operator: the hash of the last applied body. It tells a field that was dropped
    /// from a template (the hash differs) from a default that the API server added (it does not).
    pub const APPLIED: &str = "core.openstack.org/applied-hash";
}

/// The finalizer that upstream's operator puts on every `OpenStackVersion`. The operator sets none: with upstream's gone,
/// nobody else takes it away again.
pub const UPSTREAM_FINALIZER: &str = "openstack.org/openstackversion";

/// The label on every object that the operator creates.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "openstack-release-operator");
