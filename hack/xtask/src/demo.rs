//! `cargo xtask demo`: a minor update of a whole cloud, from installation to the last node.
//!
//! API server, operator, CRDs, admission and roles are the real ones. The service operators are scripted: they report
//! ready after a delay. What a person would do by hand, the demo does, and says so. With `--real` Keystone is none of
//! them: it runs in a real cluster, moves to the next release, and its users count what fails.

mod admin;
mod events;
mod ground;
mod screen;
mod story;
mod users;

use std::{path::PathBuf, time::Duration};

/// Shows a minor update of a whole cloud.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Leave everything running at the end, to look around with kubectl.
    #[arg(long)]
    keep: bool,
    /// On a real cluster (`hack/cluster`), with real Keystone, MariaDB and memcached.
    #[arg(long)]
    real: bool,
    /// How long a scripted service takes to get ready, in milliseconds.
    #[arg(long, default_value_t = 400)]
    delay_ms: u64,
    /// The operator's binary; by default the one beside this program.
    #[arg(long)]
    operator: Option<PathBuf>,
}

impl Args {
    fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    fn binary(&self) -> anyhow::Result<PathBuf> {
        crate::operator(self.operator.as_ref())
    }
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(story::tell(args))
}
