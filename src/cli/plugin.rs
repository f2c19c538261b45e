//! `kubectl openstack`: the update of a cloud, for persons.
//!
//! Everything it shows comes from the statuses ([`super::view`]); everything it writes is a merge patch of the fields that
//! it is asked to change, under the field manager [`MANAGER`].

mod access;
mod follow;
mod history;
mod hotfix;
mod pause;
mod plan;
mod status;
mod update;
mod write;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::output::remark;

/// Who `managedFields` says it was.
pub const MANAGER: &str = "kubectl-openstack";

/// Sees and steers the updates of OpenStack clouds.
#[derive(Debug, Parser)]
#[command(name = "kubectl-openstack", bin_name = "kubectl openstack", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    reach: access::Reach,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 a person has to act (--until \
                          attention); 4 --timeout is over.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Where the clouds are, what they wait for, and which command is next.
    Status(status::Args),
    /// What an update would do, without doing it.
    Plan(plan::Args),
    /// Begin an update: show the plan, ask, set spec.targetVersion.
    Update(update::Args),
    /// Set or remove images that replace those of the release.
    Hotfix(hotfix::Args),
    /// Write no new image, at once or after a step.
    Pause(pause::Args),
    /// Let an update go on that is paused or held.
    Resume,
    /// The updates that are over, and the backups taken on the way.
    History(history::Args),
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Done = 0,
    NeedsAPerson = 3,
    TimedOut = 4,
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(ended) => ExitCode::from(ended as u8),
        Err(error) => {
            remark(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let access = access::Access::new(&cli.reach).await?;
        match &cli.command {
            Command::Status(args) => status::run(access, args).await,
            Command::Plan(args) => plan::run(&access, args).await,
            Command::Update(args) => update::run(access, args).await,
            Command::Hotfix(args) => hotfix::run(&access, args).await,
            Command::Pause(args) => pause::pause(&access, args).await,
            Command::Resume => pause::resume(&access).await,
            Command::History(args) => history::run(&access, args).await,
        }
    })
}
