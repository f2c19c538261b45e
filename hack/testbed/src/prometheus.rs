//! A real Prometheus, which reads the metrics of operators each second.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Operator,
    cluster::free_ports,
    fetch, parts,
    process::{POLL, Process},
};

/// A running Prometheus. Dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    url: String,
    since: Timestamp,
    process: Process,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts it; the operators have to listen already.
    pub async fn start(operators: &[&Operator]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut targets = Vec::new();
        for operator in operators {
            targets.push(operator.http_address().context("an operator has not said where it listens")?.to_string());
        }
        // As README and ServiceMonitor say: the namespace of a metric is that of its object.
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{
                "job_name": "operators",
                "honor_labels": true,
                "static_configs": [{"targets": targets}],
            }],
        });
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

    /// Every series that a query had since the start, in the form of Prometheus' API: a `metric` with `values`.
    pub async fn seen(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let (start, end) = (self.since.as_second(), Timestamp::now().as_second() + 1);
        let url = format!("{}/api/v1/query_range?query={query}&start={start}&end={end}&step=1", self.url);
        let (code, text) = fetch::get(&url).await?;
        if code != 200 {
            bail!("{code}: {text}");
        }
        let answer: Value = serde_json::from_str(&text)?;
        Ok(answer.pointer("/data/result").and_then(Value::as_array).context("no result")?.clone())
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
