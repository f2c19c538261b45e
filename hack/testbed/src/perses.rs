//! A real Perses, which shows the dashboard to a person.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Prometheus, fetch,
    fixtures::merge,
    parts,
    process::{POLL, Process},
};

/// How long it may take to start, and to read its schemas.
const SOON: Duration = Duration::from_secs(60);

/// What its objects belong to.
const PROJECT: &str = "openstack";

/// A running Perses. Dropping it kills it.
#[derive(Debug)]
pub struct Perses {
    url: String,
    process: Process,
    _directory: TempDir,
}

impl Perses {
    /// Starts it on a port, and lets it read that Prometheus.
    pub async fn start(port: u16, prometheus: &Prometheus) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let parts = parts::perses().await?;
        let schemas = |kind: &str| parts.join("cue/schemas").join(kind);
        let config = json!({
            // Otherwise it looks for the path in small letters.
            "database": {"file": {"folder": directory.path().join("data"), "extension": "json", "case_sensitive": true}},
            "schemas": {
                "panels_path": schemas("panels"),
                "queries_path": schemas("queries"),
                "datasources_path": schemas("datasources"),
                "variables_path": schemas("variables"),
            },
        });
        let file = directory.path().join("perses.yaml");
        fs::write(&file, serde_yaml::to_string(&config)?)?;
        let args = [format!("--config={}", file.display()), format!("--web.listen-address=127.0.0.1:{port}")];
        let process = Process::spawn("perses", &directory.path().join("log"), &parts.join("perses"), args, [])?;
        let mut perses = Self { url: format!("http://127.0.0.1:{port}"), process, _directory: directory };
        let project = json!({"kind": "Project", "metadata": {"name": PROJECT}, "spec": {}});
        perses.soon("projects", &project).await?;
        perses.soon("globaldatasources", &datasource(prometheus)).await?;
        Ok(perses)
    }

    /// Shows a dashboard of Grafana; the answer is where.
    pub async fn show(&mut self, mut grafana: Value) -> anyhow::Result<String> {
        // There is one source of data.
        if let Some(variables) = grafana.pointer_mut("/templating/list").and_then(Value::as_array_mut) {
            variables.retain(|variable| variable.get("type").is_none_or(|kind| kind != "datasource"));
        }
        let asked = json!({"grafanaDashboard": grafana});
        let mut dashboard = fetch::post(&format!("{}/api/migrate", self.url), &asked).await?;
        let name = grafana.get("uid").and_then(Value::as_str).context("a dashboard without a uid")?;
        // An update of the demonstration is over in minutes.
        let ours = json!({
            "metadata": {"name": name, "project": PROJECT},
            "spec": {"duration": "5m", "refreshInterval": "5s"},
        });
        merge(&mut dashboard, ours);
        self.soon(&format!("projects/{PROJECT}/dashboards"), &dashboard).await?;
        Ok(format!("{}/projects/{PROJECT}/dashboards/{name}", self.url))
    }

    /// Creates an object, as soon as it answers; there is nothing to watch.
    async fn soon(&mut self, kind: &str, object: &Value) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            match fetch::post(&format!("{}/api/v1/{kind}", self.url), object).await {
                Ok(_) => return Ok(()),
                Err(error) if start.elapsed() > SOON || self.process.exited()?.is_some() => {
                    return Err(error).context(self.process.log_tail(10));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// The dashboard of `manifests/monitoring/`, in Grafana's form.
pub fn dashboard() -> anyhow::Result<Value> {
    let text = fs::read_to_string(crate::root().join("manifests/monitoring/dashboard.yaml"))?;
    let config_map: Value = serde_yaml::from_str(&text)?;
    let dashboard = config_map.pointer("/data/openstack-releases.json").and_then(Value::as_str);
    Ok(serde_json::from_str(dashboard.context("no dashboard in its ConfigMap")?)?)
}

fn datasource(prometheus: &Prometheus) -> Value {
    let spec = json!({"scrapeInterval": "5s", "proxy": {"kind": "HTTPProxy", "spec": {"url": prometheus.url()}}});
    json!({
        "kind": "GlobalDatasource",
        "metadata": {"name": "prometheus"},
        "spec": {"default": true, "plugin": {"kind": "PrometheusDatasource", "spec": spec}},
    })
}
