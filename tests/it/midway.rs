//! What an administrator changes in the middle of an update.

use api::{
    annotation,
    step::{MINOR_UPDATE, Scope, StepName},
    version::StepState,
};
use rstest::rstest;
use serde_json::{Value, json};
use testbed::{fixtures::NAME, wait};

use crate::support::{Cloud, NEW, OLD, Recorder, SOON, carries, moved, moved_to, said, step};

/// A cloud whose update stands at the step mariadb.
async fn at_mariadb(prefix: &str, spec: Value) -> Cloud {
    let cloud = Cloud::offered(prefix, spec).await;
    cloud.actors.hold("Galera", "openstack");
    cloud.target(NEW).await;
    cloud.step_says(StepName::Mariadb, StepState::Running, "status.observedGeneration").await;
    cloud.unobserved("Galera", "openstack").await;
    cloud
}

/// Peer: 9.20: no edit reaches anybody while the nodesets are waited for.
#[tokio::test]
async fn a_template_edit_reaches_every_service_at_once_and_no_image_moves_with_it() {
    let cloud = at_mariadb("edit", json!({})).await;
    cloud
        .patch_plane(json!({
            "glance": {"template": {"customServiceConfig": "[DEFAULT]\ndebug = true"}},
            "rabbitmq": {"templates": {"rabbitmq": {"replicas": 3}}},
            "galera": {"templates": {"openstack": {"replicas": 3}}},
            "keystone": {"template": {"replicas": 3}},
        }))
        .await;
    cloud.value("Glance", "glance", "/spec/customServiceConfig", json!("[DEFAULT]\ndebug = true")).await;
    // Done, in its step, and beyond it.
    cloud.value("RabbitMq", "rabbitmq", "/spec/replicas", json!(3)).await;
    cloud.value("Galera", "openstack", "/spec/replicas", json!(3)).await;
    cloud.value("Keystone", "keystone", "/spec/replicas", json!(3)).await;
    for (kind, name, version) in [
        ("Glance", "glance", OLD),
        ("RabbitMq", "rabbitmq", NEW),
        ("Galera", "openstack", NEW),
        ("Keystone", "keystone", OLD),
    ] {
        assert!(moved_to(&cloud.get(kind, name).await, version), "{kind}");
    }
    cloud.actors.release("Galera", "openstack");
    cloud.deployed(NEW).await;
}

#[tokio::test]
async fn a_new_instance_starts_with_the_old_image_and_moves_in_its_step() {
    let cloud = at_mariadb("new", json!({})).await;
    let recorder = Recorder::start(&cloud);
    cloud.patch_plane(json!({"memcached": {"templates": {"memcached-cell1": {"replicas": 1}}}})).await;
    let found = wait::until(&cloud.api("Memcached"), "memcached-cell1", SOON, |_| true).await;
    let object = serde_json::to_value(cloud.expect("the new instance", found)).unwrap();
    assert!(moved_to(&object, OLD));
    cloud.actors.release("Galera", "openstack");
    cloud.deployed(NEW).await;
    assert!(moved_to(&cloud.get("Memcached", "memcached-cell1").await, NEW));
    recorder.assert_walk(OLD, NEW).await;
}

#[tokio::test]
async fn a_service_that_is_disabled_in_the_middle_is_deleted_and_not_waited_for() {
    let cloud = at_mariadb("disabled", json!({})).await;
    // One beyond the step, and the one that the step waits for.
    cloud.patch_plane(json!({"glance": {"enabled": false}})).await;
    cloud.expect("glance", wait::gone(&cloud.api("Glance"), "glance", SOON).await);
    assert!(!carries(&cloud.get("Memcached", "memcached").await, NEW));
    cloud.patch_plane(json!({"galera": {"enabled": false}})).await;
    cloud.expect("galera", wait::gone(&cloud.api("Galera"), "openstack", SOON).await);
    let status = cloud.deployed(NEW).await;
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.1 is deployed");
    assert_eq!(moved(&cloud.objects().await, OLD), Vec::<String>::new());
}

async fn pause(cloud: &Cloud, paused: bool) {
    cloud.patch_version(json!({"spec": {"update": {"paused": paused}}})).await.unwrap();
}

/// Peer: 9.2: no pause.
#[tokio::test]
async fn a_pause_keeps_the_progress_and_stops_before_the_next_image() {
    let cloud = Cloud::offered("pause", json!({})).await;
    let recorder = Recorder::start(&cloud);
    // Before it begins: not even the first.
    pause(&cloud, true).await;
    cloud.target(NEW).await;
    cloud.step_says(StepName::OvnControlplane, StepState::Held, "spec.update.paused is true").await;
    cloud.fence().await;
    assert_eq!(moved(&cloud.objects().await, NEW), Vec::<String>::new());

    cloud.actors.hold("Galera", "openstack");
    pause(&cloud, false).await;
    cloud.step_says(StepName::Mariadb, StepState::Running, "status.observedGeneration").await;
    pause(&cloud, true).await;
    cloud.step_says(StepName::Mariadb, StepState::Held, "spec.update.paused is true; Galera/openstack").await;
    // What is under way gets ready; what is not does not begin.
    cloud.actors.release("Galera", "openstack");
    cloud.step_says(StepName::Memcached, StepState::Held, "spec.update.paused is true; Memcached/memcached").await;
    cloud.event("StepHeld", "step memcached").await;
    cloud.fence().await;
    let status = cloud.status().await;
    assert_eq!(said(&status, "MinorUpdateMariaDB"), "True Ready: completed");
    assert!(said(&status, "MinorUpdateMemcached").starts_with("False Held: "));
    assert_eq!(moved(&cloud.objects().await, NEW).len(), 3);
    pause(&cloud, false).await;
    cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
}

/// Peer: 9.2, #1913: no stop between stages.
#[rstest]
#[case::field(false)]
#[case::upstreams_annotation(true)]
#[tokio::test]
async fn an_update_stops_after_the_step_it_is_told_to_and_goes_on_step_by_step(#[case] annotated: bool) {
    let cloud = Cloud::offered("hold", json!({})).await;
    let recorder = Recorder::start(&cloud);
    let hold = |step: Value| {
        if annotated {
            json!({"metadata": {"annotations": {annotation::TARGET_STAGE: step}}})
        } else {
            json!({"spec": {"update": {"holdAfter": step}}})
        }
    };
    let mut before = None;
    for pair in MINOR_UPDATE.windows(2) {
        let (after, next) = (pair[0].name, pair[1].name);
        cloud.patch_version(hold(json!(after.to_string()))).await.unwrap();
        if before.is_none() {
            cloud.target(NEW).await;
        }
        let message = cloud.step_says(next, StepState::Held, &after.to_string()).await.message;
        let place = if annotated { annotation::TARGET_STAGE } else { "spec.update.holdAfter" };
        assert!(message.contains("held before this step") && message.contains(place), "{message}");
        cloud.fence().await;
        let status = cloud.status().await;
        assert!(step(&status, after).unwrap().state.is_finished());
        let now = moved(&cloud.objects().await, NEW);
        if pair[0].scope == Scope::Services {
            assert!(before.as_ref().is_none_or(|before: &Vec<String>| before.len() < now.len()), "{after} did nothing");
        } else {
            assert_eq!(before.as_ref(), Some(&now));
        }
        before = Some(now);
    }
    assert_eq!(cloud.status().await.deployed_version.as_deref(), Some(OLD));
    cloud.patch_version(hold(Value::Null)).await.unwrap();
    cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
}

/// Peer: 2.8: a gate that was passed falls back without a reason.
#[tokio::test]
async fn a_hotfix_in_the_middle_reopens_the_step_it_belongs_to() {
    let cloud = Cloud::offered("hotfix", json!({})).await;
    cloud.actors.hold("Memcached", "memcached");
    cloud.target(NEW).await;
    cloud.step_says(StepName::Memcached, StepState::Running, "status.observedGeneration").await;
    cloud.actors.hold("RabbitMq", "rabbitmq");
    let image = "registry.example.com/hotfix/rabbitmq:1";
    // And one of a step that is not reached yet.
    let images = json!({"rabbitmqImage": image, "glanceAPIImage": "registry.example.com/hotfix/glance:1"});
    cloud.patch_version(json!({"spec": {"customContainerImages": images}})).await.unwrap();
    let text = "re-opened because its images changed; RabbitMq/rabbitmq";
    cloud.step_says(StepName::Rabbitmq, StepState::Running, text).await;
    cloud.value("RabbitMq", "rabbitmq", "/spec/containerImage", json!(image)).await;
    cloud.fence().await;
    assert!(moved_to(&cloud.get("Glance", "glance").await, OLD), "not its turn");
    cloud.actors.release("RabbitMq", "rabbitmq");
    cloud.step_says(StepName::Memcached, StepState::Running, "Memcached/memcached").await;
    cloud.actors.release("Memcached", "memcached");
    cloud.deployed(NEW).await;
    assert_eq!(
        cloud.get("Glance", "glance").await["spec"]["containerImage"],
        json!("registry.example.com/hotfix/glance:1")
    );
}

#[tokio::test]
async fn a_target_goes_back_while_nothing_that_keeps_data_has_moved_and_not_later() {
    let cloud = Cloud::offered("back", json!({})).await;
    cloud.actors.hold("OVNController", "ovncontroller");
    cloud.target(NEW).await;
    cloud.step_says(StepName::OvnControlplane, StepState::Running, "status.observedGeneration").await;
    cloud.actors.release_all();
    cloud.actors.hold("RabbitMq", "rabbitmq");
    cloud.step_says(StepName::Rabbitmq, StepState::Running, "RabbitMq/rabbitmq").await;
    cloud.until("not revertible", |status| status.update.as_ref().is_some_and(|update| !update.revertible)).await;
    let refusal = cloud.patch_version(json!({"spec": {"targetVersion": OLD}})).await.unwrap_err().to_string();
    assert!(refusal.contains("can no longer be taken back") && refusal.contains("RabbitMq/rabbitmq"), "{refusal}");
    cloud.actors.release("RabbitMq", "rabbitmq");
    cloud.deployed(NEW).await;

    // In the first step: back.
    let cloud = Cloud::offered("back", json!({})).await;
    cloud.actors.hold("OVNController", "ovncontroller");
    cloud.target(NEW).await;
    cloud.step_says(StepName::OvnControlplane, StepState::Running, "status.observedGeneration").await;
    cloud.unobserved("OVNController", "ovncontroller").await;
    cloud.target(OLD).await;
    cloud.value("OVNController", "ovncontroller", "/metadata/generation", json!(3)).await;
    cloud.actors.release_all();
    cloud
        .until("back", |status| status.update.is_none() && said(status, "Ready") == "True Ready: 1.0.0 is deployed")
        .await;
    assert_eq!(moved(&cloud.objects().await, NEW), Vec::<String>::new());
    assert_eq!(cloud.version().await.metadata.name.as_deref(), Some(NAME));
    cloud.event("UpdateAborted", "returning to 1.0.0").await;
    cloud.event("UpdateReturned", "1.0.0 is deployed as it was before").await;
}
