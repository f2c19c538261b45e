//! `history`: what is over.

use super::{
    Ended,
    access::{self, Access},
    status::text,
};
use crate::cli::{board, output::Output, view::History};

/// Flags of `history`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The clouds of all namespaces.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// How the answer looks.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn run(access: &Access, args: &Args) -> anyhow::Result<Ended> {
    let cache = access.read(&access.scope(args.all_namespaces)).await?;
    let history = |namespace: &String| History::of(namespace, &access::objects(&cache, namespace));
    let all: Vec<History> = access::namespaces(&cache).iter().filter_map(history).collect();
    match (args.all_namespaces, all.first()) {
        (false, None) => anyhow::bail!(access.no_cloud()),
        (false, Some(one)) => args.output.print(one, |one| text(&board::history(std::slice::from_ref(one))))?,
        (true, _) => args.output.print(&all, |all: &Vec<History>| text(&board::history(all)))?,
    }
    Ok(Ended::Done)
}
