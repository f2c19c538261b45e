//! A real Prometheus, which reads the metrics of operators each second.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Node, Operator,
    cluster::free_ports,
    fetch, parts,
    process::{POLL, Process},
};

/// How often metrics are read.
const INTERVAL: &str = "1s";

/// A running Prometheus. Dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    url: String,
    since: Timestamp,
    process: Process,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts it for operators that are processes; they have to listen already.
    pub async fn start(operators: &[&Operator]) -> anyhow::Result<Self> {
        let mut targets = Vec::new();
        for operator in operators {
            targets.push(operator.http_address().context("an operator has not said where it listens")?.to_string());
        }
        // As README and ServiceMonitor say: the namespace of a metric is that of its object.
        let read = json!({"job_name": "operators", "honor_labels": true, "static_configs": [{"targets": targets}]});
        Self::run(&json!([read])).await
    }

    /// Starts it for the pods of the operator in a cluster, with the file that the README gives for that.
    pub async fn of_cluster(node: &Node) -> anyhow::Result<Self> {
        let text = fs::read_to_string(crate::root().join("manifests/monitoring/scrape.yaml"))?;
        let mut file: Value = serde_yaml::from_str(&text)?;
        // A person watches an update that takes minutes, from outside of the cluster.
        set(&mut file, "/scrape_configs/0", "scrape_interval", json!(INTERVAL))?;
        let account = json!(node.kubeconfig());
        set(&mut file, "/scrape_configs/0/kubernetes_sd_configs/0", "kubeconfig_file", account)?;
        Self::run(file.get("scrape_configs").context("no scrape_configs")?).await
    }

    async fn run(read: &Value) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let config =
            json!({"global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL}, "scrape_configs": read});
        let file = directory.path().join("prometheus.yaml");
        fs::write(&file, serde_yaml::to_string(&config)?)?;
        let [port] = free_ports()?;
        let args = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", directory.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let program = parts::metrics().await?.join("prometheus");
        let process = Process::spawn("prometheus", &directory.path().join("log"), &program, args, [])?;
        let url = format!("http://127.0.0.1:{port}");
        Ok(Self { url, since: Timestamp::now(), process, _directory: directory })
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every series that a query had since the start.
    pub async fn seen(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        range(&self.url, query, self.since).await
    }

    /// Asks until every query has had a series; there is nothing to watch. The error names the queries that have had none.
    pub async fn all_seen(&self, queries: &[String], timeout: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let mut missing = Vec::new();
            for query in queries {
                match self.seen(query).await {
                    Ok(series) if !series.is_empty() => {}
                    Ok(_) => missing.push(format!("{query}: nothing")),
                    Err(error) => missing.push(format!("{query}: {error:#}")),
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            if start.elapsed() > timeout {
                bail!("after {timeout:?}: {}\n{}", missing.join("\n"), self.process.log_tail(10));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Every series that a query has had, in the form of Prometheus' API: a `metric` with `values`.
pub async fn range(url: &str, query: &str, since: Timestamp) -> anyhow::Result<Vec<Value>> {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let (start, end) = (since.as_second(), Timestamp::now().as_second() + 1);
    let (code, text) =
        fetch::get(&format!("{url}/api/v1/query_range?query={query}&start={start}&end={end}&step=1")).await?;
    ensure!(code == 200, "{code}: {text}");
    let answer: Value = serde_json::from_str(&text)?;
    Ok(answer.pointer("/data/result").and_then(Value::as_array).context("no result")?.clone())
}

/// Sets a field of the object at a JSON pointer, which has to be there.
fn set(value: &mut Value, pointer: &str, field: &str, to: Value) -> anyhow::Result<()> {
    let object = value.pointer_mut(pointer).and_then(Value::as_object_mut);
    object.with_context(|| format!("no object at {pointer:?}"))?.insert(field.to_owned(), to);
    Ok(())
}
