//! The alert rules and their tests, from a table. Each row says what it means, what to do, and which samples make it fire.

mod table;

use serde_json::{Map, Value, json};

pub(super) use table::ALERTS;

/// How soon somebody has to look.
#[derive(Clone, Copy)]
pub(super) enum Severity {
    /// Now.
    Critical,
    /// Today.
    Warning,
    /// Some time.
    Info,
}

/// A series of samples, one a minute, in promtool's notation.
type Series = (&'static str, &'static str);

/// An alert.
pub(super) struct Alert {
    /// The name.
    pub(super) name: &'static str,
    severity: Severity,
    /// The expression.
    expr: &'static str,
    /// How long it has to hold; empty for not at all.
    holds: &'static str,
    /// Which object, and what is with it, in one line.
    summary: &'static str,
    /// What it means.
    pub(super) means: &'static str,
    /// What to do.
    pub(super) action: &'static str,
    /// When it has held long enough.
    after: &'static str,
    /// Samples that make it fire.
    fires: &'static [Series],
    /// The labels that the alert has then, besides its severity.
    labels: &'static [(&'static str, &'static str)],
    /// Samples that do not, although they are near.
    rests: &'static [Series],
}

impl Alert {
    /// The rule.
    pub(super) fn rule(&self) -> Value {
        let mut rule = json!({
            "alert": self.name,
            "expr": self.expr,
            "labels": {"severity": self.severity()},
            "annotations": self.annotations(self.summary),
        });
        if let Some(rule) = rule.as_object_mut().filter(|_| !self.holds.is_empty()) {
            rule.insert("for".to_owned(), json!(self.holds));
        }
        rule
    }

    fn severity(&self) -> &'static str {
        match self.severity {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }

    fn annotations(&self, summary: &str) -> Value {
        json!({"summary": summary, "description": self.means, "action": self.action})
    }

    /// The last minute in which it must not fire, although its samples are there from the beginning.
    fn too_early(&self) -> String {
        let (number, unit) = self.holds.split_at(self.holds.len().saturating_sub(1));
        let minutes = match unit {
            "m" => 1,
            "h" => 60,
            "d" => 1440,
            _ => 0,
        };
        format!("{}m", (number.parse().unwrap_or(0) * minutes).max(1_u32) - 1)
    }

    /// The alert as promtool expects it.
    fn expected(&self) -> Value {
        let mut labels = Map::from_iter([("severity".to_owned(), json!(self.severity()))]);
        let mut summary = self.summary.replace("{{ $value }}", value(self.fires));
        for (label, text) in self.labels {
            labels.insert((*label).to_owned(), json!(text));
            summary = summary.replace(&format!("{{{{ $labels.{label} }}}}"), text);
        }
        json!({"exp_labels": labels, "exp_annotations": self.annotations(&summary)})
    }
}

/// The value that a message may show: the examples have one that does not change, summed up over the replicas.
fn value(series: &[Series]) -> &'static str {
    let constant = |series: &Series| series.1.split(['x', '+', ' ']).next().and_then(|value| value.parse::<u32>().ok());
    match series.iter().filter_map(constant).sum() {
        1 => "1",
        2 => "2",
        3 => "3",
        _ => "0",
    }
}

/// For each alert: it fires after its time and not before, and it does not fire when something similar happens.
pub(super) fn tests() -> Value {
    let input = |series: &[Series]| -> Vec<Value> {
        series.iter().map(|(series, values)| json!({"series": series, "values": values})).collect()
    };
    let tests = ALERTS.iter().flat_map(|alert| {
        let at =
            |time: &str, alerts: Vec<Value>| json!({"eval_time": time, "alertname": alert.name, "exp_alerts": alerts});
        let fires = [at(&alert.too_early(), Vec::new()), at(alert.after, vec![alert.expected()])];
        [
            json!({
                "name": format!("{} fires", alert.name),
                "interval": "1m",
                "input_series": input(alert.fires),
                "alert_rule_test": fires,
            }),
            json!({
                "name": format!("{} does not fire", alert.name),
                "interval": "1m",
                "input_series": input(alert.rests),
                "alert_rule_test": [at(alert.after, Vec::new())],
            }),
        ]
    });
    json!({
        "rule_files": ["../../manifests/monitoring/rules.yaml"],
        "evaluation_interval": "1m",
        "tests": tests.collect::<Vec<_>>(),
    })
}
