//! Root objects that do not parse. The CRD keeps them out; a CRD of another operator, or of another version, may not.

use std::time::Duration;

use api::version::OpenStackVersion;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, CustomResourceExt, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use testbed::{
    Proxy,
    cluster::{Cluster, Options},
    fixtures::{self, NAME},
    operator, wait,
};

use crate::support::{Cloud, NEW, OLD, SOON, release};

/// A cluster whose API server has another schema for an `OpenStackVersion`. It lives as long as the process.
async fn with_schema(change: impl FnOnce(&mut Value)) -> &'static Cluster {
    let cluster = Cluster::start(Options::bare()).await.unwrap();
    cluster.install_crds().await.unwrap();
    cluster.install_rbac().await.unwrap();
    let mut crd = serde_json::to_value(OpenStackVersion::crd()).unwrap();
    change(&mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
    let crd: CustomResourceDefinition = serde_json::from_value(crd).unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client().await.unwrap());
    let params = PatchParams::apply("testbed").force();
    api.patch(&crd.name_any(), &params, &Patch::Apply(&crd)).await.unwrap();
    Box::leak(Box::new(cluster))
}

/// The versions, as whatever they are.
fn versions(cloud: &Cloud) -> Api<DynamicObject> {
    Api::namespaced_with(cloud.client.clone(), &cloud.namespace, &ApiResource::erase::<OpenStackVersion>(&()))
}

/// Waits until a condition is False with the text.
async fn says(cloud: &Cloud, type_: &str, text: &str) {
    let api = versions(cloud);
    let found = wait::until(&api, NAME, SOON, |version| {
        let conditions = version.data.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().any(|condition| {
            condition["type"] == json!(type_)
                && condition["status"] == json!("False")
                && condition["message"].as_str().is_some_and(|message| message.contains(text))
        })
    });
    cloud.expect(text, found.await);
}

/// Patches until the API server, which takes a new schema in the background, accepts it.
async fn patch(cloud: &Cloud, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    let patching = async {
        while versions(cloud).patch(NAME, &PatchParams::default(), &patch).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, patching).await.unwrap();
}

#[tokio::test]
async fn a_version_that_does_not_parse_names_the_field_and_everything_stays_as_it_is() {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let permissive = json!({"type": "object", "properties": {"spec": anything, "status": anything}});
    let cluster = with_schema(|schema| *schema = permissive).await;
    let mut cloud = Cloud::on(cluster, "unreadable", release(OLD), |options| options).await;
    cloud.install(json!({})).await;
    let before = cloud.generations().await;
    for (spec, text) in [
        (json!({"update": {"paused": "yes"}}), "spec.update.paused: "),
        (json!({"update": {"paused": null, "holdAfter": "breakfast"}}), "spec.update.holdAfter: "),
        (json!({"update": "soon"}), "spec.update: "),
        (json!({"update": null, "customContainerImages": {"glanceAPIImage": 7}}), "spec.customContainerImages"),
        (json!({"customContainerImages": null, "targetVersion": ["1.0.0"]}), "spec.targetVersion: "),
    ] {
        patch(&cloud, spec).await;
        says(&cloud, "Initialized", text).await;
        says(&cloud, "Ready", "correct the field").await;
        cloud.assert_alive();
    }
    assert_eq!(cloud.generations().await, before);
    patch(&cloud, json!({"targetVersion": OLD})).await;
    let ready = wait::condition(&versions(&cloud), NAME, "Ready", "True", SOON).await;
    cloud.expect("readable again", ready);

    // One that was never readable: nothing is installed before it is.
    let mut cloud = Cloud::on(cluster, "unreadable", release(OLD), |options| options).await;
    let mut version = fixtures::version(&cloud.namespace, OLD);
    version["spec"]["update"] = json!({"paused": "yes"});
    cluster.apply(version).await.unwrap();
    cluster.apply(cloud.plane(json!({}))).await.unwrap();
    says(&cloud, "Initialized", "spec.update.paused: ").await;
    assert_eq!(cloud.objects().await, Vec::new());
    cloud.assert_alive();
    patch(&cloud, json!({"update": null})).await;
    cloud.deployed(OLD).await;
}

/// As with the CRDs of a version before.
#[tokio::test]
async fn a_status_that_is_not_kept_is_told_and_not_written_all_the_time() {
    let cluster = with_schema(|schema| {
        schema["properties"]["status"]["properties"].as_object_mut().unwrap().remove("update").unwrap();
    })
    .await;
    let proxy = Proxy::start(cluster).await.unwrap();
    let behind = |options: operator::Options| options.with_kubeconfig(proxy.kubeconfig());
    let mut cloud = Cloud::on(cluster, "pruned", release(OLD), behind).await;
    cloud.install(json!({})).await;
    cloud.upgrade_operator(&release(NEW)).await;
    cloud.target(NEW).await;
    let told = async {
        while !cloud.operator.log_tail(100).contains("install the CustomResourceDefinitions of this operator's version")
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SOON, told).await.expect("nothing is said");
    let before = proxy.writes().len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let writes = proxy.writes().len() - before;
    assert!(writes < 10, "{writes} in five seconds");
    cloud.assert_alive();
}
