//! `pause` and `resume`.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use anyhow::Context as _;
use api::{
    DynamicObject, annotation,
    step::{StepName, position},
};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use futures::StreamExt as _;
use kube::runtime::watcher::watch_object;
use plan::json as paths;
use serde_json::{Value, json};
use strum::VariantNames as _;

use super::{
    Ended,
    access::Access,
    update::next,
    write::{Mode, merge, show},
};
use crate::cli::{board, output::say};

/// How long the operator may take to answer before it is only said what was written.
const ANSWER: Duration = Duration::from_secs(10);

/// Flags of `pause`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Stop after this step, and not at once.
    #[arg(long, value_name = "STEP", value_parser = step())]
    after: Option<StepName>,
}

fn step() -> impl clap::builder::TypedValueParser<Value = StepName> {
    PossibleValuesParser::new(StepName::VARIANTS).try_map(|name| name.parse::<StepName>())
}

pub(super) async fn pause(access: &Access, args: &Args) -> anyhow::Result<Ended> {
    let view = access.view().await?;
    let update = match args.after {
        None => json!({"paused": true}),
        Some(step) => json!({"holdAfter": step}),
    };
    let (written, warnings) = merge(access, &view.name, &json!({"spec": {"update": update}}), Mode::Write).await?;
    show(&warnings);
    let at = view.update.as_ref().and_then(|update| update.step.as_ref()?.parse::<StepName>().ok());
    let stopped = match (args.after, at) {
        (None, None) => "paused: no update runs; one that is asked for will wait, and so will custom images".to_owned(),
        (None, Some(_)) => "paused: no new image is written; progress is kept".to_owned(),
        (Some(step), Some(at)) if position(at) > position(step) => {
            format!("held: {step} is over already; the update stops before {at}")
        }
        (Some(step), _) => format!("held: the update stops after {step}"),
    };
    say(&format!("{stopped}\n"))?;
    answered(access, &written).await
}

pub(super) async fn resume(access: &Access) -> anyhow::Result<Ended> {
    let (_, version) = access.cloud().await?;
    let name = version.metadata.name.clone().unwrap_or_default();
    let (patch, gone) = release(&version);
    if gone.is_empty() {
        say("nothing is paused or held\n")?;
        return Ok(Ended::Done);
    }
    let (written, warnings) = merge(access, &name, &patch, Mode::Write).await?;
    show(&warnings);
    say(&format!("removed: {}\n", gone.join(", ")))?;
    answered(access, &written).await
}

/// The patch that removes what stops the update, and what that is.
fn release(version: &DynamicObject) -> (Value, Vec<String>) {
    let mut update = BTreeMap::new();
    let mut gone = Vec::new();
    if paths::get(&version.data, "spec.update.paused").and_then(Value::as_bool) == Some(true) {
        update.insert("paused", json!(false));
        gone.push("spec.update.paused".to_owned());
    }
    if let Some(step) = paths::text(&version.data, "spec.update.holdAfter") {
        update.insert("holdAfter", Value::Null);
        gone.push(format!("spec.update.holdAfter: {step}"));
    }
    let mut patch = if update.is_empty() { json!({}) } else { json!({"spec": {"update": update}}) };
    let annotations = version.metadata.annotations.as_ref();
    if let Some(stage) = annotations.and_then(|all| all.get(annotation::TARGET_STAGE)) {
        gone.push(format!("annotation {}: {stage}", annotation::TARGET_STAGE));
        paths::set(
            &mut patch,
            &["metadata".to_owned(), "annotations".to_owned(), annotation::TARGET_STAGE.to_owned()],
            Value::Null,
        );
    }
    (patch, gone)
}

/// Waits for the operator's answer, and says where the cloud is and what is next.
async fn answered(access: &Access, written: &DynamicObject) -> anyhow::Result<Ended> {
    let name = written.metadata.name.as_deref().unwrap_or_default();
    let observed = |object: &DynamicObject| {
        let observed = paths::get(&object.data, "status.observedGeneration").and_then(Value::as_i64);
        observed >= written.metadata.generation
    };
    let watch = async {
        let mut states = pin!(watch_object(access.versions(), name));
        while let Some(state) = states.next().await {
            if matches!(&state, Ok(Some(object)) if observed(object)) {
                return;
            }
        }
    };
    if tokio::time::timeout(ANSWER, watch).await.is_err() {
        say(&format!("the operator has not answered within {}s\n", ANSWER.as_secs()))?;
    }
    let view = access.view().await.context("it is written; the status cannot be read")?;
    say(&format!("{}\n{}", board::title(&view), next(&view)))?;
    Ok(Ended::Done)
}
