//! The commands: those of the operator's binary here, those of `kubectl openstack` in [`plugin`].

mod admission;
pub mod board;
mod output;
mod plan;
pub mod plugin;
mod run;
pub mod screen;
pub mod view;

use clap::{Parser, Subcommand};

use crate::telemetry::{self, LogFormat};

/// Moves OpenStack clouds on Kubernetes from one release to the next, in order, with the API up.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t, env = "LOG_FORMAT")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controllers until the process is told to end.
    Run(run::Args),
    /// Say what setting spec.targetVersion would do, step by step, without doing it.
    Plan(plan::Args),
    /// Put the admission policies of this version in place and keep them there.
    Admission(admission::Args),
}

/// Parses the command line and runs the command.
pub fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let telemetry = telemetry::start(cli.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args, telemetry.level).await,
            Command::Plan(args) => plan::run(args).await,
            Command::Admission(args) => admission::run(args).await,
        }
    })
}
