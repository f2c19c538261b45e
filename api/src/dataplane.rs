//! The dataplane kinds. The release controller only reads nodesets; the fields here are those that its gates read.

use crate::service::Kind;

/// `OpenStackDataPlaneNodeSet`.
pub const NODE_SET: Kind = Kind {
    group: "dataplane.openstack.org",
    version: "v1beta1",
    kind: "OpenStackDataPlaneNodeSet",
    plural: "openstackdataplanenodesets",
};

/// `OpenStackDataPlaneDeployment`.
pub const DEPLOYMENT: Kind = Kind {
    group: "dataplane.openstack.org",
    version: "v1beta1",
    kind: "OpenStackDataPlaneDeployment",
    plural: "openstackdataplanedeployments",
};
