//! Kinds that are installed later, and go away again.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt, api::DeleteParams};
use serde_json::{Value, json};
use testbed::{
    Cluster, Proxy,
    cluster::{Options, User},
    operator,
    proxy::{Call, Disturbance, Rule},
};
use tokio::process::Command;

use crate::support::{Cloud, NEW, OLD, SOON, line, release, said};

const GLANCES: &str = "glances.glance.openstack.org";
/// What a cloud with our Keystone and without computes does not need.
const UNUSED: &[&str] = &[
    "keystoneapis.keystone.openstack.org",
    "openstackdataplanenodesets.dataplane.openstack.org",
    "openstackdataplanedeployments.dataplane.openstack.org",
];

/// A cluster without these CRDs, and the CRDs. It lives as long as the process.
async fn without(names: &[&str]) -> (&'static Cluster, Vec<CustomResourceDefinition>) {
    let cluster = Cluster::start(Options::bare()).await.unwrap();
    let all = api::crd::all().into_iter().chain(api::crd::foreign());
    let (without, others): (Vec<_>, Vec<_>) = all.partition(|crd| names.contains(&crd.name_any().as_str()));
    assert_eq!(without.len(), names.len());
    cluster.install(others).await.unwrap();
    cluster.install_rbac().await.unwrap();
    (Box::leak(Box::new(cluster)), without)
}

#[tokio::test]
async fn a_kind_may_come_later_and_go_away_and_come_back() {
    let (cluster, crds) = without(&[GLANCES]).await;
    let glance = crds.into_iter().next().unwrap();
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

/// An operator behind a proxy, on a cluster without what is not used. It takes a watch for broken after two seconds.
async fn behind(proxy: &Proxy, cluster: &'static Cluster, prefix: &str) -> Cloud {
    let options =
        |options: operator::Options| options.with_kubeconfig(proxy.kubeconfig()).with_env("CALL_DEADLINE_SECONDS", "1");
    Cloud::on(cluster, prefix, release(OLD), options).await
}

fn crds_fail() -> Rule {
    Rule::answer(500).verbs(&["list", "watch"]).resource("customresourcedefinitions").times(1)
}

/// As when an API server is upgraded, or a load balancer goes on to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_are_not_installed_stay_that_when_watches_break() {
    let (cluster, _) = without(UNUSED).await;
    let proxy = Proxy::start(cluster).await.unwrap();
    let mut cloud = behind(&proxy, cluster, "absent").await;
    cloud.install(json!({})).await;
    cloud.upgrade_operator(&release(NEW)).await;
    let mark = proxy.mark();
    proxy.add(crds_fail());
    proxy.disturb(Disturbance::Cut);
    let follows = |call: &Call| call.resource == "customresourcedefinitions" && call.status == Some(200);
    let renewed = async {
        while !proxy.calls()[mark..].iter().any(follows) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, renewed).await.unwrap();

    cloud.target(NEW).await;
    let status = cloud.deployed(NEW).await;
    assert!(said(&status, "KindsWatched").starts_with("True"), "{}", said(&status, "KindsWatched"));
    assert!(!proxy.calls()[mark..].iter().any(|call| call.resource == "keystoneapis"), "an absent kind was asked for");
    cloud.assert_alive();
}

/// As when the operator starts a moment before the API server does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_are_not_installed_have_no_broken_watch() {
    let (cluster, _) = without(UNUSED).await;
    let proxy = Proxy::start(cluster).await.unwrap();
    proxy.add(crds_fail());
    let mut cloud = behind(&proxy, cluster, "early").await;
    cloud.install(json!({})).await;
    assert!(proxy.calls().iter().any(|call| call.resource == "keystoneapis"), "tried while nothing was known");
    // A watch that fails for so long is told.
    tokio::time::sleep(Duration::from_secs(2)).await;
    cloud.fence().await;
    let status = cloud.status().await;
    assert!(said(&status, "KindsWatched").starts_with("True"), "{}", said(&status, "KindsWatched"));
    cloud.assert_alive();
}

/// A user of one namespace may not see which kinds are installed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_an_update_without_a_right_to_see_crds_hears_of_no_trouble() {
    let (cluster, _) = without(UNUSED).await;
    let proxy = Proxy::of(cluster, User::Admin).await.unwrap();
    let cloud = Cloud::on(cluster, "user", release(OLD), |options| options).await;
    cloud.install(json!({})).await;
    proxy.add(Rule::answer(403).verbs(&["list", "watch"]).resource("customresourcedefinitions"));
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-openstack"))
        .args(["status", "--namespace", &cloud.namespace, "--watch", "--until", "done", "--output", "json"])
        .env("KUBECONFIG", proxy.kubeconfig())
        .output();
    let output = tokio::time::timeout(SOON, output).await.expect("it does not end").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["problems"], json!([]), "{last}");
}
