//! `openstack-release-operator plan`: what an update would do.

use std::{path::Path, process::Output};

use serde_json::{Value, json};
use testbed::cluster::User;
use tokio::process::Command;

use crate::support::{BINARY, Cloud, NEW, OLD, moved, release};

/// Runs the command as a person would, with a kubeconfig and without the bundle's environment.
async fn plan(cloud: &Cloud, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.env_clear().env("KUBECONFIG", cloud.cluster.kubeconfig(User::Admin)).env("RUST_LOG", "warn");
    command.args(["plan", "--namespace", &cloud.namespace]).args(arguments).kill_on_drop(true).output().await.unwrap()
}

async fn said(cloud: &Cloud, arguments: &[&str]) -> String {
    let output = plan(cloud, arguments).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The lines of a step.
fn step<'a>(text: &'a str, number: usize, name: &str) -> &'a str {
    let heading = format!("\n{number}. {name}");
    let start = text.find(&heading).unwrap_or_else(|| panic!("no {heading:?} in {text}")) + 1;
    let next = format!("\n{}. ", number + 1);
    let end = text[start..].find(&next).map_or(text.len(), |at| start + at);
    &text[start..end]
}

/// Peer: 9.1: nobody can see beforehand what would happen.
#[tokio::test]
async fn it_prints_each_step_with_old_and_new_images_and_what_to_do_by_hand() {
    let cloud = Cloud::offered("plan", json!({})).await;
    cloud.add_node_set("compute").await;
    let text = said(&cloud, &["--target", NEW]).await;
    assert!(text.starts_with("From 1.0.0 to 1.0.1\n"), "{text}");
    for (number, name, object, field, image) in [
        (1, "ovn-controlplane", "OVNController/ovncontroller", "spec.ovnContainerImage", "ovnControllerImage"),
        (3, "rabbitmq", "RabbitMq/rabbitmq", "spec.containerImage", "rabbitmqImage"),
        (4, "mariadb", "Galera/openstack", "spec.containerImage", "mariadbImage"),
        (5, "memcached", "Memcached/memcached", "spec.containerImage", "infraMemcachedImage"),
        (6, "keystone", "Keystone/keystone", "spec.image", "keystoneAPIImage"),
        (7, "controlplane", "Glance/glance", "spec.containerImage", "glanceAPIImage"),
    ] {
        let lines = step(&text, number, name);
        let row = lines.lines().find(|line| line.contains(object) && line.contains(field));
        let row = row.unwrap_or_else(|| panic!("no row of {object} in {lines}"));
        let (old, new) = (&release(OLD).images[image], &release(NEW).images[image]);
        assert!(row.find(old.as_str()).unwrap() < row.find(new.as_str()).unwrap(), "{row}");
    }
    let lines = step(&text, 2, "ovn-dataplane");
    assert!(lines.contains("BY HAND: OpenStackDataPlaneNodeSet/compute") && lines.contains("[ovn]"), "{lines}");
    let lines = step(&text, 8, "dataplane");
    assert!(lines.contains("BY HAND: OpenStackDataPlaneNodeSet/compute") && lines.contains("[update]"), "{lines}");

    // It only looks.
    cloud.fence().await;
    assert_eq!(moved(&cloud.objects().await, NEW), Vec::<String>::new());
    assert_eq!(cloud.version().await.spec.target_version, OLD);
    // Without a target, the available version is meant.
    assert_eq!(said(&cloud, &[]).await, said(&cloud, &["--target", NEW]).await);
}

#[tokio::test]
async fn a_recorded_world_gives_the_same_text_without_a_cluster() {
    let cloud = Cloud::offered("plan", json!({})).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("world.yaml");
    let path = file.to_str().unwrap();
    let recorded = said(&cloud, &["--target", NEW, "--record", path]).await;
    assert!(Path::new(path).is_file());
    let mut command = Command::new(BINARY);
    command.env_clear().args(["plan", "--target", NEW, "--file", path]);
    let output = command.output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), recorded);

    let text = said(&cloud, &["--target", NEW, "--file", path, "--output", "json"]).await;
    let preview: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&preview["from"], &preview["to"], &preview["refusal"]), (&json!(OLD), &json!(NEW), &Value::Null));
    assert_eq!(preview["steps"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn a_refusal_is_shown() {
    let cloud = Cloud::offered("plan", json!({})).await;
    let text = said(&cloud, &["--target", "9.9.9"]).await;
    let refusal = text.lines().find(|line| line.contains("REFUSED")).unwrap_or_else(|| panic!("{text}"));
    assert!(refusal.contains("spec.targetVersion: 9.9.9 is not a version whose images are known"), "{refusal}");
    assert!(refusal.contains("set it to one of: ") && refusal.contains(OLD) && refusal.contains(NEW), "{refusal}");
    cloud.target(NEW).await;
    cloud.deployed(NEW).await;
    let text = said(&cloud, &["--target", OLD]).await;
    assert!(text.contains("REFUSED: spec.targetVersion: 1.0.0 is older than the deployed version 1.0.1"), "{text}");
}

#[tokio::test]
async fn a_namespace_without_a_cloud_is_named() {
    let cloud = Cloud::empty("plan").await;
    let output = plan(&cloud, &["--target", NEW]).await;
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && text.contains(&cloud.namespace) && text.contains("OpenStackControlPlane"),
        "{text}"
    );
}
