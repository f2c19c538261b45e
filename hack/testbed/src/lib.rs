//! Everything that the tests and the demo run against.
//!
//! * [`cluster`]: etcd and kube-apiserver (and a few controllers), the real binaries, on free ports;
//! * [`actors`]: scripted service operators, built from the service table;
//! * [`kubelet`]: what pods of Deployments and Jobs do, without containers;
//! * [`operator`]: the operator as a process, with the environment of a [`release::Release`];
//! * [`proxy`]: what is between the operator and the API server: it counts, stops and spoils requests;
//! * [`prometheus`]: a real Prometheus, which reads the metrics of operators;
//! * [`perses`]: a real Perses, which shows the dashboard;
//! * [`load`]: users of a real Keystone, who count what fails;
//! * [`fetch`]: one request by HTTP;
//! * [`node`]: a real cluster with a kubelet, which `hack/cluster` starts, seen from a test;
//! * [`wait`]: watching until something holds, with an error that shows what was there instead;
//! * [`fixtures`]: control planes, nodesets and deployments.
//!
//! Whatever is started here (so not that real cluster) ends with the process that started it, however that process ends: see [`process`].

use std::path::{Path, PathBuf};

pub mod actors;
pub mod cluster;
pub mod fetch;
pub mod fixtures;
pub mod kubelet;
pub mod load;
pub mod node;
pub mod operator;
mod parts;
pub mod perses;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod release;
pub mod usage;
pub mod wait;

pub use actors::{Actors, Script};
pub use cluster::Cluster;
pub use kubelet::Kubelet;
pub use node::Node;
pub use operator::Operator;
pub use perses::Perses;
pub use prometheus::Prometheus;
pub use proxy::Proxy;
pub use release::Release;

/// The top of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
