//! `manifests/monitoring/`: for clusters with Prometheus; nothing else needs it. The alert rules are a table, and so are
//! the panels of the dashboard.

mod alerts;
mod dashboard;

use openstack_release_operator::metrics;
use serde_json::{Value, json};

use super::{Files, NAMESPACE, OPERATOR, yaml};
use alerts::{ALERTS, Alert};

/// What `promtool test rules` runs.
const TESTS: &str = "tests/monitoring/rules.yaml";

const ABOUT: &str = "`kubectl apply -k manifests/monitoring`, where the CRDs of the Prometheus operator are installed.";

pub(super) fn files() -> anyhow::Result<Files> {
    let groups = json!({"groups": [{"name": OPERATOR, "rules": ALERTS.iter().map(Alert::rule).collect::<Vec<_>>()}]});
    let resources = ["dashboard.yaml", "prometheusrule.yaml", "servicemonitor.yaml"];
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    });
    let rule = object("monitoring.coreos.com/v1", "PrometheusRule", &groups);
    Ok(Files::from([
        ("monitoring/kustomization.yaml".to_owned(), yaml(ABOUT, &[kustomization])?),
        (
            "monitoring/rules.yaml".to_owned(),
            yaml("The rules alone, for a Prometheus without its operator.", &[groups])?,
        ),
        ("monitoring/prometheusrule.yaml".to_owned(), yaml("", &[rule])?),
        ("monitoring/servicemonitor.yaml".to_owned(), yaml("", &[service_monitor()])?),
        (
            "monitoring/dashboard.yaml".to_owned(),
            yaml("Grafana's sidecar finds it by its label.", &[dashboard::config_map()?])?,
        ),
    ]))
}

/// The tests of the rules.
pub(super) fn tests() -> anyhow::Result<Files> {
    let about = "`promtool test rules`: each alert fires when it should, and only then.";
    Ok(Files::from([(TESTS.to_owned(), yaml(about, &[alerts::tests()])?)]))
}

fn object(api_version: &str, kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/name": OPERATOR}},
        "spec": spec,
    })
}

fn service_monitor() -> Value {
    let spec = json!({
        "selector": {"matchLabels": {"app.kubernetes.io/name": OPERATOR}},
        // The namespace of a metric is that of its object.
        "endpoints": [{"port": "http", "path": "/metrics", "interval": "30s", "honorLabels": true}],
    });
    object("monitoring.coreos.com/v1", "ServiceMonitor", &spec)
}

/// The table of metrics, for the README.
pub(super) fn metrics_table() -> String {
    let mut rows = vec!["| metric | labels | says |\n|---|---|---|".to_owned()];
    for row in metrics::rows() {
        let object = if row.object { "namespace, name" } else { "" };
        let labels: Vec<&str> =
            [object].into_iter().chain(row.labels.iter().copied()).filter(|l| !l.is_empty()).collect();
        rows.push(format!("| `{}` | {} | {} |", row.name, labels.join(", "), row.help));
    }
    rows.join("\n") + "\n"
}

/// The table of alerts, for the README.
pub(super) fn alerts_table() -> String {
    let mut rows = vec!["| alert | means | do |\n|---|---|---|".to_owned()];
    rows.extend(ALERTS.iter().map(|alert| format!("| `{}` | {} | {} |", alert.name, alert.means, alert.action)));
    rows.join("\n") + "\n"
}
