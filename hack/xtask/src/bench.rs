//! `cargo xtask bench`: what an update costs, beside the budgets and the peer.
//!
//! Everything is measured on one machine against one API server, whose own work is part of every time: read the table
//! as ratios. The set-up is the one in which the peer was measured: nine service objects in a namespace, service
//! operators that answer in 50 ms.

mod cloud;
mod growth;
mod planning;
mod takeover;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use comfy_table::{Table, presets};
use testbed::{
    Cluster, Operator, Release,
    cluster::{Options as ClusterOptions, User, Write},
    operator,
};

use cloud::Clouds;

/// Measures.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The operator's binary, a release build; by default the one beside this program.
    #[arg(long)]
    operator: Option<PathBuf>,
    /// How many namespaces are installed for the large numbers.
    #[arg(long, default_value_t = 100)]
    namespaces: usize,
    /// How many of them are updated at once.
    #[arg(long, default_value_t = 20)]
    at_once: usize,
    /// Measure instead how cost grows, with these numbers of clouds. 1,000 take a quarter of an hour.
    #[arg(long, value_delimiter = ',', num_args = 0.., default_missing_value = "1,10,100,1000")]
    growth: Option<Vec<usize>>,
}

/// One line of the answer.
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) budget: String,
    pub(crate) peer: String,
}

impl Line {
    fn new(what: &str, ours: String, budget: &str, peer: &str) -> Self {
        Self { what: what.to_owned(), ours, budget: budget.to_owned(), peer: peer.to_owned() }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let table = runtime.block_on(async {
        let mut bench = Bench::start(args).await?;
        let table = match &args.growth {
            Some(sizes) => growth::measure(&mut bench, sizes).await,
            None => measure(&mut bench, args).await.map(table),
        };
        let table = table.with_context(|| bench.operator.log_tail(20))?;
        bench.operator.stop().await?;
        anyhow::Ok(table)
    })?;
    println!("{table}");
    Ok(())
}

fn table(lines: Vec<Line>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["what", "ours", "budget", "the Go peer"]);
    for Line { what, ours, budget, peer } in lines {
        table.add_row([what, ours, budget, peer]);
    }
    table
}

/// How many updates one after the other there are of one cloud.
const ONE_BY_ONE: usize = 7;

/// The least, the median and the greatest of what is sorted.
fn spread<T>(sorted: &[T]) -> Option<(&T, &T, &T)> {
    Some((sorted.first()?, sorted.get(sorted.len() / 2)?, sorted.last()?))
}

fn seconds(duration: &Duration) -> f64 {
    duration.as_secs_f64()
}

/// What one phase cost.
struct Cost {
    wall: Duration,
    cpu: f64,
    /// CPU seconds of the API server, for everybody's requests.
    served: f64,
    writes: usize,
    requests: usize,
}

struct Bench {
    cluster: Cluster,
    operator: Operator,
    clouds: Clouds,
}

async fn measure(bench: &mut Bench, args: &Args) -> anyhow::Result<Vec<Line>> {
    let release = Release::named("1.0.0")?;
    let mut lines = Vec::new();

    eprintln!("one namespace");
    bench.install(1).await?;
    lines.push(Line::new("idle, 1 namespace", bench.memory()?, "25 MiB", "82 MiB"));
    lines.extend(bench.one_by_one(&release).await?);

    eprintln!("{} namespaces", args.namespaces);
    bench.install(args.namespaces).await?;
    let what = format!("idle, {} namespaces", args.namespaces);
    lines.push(Line::new(&what, bench.memory()?, "60 MiB", "171 MiB"));
    bench.become_version(&release.clone().with_version("1.1.0")).await?;
    let twenty = bench.update("1.1.0", args.at_once).await?;
    let what = format!("{} updates at once", args.at_once);
    lines.extend(report(&what, &twenty, "3 s, 2 CPU-s", "900 writes", "10.6 s, 5.0 CPU-s, 914 requests"));
    let peak = bench.operator.usage()?.peak_mib;

    eprintln!("right after a restart");
    bench.operator.restart_with(&release.clone().with_version("1.2.0")).await?;
    // Before that nobody may ask for it.
    bench.available("1.2.0", args.at_once).await?;
    let restarted = bench.update("1.2.0", args.at_once).await?;
    let what = format!("{} at once, right after a restart", args.at_once);
    lines.extend(report(&what, &restarted, "3 s, 2 CPU-s", "900 writes", "62 s, 20.8 CPU-s, 4,624 requests"));
    let what = format!("most memory, {} namespaces, {} updates at once", args.namespaces, args.at_once);
    lines.push(Line::new(&what, format!("{:.0} MiB", peak.max(bench.operator.usage()?.peak_mib)), "-", "-"));

    eprintln!("the leader goes");
    lines.extend(takeover::measure(&bench.cluster, &bench.clouds, &mut bench.operator).await?);
    lines.push(planning::measure()?);
    Ok(lines)
}

impl Bench {
    async fn start(args: &Args) -> anyhow::Result<Self> {
        let cluster = Cluster::start(ClusterOptions { spend_memory: false, ..ClusterOptions::default() }).await?;
        cluster.prepare().await?;
        let home = cluster.namespace("operator").await?;
        // An empty namespace to watch means all of them.
        let binary = crate::operator(args.operator.as_ref())?;
        let options = operator::Options::new(binary, &home, Release::named("1.0.0")?).with_env("WATCH_NAMESPACE", "");
        let operator = Operator::start(&cluster, options)?;
        let clouds = Clouds::new(cluster.client().await?);
        Ok(Self { cluster, operator, clouds })
    }

    /// Installs clouds until there are `count`.
    async fn install(&mut self, count: usize) -> anyhow::Result<()> {
        unless_it_ends(&mut self.operator, self.clouds.install(&self.cluster, count)).await?;
        self.quiet().await
    }

    /// Waits until the operator writes nothing any more: its last Events are on their way when a status is there.
    async fn quiet(&self) -> anyhow::Result<()> {
        let mut before = usize::MAX;
        loop {
            let now = self.cluster.writes(User::Operator)?.len();
            if now == before {
                return Ok(());
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn memory(&self) -> anyhow::Result<String> {
        Ok(format!("{:.0} MiB", self.operator.usage()?.memory_mib))
    }

    /// Updates the first cloud again and again, each time with a new operator: one alone says more about the machine
    /// than about us.
    async fn one_by_one(&mut self, release: &Release) -> anyhow::Result<Vec<Line>> {
        let (mut starts, mut updates) = (Vec::new(), Vec::new());
        for patch in 1..=ONE_BY_ONE {
            let version = format!("1.0.{patch}");
            starts.push(self.start_up(&release.clone().with_version(&version)).await?);
            self.quiet().await?;
            updates.push(self.update(&version, 1).await?);
        }
        starts.sort_unstable();
        let (first, start, last) = spread(&starts).context("no start was measured")?;
        let ours = format!("{:.2} s ({:.2}-{:.2})", seconds(start), seconds(first), seconds(last));
        let mut lines = vec![Line::new("start to first reconcile", ours, "0.2 s", "0.6 s")];
        updates.sort_unstable_by_key(|cost| cost.wall);
        let (first, update, last) = spread(&updates).context("no update was measured")?;
        let what = format!("one update ({:.2}-{:.2} s)", seconds(&first.wall), seconds(&last.wall));
        let peer = "0.5-0.8 s, 0.4 CPU-s, 60 requests";
        lines.extend(report(&what, update, "8 x 50 ms + 0.3 s = 0.7 s", "45 writes", peer));
        Ok(lines)
    }

    /// From the start of the process to its first report.
    async fn start_up(&mut self, release: &Release) -> anyhow::Result<Duration> {
        self.operator.kill().await?;
        let start = Instant::now();
        self.operator.restart_with(release).await?;
        self.available(&release.version, 1).await?;
        Ok(start.elapsed())
    }

    /// Restarts the operator with another bundle; tells how long it took until every cloud showed its version.
    async fn become_version(&mut self, release: &Release) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.operator.restart_with(release).await?;
        self.available(&release.version, self.clouds.count()).await?;
        let took = start.elapsed();
        self.quiet().await?;
        Ok(took)
    }

    /// Waits until the first `count` clouds show the version as available.
    async fn available(&mut self, version: &str, count: usize) -> anyhow::Result<()> {
        unless_it_ends(&mut self.operator, self.clouds.available(version, count)).await
    }

    async fn update(&mut self, version: &str, count: usize) -> anyhow::Result<Cost> {
        let before = (self.writes()?.len(), self.requests()?, self.operator.usage()?.cpu_seconds);
        let served = self.cluster.apiserver_usage().await?.cpu_seconds;
        eprintln!("  {count} to {version}");
        let start = Instant::now();
        unless_it_ends(&mut self.operator, self.clouds.update(version, count)).await?;
        let wall = start.elapsed();
        let served = self.cluster.apiserver_usage().await?.cpu_seconds - served;
        self.quiet().await?;
        Ok(Cost {
            wall,
            served,
            cpu: self.operator.usage()?.cpu_seconds - before.2,
            writes: self.writes()?.len() - before.0,
            requests: self.requests()? - before.1,
        })
    }

    /// What the operator has written so far, but for its Lease.
    fn writes(&self) -> anyhow::Result<Vec<Write>> {
        let all = self.cluster.writes(User::Operator)?;
        Ok(all.into_iter().filter(|write| write.resource != "leases").collect())
    }

    fn requests(&self) -> anyhow::Result<usize> {
        Ok(self.cluster.requests(User::Operator)?.iter().filter(|request| request.resource != "leases").count())
    }
}

/// Waits for `work`, unless the operator ends before.
async fn unless_it_ends<T>(
    operator: &mut Operator,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    const LOOK: Duration = Duration::from_millis(500);
    let mut work = std::pin::pin!(work);
    loop {
        if let Ok(done) = tokio::time::timeout(LOOK, &mut work).await {
            return done;
        }
        if let Some(code) = operator.exited()? {
            bail!("the operator has ended with {code}");
        }
    }
}

fn report(what: &str, cost: &Cost, time: &str, writes: &str, peer: &str) -> [Line; 2] {
    let ours = format!("{:.2} s, {:.2} CPU-s", cost.wall.as_secs_f64(), cost.cpu);
    let counts = format!("{} writes, {} requests; API server {:.1} CPU-s", cost.writes, cost.requests, cost.served);
    [Line::new(what, ours, time, peer), Line::new("", counts, writes, "")]
}
