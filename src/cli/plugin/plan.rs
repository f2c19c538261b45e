//! `plan`: what an update would do.

use ::plan::release::{Preview, preview};
use anyhow::Context as _;

use super::{Ended, access::Access};
use crate::cli::{output::Output, plan};

/// Flags of `plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version to move to; the available one when absent.
    version: Option<String>,
    /// How the answer looks.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn run(access: &Access, args: &Args) -> anyhow::Result<Ended> {
    let preview = of(access, args.version.as_deref()).await?;
    args.output.print(&preview, plan::table)?;
    Ok(Ended::Done)
}

/// What an update to that version would do; to the available one when absent.
pub(super) async fn of(access: &Access, version: Option<&str>) -> anyhow::Result<Preview> {
    let world = plan::observed(&access.client, &access.namespace).await?;
    let available = || plan::available(&world).context("no version is available; name one");
    let target = version.map_or_else(available, |version| Ok(version.to_owned()))?;
    Ok(preview(&world, &target))
}
