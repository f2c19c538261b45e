//! A whole update, from the first step to the last.

use api::{
    controlplane::OpenStackControlPlane,
    service::SERVICES,
    step::{MINOR_UPDATE, Scope, StepName},
    version::{StepState, UpdateResult},
};
use serde_json::json;
use testbed::{fixtures, wait};

use crate::support::{Cloud, NEW, OLD, Recorder, SOON, condition_of, moved, release, said, step};

/// The generation of each service object.
/// Peer: 6.7, #792, #1421, #1484, #1681: the order came stage by stage, images that are not recorded never complete.
#[tokio::test]
async fn every_service_moves_in_the_tables_order_with_one_write_each() {
    let mut cloud = Cloud::empty("walk").await;
    cloud.cluster.apply(fixtures::full_control_plane(&cloud.namespace)).await.unwrap();
    cloud.deployed(OLD).await;
    cloud.add_node_set("compute").await;
    cloud.upgrade_operator(&release(NEW)).await;
    let recorder = Recorder::start(&cloud);
    let before = cloud.generations().await;
    cloud.target(NEW).await;
    let status = cloud.finish(&["compute"]).await;

    let walked = recorder.assert_walk(OLD, NEW).await;
    // Two ConfigMaps, and everything else.
    assert_eq!(walked, before.len() + 2);
    assert!(before.len() >= SERVICES.len() - 3, "a row is missing: {before:?}");
    cloud.assert_written_once(&before).await;
    assert_eq!(moved(&cloud.objects().await, OLD), Vec::<String>::new());

    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.1 is deployed");
    let last = status.history.last().unwrap();
    assert_eq!((last.from.as_str(), last.to.as_str(), last.result), (OLD, NEW, UpdateResult::Completed));
    // Written right after the status of the OpenStackVersion.
    let deployed = |plane: &OpenStackControlPlane| {
        plane.status.as_ref().is_some_and(|status| status.deployed_version.as_deref() == Some(NEW))
    };
    cloud.expect("the control plane", wait::until(&cloud.planes(), fixtures::NAME, SOON, deployed).await);
}

/// Peer: 9.8: no Events.
#[tokio::test]
async fn events_tell_the_start_each_step_and_the_end() {
    let cloud = Cloud::offered("events", json!({})).await;
    cloud.add_node_set("compute").await;
    cloud.target(NEW).await;
    cloud.finish(&["compute"]).await;
    cloud.event("UpdateCompleted", "from 1.0.0 to 1.0.1").await;
    let events = cloud.events().await;
    let position = |reason: &str, text: &str| {
        let at = events.iter().position(|(found, note)| found == reason && note.contains(text));
        at.unwrap_or_else(|| panic!("no {reason} with \"{text}\" in {events:#?}"))
    };
    let mut story = vec![position("Installed", "1.0.0 is deployed"), position("UpdateStarted", "from 1.0.0 to 1.0.1")];
    for row in MINOR_UPDATE {
        let name = format!("step {}:", row.name);
        let begun = if row.scope == Scope::Services { "StepStarted" } else { "StepWaiting" };
        story.extend([position(begun, &name), position("StepFinished", &name)]);
    }
    story.push(position("UpdateCompleted", "from 1.0.0 to 1.0.1"));
    assert!(story.is_sorted(), "{story:?} in {events:#?}");
    let mut once = events.clone();
    once.dedup();
    assert_eq!(once, events, "nothing is said twice");
}

#[tokio::test]
async fn events_tell_every_step_that_was_not_needed() {
    // Two in one pass, and the last one together with the end of the update.
    let cloud = Cloud::offered("events", json!({"ovn": {"enabled": false}})).await;
    cloud.target(NEW).await;
    cloud.deployed(NEW).await;
    for step in ["ovn-controlplane", "ovn-dataplane", "dataplane"] {
        cloud.event("StepNotNeeded", &format!("step {step}:")).await;
    }
}

#[tokio::test]
async fn conditions_speak_in_upstreams_words() {
    let cloud = Cloud::offered("words", json!({})).await;
    cloud.actors.hold("Galera", "openstack");
    cloud.target(NEW).await;
    cloud.step(StepName::Mariadb, StepState::Running).await;
    let status =
        cloud.until("mariadb waits", |status| said(status, "MinorUpdateMariaDB").contains("observedGeneration")).await;
    assert_eq!(said(&status, "MinorUpdateOVNControlplane"), "True Ready: completed");
    assert!(said(&status, "MinorUpdateOVNDataplane").starts_with("True NotNeeded: not needed: no nodeset"));
    assert_eq!(said(&status, "MinorUpdateRabbitMQ"), "True Ready: completed");
    let text = said(&status, "MinorUpdateMariaDB");
    assert!(text.starts_with("False Requested: in progress: Galera/openstack: status.observedGeneration"), "{text}");
    assert_eq!(json!(condition_of(&status, "MinorUpdateMariaDB").severity), json!("Info"));
    for later in ["Memcached", "Keystone", "Controlplane", "Dataplane"] {
        assert_eq!(said(&status, &format!("MinorUpdate{later}")), "Unknown Init: not started");
    }
    // Truthful all the time.
    assert!(said(&status, "MinorUpdateAvailable").starts_with("True Ready: update available"));
    let text = said(&status, "Ready");
    assert!(text.starts_with("False Requested: update from 1.0.0 to 1.0.1: step mariadb: Galera/openstack"), "{text}");
    assert_eq!(status.deployed_version.as_deref(), Some(OLD));
    assert_eq!(status.update.as_ref().unwrap().step, Some(StepName::Mariadb));
    let rabbitmq = step(&status, StepName::Rabbitmq).unwrap();
    assert!(rabbitmq.started_at.is_some() && rabbitmq.finished_at >= rabbitmq.started_at);

    // Ready first, the others in the order of their names; kubectl waits on them.
    let types: Vec<&str> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types[0], "Ready");
    assert!(types[1..].is_sorted());
    cloud.actors.release("Galera", "openstack");
    cloud.deployed(NEW).await;
    let (_, text) =
        cloud.kubectl(&["wait", "openstackversion", fixtures::NAME, "--for", "condition=Ready", "--timeout=60s"]).await;
    assert!(text.contains("condition met"), "{text}");
}

#[tokio::test]
async fn a_done_step_is_not_judged_again_and_a_flapping_service_shows_in_its_own_line() {
    let cloud = Cloud::offered("latch", json!({})).await;
    cloud.actors.hold("Memcached", "memcached");
    cloud.target(NEW).await;
    cloud.step(StepName::Memcached, StepState::Running).await;
    cloud.actors.fail("RabbitMq", "rabbitmq", "a node is down");
    let status = cloud
        .until("the line of rabbitmq", |status| {
            crate::support::line(status, "rabbitmq").message.contains("a node is down")
        })
        .await;
    assert_eq!(said(&status, "MinorUpdateRabbitMQ"), "True Ready: completed");
    cloud.actors.release("Memcached", "memcached");
    let status = cloud.deployed(NEW).await;
    let text = said(&status, "Ready");
    assert!(text.starts_with("False") && text.contains("rabbitmq") && text.contains("a node is down"), "{text}");
    cloud.actors.release("RabbitMq", "rabbitmq");
    cloud.until("ready", |status| said(status, "Ready") == "True Ready: 1.0.1 is deployed").await;
}
