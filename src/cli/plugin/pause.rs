//! `pause` and `resume`.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use api::{
    DynamicObject, annotation,
    step::{StepName, position},
};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use futures::StreamExt as _;
use kube::runtime::{
    WatchStreamExt as _,
    watcher::{self, watch_object},
};
use plan::json as paths;
use serde_json::{Value, json};
use strum::VariantNames as _;

use super::{
    Ended,
    access::Access,
    update::next,
    write::{Mode, merge, show},
};
use crate::cli::{
    board,
    output::say,
    view::{Objects, State, View},
};

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
    answered(access, &written, |_| true).await
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
    // No generation tells whether the operator has seen that an annotation is gone.
    answered(access, &written, |state| !matches!(state, State::Paused | State::Held)).await
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
async fn answered(access: &Access, written: &DynamicObject, done: impl Fn(State) -> bool) -> anyhow::Result<Ended> {
    let name = written.metadata.name.as_deref().unwrap_or_default();
    let answers = |object: &DynamicObject| {
        let observed = paths::get(&object.data, "status.observedGeneration").and_then(Value::as_i64);
        observed >= written.metadata.generation && done(state(object))
    };
    let watch = async {
        let mut states = pin!(watch_object(access.versions(), name).default_backoff());
        while let Some(state) = states.next().await {
            match state {
                Ok(Some(object)) if answers(&object) => break,
                Ok(_) => {}
                Err(error) => forbidden(&error).map_or(Ok(()), Err)?,
            }
        }
        Ok::<_, String>(())
    };
    match tokio::time::timeout(ANSWER, watch).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => bail!(
            "OpenStackVersion/{name} is written, and its status cannot be watched: {refusal}; ask for the right to list and \
             watch openstackversions"
        ),
        Err(_) => say(&format!("the operator has not answered within {}s\n", ANSWER.as_secs()))?,
    }
    let view = access.view().await.context("it is written; the status cannot be read")?;
    say(&format!("{}\n{}", board::title(&view), next(&view)))?;
    Ok(Ended::Done)
}

/// Where a cloud is, as far as its `OpenStackVersion` says.
fn state(object: &DynamicObject) -> State {
    let objects = Objects { versions: vec![Arc::new(object.clone())], ..Objects::default() };
    View::of("", &objects, "").map(|view| view.state).unwrap_or_default()
}

/// What the API server says about a right that is missing: trying again does not help.
fn forbidden(error: &watcher::Error) -> Option<String> {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => status.is_forbidden().then(|| status.message.clone()),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_missing_right_ends_the_wait_and_a_tired_server_does_not() {
        let said = |reason, code| Status::failure("you may not", reason).with_code(code).boxed();
        let failed = |status| watcher::Error::InitialListFailed(kube::Error::Api(status));
        for error in [failed(said("Forbidden", 403)), watcher::Error::WatchError(said("Forbidden", 403))] {
            assert_eq!(forbidden(&error).as_deref(), Some("you may not"));
        }
        for error in [failed(said("ServiceUnavailable", 503)), watcher::Error::NoResourceVersion] {
            assert_eq!(forbidden(&error), None);
        }
    }

    /// The annotation is gone, and the status is from before: the generation is the same.
    #[test]
    fn an_update_that_the_status_still_calls_held_is_no_answer() {
        let at = |word: &str| {
            let update = json!({"from": "1", "to": "2", "steps": [{"name": "keystone", "state": word}]});
            let conditions = json!([{"type": "Ready", "status": "False"}]);
            let status = json!({"observedGeneration": 2, "update": update, "conditions": conditions});
            let metadata = json!({"name": "openstack", "namespace": "ns", "generation": 2});
            json!({"apiVersion": "x/v1", "kind": "X", "metadata": metadata, "status": status})
        };
        let state = |word| super::state(&serde_json::from_value(at(word)).unwrap());
        assert_eq!((state("Held"), state("Running")), (State::Held, State::Updating));
    }
}
