//! The testbed itself: it comes up, and its actors play.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use api::service;
use futures::{TryStreamExt, pin_mut};
use kube::{
    Api, Client, Config,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use testbed::{
    Actors, Script, actors,
    cluster::{self, User},
    fixtures,
    proxy::{Fault, Proxy, Rule},
    wait,
};

const TIMEOUT: Duration = Duration::from_secs(20);

fn glance(namespace: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "glance.openstack.org/v1beta1", "kind": "Glance",
        "metadata": {"name": "glance", "namespace": namespace},
        "spec": {"containerImage": "registry.example.com/openstack/glance-api:1.0.0"},
    }))
    .unwrap()
}

fn glances(client: kube::Client, namespace: &str) -> Api<DynamicObject> {
    let kind = service::find("glance").unwrap().kind;
    Api::namespaced_with(client, namespace, &actors::resource(kind))
}

#[tokio::test]
async fn an_actor_makes_a_service_ready_and_obeys() {
    let cluster = cluster::shared().await.unwrap();
    let client = cluster.client().await.unwrap();
    let namespace = cluster.namespace("smoke").await.unwrap();
    let actors = Actors::start(client.clone(), &namespace, Script::default());
    let api = glances(client, &namespace);
    api.create(&PostParams::default(), &glance(&namespace)).await.unwrap();

    let ready = wait::condition(&api, "glance", "Ready", "True", TIMEOUT).await.unwrap();
    assert_eq!(ready.data.pointer("/status/observedGeneration"), Some(&json!(1)));
    assert_eq!(actors.generations("Glance", "glance"), 1);
    let seen = actors.log();
    assert_eq!(seen.first().unwrap().images.first().unwrap().1, "registry.example.com/openstack/glance-api:1.0.0");

    // Held: the status keeps speaking of the old spec. Released: at once of the new one.
    actors.hold("Glance", "glance");
    let change = Patch::Merge(json!({"spec": {"containerImage": "registry.example.com/openstack/glance-api:1.0.1"}}));
    api.patch("glance", &PatchParams::default(), &change).await.unwrap();
    let waited = wait::value(&api, "glance", "/status/observedGeneration", &json!(2), Duration::from_millis(500)).await;
    let error = waited.unwrap_err().to_string();
    assert!(error.contains("generation 2") && error.contains("observedGeneration: 1"), "{error}");
    actors.release("Glance", "glance");
    wait::value(&api, "glance", "/status/observedGeneration", &json!(2), TIMEOUT).await.unwrap();
    assert_eq!(actors.generations("Glance", "glance"), 2);

    actors.fail("Glance", "glance", "no disk");
    wait::condition(&api, "glance", "Ready", "False", TIMEOUT).await.unwrap();
    actors.release("Glance", "glance");
    wait::condition(&api, "glance", "Ready", "True", TIMEOUT).await.unwrap();
    actors.set_status("Glance", "glance", json!({"observedGeneration": 1})).await.unwrap();
    actors.release_all();
    wait::value(&api, "glance", "/status/observedGeneration", &json!(2), TIMEOUT).await.unwrap();
}

#[tokio::test]
async fn a_deployment_stamps_its_nodesets() {
    let cluster = cluster::shared().await.unwrap();
    let client = cluster.client().await.unwrap();
    let namespace = cluster.namespace("smoke").await.unwrap();
    let _actors = Actors::start(client.clone(), &namespace, Script::default());
    let api = |kind| Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &actors::resource(kind));
    let node_sets = api(api::dataplane::NODE_SET);

    cluster.apply(fixtures::node_set(&namespace, "compute")).await.unwrap();
    wait::condition(&node_sets, "compute", "SetupReady", "True", TIMEOUT).await.unwrap();
    cluster.apply(fixtures::deployment(&namespace, "install", &["compute"], &[])).await.unwrap();
    let deployments = api(api::dataplane::DEPLOYMENT);
    wait::value(&deployments, "install", "/status/deployed", &json!(true), TIMEOUT).await.unwrap();
    let deployed = wait::condition(&node_sets, "compute", "Ready", "True", TIMEOUT).await.unwrap();
    assert!(deployed.data.pointer("/status/deployedVersion").is_none(), "an installation stamps no version");
}

#[tokio::test]
async fn the_operator_is_another_user_and_the_audit_log_tells_them_apart() {
    let cluster = cluster::shared().await.unwrap();
    let namespace = cluster.namespace("smoke").await.unwrap();
    let api = glances(cluster.client_of(User::Operator).await.unwrap(), &namespace);
    api.list(&ListParams::default()).await.unwrap();
    api.create(&PostParams::default(), &glance(&namespace)).await.unwrap();
    let writes = cluster.writes(User::Operator).unwrap();
    let ours: Vec<_> = writes.iter().filter(|write| write.namespace == namespace).collect();
    assert_eq!(ours.len(), 1);
    assert_eq!((ours[0].verb.as_str(), ours[0].resource.as_str(), ours[0].code), ("create", "glances", 201));
}

#[tokio::test]
async fn kubectl_and_the_fixtures_are_accepted() {
    let cluster = cluster::shared().await.unwrap();
    let namespace = cluster.namespace("smoke").await.unwrap();
    cluster.apply(fixtures::full_control_plane(&namespace)).await.unwrap();
    let other = cluster.namespace("smoke").await.unwrap();
    cluster.apply(fixtures::small_control_plane(&other)).await.unwrap();
    let output = cluster.kubectl(["get", "oscp", "-n", &other, "-o", "json"]).await.unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list.pointer("/items/0/metadata/name"), Some(&json!(fixtures::NAME)));
}

#[tokio::test]
async fn the_server_survives_an_outage_with_its_data() {
    let cluster = cluster::Cluster::start(cluster::Options::bare()).await.unwrap();
    let namespace = cluster.namespace("smoke").await.unwrap();
    cluster.restart_apiserver().await.unwrap();
    let output = cluster.kubectl(["get", "namespace", &namespace, "-o", "name"]).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("namespace/{namespace}"));
}

/// A watch that is on its way to the server while the proxy is unplugged breaks like those that are open: it would go on
/// behind the outage otherwise, and nobody would notice one.
#[tokio::test]
async fn an_outage_breaks_a_watch_that_is_being_opened() {
    let cluster = cluster::shared().await.unwrap();
    let namespace = cluster.namespace("smoke").await.unwrap();
    let proxy = Proxy::start(cluster).await.unwrap();
    proxy.add(Rule::new(Fault::Delay(Duration::from_millis(300))).verbs(&["watch"]));
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(proxy.kubeconfig()).unwrap(), &options);
    let api = glances(Client::try_from(config.await.unwrap()).unwrap(), &namespace);
    let watched = async {
        let events = api.watch(&WatchParams::default(), "0").await?;
        pin_mut!(events);
        while events.try_next().await?.is_some() {}
        Ok::<_, kube::Error>(())
    };
    let unplugged = async {
        while proxy.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        proxy.unplug();
    };
    let both = async { tokio::join!(watched, unplugged) };
    let (broken, ()) = tokio::time::timeout(TIMEOUT, both).await.unwrap();
    broken.unwrap_err();
}
