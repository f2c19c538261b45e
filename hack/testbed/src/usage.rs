//! What a process uses, from `/proc`: for benches, never for assertions.

use std::fs;

use anyhow::Context;

/// A reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident memory, in MiB.
    pub memory_mib: f64,
    /// The most that it was so far.
    pub peak_mib: f64,
    /// CPU time since the start, user and system, in seconds.
    pub cpu_seconds: f64,
}

impl Usage {
    /// Reads a process.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mib = |field: &str| {
            let line =
                status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
            let kib: f64 = line.split_whitespace().next().with_context(|| format!("no {field}"))?.parse()?;
            anyhow::Ok(kib / 1024.0)
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program, in brackets, may contain spaces.
        let (_, fields) = stat.rsplit_once(')').context("no program name")?;
        let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|tick| tick.parse().ok()).collect();
        Ok(Self {
            memory_mib: mib("VmRSS:")?,
            peak_mib: mib("VmHWM:")?,
            cpu_seconds: ticks.iter().sum::<f64>() / TICKS_PER_SECOND,
        })
    }
}

/// Linux counts CPU time in hundredths for every program, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// The first child of a process that runs this program.
pub(crate) fn child_of(parent: u32, program: &std::path::Path) -> anyhow::Result<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    let mut pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    let program = program.canonicalize()?;
    pids.find(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program))
        .context("the process is not there (any more)")
}
