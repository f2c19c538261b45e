//! Against the real thing: upstream's CRDs judge what we write, upstream's samples are what we are asked for.
//!
//! Both lie beside the repository, not in it; where they are not at hand, these tests say so and do nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};
use testbed::{Cluster, Release, cluster::Options, fixtures};
use tokio::sync::OnceCell;

use crate::support::{Cloud, OLD, release};

mod images;
mod judge;
mod plane;
mod samples;

/// A folder beside the repository, if it is there.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = testbed::root().join("../shared").join(folder);
    let found = path.is_dir().then_some(path);
    if found.is_none() {
        println!("skipped: there is no ../shared/{folder}");
    }
    found
}

/// A cluster with upstream's CRDs for all kinds that they cover, and our permissive ones for the rest.
async fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let folder = shared("upstream-crds")?;
    let start = || async {
        let cluster = Cluster::start(Options { controllers: Vec::new(), ..Options::default() }).await.unwrap();
        cluster.install(api::crd::all().into_iter().chain(crds(&folder))).await.unwrap();
        cluster.install_rbac().await.unwrap();
        cluster.install_admission().await.unwrap();
        cluster
    };
    Some(CLUSTER.get_or_init(start).await)
}

/// The CRDs of the kinds that we write or watch: the real one where there is one.
fn crds(folder: &Path) -> Vec<CustomResourceDefinition> {
    let real = |permissive: &CustomResourceDefinition| {
        let (plural, group) = permissive.metadata.name.as_deref()?.split_once('.')?;
        let text = fs::read_to_string(folder.join(format!("{group}_{plural}.yaml"))).ok()?;
        Some(serde_yaml::from_str(&text).unwrap())
    };
    let mut missing = BTreeSet::new();
    let mut choose = |permissive: CustomResourceDefinition| {
        real(&permissive).unwrap_or_else(|| {
            missing.insert(permissive.spec.names.kind.clone());
            permissive
        })
    };
    let crds = api::crd::foreign().into_iter().map(&mut choose).collect();
    let not_upstreams = BTreeSet::from(["Keystone", "OpenStackClient"].map(str::to_owned));
    assert!(missing.is_subset(&not_upstreams), "upstream's CRDs are incomplete: {missing:?}");
    crds
}

/// A namespace of that cluster, with the operator of a bundle.
async fn cloud(cluster: &'static Cluster, release: Release) -> Cloud {
    Cloud::on(cluster, "upstream", release, |options| options).await
}

/// The same with the bundle of 1.0.0.
async fn old_cloud(cluster: &'static Cluster) -> Cloud {
    cloud(cluster, release(OLD)).await
}

/// A sample as it is, in that namespace under the name that the tests use, with the one line that a cloud of the
/// upstream keystone-operator adds.
fn adapted(mut plane: Value, cloud: &Cloud) -> Value {
    plane["metadata"] = json!({"namespace": cloud.namespace, "name": fixtures::NAME});
    if plane["spec"]["keystone"].is_object() {
        plane["spec"]["keystone"]["kind"] = json!("KeystoneAPI");
    }
    plane
}
