//! Kinds that are installed later, and go away again.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt, api::DeleteParams};
use serde_json::json;
use testbed::{Cluster, cluster::Options};

use crate::support::{Cloud, OLD, line, release};

const GLANCES: &str = "glances.glance.openstack.org";

/// A cluster without the CRD of Glance. It lives as long as the process.
async fn without_glance() -> (&'static Cluster, CustomResourceDefinition) {
    let cluster = Cluster::start(Options::bare()).await.unwrap();
    let (glance, others): (Vec<_>, Vec<_>) =
        api::crd::all().into_iter().chain(api::crd::foreign()).partition(|crd| crd.name_any() == GLANCES);
    cluster.install(others).await.unwrap();
    cluster.install_rbac().await.unwrap();
    (Box::leak(Box::new(cluster)), glance.into_iter().next().unwrap())
}

#[tokio::test]
async fn a_kind_may_come_later_and_go_away_and_come_back() {
    let (cluster, glance) = without_glance().await;
    let mut cloud = Cloud::on(cluster, "kinds", release(OLD), |options| options).await;
    cluster.apply(cloud.plane(json!({}))).await.unwrap();
    let named = format!("kind Glance is not installed; install the CRD {GLANCES}");
    let status = cloud.until("named", |status| status.services.iter().any(|line| line.message == named)).await;
    assert_eq!(status.deployed_version, None);
    cloud.until("the others", |status| line(status, "keystone").version.as_deref() == Some(OLD)).await;

    cluster.install([glance.clone()]).await.unwrap();
    cloud.deployed(OLD).await;

    let crds: Api<CustomResourceDefinition> = Api::all(cloud.client.clone());
    crds.delete(GLANCES, &DeleteParams::default()).await.unwrap();
    let status = cloud.until("gone", |status| line(status, "glance").message == named).await;
    assert_eq!(status.deployed_version.as_deref(), Some(OLD), "what is deployed is not forgotten");
    assert_eq!(line(&status, "keystone").message, "");

    cluster.install([glance]).await.unwrap();
    cloud.until("back", |status| line(status, "glance").version.as_deref() == Some(OLD)).await;
    cloud.assert_alive();
}
