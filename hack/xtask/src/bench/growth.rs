//! How cost grows with the number of clouds: all of them idle, then all of them updated at once.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use anyhow::Context;
use api::{service, step::StepName};
use comfy_table::{Table, presets};
use testbed::{Release, cluster::Write, usage::Usage};

use super::Bench;

/// How long nothing happens while the work of an idle operator is measured: some renewals of every watch, and many of the
/// hundredths of a second in which the kernel counts.
const IDLE: Duration = Duration::from_secs(120);

/// How long nothing has happened before an operator is called idle: it tidies up after what it did.
const SETTLED: Duration = Duration::from_secs(25);

/// One size.
struct Row {
    clouds: usize,
    memory: f64,
    /// Right after the updates, and when it is idle again.
    after: (f64, f64),
    /// CPU milliseconds in a second.
    idle_cpu: f64,
    /// In a second: those that the operator makes are the same on every machine.
    idle_wake_ups: f64,
    /// In a second: many of them are a machine that takes memory away from who is idle, and so is their CPU time.
    idle_page_faults: f64,
    idle_writes: usize,
    start: Duration,
    wall: Duration,
    cpu: f64,
    /// Of the cloud that was written most often.
    writes: usize,
    out_of_order: usize,
}

const HEADER: [&str; 10] = [
    "clouds",
    "memory (MiB) idle; after updating all: at once, idle",
    "idle: CPU ms/s",
    "idle: wake-ups/s, page faults/s",
    "idle: writes",
    "restart, all reported (s)",
    "all updated at once (s)",
    "CPU ms per update",
    "writes per update, at most",
    "updates out of order",
];

const BUDGETS: [&str; 10] = ["", "25 / 60 / 250 with 1 / 100 / 1,000", "1", "", "0", "", "", "", "45", "0"];

/// Measures one size after the other, on the same cluster.
pub(super) async fn measure(bench: &mut Bench, sizes: &[usize]) -> anyhow::Result<Table> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(HEADER);
    for (index, size) in sizes.iter().enumerate() {
        eprintln!("{size} clouds");
        bench.install(*size).await?;
        // Newer than those of the sizes before.
        let version = format!("1.1.{index}");
        let row = one_size(bench, *size, &Release::named("1.0.0")?.with_version(&version)).await?;
        table.add_row(row.cells());
    }
    table.add_row(BUDGETS);
    Ok(table)
}

#[allow(clippy::cast_precision_loss, reason = "the counts are small")]
async fn one_size(bench: &mut Bench, clouds: usize, release: &Release) -> anyhow::Result<Row> {
    let start = bench.become_version(release).await?;

    tokio::time::sleep(SETTLED).await;
    let before = (bench.operator.usage()?, bench.writes()?.len());
    tokio::time::sleep(IDLE).await;
    let idle = (bench.operator.usage()?, bench.writes()?.len());

    let cost = bench.update(&release.version, clouds).await?;
    let at_once = bench.operator.usage()?.memory_mib;
    tokio::time::sleep(SETTLED).await;
    let writes = bench.writes()?;
    let in_a_second = |count: fn(&Usage) -> f64| (count(&idle.0) - count(&before.0)) / IDLE.as_secs_f64();
    let own = writes.get(idle.1..).context("the audit log is shorter than before")?;
    Ok(Row {
        clouds,
        memory: idle.0.memory_mib,
        after: (at_once, bench.operator.usage()?.memory_mib),
        idle_cpu: in_a_second(|usage| usage.cpu_seconds * 1000.0),
        idle_wake_ups: in_a_second(|usage| usage.wake_ups as f64),
        idle_page_faults: in_a_second(|usage| usage.page_faults as f64),
        idle_writes: idle.1 - before.1,
        start,
        wall: cost.wall,
        cpu: cost.cpu,
        writes: most_written(own),
        out_of_order: out_of_order(own),
    })
}

/// How often the cloud was written that was written most often.
fn most_written(writes: &[Write]) -> usize {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for write in writes {
        *counts.entry(&write.namespace).or_default() += 1;
    }
    counts.into_values().max().unwrap_or_default()
}

/// In how many clouds an object of a step was written after one of a later step.
fn out_of_order(writes: &[Write]) -> usize {
    let steps: BTreeMap<&str, StepName> =
        service::SERVICES.iter().map(|service| (service.kind.plural, service.step)).collect();
    let mut reached: HashMap<&str, StepName> = HashMap::new();
    let mut wrong = HashSet::new();
    for write in writes.iter().filter(|write| write.subresource.is_empty()) {
        let Some(step) = steps.get(write.resource.as_str()) else { continue };
        let latest = reached.entry(&write.namespace).or_insert(*step);
        if step < latest {
            wrong.insert(&write.namespace);
        }
        *latest = (*latest).max(*step);
    }
    wrong.len()
}

impl Row {
    #[allow(clippy::cast_precision_loss, reason = "numbers of clouds are small")]
    fn cells(&self) -> [String; 10] {
        [
            self.clouds.to_string(),
            format!("{:.0}; {:.0}, {:.0}", self.memory, self.after.0, self.after.1),
            format!("{:.1}", self.idle_cpu),
            format!("{:.1}, {:.1}", self.idle_wake_ups, self.idle_page_faults),
            self.idle_writes.to_string(),
            format!("{:.1}", self.start.as_secs_f64()),
            format!("{:.1}", self.wall.as_secs_f64()),
            format!("{:.0}", self.cpu * 1000.0 / self.clouds as f64),
            self.writes.to_string(),
            self.out_of_order.to_string(),
        ]
    }
}
