//! The images that a service had last: an object that somebody deleted comes back with them, and what is added to the
//! service begins with them. What an update has moved does not step back, wherever the target has gone since and whatever
//! holds the update up.

use std::borrow::Cow;

use super::{Scene, images::ImageSet, walk::known, wanted::Wanted};

/// The images that its step wrote last, seen or not; before it wrote any, those of the version that the cloud comes from.
pub(crate) fn images<'a>(scene: &'a Scene<'_>, wanted: &Wanted) -> Cow<'a, ImageSet> {
    match known(scene, wanted.service.step).and_then(|step| step.moved_to.as_deref()) {
        Some(version) if version == scene.to.version => Cow::Borrowed(&scene.to),
        Some(version) if version != scene.from.version && scene.records.versions.contains_key(version) => {
            let custom = scene.before.tracked_custom_images.get(version).cloned();
            Cow::Owned(scene.records.image_set(version, &custom.unwrap_or_else(|| scene.world.custom_images())))
        }
        _ => Cow::Borrowed(&scene.from),
    }
}
