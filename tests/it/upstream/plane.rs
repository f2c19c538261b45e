//! Services that no sample enables, and templates that upstream's CRDs refuse.

use api::{service::SERVICES, version::ServiceState};
use serde_json::{Value, json};
use testbed::fixtures;

use super::{cluster, judge, old_cloud};
use crate::support::{Cloud, OLD, line, merge};

/// The control plane with the upstream keystone-operator's kind and a template of its shape.
fn with_keystone_api(mut plane: Value) -> Value {
    plane["spec"]["keystone"] = json!({"enabled": true, "kind": "KeystoneAPI", "template": {"replicas": 1}});
    plane
}

#[tokio::test]
async fn every_service_of_the_table_installs_and_updates() {
    let Some(cluster) = cluster().await else { return };
    let mut cloud = old_cloud(cluster).await;
    cloud.cluster.apply(with_keystone_api(fixtures::full_control_plane(&cloud.namespace))).await.unwrap();
    judge::nothing_blocked(&cloud.deployed(OLD).await);
    let status = judge::update(&mut cloud, &[]).await;
    for row in SERVICES.iter().filter(|row| row.name != "keystone") {
        assert_eq!(line(&status, row.name).state, ServiceState::Ready, "{}", row.name);
    }
    judge::quiet(&cloud).await;
}

async fn small(cloud: &Cloud, glance: Value) {
    let mut plane = with_keystone_api(fixtures::small_control_plane(&cloud.namespace));
    merge(&mut plane["spec"], json!({"glance": {"template": glance}}));
    cloud.cluster.apply(plane).await.unwrap();
}

#[tokio::test]
async fn a_field_that_the_kind_does_not_know_is_named_and_keeps_nobody_else_from_going_on() {
    let Some(cluster) = cluster().await else { return };
    let cloud = old_cloud(cluster).await;
    small(&cloud, json!({"databaseInstanse": "openstack"})).await;
    let others = |state: ServiceState| matches!(state, ServiceState::Ready | ServiceState::Disabled);
    let status = cloud
        .until("glance is blocked, the others are ready", |status| {
            status.services.iter().all(|line| others(line.state) != (line.name == "glance"))
                && line(status, "glance").state == ServiceState::Blocked
        })
        .await;
    let message = &line(&status, "glance").message;
    println!("{message}");
    assert!(message.contains("Glance/glance") && message.contains("databaseInstanse"), "{message}");
    assert_eq!(status.deployed_version, None);

    // Corrected: the administrator's own apply no longer has the field.
    small(&cloud, json!({"databaseInstance": "openstack"})).await;
    cloud.deployed(OLD).await;
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_named_too() {
    let Some(cluster) = cluster().await else { return };
    let cloud = old_cloud(cluster).await;
    small(&cloud, json!({"glanceAPIs": {"default": {"replicas": "many"}}})).await;
    let status = cloud
        .until("glance is blocked", |status| {
            status.services.iter().any(|line| line.name == "glance" && line.state == ServiceState::Blocked)
        })
        .await;
    let message = &line(&status, "glance").message;
    println!("{message}");
    assert!(message.contains("replicas"), "{message}");
}
