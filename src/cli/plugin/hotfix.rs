//! `hotfix`: images that replace those of the release.

mod entry;

use ::plan::release::{Change, World, preview};
use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{
    Ended,
    access::Access,
    update::agreed,
    write::{Mode, merge, show, write},
};
use crate::cli::{
    output::{remark, say},
    plan,
};
use entry::{Entry, Name};

/// Flags of `hotfix`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct Args {
    /// Images to set, e.g. `glanceAPIImage=registry.example.com/hotfix/glance-api:1`.
    #[arg(value_name = "FIELD=IMAGE", group = "what")]
    images: Vec<Entry>,
    /// Images of single backends, e.g. `cinderVolumeImages.pure=registry.example.com/vendor/cinder-volume-pure:1`; the
    /// backend `default` stands for those without an entry.
    #[arg(long = "backend", value_name = "FIELD.BACKEND=IMAGE", group = "what")]
    backends: Vec<Entry>,
    /// Images to remove again: those of the release come back.
    #[arg(long, value_name = "FIELD", group = "what")]
    clear: Vec<Name>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(access: &Access, args: &Args) -> anyhow::Result<Ended> {
    let (_, version) = access.cloud().await?;
    let name = version.metadata.name.clone().unwrap_or_default();
    let current = version.data.pointer("/spec/customContainerImages").cloned().unwrap_or_default();
    let entries: Vec<&Entry> = args.images.iter().chain(&args.backends).collect();
    for entry in entries.iter().filter(|entry| entry.name.value(&current) == Some(entry.image.as_str())) {
        remark(&format!("Warning: {} has this image already", entry.name));
    }
    for cleared in args.clear.iter().filter(|cleared| !cleared.is_set(&current)) {
        remark(&format!("Warning: {cleared} is not set"));
    }
    let wanted = entry::merged(&current, &entries, &args.clear);
    let patch = entry::patch(&current, &wanted);
    if patch.is_null() {
        say("nothing changes\n")?;
        return Ok(Ended::Done);
    }
    let world = plan::observed(&access.client, &access.namespace).await?;
    say(&rolls(&world, &wanted)?)?;
    let patch = serde_json::json!({"spec": {"customContainerImages": patch}});
    let (_, warnings) = merge(access, &name, &patch, Mode::DryRun).await?;
    show(&warnings);
    agreed(args.yes, &format!("Change the custom images of {}/{name}?", access.namespace))?;
    write(access, &version, &patch).await?;
    say(&format!("openstackversion.core.openstack.org/{name}: spec.customContainerImages changed\n"))?;
    Ok(Ended::Done)
}

/// What the change alone rolls out.
fn rolls(world: &World, wanted: &Value) -> anyhow::Result<String> {
    let running = world.version.as_ref().and_then(|version| version.status.update.as_ref());
    let target = running.map(|update| update.to.clone());
    let target = target.or_else(|| world.version_spec().map(|spec| spec.target_version.clone())).unwrap_or_default();
    let mut after = world.clone();
    let Some(Ok(spec)) = after.version.as_mut().map(|version| version.spec.as_mut()) else {
        bail!("the spec of the OpenStackVersion does not parse; correct it first");
    };
    spec.custom_container_images = serde_json::from_value(wanted.clone())
        .context("spec.customContainerImages cannot be read; correct it first")?;
    let changes = |world: &World| -> Vec<Change> {
        preview(world, &target).steps.into_iter().flat_map(|step| step.changes).collect()
    };
    let (before, after) = (changes(world), changes(&after));
    let ours: Vec<&Change> = after.iter().filter(|change| !before.contains(change)).collect();
    let paused = world.version_spec().is_some_and(|spec| spec.update.paused);
    let waits = [
        running.is_some().then_some("with its step of the running update"),
        paused.then_some("once spec.update.paused is false (kubectl openstack resume)"),
    ];
    let waits: Vec<&str> = waits.into_iter().flatten().collect();
    let when = if waits.is_empty() { "at once".to_owned() } else { waits.join(", ") };
    Ok(if ours.is_empty() {
        "No object of the control plane changes; nodesets take their images with their next deployment.\n".to_owned()
    } else {
        format!("This rolls out {when}:\n{}\n", plan::changes(ours.into_iter()))
    })
}
