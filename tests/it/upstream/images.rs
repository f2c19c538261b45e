//! The image variables of upstream's own bundle.

use std::{collections::BTreeMap, fs};

use api::version::OpenStackVersionStatus;
use serde_json::{Value, json};
use testbed::Release;

use super::{cluster, shared};
use crate::support::{Cloud, said};

const VERSION: &str = "0.6.0";

/// The environment of upstream's Deployment.
fn environment() -> Option<BTreeMap<String, String>> {
    let text = fs::read_to_string(shared("upstream-crds")?.join("default_images.env.yaml")).unwrap();
    let deployment: Value = serde_yaml::from_str(&text).unwrap();
    let env = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Some(env.iter().map(|entry| (text(&entry["name"]), text(&entry["value"]))).collect())
}

#[tokio::test]
async fn every_image_of_upstreams_bundle_is_known() {
    let (Some(cluster), Some(environment)) = (cluster().await, environment()) else { return };
    assert!(environment.len() > 90, "{environment:#?}");
    // The bundle brings nothing of our own: its environment is upstream's.
    let bundle = Release { version: VERSION.to_owned(), release: "2025.2".to_owned(), ..Release::default() };
    let cloud = Cloud::on(cluster, "images", bundle, |mut options| {
        options.env.extend(environment.clone());
        options
    })
    .await;
    let version = testbed::fixtures::version(&cloud.namespace, VERSION);
    cloud.cluster.apply(version).await.unwrap();
    let status = cloud.until("available", |status| status.available_version.as_deref() == Some(VERSION)).await;
    assert_eq!(said(&status, "BundleValid"), "True Ready: the bundle brings 0.6.0");
    let unread: Vec<&String> =
        environment.iter().filter(|(_, image)| !recorded(&status, image)).map(|(name, _)| name).collect();
    // The one image that no cloud runs: a tool that gathers logs.
    assert_eq!(unread, ["RELATED_IMAGE_OPENSTACK_MUST_GATHER_DEFAULT"], "every default image is recorded");
}

fn recorded(status: &OpenStackVersionStatus, image: &str) -> bool {
    let defaults = json!(status.container_image_version_defaults[VERSION]);
    defaults.as_object().unwrap().values().any(|value| value == image)
}
