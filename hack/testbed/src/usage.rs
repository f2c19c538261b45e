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
    /// How often a thread that lives has gone to sleep since it started, which is how often one was woken up.
    pub wake_ups: u64,
    /// How often memory that was used was not there (yet, or any more) since the start.
    pub page_faults: u64,
}

impl Usage {
    /// Reads a process.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        #[allow(clippy::cast_precision_loss, reason = "no process has so much memory")]
        let mib = |name: &str| anyhow::Ok(counted(&status, name)? as f64 / 1024.0);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program, in brackets, may contain spaces.
        let (_, fields) = stat.rsplit_once(')').context("no program name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // Numbered as in proc(5), where the third is the first after the name.
        let field = |number: usize| {
            let field = fields.get(number - 3).with_context(|| format!("no field {number} in /proc/{pid}/stat"))?;
            anyhow::Ok(field.parse::<u64>()?)
        };
        let (minor, major, user, system) = (field(10)?, field(12)?, field(14)?, field(15)?);
        Ok(Self {
            memory_mib: mib("VmRSS:")?,
            peak_mib: mib("VmHWM:")?,
            #[allow(clippy::cast_precision_loss, reason = "no process runs for that long")]
            cpu_seconds: (user + system) as f64 / TICKS_PER_SECOND,
            wake_ups: wake_ups(pid)?,
            page_faults: minor + major,
        })
    }
}

fn wake_ups(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that has ended meanwhile is none that lives.
        let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
        sum += counted(&status, "voluntary_ctxt_switches:")?;
    }
    Ok(sum)
}

/// The number of that name in `/proc/*/status`.
fn counted(status: &str, name: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.split_whitespace().next().with_context(|| format!("no {name}"))?.parse()?)
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
