//! `admission`: the admission policies, where the installer cannot carry them.

use tokio::signal::unix::{SignalKind, signal};

use crate::{admission::Policies, client};

/// Flags of `admission`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Put them in place and end; otherwise they are kept in place until the process is told to end.
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let policies = Policies::new(client::connect().await?)?;
    if args.once {
        return policies.apply().await;
    }
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        kept = policies.keep() => kept,
        _ = terminated.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
