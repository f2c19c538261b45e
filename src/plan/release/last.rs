//! The version that a service had last: an object that somebody deleted comes back with its images. What an update has
//! moved does not step back, wherever the target has gone since and whatever holds the update up.

use std::borrow::Cow;

use api::version::StepState;

use super::{Scene, images::ImageSet, wanted::Wanted};

/// The version, as far as it is remembered. What a step that has begun wrote may not have been seen yet.
pub(crate) fn version<'a>(scene: &'a Scene<'_>, wanted: &Wanted) -> Option<&'a str> {
    let update = scene.before.update.as_ref().filter(|update| {
        let wrote =
            |state| matches!(state, StepState::Running | StepState::Waiting | StepState::Stalled | StepState::Done);
        update.steps.iter().any(|step| step.name == wanted.service.step && wrote(step.state))
    });
    let line = || scene.before.services.iter().find(|line| line.name == wanted.service.name);
    update.map(|update| update.to.as_str()).or_else(|| line()?.version.as_deref())
}

/// Its images; those of the version that the cloud comes from, when nothing is remembered.
pub(crate) fn images<'a>(scene: &'a Scene<'_>, wanted: &Wanted) -> Cow<'a, ImageSet> {
    match version(scene, wanted) {
        Some(version) if version == scene.to.version => Cow::Borrowed(&scene.to),
        Some(version) if version != scene.from.version && scene.records.versions.contains_key(version) => {
            Cow::Owned(scene.records.image_set(version, &scene.world.custom_images()))
        }
        _ => Cow::Borrowed(&scene.from),
    }
}
