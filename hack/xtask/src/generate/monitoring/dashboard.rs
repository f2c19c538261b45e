//! The Grafana dashboard: a table of panels.

use api::{step::StepName, version::StepState};
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;

use super::super::{NAMESPACE, OPERATOR, with};

/// What Grafana divides the width of a dashboard into.
const COLUMNS: u64 = 24;
/// How high a panel is, in Grafana's rows.
const HEIGHT: u64 = 8;

/// A panel.
struct Panel {
    title: &'static str,
    look: Look,
    shows: Shows,
    /// Grafana's name of the unit.
    unit: &'static str,
}

/// How a panel looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// One bar from 0 to 1 for each series, with its name.
    Bars,
    /// Lines over time.
    Lines,
    /// One row for each series, by its labels.
    Table,
    /// A row of colours over time for each series; as wide as the dashboard.
    Timeline,
}

impl Look {
    /// Grafana's name of it.
    fn name(self) -> &'static str {
        match self {
            Self::Bars => "bargauge",
            Self::Lines => "timeseries",
            Self::Table => "table",
            Self::Timeline => "status-history",
        }
    }

    /// Whether it shows what is now. Asked over time, what is over would still stand there with its last value.
    fn is_instant(self) -> bool {
        matches!(self, Self::Bars | Self::Table)
    }

    fn width(self) -> u64 {
        if self == Self::Timeline { COLUMNS } else { COLUMNS / 2 }
    }
}

/// What a panel shows. `$namespace` is what is chosen at the top of the dashboard.
enum Shows {
    /// One query, and the name of its series.
    Query(&'static str, &'static str),
    /// The state of each step of each running update, in their order.
    Steps,
}

const PANELS: &[Panel] = &[
    Panel {
        title: "Clouds",
        look: Look::Table,
        shows: Shows::Query(
            "max by (namespace, name, state) (openstack_release_version_state{namespace=~\"$namespace\"})",
            "",
        ),
        unit: "short",
    },
    Panel {
        title: "Running updates: part of the steps that is done",
        look: Look::Bars,
        // Series of steps that are not done come in by the right side, as 0.
        shows: Shows::Query(
            "avg by (namespace) (max by (namespace, step) (\
             openstack_release_update_step_state{namespace=~\"$namespace\",state=~\"Done|NotNeeded\"} or \
             0 * openstack_release_update_step_state{namespace=~\"$namespace\"}))",
            "{{namespace}}",
        ),
        unit: "percentunit",
    },
    Panel { title: "Running updates: steps", look: Look::Timeline, shows: Shows::Steps, unit: "short" },
    Panel {
        title: "Running updates: time in the present step",
        look: Look::Lines,
        shows: Shows::Query(
            "max by (namespace, step) (openstack_release_update_step_seconds{namespace=~\"$namespace\"})",
            "{{namespace}} {{step}}",
        ),
        unit: "s",
    },
    Panel {
        title: "Steps that wait, are held or are stalled",
        look: Look::Table,
        shows: Shows::Query(
            "max by (namespace, name, step, state) (\
             openstack_release_update_step_state{namespace=~\"$namespace\",state=~\"Waiting|Held|Stalled\"})",
            "",
        ),
        unit: "short",
    },
    Panel {
        title: "Services that are not ready",
        look: Look::Table,
        shows: Shows::Query(
            "max by (namespace, service, state) (\
             openstack_release_service_state{namespace=~\"$namespace\",state=~\"NotReady|Blocked\"})",
            "",
        ),
        unit: "short",
    },
    Panel {
        title: "Conditions that are not well",
        look: Look::Table,
        shows: Shows::Query(
            "max by (kind, namespace, name, type) (\
             openstack_release_condition{namespace=~\"$namespace\",status=\"False\",severity!=\"None\"} or \
             openstack_release_condition{namespace=~\"$namespace\",type=\"Degraded\",status=\"True\"})",
            "",
        ),
        unit: "short",
    },
    Panel {
        title: "Keystone: phase",
        look: Look::Table,
        shows: Shows::Query(
            "max by (namespace, name, phase) (openstack_release_keystone_phase{namespace=~\"$namespace\"})",
            "",
        ),
        unit: "short",
    },
    Panel {
        title: "Keystone: time in the present step of an upgrade",
        look: Look::Lines,
        shows: Shows::Query(
            "max by (namespace, name, step) (openstack_release_keystone_step_seconds{namespace=~\"$namespace\"})",
            "{{namespace}}/{{name}} {{step}}",
        ),
        unit: "s",
    },
    Panel {
        title: "Keystone: pods that serve",
        look: Look::Lines,
        shows: Shows::Query(
            "max by (namespace, name) (openstack_release_keystone_ready_replicas{namespace=~\"$namespace\"})",
            "{{namespace}}/{{name}}",
        ),
        unit: "short",
    },
    Panel {
        title: "Keystone: age of keys",
        look: Look::Lines,
        shows: Shows::Query(
            "max by (namespace, name, keys) (openstack_release_keystone_keys_age_seconds{namespace=~\"$namespace\"})",
            "{{namespace}}/{{name}} {{keys}}",
        ),
        unit: "s",
    },
    Panel {
        title: "Keystone: pods without the published keys",
        look: Look::Lines,
        shows: Shows::Query(
            "max by (namespace, name, keys) (openstack_release_keystone_keys_lagging_pods{namespace=~\"$namespace\"})",
            "{{namespace}}/{{name}} {{keys}}",
        ),
        unit: "short",
    },
    Panel {
        title: "Operator: replica that leads",
        look: Look::Lines,
        shows: Shows::Query("openstack_release_operator_leader", "{{pod}}"),
        unit: "short",
    },
    Panel {
        title: "Operator: passes",
        look: Look::Lines,
        shows: Shows::Query(
            "sum by (controller) (rate(openstack_release_operator_pass_duration_seconds_count[5m]))",
            "{{controller}}",
        ),
        unit: "ops",
    },
    Panel {
        title: "Operator: 99th percentile of a pass",
        look: Look::Lines,
        shows: Shows::Query(
            "histogram_quantile(0.99, sum by (controller, le) (\
             rate(openstack_release_operator_pass_duration_seconds_bucket[5m])))",
            "{{controller}}",
        ),
        unit: "s",
    },
    Panel {
        title: "Operator: writes",
        look: Look::Lines,
        shows: Shows::Query(
            "sum by (kind, verb) (rate(openstack_release_operator_writes_total[5m]))",
            "{{verb}} {{kind}}",
        ),
        unit: "ops",
    },
    Panel {
        title: "Operator: writes that fail, watches that fail",
        look: Look::Lines,
        shows: Shows::Query(
            "sum by (kind, reason) (rate(openstack_release_operator_api_errors_total[5m])) or \
             sum by (kind) (rate(openstack_release_operator_watch_failures_total[5m]))",
            "{{kind}} {{reason}}",
        ),
        unit: "ops",
    },
];

/// The colour of a state of a step, in Grafana's words.
fn colour(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "text",
        StepState::NotNeeded => "semi-dark-green",
        StepState::Done => "green",
        StepState::Running => "blue",
        StepState::Held => "yellow",
        StepState::Waiting => "orange",
        StepState::Stalled => "red",
    }
}

/// A state as the number that a timeline is drawn from.
fn number(state: StepState) -> u8 {
    state as u8
}

/// The state of one step as that number. A target for each step: so they stand in the order in which they happen.
fn step(step: StepName) -> (String, String) {
    let one = |state: StepState| {
        let labels = format!("namespace=~\"$namespace\",step=\"{step}\",state=\"{state}\"");
        format!("{} * openstack_release_update_step_state{{{labels}}}", number(state))
    };
    let states: Vec<_> = StepState::iter().map(one).collect();
    (format!("max by (namespace) ({})", states.join(" or ")), format!("{{{{namespace}}}} {step}"))
}

impl Panel {
    /// Each query with the name of its series.
    fn queries(&self) -> Vec<(String, String)> {
        match self.shows {
            Shows::Query(expr, legend) => vec![(expr.to_owned(), legend.to_owned())],
            Shows::Steps => StepName::iter().map(step).collect(),
        }
    }

    fn targets(&self) -> Vec<Value> {
        let target = |(letter, (expr, legend)): (char, (String, String))| {
            json!({
                "refId": letter,
                "expr": expr,
                "legendFormat": legend,
                "instant": self.look.is_instant(),
                "range": !self.look.is_instant(),
                "format": if self.look == Look::Table { "table" } else { "time_series" },
            })
        };
        ('A'..).zip(self.queries()).map(target).collect()
    }

    /// What its values mean.
    fn defaults(&self) -> Value {
        let more = match self.look {
            Look::Bars => json!({"min": 0, "max": 1}),
            Look::Timeline => json!({"mappings": [{"type": "value", "options": texts()}]}),
            Look::Lines | Look::Table => json!({}),
        };
        with(json!({"unit": self.unit}), more)
    }

    fn json(&self, id: usize, (x, y): (u64, u64)) -> Value {
        let panel = json!({
            "id": id,
            "title": self.title,
            "type": self.look.name(),
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "gridPos": {"h": HEIGHT, "w": self.look.width(), "x": x, "y": y},
            "fieldConfig": {"defaults": self.defaults(), "overrides": []},
            "targets": self.targets(),
        });
        if self.look != Look::Table {
            return panel;
        }
        // The labels say it all: when it was asked and the 1 are no news.
        let hidden = json!({"excludeByName": {"Time": true, "Value": true}});
        with(panel, json!({"transformations": [{"id": "organize", "options": hidden}]}))
    }
}

/// The word and the colour of each number of a timeline.
fn texts() -> serde_json::Map<String, Value> {
    let text = |state: StepState| {
        let number = number(state);
        (number.to_string(), json!({"text": state.to_string(), "color": colour(state), "index": number}))
    };
    StepState::iter().map(text).collect()
}

/// The panels, row by row.
fn panels() -> Vec<Value> {
    let (mut x, mut y) = (0, 0);
    let place = |(number, panel): (usize, &Panel)| {
        if x + panel.look.width() > COLUMNS {
            (x, y) = (0, y + HEIGHT);
        }
        let placed = panel.json(number + 1, (x, y));
        x += panel.look.width();
        placed
    };
    PANELS.iter().enumerate().map(place).collect()
}

/// What is chosen at the top: where the metrics are, and the namespaces; all at first.
fn variables() -> Value {
    let namespaces = "label_values(openstack_release_condition, namespace)";
    json!([
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        {
            "name": "namespace",
            "type": "query",
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "definition": namespaces,
            "query": {"query": namespaces, "refId": "namespace"},
            "refresh": 2,
            "sort": 1,
            "multi": true,
            "includeAll": true,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        },
    ])
}

pub(super) fn config_map() -> anyhow::Result<Value> {
    let dashboard = json!({
        "title": "OpenStack releases",
        "uid": OPERATOR,
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": variables()},
        "annotations": {"list": []},
        "panels": panels(),
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
