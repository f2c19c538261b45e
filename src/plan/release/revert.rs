//! Whether the target may return to the deployed version in the middle of an update.

use api::{
    DynamicObject,
    step::{MINOR_UPDATE, Revert, Scope, Step},
    version::StepStatus,
};
use serde_json::Value;

use super::{
    Scene,
    slots::{carries, set_value},
    walk::in_step,
    wanted::{Wanted, WantedObject, Wish},
};
use crate::{gate::joined_reference, json};

/// The first thing that cannot be taken back, for a person; `None` when the target may return.
pub(crate) fn obstacle(scene: &Scene<'_>, steps: &[StepStatus]) -> Option<String> {
    if !scene.to.known {
        let version = &scene.to.version;
        return Some(format!("the images of {version} are not known, so it cannot be told what has moved to them"));
    }
    let moved = steps.iter().filter(|status| status.moved_to.is_some());
    moved
        .filter_map(|status| Some((MINOR_UPDATE.iter().find(|step| step.name == status.name)?, status)))
        .find_map(|(step, status)| step_obstacle(scene, step, status))
}

/// What keeps a step that has written images from being taken back.
fn step_obstacle(scene: &Scene<'_>, step: &Step, status: &StepStatus) -> Option<String> {
    match step.revert {
        Revert::Always => None,
        _ if !matches!(step.scope, Scope::Services) => {
            Some(format!("step {}: a nodeset already has {}", step.name, scene.to.version))
        }
        Revert::SameImages => moved_objects(scene, step, true, |_| false).or_else(|| left_behind(scene, step, status)),
        Revert::WhilePhase { path, phases, installed, given, never } => moved_objects(scene, step, false, |live| {
            match json::text(&live.data, path).filter(|phase| !phase.is_empty()) {
                _ if json::get(&live.data, never) == Some(&Value::Bool(true)) => false,
                Some(phase) => phases.contains(&phase),
                None => json::text(&live.data, installed).is_some_and(|image| {
                    image != joined_reference(json::get(&live.data, given).unwrap_or(&Value::Null))
                }),
            }
        }),
    }
}

/// What is left of a step all of whose services are disabled now: their data, which would come back with them.
fn left_behind(scene: &Scene<'_>, step: &Step, status: &StepStatus) -> Option<String> {
    let elsewhere = status.moved_to.as_deref().filter(|version| *version != scene.from.version)?;
    let disabled = in_step(scene, step.name).all(|wanted| matches!(wanted.wish, Wish::No(_)));
    disabled
        .then(|| format!("step {}: its services are disabled, and what they left was moved to {elsewhere}", step.name))
}

/// The first object of the step that no longer carries the images of the deployed version, and may not.
fn moved_objects(
    scene: &Scene<'_>,
    step: &Step,
    begun_is_moved: bool,
    may: impl Fn(&DynamicObject) -> bool,
) -> Option<String> {
    in_step(scene, step.name).find_map(|wanted| {
        wanted.objects().iter().find_map(|object| {
            let Some(live) = object.live.as_deref() else {
                // Deleted, or not to be read now: its data are what they are.
                return differ(scene, object).then(|| describe(scene, step, wanted, &object.name));
            };
            let moved = !scene.from.known || !carries(&scene.from, wanted, object, live);
            // The new image may be on its way while the object still shows the old one.
            let moved = moved || (begun_is_moved && differ(scene, object));
            (moved && !may(live)).then(|| describe(scene, step, wanted, &object.name))
        })
    })
}

/// Whether the two versions give the object different values.
fn differ(scene: &Scene<'_>, object: &WantedObject) -> bool {
    object.spots.iter().any(|spot| set_value(&scene.from, object, spot) != set_value(&scene.to, object, spot))
}

fn describe(scene: &Scene<'_>, step: &Step, wanted: &Wanted, name: &str) -> String {
    format!(
        "step {}: {}/{name} leaves the images of {}, and its data cannot go back",
        step.name,
        wanted.kind().kind,
        scene.from.version
    )
}
