//! Developer commands: `cargo xtask --help`.

mod generate;

use clap::{Parser, Subcommand};

/// Developer commands.
#[derive(Parser, Debug)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Write the files that follow from the tables, or check them.
    Gen(generate::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Gen(args) => generate::run(&args),
    }
}
