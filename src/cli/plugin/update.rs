//! `update`: begins an update.

use std::io::IsTerminal as _;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{
    Ended,
    access::Access,
    follow::{Until, follow},
    plan,
    status::text,
    write::{Mode, merge, show, write},
};
use crate::cli::{
    board,
    output::{Output, put, say},
    plan as preview,
};

/// Flags of `update`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version to move to; the available one when absent.
    version: Option<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Go on showing what changes until the version is deployed.
    #[arg(long, short)]
    watch: bool,
}

pub(super) async fn run(access: Access, args: &Args) -> anyhow::Result<Ended> {
    // Read before the plan: what changes in between was not shown.
    let (view, version) = access.cloud().await?;
    let plan = plan::of(&access, args.version.as_deref()).await?;
    let (name, target) = (&view.name, plan.to.clone());
    let asked = view.target_version.as_ref() == Some(&target) && plan.refusal.is_none();
    if asked && view.is_done() {
        say(&format!("{target} is deployed already\n"))?;
        return Ok(Ended::Done);
    }
    if asked {
        say(&format!("{target} is the target already\n"))?;
    } else {
        say(&preview::table(&plan))?;
        let patch = json!({"spec": {"targetVersion": target}});
        let (_, warnings) = merge(&access, name, &patch, Mode::DryRun).await?;
        show(&warnings);
        if let Some(refusal) = &plan.refusal {
            bail!("{refusal}");
        }
        agreed(args.yes, &format!("Update {}/{name} to {target}?", access.namespace))?;
        write(&access, &version, &patch).await?;
        say(&format!("openstackversion.core.openstack.org/{name}: spec.targetVersion is {target}\n"))?;
    }
    if args.watch {
        let scope = access.scope(false);
        return follow(access, scope, Until::Deployed(target), None, Output::Table).await;
    }
    say(&format!("kubectl openstack status --watch {}\n", access.flags(&access.namespace)))?;
    Ok(Ended::Done)
}

/// Asks, unless the answer was given; nobody to ask means no.
pub(super) fn agreed(yes: bool, question: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("nothing was written: there is no terminal to ask; say --yes");
    }
    put(&format!("{question} [y/N] ")).context("nothing was written: the question cannot be shown; say --yes")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    bail!("nothing was written")
}

/// What is next for a cloud, as text.
pub(super) fn next(view: &crate::cli::view::View) -> String {
    text(&board::next(view))
}
