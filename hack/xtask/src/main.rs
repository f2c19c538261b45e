//! Developer commands: `cargo xtask --help`.

mod bench;
mod dashboard;
mod demo;
mod generate;
mod services;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Developer commands.
#[derive(Parser, Debug)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Measure what an update costs, beside the budgets.
    Bench(bench::Args),
    /// Show a minor update of a whole cloud, on a real API server with scripted service operators.
    Demo(demo::Args),
    /// Write the OLM bundle of a release.
    Bundle(generate::release::Args),
    /// Write the OLM catalog of the releases.
    Catalog(generate::release::Args),
    /// Write the manifests that install a release without OLM.
    Manifests(generate::release::Args),
    /// Play the service operators that a cloud needs besides this one, on a real cluster.
    Services(services::Args),
    /// Show the dashboard of a real cluster in a browser.
    Dashboard(dashboard::Args),
    /// Write the files that follow from the tables, or check them.
    Gen(generate::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Bundle(args) => generate::olm::write_bundle(&args),
        Command::Catalog(args) => generate::olm::write_catalog(&args),
        Command::Manifests(args) => generate::write_manifests(&args),
        Command::Services(args) => services::run(&args),
        Command::Dashboard(args) => dashboard::run(&args),
        Command::Gen(args) => generate::run(&args),
    }
}

/// The operator's binary: the one that was named, or the one beside this program.
fn operator(named: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.clone());
    }
    let here = std::env::current_exe()?;
    Ok(here.parent().context("this program is in no directory")?.join("openstack-release-operator"))
}
