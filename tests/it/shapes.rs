//! Clouds of other shapes: more instances, fewer services, and the dataplanes that upstream got stuck on. Each update
//! completes.

use api::{step::StepName, version::StepState};
use kube::api::DeleteParams;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::fixtures;

use crate::support::{Cloud, NEW, OLD, Recorder, carries, line, moved, release, said, step};

/// Peer: 2.10g, 6.7: the first instance that is ready stands for all.
#[tokio::test]
async fn every_instance_of_rabbitmq_and_galera_counts_also_the_one_that_lags() {
    let database = json!({"replicas": 1, "storageRequest": "5G"});
    let spec = json!({
        "rabbitmq": {"templates": {"rabbitmq-cell1": {"replicas": 1}, "rabbitmq-notifications": {"replicas": 1}}},
        "galera": {"templates": {"openstack-cell1": database}},
    });
    let cloud = Cloud::offered("instances", spec).await;
    let recorder = Recorder::start(&cloud);
    cloud.actors.hold("RabbitMq", "rabbitmq-cell1");
    cloud.actors.hold("Galera", "openstack-cell1");
    cloud.target(NEW).await;

    let text = "RabbitMq/rabbitmq-cell1: status.observedGeneration";
    cloud.step_says(StepName::Rabbitmq, StepState::Running, text).await;
    let lags = |status: &_| line(status, "rabbitmq").message.starts_with("1 of 3: RabbitMq/rabbitmq-cell1");
    cloud.until("the line of rabbitmq", lags).await;
    cloud.fence().await;
    let mut reached = moved(&cloud.objects().await, NEW);
    reached.sort();
    let instances = ["RabbitMq/rabbitmq", "RabbitMq/rabbitmq-cell1", "RabbitMq/rabbitmq-notifications"];
    assert_eq!(reached, [&["OVNController/ovncontroller"][..], &instances].concat());
    cloud.actors.release("RabbitMq", "rabbitmq-cell1");

    let text = "Galera/openstack-cell1: status.observedGeneration";
    cloud.step_says(StepName::Mariadb, StepState::Running, text).await;
    cloud.fence().await;
    assert!(!carries(&cloud.get("Memcached", "memcached").await, NEW));
    cloud.actors.release("Galera", "openstack-cell1");
    cloud.deployed(NEW).await;
    assert_eq!(recorder.assert_walk(OLD, NEW).await, cloud.objects().await.len() + 2);
}

/// Updates a cloud and answers the messages of the steps that were not needed.
async fn not_needed(cloud: &Cloud, node_sets: &[&str]) -> Vec<(StepName, String)> {
    let mut found = Vec::new();
    cloud.actors.hold("Glance", "glance");
    cloud.target(NEW).await;
    // The last step that the operator makes itself: what was not needed before it, is known.
    let before = |status: &_| step(status, StepName::Controlplane).is_some_and(|step| step.state == StepState::Running);
    let seen = async {
        cloud
            .until("controlplane or a nodeset", |status| {
                let ovn = step(status, StepName::OvnDataplane);
                before(status) || ovn.is_some_and(|step| step.state == StepState::Waiting)
            })
            .await
    };
    let mut status = seen.await;
    if !before(&status) {
        cloud.deploy("ovn", node_sets, &["ovn"]).await;
        status = cloud.until("controlplane", before).await;
    }
    for step in status.update.unwrap().steps {
        if step.state == StepState::NotNeeded {
            found.push((step.name, step.message));
        }
    }
    cloud.actors.release("Glance", "glance");
    let status = cloud.finish(node_sets).await;
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.1 is deployed");
    found
}

/// Peer: 6.7, 9.12, #1744: a disabled service has no condition, and its stage waits for it.
#[rstest]
#[case::ovn("ovn", &[StepName::OvnControlplane, StepName::OvnDataplane])]
#[case::rabbitmq("rabbitmq", &[StepName::Rabbitmq, StepName::OvnDataplane])]
#[case::galera("galera", &[StepName::Mariadb, StepName::OvnDataplane])]
#[case::memcached("memcached", &[StepName::Memcached, StepName::OvnDataplane])]
#[case::keystone("keystone", &[StepName::Keystone, StepName::OvnDataplane])]
#[tokio::test]
async fn a_disabled_service_does_not_hang_its_step(#[case] section: &str, #[case] steps: &[StepName]) {
    let cloud = Cloud::offered(&format!("no-{section}"), json!({section: {"enabled": false}})).await;
    let found = not_needed(&cloud, &[]).await;
    for wanted in steps {
        assert!(found.iter().any(|(name, _)| name == wanted), "{wanted} in {found:?}");
    }
    assert_eq!(found.len(), steps.len(), "{found:?}");
    let (_, message) = found.iter().find(|(name, _)| *name == steps[0]).unwrap();
    assert!(message.contains(&format!("spec.{section} is not enabled")), "{message}");
    assert_eq!(moved(&cloud.objects().await, OLD), Vec::<String>::new());
}

/// Peer: 9.11, #1212: OVN without its controller hangs.
#[tokio::test]
async fn without_nic_mappings_there_is_no_ovn_controller_to_wait_for() {
    let cloud = Cloud::offered("no-nics", json!({"ovn": {"template": {"ovnController": {"nicMappings": null}}}})).await;
    assert!(cloud.objects().await.iter().all(|(kind, ..)| kind != "OVNController"));
    let found = not_needed(&cloud, &[]).await;
    let (_, message) = found.iter().find(|(name, _)| *name == StepName::OvnControlplane).unwrap();
    assert!(message.contains("nicMappings is not set"), "{message}");
}

/// Peer: 2.10a, 6.7, 9.11, #1823, #1864: the stage hangs or flaps when OVN stays the same.
#[tokio::test]
async fn an_ovn_image_that_stays_the_same_needs_no_deployment_of_nodesets() {
    let mut cloud = Cloud::installed("same-ovn", json!({})).await;
    cloud.add_node_set("compute").await;
    let same = &release(OLD).images["ovnControllerImage"];
    cloud.upgrade_operator(&release(NEW).with_image("ovnControllerImage", same)).await;
    let found = not_needed(&cloud, &["compute"]).await;
    let (_, message) = found.iter().find(|(name, _)| *name == StepName::OvnDataplane).unwrap();
    assert_eq!(message, "ovnControllerImage is the same in 1.0.0 and 1.0.1");
    assert_eq!(cloud.get("OVNController", "ovncontroller").await["spec"]["ovnContainerImage"], json!(same));
}

/// Peer: 9.11, #1786: a nodeset without nodes blocks.
#[tokio::test]
async fn empty_nodesets_are_not_waited_for() {
    let cloud = Cloud::offered("empty-set", json!({})).await;
    cloud.cluster.apply(fixtures::empty_node_set(&cloud.namespace, "spare")).await.unwrap();
    let found = not_needed(&cloud, &[]).await;
    assert!(found.iter().any(|(name, _)| *name == StepName::OvnDataplane), "{found:?}");
}

/// Peer: 9.11, #1128: a dataplane that was never deployed blocks.
#[tokio::test]
async fn a_nodeset_that_was_never_deployed_does_not_block() {
    let cloud = Cloud::offered("never", json!({})).await;
    cloud.cluster.apply(fixtures::node_set(&cloud.namespace, "tomorrow")).await.unwrap();
    let found = not_needed(&cloud, &[]).await;
    assert!(found.iter().any(|(name, _)| *name == StepName::OvnDataplane), "{found:?}");
    let events = cloud.events().await;
    assert!(!events.iter().any(|(reason, _)| reason == "StepWaiting"), "{events:?}");
}

/// Beside one that was: only that one is asked for.
#[tokio::test]
async fn of_several_nodesets_only_those_that_were_deployed_are_waited_for() {
    let cloud = Cloud::offered("mixed", json!({})).await;
    cloud.cluster.apply(fixtures::node_set(&cloud.namespace, "tomorrow")).await.unwrap();
    cloud.cluster.apply(fixtures::empty_node_set(&cloud.namespace, "spare")).await.unwrap();
    cloud.add_node_set("compute").await;
    cloud.target(NEW).await;
    for name in [StepName::OvnDataplane, StepName::Dataplane] {
        let step = cloud.step(name, StepState::Waiting).await;
        assert!(step.message.contains("compute:"), "{}", step.message);
        assert!(!step.message.contains("tomorrow") && !step.message.contains("spare"), "{}", step.message);
        let service = if name == StepName::OvnDataplane { "ovn" } else { "update" };
        cloud.deploy(service, &["compute"], &[service]).await;
    }
    cloud.deployed(NEW).await;
}

#[tokio::test]
async fn a_cloud_with_the_upstream_keystone_kind_updates_it_at_keystones_step() {
    let template = json!({"databaseInstance": "openstack", "memcachedInstance": "memcached", "database": Value::Null});
    let cloud = Cloud::offered("keystoneapi", json!({"keystone": {"kind": "KeystoneAPI", "template": template}})).await;
    let recorder = Recorder::start(&cloud);
    cloud.actors.hold("KeystoneAPI", "keystone");
    cloud.target(NEW).await;
    cloud.step_says(StepName::Keystone, StepState::Running, "KeystoneAPI/keystone: status.observedGeneration").await;
    cloud.actors.release("KeystoneAPI", "keystone");
    cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
    let keystone = cloud.get("KeystoneAPI", "keystone").await;
    assert_eq!(keystone["spec"]["containerImage"], json!(release(NEW).images["keystoneAPIImage"]));
}

/// The line that a control plane may lose is the one that upstream's samples lack.
#[tokio::test]
async fn a_keystone_of_the_other_kind_stays_until_a_person_decides() {
    let mut cloud = Cloud::installed("variant", json!({"keystone": {"kind": "KeystoneAPI"}})).await;
    let before = cloud.get("KeystoneAPI", "keystone").await;
    cloud.patch_plane(json!({"keystone": {"kind": Value::Null}})).await;
    let blocked =
        |status: &_| line(status, "keystone").message.contains("delete KeystoneAPI/keystone to get Keystone/");
    cloud.until("the other kind is named", blocked).await;
    cloud.upgrade_operator(&release(NEW)).await;
    cloud.target(NEW).await;
    cloud.step_says(StepName::Keystone, StepState::Waiting, "set it to KeystoneAPI to keep KeystoneAPI/keystone").await;
    cloud.fence().await;
    assert_eq!(cloud.get("KeystoneAPI", "keystone").await["metadata"]["generation"], before["metadata"]["generation"]);
    cloud.api("KeystoneAPI").delete("keystone", &DeleteParams::default()).await.unwrap();
    cloud.deployed(NEW).await;
    assert!(carries(&cloud.get("Keystone", "keystone").await, NEW));
}
