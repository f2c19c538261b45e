//! Upstream's samples, from the installation to the end of an update.

use std::{fs, path::Path, time::Instant};

use serde_json::{Value, json};
use testbed::{Cluster, fixtures::NAME, wait};

use super::{adapted, cluster, judge, old_cloud, shared};
use crate::support::{Cloud, OLD, SOON};

const PLANES: &str = "core_v1beta1_openstackcontrolplane";

/// The samples whose files begin so, by name.
fn samples(folder: &Path, prefix: &str) -> Vec<(String, Value)> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    let read = |name: &String| serde_yaml::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap();
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

async fn installed(cluster: &'static Cluster, plane: Value) -> Cloud {
    let cloud = old_cloud(cluster).await;
    cloud.cluster.apply(adapted(plane, &cloud)).await.unwrap();
    judge::nothing_blocked(&cloud.deployed(OLD).await);
    nothing_goes_silently(&cloud).await;
    cloud
}

/// Upstream's samples have a field that its own CRDs no longer know.
async fn nothing_goes_silently(cloud: &Cloud) {
    let plane = serde_json::to_value(cloud.planes().get(NAME).await.unwrap()).unwrap();
    let conditions = plane["status"]["conditions"].as_array().unwrap();
    let managed = conditions.iter().find(|condition| condition["type"] == "SpecFullyManaged").unwrap();
    let named = managed["message"].as_str().unwrap().contains("spec.telemetry.template.logging.ipaddr");
    assert_eq!(named, plane.pointer("/spec/telemetry/template/logging/ipaddr").is_some(), "{managed}");
}

#[tokio::test]
async fn every_control_plane_installs_and_updates() {
    let (Some(cluster), Some(folder)) = (cluster().await, shared("upstream-samples")) else { return };
    let samples = samples(&folder, PLANES);
    assert_eq!(samples.len(), 8, "upstream ships eight");
    for (name, plane) in samples {
        let start = Instant::now();
        let mut cloud = installed(cluster, plane).await;
        judge::update(&mut cloud, &[]).await;
        let objects = cloud.objects().await.len();
        if objects > 0 {
            judge::quiet(&cloud).await;
        }
        println!("{name}: {objects} service objects, {:.1} s", start.elapsed().as_secs_f64());
    }
}

#[tokio::test]
async fn a_control_plane_updates_with_the_nodeset_that_is_shipped_with_it() {
    let (Some(cluster), Some(folder)) = (cluster().await, shared("upstream-samples")) else { return };
    let (_, plane) = samples(&folder, PLANES).pop().unwrap();
    let mut cloud = installed(cluster, plane).await;
    for prefix in ["dataplane_v1beta1_openstackdataplanenodeset", "dataplane_v1beta1_openstackdataplanedeployment"] {
        for (_, mut object) in samples(&folder, prefix) {
            object["metadata"]["namespace"] = json!(cloud.namespace);
            cloud.cluster.apply(object).await.unwrap();
        }
    }
    let deployments = cloud.api("OpenStackDataPlaneDeployment");
    let done = wait::value(&deployments, "edpm-deployment", "/status/deployed", &json!(true), SOON).await;
    cloud.expect("the nodeset is installed", done);
    judge::update(&mut cloud, &["openstack-edpm"]).await;
    let node_set = cloud.get("OpenStackDataPlaneNodeSet", "openstack-edpm").await;
    assert_eq!(node_set["status"]["deployedVersion"], json!("1.0.1"));
    judge::quiet(&cloud).await;
}
