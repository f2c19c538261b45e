//! `status`: where the clouds are.

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};

use super::{
    Ended,
    access::Access,
    follow::{Until, follow},
};
use crate::cli::{board, output::Output, view::View};

/// Flags of `status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The clouds of all namespaces, one line for each.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Go on showing what changes.
    #[arg(long, short)]
    watch: bool,
    /// Go on until then, and tell by the exit code how it ended.
    #[arg(long, value_enum)]
    until: Option<When>,
    /// Give up after this long, e.g. 90m.
    #[arg(long, requires = "until")]
    timeout: Option<SignedDuration>,
    /// How the answer looks; with --watch a document for each change.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum When {
    /// Everything that was asked for is there.
    Done,
    /// The same, or a person has to act.
    Attention,
}

pub(super) async fn run(access: Access, args: &Args) -> anyhow::Result<Ended> {
    let scope = access.scope(args.all_namespaces);
    if args.watch || args.until.is_some() {
        let until = match args.until {
            None => Until::Interrupted,
            Some(When::Done) => Until::Done,
            Some(When::Attention) => Until::Attention,
        };
        return follow(access, scope, until, args.timeout, args.output).await;
    }
    let views = access.views(&access.read(&scope).await?);
    match (args.all_namespaces, views.first()) {
        (false, None) => bail!(access.no_cloud()),
        (false, Some(view)) => args.output.print(view, |view| text(&board::lines(view, Timestamp::now())))?,
        (true, _) => args.output.print(&views, |views: &Vec<View>| match views.as_slice() {
            [] => "No clouds found\n".to_owned(),
            views => text(&board::summary(views, Timestamp::now())),
        })?,
    }
    Ok(Ended::Done)
}

/// Lines as text.
pub(super) fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}
