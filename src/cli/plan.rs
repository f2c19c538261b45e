//! `plan`: what setting `spec.targetVersion` would do, without doing it.

use std::path::PathBuf;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use jiff::Timestamp;
use kube::Client;
use plan::release::{Bundle, Change, Preview, World, preview};

use super::output::Output;
use crate::{client, config, controllers, controllers::Release, engine};

/// Flags of `plan`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version to move to; the available version when absent.
    #[arg(long)]
    target: Option<String>,
    /// The namespace of the cloud.
    #[arg(long, short, default_value = "openstack")]
    namespace: String,
    /// Read the world from this file instead of the cluster.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Write the world that was read from the cluster to this file, e.g. for a bug report.
    #[arg(long, conflicts_with = "file")]
    record: Option<PathBuf>,
    /// How the answer looks.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let world = match &args.file {
        Some(path) => recorded(path)?,
        None => observed(&client::connect().await?, &args.namespace).await?,
    };
    if let Some(path) = &args.record {
        let text = serde_yaml::to_string(&world).context("the world cannot be written as YAML")?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let target =
        args.target.or_else(|| available(&world)).context("no version is available; name one with --target")?;
    args.output.print(&preview(&world, &target), table)
}

/// The version that the operator brings.
pub(super) fn available(world: &World) -> Option<String> {
    world.version.as_ref().and_then(|version| version.status.available_version.clone())
}

fn recorded(path: &PathBuf) -> anyhow::Result<World> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_yaml::from_str(&text).with_context(|| format!("{} is not a recorded world", path.display()))
}

/// Reads the cluster once. Where the command does not run with the bundle's environment, what the operator recorded
/// in the status is what is known.
pub(super) async fn observed(client: &Client, namespace: &str) -> anyhow::Result<World> {
    let cache = engine::read_once(client, &Release::kinds(), Some(namespace))
        .await
        .with_context(|| format!("namespace {namespace} cannot be read"))?;
    let bundle = config::bundle_from(std::env::vars());
    let bundle = if bundle.version.is_empty() { Bundle::default() } else { bundle }.into();
    controllers::world(&cache, namespace, bundle, &engine::Failures::new(), Timestamp::now())
        .with_context(|| format!("namespace {namespace} has no OpenStackVersion and no OpenStackControlPlane"))
}

/// The preview for a person.
pub(super) fn table(preview: &Preview) -> String {
    let from = if preview.from.is_empty() { "nothing" } else { &preview.from };
    let mut lines = vec![format!("From {from} to {}", preview.to)];
    lines.extend(preview.refusal.iter().map(|refusal| format!("\nThis target would be REFUSED: {refusal}")));
    for (number, step) in preview.steps.iter().enumerate() {
        let reason = step.not_needed.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("\n{}. {}{reason}", number + 1, step.name));
        lines.extend(step.by_hand.iter().map(|by_hand| format!("   BY HAND: {by_hand}")));
        if !step.changes.is_empty() {
            lines.push(changes(step.changes.iter()));
        }
    }
    lines.join("\n") + "\n"
}

/// Old and new images, object by object.
pub(super) fn changes<'a>(changes: impl Iterator<Item = &'a Change>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["object", "field", "old image", "new image"]);
    for change in changes {
        table.add_row([&change.object, &change.field, &change.old, &change.new]);
    }
    table.to_string()
}
