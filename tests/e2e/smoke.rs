//! The cluster itself: what every other test here takes for granted.

use std::{fmt::Debug, path::PathBuf, time::Duration};

use http::Request;
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Pod, Service},
};
use kube::{Api, Resource, api::ListParams};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use testbed::{Node, fetch, wait};

/// How long anything may take; two cores are shared by all of it.
pub const SOON: Duration = Duration::from_secs(180);

pub fn file(name: &str) -> PathBuf {
    testbed::root().join("tests/e2e").join(name)
}

/// Waits for a condition, and shows the pods when it does not come.
pub async fn ready<K>(node: &Node, namespace: &str, name: &str, condition: &str) -> K
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    let api: Api<K> = Api::namespaced(node.client().await.unwrap(), namespace);
    match Box::pin(wait::condition(&api, name, condition, "True", SOON)).await {
        Ok(object) => object,
        Err(error) => panic!("{error:#}\n{}", node.describe(namespace).await),
    }
}

#[tokio::test]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn pods_services_and_names() {
    let node = Node::here().unwrap();
    let namespace = node.namespace("smoke").await.unwrap();
    node.apply(&namespace, file("web.yaml")).await.unwrap();
    let web: Deployment = ready(&node, &namespace, "web", "Available").await;
    assert_eq!(web.spec.unwrap().replicas, Some(2));
    ready::<Job>(&node, &namespace, "ask", "Complete").await;

    // From here, too, which is outside of any pod.
    let client = node.client().await.unwrap();
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let pods = pods.list(&ListParams::default().labels("app=web")).await.unwrap();
    let names: Vec<_> = pods.items.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
    let service = Api::<Service>::namespaced(client, &namespace).get("web").await.unwrap();
    let address = service.spec.unwrap().cluster_ip.unwrap();
    for host in
        [address, format!("web.{namespace}.svc"), pods.items[0].status.clone().unwrap().pod_ip.unwrap() + ":8080"]
    {
        let (code, answer) = fetch::get(&format!("http://{host}/")).await.unwrap();
        assert_eq!(code, 200, "{host}: {answer}");
        assert!(names.contains(&answer.trim()), "{host} is answered by {answer}, not by one of {names:?}");
    }
    let user = node.kubectl(["exec", "--namespace", &namespace, "deployment/web", "--", "id", "-u"]).await.unwrap();
    assert_eq!(user.trim(), "65534");
}

#[tokio::test]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn a_real_keystone_issues_a_token() {
    let node = Node::here().unwrap();
    let namespace = node.namespace("keystone").await.unwrap();
    node.apply(&namespace, file("keystone.yaml")).await.unwrap();
    ready::<Job>(&node, &namespace, "keystone-install", "Complete").await;
    ready::<Deployment>(&node, &namespace, "keystone", "Available").await;

    let url = format!("http://keystone.{namespace}.svc:5000/v3/auth/tokens");
    let domain = json!({"id": "default"});
    let user = json!({"name": "admin", "domain": domain, "password": "admin-password"});
    let login = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "admin", "domain": domain}},
    }});
    let request = Request::post(&url).header("Content-Type", "application/json").body(login.to_string()).unwrap();
    let issued = fetch::send(request).await.unwrap();
    assert_eq!(issued.status(), 201, "{}", issued.body());

    let token = &issued.headers()["x-subject-token"];
    let request = Request::get(&url).header("X-Auth-Token", token).header("X-Subject-Token", token);
    let valid = fetch::send(request.body(String::new()).unwrap()).await.unwrap();
    assert_eq!(valid.status(), 200, "{}", valid.body());
    let valid: Value = serde_json::from_str(valid.body()).unwrap();
    assert_eq!(valid.pointer("/token/user/name"), Some(&json!("admin")));
}
