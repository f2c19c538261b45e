//! `cargo xtask dashboard`: the Grafana dashboard of `manifests/monitoring/`, on a screen, for a real cluster.
//!
//! Perses shows it, from what Prometheus reads: somebody who follows the README has neither.

use testbed::{Node, Perses, Prometheus, perses};

/// Shows the dashboard until Ctrl-C.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where it is shown, on the loopback address.
    #[arg(long, default_value_t = 8088)]
    port: u16,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(show(args))
}

async fn show(args: &Args) -> anyhow::Result<()> {
    let prometheus = Prometheus::of_cluster(&Node::here()?).await?;
    let mut server = Perses::start(args.port, &prometheus).await?;
    println!("{} until Ctrl-C", server.show(perses::dashboard()?).await?);
    Ok(tokio::signal::ctrl_c().await?)
}
