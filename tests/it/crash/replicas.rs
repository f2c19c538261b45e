//! Two replicas: one acts, the other takes over when the first is gone, and they never act at the same time.

use std::{collections::BTreeMap, path::Path, time::Duration};

use api::{step::StepName, version::StepState};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::json;
use testbed::{
    Operator, Proxy, cluster,
    operator::Options,
    proxy::{Call, Fault, Rule},
    wait,
};

use super::assert_once;
use crate::support::{BINARY, Cloud, GATES, NEW, OLD, Recorder, SOON, release};

/// How long a Lease lives in these tests, in seconds.
const LEASE: &str = "4";

/// A replica that is not the first.
fn second(cloud: &Cloud, kubeconfig: Option<&Path>) -> Operator {
    let mut options = Options::new(BINARY, &cloud.namespace, release(NEW)).with_env("LEASE_DURATION_SECONDS", LEASE);
    options.kubeconfig = kubeconfig.map(Path::to_path_buf);
    Operator::start(cloud.cluster, options).unwrap()
}

/// Waits until somebody else than `old` holds the Lease.
async fn taken_over(cloud: &Cloud, old: &str) -> String {
    let api: Api<Lease> = Api::namespaced(cloud.client.clone(), &cloud.namespace);
    let other = |lease: &Lease| holder(lease).is_some_and(|holder| holder != old);
    let lease = wait::until(&api, "openstack-release-operator", SOON, other).await;
    holder(&cloud.expect("another holder", lease)).unwrap().to_owned()
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// A cloud with a short Lease.
async fn cloud(prefix: &str, kubeconfig: Option<&Path>) -> Cloud {
    let mut cloud = Cloud::with(prefix, release(OLD), |mut options| {
        options.kubeconfig = kubeconfig.map(Path::to_path_buf);
        options.with_env("LEASE_DURATION_SECONDS", LEASE)
    })
    .await;
    cloud.install(json!({})).await;
    cloud.upgrade_operator(&release(NEW)).await;
    cloud
}

/// The update is over: in order, with one write for each service object.
async fn updated_once(cloud: &Cloud, recorder: &Recorder, before: &BTreeMap<String, i64>) {
    cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
    cloud.assert_written_once(before).await;
    assert_eq!(cloud.status().await.history.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed_in_each_step_and_the_other_goes_on() {
    let mut cloud = cloud("replicas", None).await;
    let mut other = second(&cloud, None);
    let recorder = Recorder::start(&cloud);
    let before = cloud.generations().await;
    for (_, kind, name) in GATES {
        cloud.actors.hold(kind, name);
    }
    cloud.target(NEW).await;
    for (step, kind, object) in GATES {
        cloud.step(*step, StepState::Running).await;
        let leader = taken_over(&cloud, "").await;
        let first = cloud.operator.name() == leader;
        assert!(first || other.name() == leader, "{leader} is nobody");
        let killed = if first { &mut cloud.operator } else { &mut other };
        killed.kill().await.unwrap();
        cloud.actors.release(kind, object);
        assert_ne!(taken_over(&cloud, &leader).await, leader);
        if first { cloud.operator.restart().await.unwrap() } else { other.restart().await.unwrap() }
    }
    updated_once(&cloud, &recorder, &before).await;
    assert_eq!((cloud.operator.exited().unwrap(), other.exited().unwrap()), (None, None));
}

/// A rollout of the operator in each step: the new one waits, the old one is asked to end, and so on with newer bundles.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_is_upgraded_in_each_step_and_the_update_goes_on() {
    let mut cloud = Cloud::offered("rollout", json!({})).await;
    let bundle = |number: usize| release(NEW).with_version(&format!("1.0.{}", number + 2));
    let mut other = Operator::start(cloud.cluster, Options::new(BINARY, &cloud.namespace, bundle(0))).unwrap();
    let recorder = Recorder::start(&cloud);
    let before = cloud.generations().await;
    for (_, kind, name) in GATES {
        cloud.actors.hold(kind, name);
    }
    cloud.target(NEW).await;
    for (number, (step, kind, object)) in GATES.iter().enumerate() {
        cloud.step(*step, StepState::Running).await;
        let leader = taken_over(&cloud, "").await;
        let old = if cloud.operator.name() == leader { &mut cloud.operator } else { &mut other };
        assert_eq!(old.stop().await.unwrap(), 0);
        // As in a rollout: the waiting one leads before a still newer one is there to ask for the Lease.
        assert_ne!(taken_over(&cloud, &leader).await, leader);
        let old = if cloud.operator.name() == leader { &mut cloud.operator } else { &mut other };
        old.restart_with(&bundle(number + 1)).await.unwrap();
        let version = bundle(number).version;
        let status =
            cloud.until("the new one leads", |status| status.available_version.as_ref() == Some(&version)).await;
        let update = status.update.unwrap();
        assert_eq!((update.from.as_str(), update.to.as_str()), (OLD, NEW));
        assert_eq!(cloud.version().await.spec.target_version, NEW);
        cloud.actors.release(kind, object);
    }
    updated_once(&cloud, &recorder, &before).await;
    assert_eq!((cloud.operator.exited().unwrap(), other.exited().unwrap()), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stood_still_writes_nothing_when_it_goes_on() {
    let proxy = Proxy::start(cluster::shared().await.unwrap()).await.unwrap();
    let mut cloud = cloud("frozen", Some(proxy.kubeconfig())).await;
    let old = cloud.operator.name();
    cloud.actors.hold("Galera", "openstack");
    cloud.target(NEW).await;
    cloud.step(StepName::Mariadb, StepState::Running).await;
    // Its write has arrived: one that is on the wire while its process freezes may arrive late (hack/adr/0005).
    cloud.unobserved("Galera", "openstack").await;
    cloud.fence().await;
    cloud.operator.freeze().unwrap();
    let mut other = second(&cloud, None);
    taken_over(&cloud, &old).await;
    let mark = proxy.mark();
    // There is now much to do for whoever leads.
    cloud.actors.release("Galera", "openstack");
    cloud.operator.thaw().unwrap();
    let code = wait_for_end(&mut cloud).await;
    assert_eq!(code, 1, "a lost lease ends the process");
    cloud.deployed(NEW).await;
    let late: Vec<Call> = proxy.calls().split_off(mark).into_iter().filter(Call::is_counted).collect();
    // At most the one that was under way when it froze.
    assert!(late.len() <= 1, "{late:#?}");
    assert_eq!(other.exited().unwrap(), None);
    assert_once(&proxy.writes().into_iter().filter(|call| call.resource == "galeras").skip(1).collect::<Vec<_>>());
}

/// Waits until the operator has ended, and said why.
async fn wait_for_end(cloud: &mut Cloud) -> i32 {
    let ended = tokio::time::timeout(SOON, async {
        loop {
            if let Some(code) = cloud.operator.exited().unwrap() {
                let said = cloud.operator.log_tail(5);
                assert!(said.contains("was lost; another replica may lead now"), "{said}");
                return code;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ended.await.unwrap_or_else(|_| panic!("it goes on:\n{}", cloud.operator.log_tail(40)))
}

/// The leader cannot renew its Lease, but could write everything else: it must stop before the other starts.
async fn cannot_renew(prefix: &str, fault: Fault) {
    let cluster = cluster::shared().await.unwrap();
    let (proxy, others) = (Proxy::start(cluster).await.unwrap(), Proxy::start(cluster).await.unwrap());
    let mut cloud = cloud(prefix, Some(proxy.kubeconfig())).await;
    let old = cloud.operator.name();
    let mut other = second(&cloud, Some(others.kubeconfig()));
    proxy.add(Rule::new(fault).resource("leases").writes());
    let busy = async {
        for number in 0.. {
            cloud.patch_plane(json!({"glance": {"template": {"marker": number}}})).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        _ = taken_over(&cloud, &old) => {}
        () = busy => {}
    }
    cloud.patch_plane(json!({"glance": {"template": {"marker": "end"}}})).await;
    let marker = wait::value(&cloud.api("Glance"), "glance", "/spec/marker", &json!("end"), SOON).await;
    cloud.expect("the other acts", marker);
    assert_eq!(wait_for_end(&mut cloud).await, 1);
    let (last, first) = (proxy.writes().pop().unwrap(), others.writes().into_iter().next().unwrap());
    assert!(last.at < first.at, "both led: {last:#?}\n{first:#?}");
    assert_eq!(other.exited().unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_renewals_are_refused_stops_before_the_other_starts() {
    cannot_renew("refused", Fault::Answer { code: 500, retry_after: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_renewals_are_not_answered_stops_before_the_other_starts() {
    cannot_renew("unanswered", Fault::Silence).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_renewals_are_answered_late_goes_on_leading() {
    let proxy = Proxy::start(cluster::shared().await.unwrap()).await.unwrap();
    let mut cloud = Cloud::with("late", release(OLD), |options| {
        options.with_kubeconfig(proxy.kubeconfig()).with_env("LEASE_DURATION_SECONDS", "12")
    })
    .await;
    cloud.install(json!({})).await;
    let api: Api<Lease> = Api::namespaced(cloud.client.clone(), &cloud.namespace);
    let before = api.get("openstack-release-operator").await.unwrap().spec.unwrap();
    // Less than a third of its life: later than that it would ask again.
    proxy.add(Rule::new(Fault::Delay(Duration::from_millis(3200))).resource("leases").writes());
    let start = before.renew_time.unwrap().0;
    let renewed = |lease: &Lease| {
        let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref());
        renewed.is_some_and(|renewed| renewed.0.duration_since(start).as_secs() >= 16)
    };
    let after = cloud.expect("renewed", wait::until(&api, "openstack-release-operator", SOON, renewed).await);
    assert_eq!(holder(&after), Some(cloud.operator.name().as_str()));
    assert_eq!(after.spec.unwrap().lease_transitions, before.lease_transitions);
    cloud.assert_alive();
}

/// Peer: 9.28: an outage at each upgrade of the operator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_asked_to_end_hands_over_at_once() {
    // The usual, long Lease: the other does not wait for it.
    let mut cloud = Cloud::installed("handover", json!({})).await;
    let leader = cloud.operator.name();
    let mut other = Operator::start(cloud.cluster, Options::new(BINARY, &cloud.namespace, release(NEW))).unwrap();
    assert_eq!(cloud.operator.stop().await.unwrap(), 0);
    let start = std::time::Instant::now();
    taken_over(&cloud, &leader).await;
    cloud.until("available", |status| status.available_version.as_deref() == Some(NEW)).await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(other.exited().unwrap(), None);
}
