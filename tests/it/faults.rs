//! Everything that an API server and a network may do to the operator. Whatever it is: when it is over the update goes
//! on by itself, nothing is written twice, and the process never ends.

use std::time::Duration;

use api::{condition, step::StepName, version::StepState};
use serde_json::json;
use testbed::proxy::{Call, Disturbance, Fault, Rule};

use crate::{
    crash::{Scene, assert_once},
    support::{Cloud, NEW, OLD, Recorder, line, said},
};

mod idle;
mod restart;

/// A scene whose Lease outlives every disturbance.
async fn scene(prefix: &str, env: &[(&str, &str)]) -> Scene {
    let env: Vec<_> = env.iter().copied().chain([("LEASE_DURATION_SECONDS", "120")]).collect();
    Scene::with_env(prefix, &env).await
}

/// A whole update, spoiled at its start, and again at each of its steps.
async fn endure(scene: &mut Scene, spoil: impl Fn(&Scene)) {
    let recorder = Recorder::start(&scene.cloud);
    let before = scene.cloud.generations().await;
    let mark = scene.proxy.mark();
    spoil(scene);
    scene.cloud.target(NEW).await;
    let mut step = None;
    loop {
        let status = scene.cloud.until("the next step", |status| {
            let at = status.update.as_ref().and_then(|update| update.step);
            at.is_some() && at != step || status.deployed_version.as_deref() == Some(NEW)
        });
        let status = status.await;
        if status.deployed_version.as_deref() == Some(NEW) {
            break;
        }
        step = status.update.and_then(|update| update.step);
        spoil(scene);
    }
    recorder.assert_walk(OLD, NEW).await;
    scene.cloud.assert_written_once(&before).await;
    let calls = scene.proxy.calls().split_off(mark);
    assert_once(&calls.into_iter().filter(Call::is_counted).collect::<Vec<_>>());
    assert_eq!(scene.cloud.status().await.history.len(), 2);
    scene.cloud.assert_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_may_not_be_written_is_named_and_the_others_go_on() {
    let mut scene = scene("forbidden", &[]).await;
    let rule = scene.proxy.add(Rule::answer(403).writes().resource("glances"));
    scene.cloud.target(NEW).await;
    let said_so =
        |text: &str| text.contains("Glance/glance cannot be written") && text.contains("refused by the proxy");
    let status = scene
        .cloud
        .until("glance says why", |status| {
            let moved = |name| line(status, name).version.as_deref() == Some(NEW);
            let said = said_so(&line(status, "glance").message) && said_so(&said(status, "MinorUpdateControlplane"));
            said && moved("ovn-northd") && moved("openstackclient")
        })
        .await;
    assert!(said_so(&said(&status, "Ready")), "{}", said(&status, "Ready"));
    scene.proxy.lift(rule);
    let status = scene.cloud.deployed(NEW).await;
    assert_eq!(line(&status, "glance").message, "");
    scene.cloud.assert_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_may_not_be_written_stops_the_later_ones() {
    let mut scene = scene("forbidden", &[]).await;
    let rule = scene.proxy.add(Rule::answer(403).writes().resource("galeras"));
    scene.cloud.target(NEW).await;
    scene.cloud.step_says(StepName::Mariadb, StepState::Running, "Galera/openstack cannot be written").await;
    scene.cloud.fence().await;
    let status = scene.cloud.status().await;
    assert!(said(&status, "MinorUpdateMemcached").starts_with("Unknown Init"));
    assert_eq!(line(&status, "memcached").version.as_deref(), Some(OLD));
    scene.proxy.lift(rule);
    scene.cloud.deployed(NEW).await;
    scene.cloud.assert_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_goes_on_around_a_kind_that_may_not_be_written() {
    let proxy = testbed::Proxy::start(testbed::cluster::shared().await.unwrap()).await.unwrap();
    let rule = proxy.add(Rule::answer(403).writes().resource("glances"));
    let release = crate::support::release(OLD);
    let mut cloud = Cloud::with("forbidden", release, |options| options.with_kubeconfig(proxy.kubeconfig())).await;
    cloud.cluster.apply(cloud.plane(json!({}))).await.unwrap();
    let status = cloud
        .until("all but glance", |status| {
            ["galera", "keystone", "openstackclient"].iter().all(|name| line(status, name).message.is_empty())
                && line(status, "glance").message.contains("Glance/glance cannot be written")
        })
        .await;
    assert_eq!(status.deployed_version, None);
    proxy.lift(rule);
    cloud.deployed(OLD).await;
    cloud.assert_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_may_not_be_read_is_named_and_heals() {
    let mut scene = scene("unreadable", &[]).await;
    let rule = scene.proxy.add(Rule::answer(403).verbs(&["list", "watch"]).resource("glances"));
    // A new process has never seen the kind.
    scene.cloud.operator.restart().await.unwrap();
    scene.cloud.target(NEW).await;
    let status = scene
        .cloud
        .until("the others", |status| {
            line(status, "openstackclient").version.as_deref() == Some(NEW)
                && line(status, "glance").message.contains("cannot be read")
        })
        .await;
    assert!(line(&status, "glance").message.contains("kind Glance"), "{}", line(&status, "glance").message);
    scene.proxy.lift(rule);
    scene.cloud.deployed(NEW).await;
    scene.cloud.assert_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_can_no_longer_be_read_is_named_and_heals() {
    let mut scene = scene("blinded", &[("CALL_DEADLINE_SECONDS", "1"), ("WATCH_SECONDS", "5")]).await;
    let rule = scene.proxy.add(Rule::answer(403).verbs(&["list", "watch"]).resource("glances"));
    scene.proxy.disturb(Disturbance::Cut);
    let condition = scene.cloud.refused("KindsWatched", &["kind Glance cannot be watched", "RBAC"]).await;
    assert_eq!(condition.severity, condition::Severity::Warning);
    assert!(!said(&scene.cloud.status().await, "Ready").contains("Glance"), "what was read is not forgotten");
    scene.proxy.lift(rule);
    scene.cloud.until("heals", |status| said(status, "KindsWatched").starts_with("True")).await;
    scene.cloud.target(NEW).await;
    scene.cloud.deployed(NEW).await;
    scene.cloud.assert_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodesets_that_cannot_be_read_are_not_taken_for_none() {
    for code in [403, 500] {
        let mut scene = scene("nodesets", &[]).await;
        scene.cloud.add_node_set("compute").await;
        let rule = Rule::answer(code).verbs(&["list", "watch"]).resource("openstackdataplanenodesets");
        let rule = scene.proxy.add(rule);
        scene.cloud.operator.restart().await.unwrap();
        scene.cloud.target(NEW).await;
        let status = scene
            .cloud
            .until("the step that needs them", |status| {
                crate::support::step(status, StepName::OvnDataplane)
                    .is_some_and(|step| step.message.contains("kind OpenStackDataPlaneNodeSet cannot be read"))
            })
            .await;
        assert_eq!(line(&status, "rabbitmq").version.as_deref(), Some(OLD));
        scene.proxy.lift(rule);
        scene.cloud.finish(&["compute"]).await;
        scene.cloud.assert_alive();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storms_of_conflicts() {
    let mut scene = scene("conflicts", &[]).await;
    endure(&mut scene, |scene| {
        scene.proxy.add(Rule::answer(409).writes().subresource("status").times(3));
        scene.proxy.add(Rule::answer(409).writes().subresource("").times(2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_writes_the_root_objects_all_the_time() {
    let mut scene = scene("rivals", &[]).await;
    let versions = scene.cloud.versions();
    let rival = tokio::spawn(async move {
        for number in 0.. {
            let patch = json!({"metadata": {"annotations": {"example.com/number": format!("{number}")}}});
            let params = kube::api::PatchParams::default();
            versions.patch(testbed::fixtures::NAME, &params, &kube::api::Patch::Merge(patch)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    endure(&mut scene, |_| {}).await;
    rival.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_asks_for_patience() {
    let mut scene = scene("patience", &[]).await;
    endure(&mut scene, |scene| {
        let fault = Fault::Answer { code: 429, retry_after: Some(1) };
        scene.proxy.add(Rule::new(fault).times(4));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_internal_errors() {
    let mut scene = scene("errors", &[]).await;
    endure(&mut scene, |scene| {
        scene.proxy.add(Rule::answer(500).times(4));
        scene.proxy.add(Rule::answer(503).writes().times(1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost() {
    let mut scene = scene("lost", &[]).await;
    endure(&mut scene, |scene| {
        scene.proxy.add(Rule::new(Fault::DropAnswer).writes().times(3));
        scene.proxy.add(Rule::new(Fault::Drop).writes().times(1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_never_come_or_come_late() {
    let mut scene = scene("silence", &[("CALL_DEADLINE_SECONDS", "1")]).await;
    endure(&mut scene, |scene| {
        scene.proxy.add(Rule::new(Fault::Silence).writes().times(1));
        scene.proxy.add(Rule::new(Fault::Delay(Duration::from_millis(300))).writes().times(2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_break() {
    let mut scene = scene("broken", &[]).await;
    endure(&mut scene, |scene| {
        scene.proxy.disturb(Disturbance::Cut);
        scene.proxy.add(Rule::new(Fault::Drop).verbs(&["watch"]).times(5));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_whose_history_is_compacted() {
    let mut scene = scene("compacted", &[]).await;
    endure(&mut scene, |scene| {
        scene.proxy.disturb(Disturbance::Expire);
        scene.proxy.add(Rule::answer(410).verbs(&["watch"]).times(5));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_fall_silent() {
    // A watch of two seconds is given up after seven.
    let mut scene = scene("silent", &[("WATCH_SECONDS", "2")]).await;
    scene.cloud.actors.hold("Galera", "openstack");
    scene.cloud.target(NEW).await;
    scene.cloud.step(StepName::Mariadb, StepState::Running).await;
    scene.proxy.disturb(Disturbance::Silence);
    // The list after that is not answered, either.
    scene.proxy.add(Rule::new(Fault::Silence).verbs(&["list"]).resource("galeras").times(1));
    scene.cloud.actors.release("Galera", "openstack");
    scene.cloud.deployed(NEW).await;
    scene.cloud.assert_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_out_of_reach() {
    let mut scene = scene("unplugged", &[]).await;
    scene.cloud.actors.hold("Galera", "openstack");
    scene.cloud.target(NEW).await;
    scene.cloud.step(StepName::Mariadb, StepState::Running).await;
    scene.proxy.unplug();
    scene.cloud.actors.release("Galera", "openstack");
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.proxy.plug();
    scene.cloud.deployed(NEW).await;
    scene.cloud.assert_alive();
    assert_eq!(scene.cloud.status().await.history.len(), 2);
}
