//! Probes and metrics, asked of real operators.

// Samples that are whole numbers.
#![allow(clippy::float_cmp)]

mod dashboard;
mod scrape;

use std::{collections::BTreeSet, fs};

use api::{keystone::UpgradeStep, step::StepName, version::StepState};
use kube::api::DeleteParams;
use openstack_release_operator::metrics;
use rstest::rstest;
use serde_json::json;
use testbed::{
    Operator, Proxy, cluster,
    fixtures::NAME,
    operator::Options,
    proxy::{Disturbance, Rule},
};

use crate::{
    keystone::support::{NEW_TAG, OLD_TAG, Scene, image},
    support::{BINARY, Cloud, NEW, SOON, release},
};
use scrape::{Scrape, scrape, until};

async fn ready(operator: &Operator) {
    operator.answers("/readyz", SOON, |code, _| code == 200).await.unwrap();
}

async fn asked(operator: &Operator, path: &str) -> (u16, String) {
    operator.ask(path).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_replicas_live_are_ready_and_see_the_same_and_one_of_them_leads() {
    let mut cloud = Cloud::installed("replicas-http", json!({})).await;
    let standby = Operator::start(cloud.cluster, Options::new(BINARY, &cloud.namespace, release("1.0.0"))).unwrap();
    ready(&standby).await;
    for operator in [&cloud.operator, &standby] {
        assert_eq!(asked(operator, "/livez").await, (200, "ok\n".to_owned()));
        assert_eq!(asked(operator, "/readyz").await, (200, "ok\n".to_owned()));
        let seen = until(operator, "openstack_release_version_state", &[("state", "UpToDate")], 1.0).await;
        assert_eq!(seen.value("openstack_release_condition", &[("type", "Ready"), ("kind", "OpenStackVersion")]), 1.0);
    }
    until(&cloud.operator, "openstack_release_operator_leader", &[], 1.0).await;
    assert_eq!(scrape(&standby).await.value("openstack_release_operator_leader", &[]), 0.0);
    // Asked to end, it gives the Lease back at once: the other does not wait for its end.
    assert_eq!(cloud.operator.stop().await.unwrap(), 0);
    assert!(cloud.operator.log_tail(20).contains("lease released"), "{}", cloud.operator.log_tail(20));
    until(&standby, "openstack_release_operator_leader", &[], 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_once_the_caches_are_complete_and_alive_whatever_the_api_server_does() {
    let cluster = cluster::shared().await.unwrap();
    let proxy = Proxy::start(cluster).await.unwrap();
    proxy.unplug();
    let cloud = Cloud::with("readiness", release("1.0.0"), |options| {
        let options = options.with_kubeconfig(proxy.kubeconfig());
        // A watch that fails for two calls is called out of date. A Lease that is lost meanwhile would end the process.
        options.with_env("CALL_DEADLINE_SECONDS", "1").with_env("LEASE_DURATION_SECONDS", "120")
    })
    .await;
    // While the watches fail one after the other, it names the next that is left; in the end one of its own kinds.
    let named =
        |code, text: &str| code == 503 && text.starts_with("release: OpenStack") && text.contains("cannot be read");
    cloud.expect("not ready", cloud.operator.answers("/readyz", SOON, named).await);
    let unreadable = [("kind", "OpenStackVersion"), ("state", "Unreadable")];
    until(&cloud.operator, "openstack_release_operator_watch_state", &unreadable, 1.0).await;
    assert_eq!(asked(&cloud.operator, "/readyz").await.0, 503, "an answer that is none does not make it ready");
    assert_eq!(asked(&cloud.operator, "/livez").await.0, 200, "an outage restarts no operator");
    proxy.plug();
    ready(&cloud.operator).await;
    proxy.unplug();
    let failing = [("kind", "OpenStackVersion"), ("state", "Failing")];
    until(&cloud.operator, "openstack_release_operator_watch_state", &failing, 1.0).await;
    assert_eq!(asked(&cloud.operator, "/readyz").await.0, 200, "what is known stays known");
    assert_eq!(asked(&cloud.operator, "/livez").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_follow_an_update_and_vanish_with_the_object() {
    let cloud = Cloud::offered("metrics", json!({})).await;
    until(&cloud.operator, "openstack_release_version_state", &[("state", "UpdateAvailable")], 1.0).await;
    cloud.actors.hold("Galera", "openstack");
    cloud.target(NEW).await;
    cloud.step(StepName::Mariadb, StepState::Running).await;
    let step = "openstack_release_update_step_state";
    let seen = until(&cloud.operator, step, &[("step", "mariadb"), ("state", "Running")], 1.0).await;
    assert_eq!(seen.value(step, &[("step", "rabbitmq"), ("state", "Done")]), 1.0);
    assert_eq!(seen.value(step, &[("step", "controlplane"), ("state", "Pending")]), 1.0);
    assert_eq!(seen.value("openstack_release_version_state", &[("state", "Updating")]), 1.0);
    assert_eq!(seen.value("openstack_release_service_state", &[("service", "galera"), ("state", "NotReady")]), 1.0);
    let since = seen.value("openstack_release_update_seconds", &[]);
    assert!(since >= seen.value("openstack_release_update_step_seconds", &[("step", "mariadb")]), "{since}");
    seen.assert_conditions("OpenStackVersion", &cloud.status().await.conditions);
    let plane = cloud.planes().get(NAME).await.unwrap().status.unwrap();
    seen.assert_conditions("OpenStackControlPlane", &plane.conditions);
    // A step is on record a moment before its write.
    let written = [("kind", "Galera"), ("verb", "apply")];
    until(&cloud.operator, "openstack_release_operator_writes_total", &written, 1.0).await;
    cloud.actors.release("Galera", "openstack");
    cloud.deployed(NEW).await;
    let seen = until(&cloud.operator, "openstack_release_version_state", &[("state", "UpToDate")], 1.0).await;
    assert!(seen.named(step).is_empty() && seen.named("openstack_release_update_seconds").is_empty());
    let passes = "openstack_release_operator_pass_duration_seconds_count";
    assert!(seen.value(passes, &[("controller", "release")]) > 1.0);
    seen.assert_labels();
    // Deleted objects vanish.
    cloud.planes().delete(NAME, &DeleteParams::foreground()).await.unwrap();
    testbed::wait::gone(&cloud.planes(), NAME, SOON).await.unwrap();
    testbed::wait::gone(&cloud.versions(), NAME, SOON).await.unwrap();
    let of_it = format!("namespace=\"{}\"", cloud.namespace);
    cloud.operator.answers("/metrics", SOON, |_, text| !text.contains(&of_it)).await.unwrap();
}

/// What alert rules and dashboard name is in a real scrape, and so is every row of the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_that_is_named_somewhere_exists() {
    let (_cloud, _proxy, mut seen) = update_with_an_error().await;
    let (_scene, keystone) = keystone_upgrade().await;
    seen.add(keystone);
    seen.assert_labels();
    let names = seen.names();
    let missing: Vec<_> = metrics::rows().iter().map(|row| row.name).filter(|name| !seen.has(name)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "rows without a sample; there are {names:#?}");
    let mut files = 0;
    for file in ["rules.yaml", "prometheusrule.yaml", "dashboard.yaml"] {
        let text = fs::read_to_string(testbed::root().join("manifests/monitoring").join(file)).unwrap();
        let wanted: BTreeSet<String> = scrape::metrics_in(&text).into_iter().collect();
        let unknown: Vec<_> = wanted.iter().filter(|name| !names.contains(name.as_str())).collect();
        assert!(!wanted.is_empty() && unknown.is_empty(), "{file}: {unknown:?}");
        files += 1;
    }
    assert_eq!(files, 3);
}

/// A cloud in the middle of an update, with one write that was refused and one watch that broke.
async fn update_with_an_error() -> (Cloud, Proxy, Scrape) {
    let proxy = Proxy::start(cluster::shared().await.unwrap()).await.unwrap();
    let mut cloud = Cloud::with("named", release("1.0.0"), |options| options.with_kubeconfig(proxy.kubeconfig())).await;
    cloud.install(json!({})).await;
    cloud.upgrade_operator(&release(NEW)).await;
    cloud.actors.hold("Galera", "openstack");
    proxy.add(Rule::answer(500).writes().resource("rabbitmqs").times(1));
    cloud.target(NEW).await;
    cloud.step(StepName::Mariadb, StepState::Running).await;
    proxy.add(Rule::answer(500).verbs(&["list", "watch"]).resource("glances").times(1));
    proxy.disturb(Disturbance::Cut);
    let failed = "openstack_release_operator_watch_failures_total";
    let scrape = until(&cloud.operator, failed, &[("kind", "Glance")], 1.0).await;
    let errors = "openstack_release_operator_api_errors_total";
    assert_eq!(scrape.value(errors, &[("kind", "RabbitMq"), ("reason", "ServerError")]), 1.0);
    (cloud, proxy, scrape)
}

/// A Keystone in the middle of an upgrade.
async fn keystone_upgrade() -> (Scene, Scrape) {
    let scene = Scene::with_keystone("named-keys", json!({})).await;
    let seen = until(&scene.operator, "openstack_release_keystone_phase", &[("phase", "None")], 1.0).await;
    assert_eq!(seen.value("openstack_release_keystone_keys_count", &[("keys", "fernet")]), 3.0);
    assert_eq!(seen.value("openstack_release_keystone_keys_everywhere", &[("keys", "credential")]), 1.0);
    assert!(seen.named("openstack_release_keystone_upgrade_seconds").is_empty(), "{OLD_TAG} is installed");
    scene.hold(UpgradeStep::Migrating);
    scene.upgrade(NEW_TAG).await;
    scene.at(UpgradeStep::Migrating).await;
    let seen = until(&scene.operator, "openstack_release_keystone_phase", &[("phase", "Migrating")], 1.0).await;
    seen.assert_conditions("Keystone", &scene.status().await.conditions);
    assert!(!seen.text().contains(&image(NEW_TAG)), "no image is in a label");
    (scene, seen)
}

#[rstest]
#[case::taken("127.0.0.1", "cannot be used; set another one with --http-address")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_is_a_clear_error(#[case] host: &str, #[case] text: &str) {
    let taken = std::net::TcpListener::bind((host, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut cloud = Cloud::with("taken", release("1.0.0"), |options| options.with_env("HTTP_ADDRESS", &address)).await;
    let code = wait_for_end(&mut cloud.operator).await;
    let log = cloud.operator.log_tail(3);
    assert!(code == 1 && log.contains(&address) && log.contains(text), "{code}: {log}");
}

async fn wait_for_end(operator: &mut Operator) -> i32 {
    let ended = tokio::time::timeout(SOON, async {
        loop {
            if let Some(code) = operator.exited().unwrap() {
                return code;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    ended.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_level_follows_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("level");
    let path = file.display().to_string();
    let cloud = Cloud::with("level", release("1.0.0"), |options| options.with_env("LOG_LEVEL_FILE", &path)).await;
    ready(&cloud.operator).await;
    let says = async |text: &str| {
        let said = tokio::time::timeout(SOON, async {
            while !cloud.operator.log_tail(usize::MAX).contains(text) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        said.await.unwrap_or_else(|_| panic!("{text}: {}", cloud.operator.log_tail(20)));
    };
    fs::write(&file, "warn,kube=trace\n").unwrap();
    says("log level changes").await;
    fs::write(&file, "no=such=level").unwrap();
    says("this is no log level").await;
    // A mounted ConfigMap that is deleted takes its file with it.
    fs::remove_file(&file).unwrap();
    says("log level changed").await;
}
