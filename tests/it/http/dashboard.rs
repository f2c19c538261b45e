//! What the dashboard shows, asked of a real Prometheus.

use api::{step::StepName, version::StepState};
use serde_json::{Value, json};
use testbed::{Prometheus, perses};

use super::{keystone_upgrade, update_with_an_error};
use crate::support::SOON;

/// The panels of the dashboard.
fn panels() -> Vec<Value> {
    perses::dashboard().unwrap()["panels"].as_array().unwrap().clone()
}

/// The queries of a panel, with every namespace chosen.
fn queries(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().unwrap().iter();
    targets.map(|target| target["expr"].as_str().unwrap().replace("$namespace", ".*")).collect()
}

/// The panel of that title.
fn titled<'a>(panels: &'a [Value], title: &str) -> &'a Value {
    panels.iter().find(|panel| panel["title"] == title).unwrap_or_else(|| panic!("no panel {title:?}"))
}

/// The values of a series, oldest first.
fn values(series: &Value) -> Vec<&str> {
    series["values"].as_array().unwrap().iter().map(|pair| pair[1].as_str().unwrap()).collect()
}

/// What the timeline of steps shows of a step, in the words of the panel.
async fn timeline(prometheus: &Prometheus, panels: &[Value], step: StepName) -> Vec<String> {
    let panel = titled(panels, "Running updates: steps");
    let targets = panel["targets"].as_array().unwrap();
    let target = targets.iter().position(|target| target["legendFormat"] == format!("{{{{namespace}}}} {step}"));
    let series = prometheus.seen(&queries(panel)[target.unwrap()]).await.unwrap();
    assert_eq!(series.len(), 1, "one row for each cloud: {series:?}");
    let words = &panel["fieldConfig"]["defaults"]["mappings"][0]["options"];
    let word = |value: &&str| words[*value]["text"].as_str().unwrap().to_owned();
    let mut shown: Vec<_> = values(&series[0]).iter().map(word).collect();
    shown.dedup();
    shown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_shows_something_while_a_cloud_and_a_keystone_are_upgraded() {
    let panels = panels();
    let (cloud, _proxy, _) = update_with_an_error().await;
    let (scene, _) = keystone_upgrade().await;
    let prometheus = Prometheus::start(&[&cloud.operator, &scene.operator]).await.unwrap();
    let not_ready = queries(titled(&panels, "Services that are not ready"));
    cloud.expect("what is not ready", prometheus.all_seen(&not_ready, SOON).await);
    cloud.patch_version(json!({"spec": {"update": {"holdAfter": "mariadb"}}})).await.unwrap();
    cloud.actors.release("Galera", "openstack");
    cloud.step(StepName::Memcached, StepState::Held).await;

    let all: Vec<_> = panels.iter().flat_map(queries).collect();
    assert!(all.len() > panels.len(), "more than one query for some");
    cloud.expect("something in each panel", prometheus.all_seen(&all, SOON).await);

    let done = queries(titled(&panels, "Running updates: part of the steps that is done"));
    let done = prometheus.seen(&done[0]).await.unwrap();
    let parts: Vec<f64> = values(&done[0]).iter().map(|value| value.parse().unwrap()).collect();
    assert!(parts.is_sorted() && parts.iter().all(|part| (0.0..1.0).contains(part)), "it grows: {parts:?}");
    assert!(parts.first() < parts.last(), "it grew: {parts:?}");
    assert_eq!(timeline(&prometheus, &panels, StepName::Rabbitmq).await, ["Done"]);
    assert_eq!(timeline(&prometheus, &panels, StepName::Mariadb).await, ["Running", "Done"]);
    assert_eq!(timeline(&prometheus, &panels, StepName::Memcached).await, ["Pending", "Held"]);
    assert_eq!(timeline(&prometheus, &panels, StepName::Dataplane).await, ["Pending"]);
}
