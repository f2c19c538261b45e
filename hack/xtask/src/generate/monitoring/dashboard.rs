//! The Grafana dashboard: a table of panels.

use serde_json::{Value, json};

use super::super::{NAMESPACE, OPERATOR};

/// A panel, half of a row wide.
struct Panel {
    title: &'static str,
    /// Grafana's name of the kind of panel.
    kind: &'static str,
    expr: &'static str,
    legend: &'static str,
    unit: &'static str,
}

const PANELS: &[Panel] = &[
    Panel {
        title: "Clouds by state",
        kind: "stat",
        expr: "count by (state) (max by (namespace, name, state) (openstack_release_version_state))",
        legend: "{{state}}",
        unit: "short",
    },
    Panel {
        title: "Step of each running update",
        kind: "timeseries",
        expr: "max by (namespace, step) (openstack_release_update_step_seconds)",
        legend: "{{namespace}} {{step}}",
        unit: "s",
    },
    Panel {
        title: "Steps that wait, are held or are stalled",
        kind: "table",
        expr: "max by (namespace, name, step, state) (openstack_release_update_step_state{state=~\"Waiting|Held|Stalled\"})",
        legend: "",
        unit: "short",
    },
    Panel {
        title: "Services that are not ready",
        kind: "table",
        expr: "max by (namespace, service, state) (openstack_release_service_state{state=~\"NotReady|Blocked\"})",
        legend: "",
        unit: "short",
    },
    Panel {
        title: "Conditions that are False",
        kind: "table",
        expr: "max by (kind, namespace, name, type) (openstack_release_condition{status=\"False\"})",
        legend: "",
        unit: "short",
    },
    Panel {
        title: "Keystone: phase",
        kind: "table",
        expr: "max by (namespace, name, phase) (openstack_release_keystone_phase)",
        legend: "",
        unit: "short",
    },
    Panel {
        title: "Keystone: pods that serve",
        kind: "timeseries",
        expr: "max by (namespace, name) (openstack_release_keystone_ready_replicas)",
        legend: "{{namespace}}/{{name}}",
        unit: "short",
    },
    Panel {
        title: "Keystone: age of keys",
        kind: "timeseries",
        expr: "max by (namespace, name, keys) (openstack_release_keystone_keys_age_seconds)",
        legend: "{{namespace}}/{{name}} {{keys}}",
        unit: "s",
    },
    Panel {
        title: "Keystone: pods without the published keys",
        kind: "timeseries",
        expr: "max by (namespace, name, keys) (openstack_release_keystone_keys_lagging_pods)",
        legend: "{{namespace}}/{{name}} {{keys}}",
        unit: "short",
    },
    Panel {
        title: "Operator: replica that leads",
        kind: "timeseries",
        expr: "openstack_release_operator_leader",
        legend: "{{pod}}",
        unit: "short",
    },
    Panel {
        title: "Operator: passes",
        kind: "timeseries",
        expr: "sum by (controller) (rate(openstack_release_operator_pass_duration_seconds_count[5m]))",
        legend: "{{controller}}",
        unit: "ops",
    },
    Panel {
        title: "Operator: 99th percentile of a pass",
        kind: "timeseries",
        expr: "histogram_quantile(0.99, sum by (controller, le) (rate(openstack_release_operator_pass_duration_seconds_bucket[5m])))",
        legend: "{{controller}}",
        unit: "s",
    },
    Panel {
        title: "Operator: writes",
        kind: "timeseries",
        expr: "sum by (kind, verb) (rate(openstack_release_operator_writes_total[5m]))",
        legend: "{{verb}} {{kind}}",
        unit: "ops",
    },
    Panel {
        title: "Operator: writes that fail, watches that fail",
        kind: "timeseries",
        expr: "sum by (kind, reason) (rate(openstack_release_operator_api_errors_total[5m])) or \
               sum by (kind) (rate(openstack_release_operator_watch_failures_total[5m]))",
        legend: "{{kind}} {{reason}}",
        unit: "ops",
    },
];

fn panel((number, panel): (usize, &Panel)) -> Value {
    let target = json!({
        "refId": "A",
        "expr": panel.expr,
        "legendFormat": panel.legend,
        "instant": panel.kind == "table",
        "format": if panel.kind == "table" { "table" } else { "time_series" },
    });
    json!({
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {"h": 8, "w": 12, "x": number % 2 * 12, "y": number / 2 * 8},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [target],
    })
}

pub(super) fn config_map() -> anyhow::Result<Value> {
    let source = json!({"name": "datasource", "type": "datasource", "query": "prometheus"});
    let dashboard = json!({
        "title": "OpenStack releases",
        "uid": OPERATOR,
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": [source]},
        "annotations": {"list": []},
        "panels": PANELS.iter().enumerate().map(panel).collect::<Vec<_>>(),
    });
    Ok(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": format!("{OPERATOR}-dashboard"),
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/name": OPERATOR, "grafana_dashboard": "1"},
        },
        "data": {"openstack-releases.json": serde_json::to_string_pretty(&dashboard)? + "\n"},
    }))
}
