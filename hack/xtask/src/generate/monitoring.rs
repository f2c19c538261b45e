//! `manifests/monitoring/`: for clusters with Prometheus; nothing else needs it. The alert rules are a table, and so are
//! the panels of the dashboard.

mod alerts;
mod dashboard;

use openstack_release_operator::metrics;
use serde_json::{Value, json};

use super::{Files, NAMESPACE, OPERATOR, with, yaml};
use alerts::{ALERTS, Alert};

/// What `promtool test rules` runs.
const TESTS: &str = "tests/monitoring/rules.yaml";

/// How often metrics are read.
const INTERVAL: &str = "30s";
/// The port's name.
const PORT: &str = "http";

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
        (
            "monitoring/scrape.yaml".to_owned(),
            yaml("What a Prometheus without its operator reads: a file of `scrape_config_files`.", &[scrape()])?,
        ),
        ("monitoring/prometheusrule.yaml".to_owned(), yaml("", &[rule])?),
        ("monitoring/servicemonitor.yaml".to_owned(), yaml("", &[service_monitor()])?),
        (
            "monitoring/dashboard.yaml".to_owned(),
            yaml("Grafana's sidecar finds it by its label.", &[dashboard::config_map()?])?,
        ),
    ]))
}

/// Each pod behind the Service, by its name: the Service itself answers with one of them.
fn scrape() -> Value {
    let label = |source: &str, more: Value| with(json!({"source_labels": [source]}), more);
    json!({"scrape_configs": [{
        "job_name": OPERATOR,
        "scrape_interval": INTERVAL,
        "honor_labels": true,
        "kubernetes_sd_configs": [{"role": "endpointslice", "namespaces": {"names": [NAMESPACE]}}],
        "relabel_configs": [
            label("__meta_kubernetes_service_label_app_kubernetes_io_name", json!({"action": "keep", "regex": OPERATOR})),
            label("__meta_kubernetes_endpointslice_port_name", json!({"action": "keep", "regex": PORT})),
            label("__meta_kubernetes_pod_name", json!({"target_label": "pod"})),
            label("__meta_kubernetes_namespace", json!({"target_label": "namespace"})),
        ],
    }]})
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
        "endpoints": [{"port": PORT, "path": "/metrics", "interval": INTERVAL, "honorLabels": true}],
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
