//! Keys, and what a rotation does with them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use api::keystone::{KeyRepository, Keystone};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use testbed::{Cluster, cluster::User};

use super::support::{NAME, SOON};

/// Keys by their number.
pub type Keys = BTreeMap<u64, String>;

/// A key that nobody has.
pub fn key(seed: u8) -> String {
    URL_SAFE.encode([seed; 32])
}

/// What Keystone makes of keys, three at most.
pub fn rotated(keys: &Keys, seed: u8) -> Keys {
    let mut new = keys.clone();
    let announced = new.insert(0, key(seed)).unwrap();
    new.insert(keys.keys().max().unwrap() + 1, announced);
    while new.len() > 3 {
        let oldest = *new.keys().nth(1).unwrap();
        new.remove(&oldest);
    }
    new
}

/// What a repository is called in the status.
pub fn repository(word: &str) -> KeyRepository {
    if word == "fernet" { KeyRepository::Fernet } else { KeyRepository::Credential }
}

/// The keys in a Secret.
pub async fn read(client: &Client, namespace: &str, secret: &str) -> kube::Result<Keys> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let data = api.get(secret).await?.data.unwrap_or_default();
    Ok(data.into_iter().map(|(name, key)| (name.parse().unwrap(), String::from_utf8(key.0).unwrap())).collect())
}

/// The user that the account of a rotation is.
pub fn account(namespace: &str, word: &str) -> String {
    format!("system:serviceaccount:{namespace}:keystone-{word}-rotate")
}

/// What the script does when it is done, with the rights of its account.
pub async fn stage(cluster: &Cluster, client: &Client, namespace: &str, word: &str, keys: &Keys) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match stage_once(cluster, client, namespace, word, keys).await {
            // The API server learns of new roles in its own time; a Job would try again, too.
            Err(error) if error.contains("forbidden") && start.elapsed() < SOON => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

/// The same, without another try.
pub async fn stage_once(
    cluster: &Cluster,
    client: &Client,
    namespace: &str,
    word: &str,
    keys: &Keys,
) -> Result<(), String> {
    let keystones: Api<Keystone> = Api::namespaced(client.clone(), namespace);
    let status = keystones.get(NAME).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
    let from = status.keys.into_iter().find(|keys| keys.name == repository(word)).map(|keys| keys.set);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let prefix = "keystone.openstack.org/";
    let data: Value = keys.iter().map(|(name, key)| (name.to_string(), json!(STANDARD.encode(key)))).collect();
    let annotations = json!({format!("{prefix}rotated-from"): from, format!("{prefix}rotated-at"): now});
    let patch = json!([
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        {"op": "add", "path": "/data", "value": data},
    ]);
    let secret = format!("keystone-{word}-keys-rotation");
    patch_as(cluster, namespace, word, &secret, &patch).await.map(drop).map_err(|error| error.to_string())
}

/// A JSON patch of a Secret, by the account of a rotation: without looking at it before.
pub async fn patch_as(
    cluster: &Cluster,
    namespace: &str,
    word: &str,
    secret: &str,
    patch: &Value,
) -> kube::Result<String> {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig(User::Admin)).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.auth_info.impersonate = Some(account(namespace, word));
    let request = http::Request::patch(format!("/api/v1/namespaces/{namespace}/secrets/{secret}"))
        .header("Content-Type", "application/json-patch+json")
        .body(patch.to_string().into_bytes())
        .unwrap();
    Client::try_from(config)?.request_text(request).await
}
