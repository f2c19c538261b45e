//! What is wrong with the custom images: each problem names the entry and the next action.

use api::{
    annotation,
    image::{self, BackendMap, DEFAULT_BACKEND},
    version::ImageValue,
};
use serde_json::Value;

use crate::{
    json,
    release::{Scene, target::Course, world::World},
};

/// Every problem, in the order of the fields.
pub(super) fn problems(world: &World) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, value) in &world.custom_images() {
        match (value, image::backend_map(name)) {
            (ImageValue::Image(reference), None) if image::is_custom_image(name) => {
                check(&mut problems, name, reference);
            }
            (ImageValue::Backends(entries), Some(map)) => {
                for (backend, reference) in entries {
                    let entry = format!("{name}.{backend}");
                    check(&mut problems, &entry, reference.as_deref().unwrap_or_default());
                    problems.extend(unknown_backend(world, map, backend));
                }
            }
            _ => problems.push(format!("spec.customContainerImages.{name} is no image field; correct or remove it")),
        }
    }
    problems
}

/// The custom images that stayed as they were while the version changes: a hotfix for the old version that the new one
/// does not need would otherwise hide there unseen.
pub(super) fn unchanged(scene: &Scene<'_>) -> Option<String> {
    let Course::Update { from, to } = &scene.decision.course else { return None };
    let skipped = scene.world.may_keep_custom_images();
    let tracked = scene.before.tracked_custom_images.get(from).filter(|_| from != to && !skipped)?;
    let custom = scene.world.custom_images();
    let same: Vec<&str> = custom
        .iter()
        .filter(|(name, value)| tracked.get(*name) == Some(value))
        .map(|(name, _)| name.as_str())
        .collect();
    (!same.is_empty()).then(|| {
        format!(
            "spec.customContainerImages: {} stayed as for {from} while the version changes to {to}; update or remove \
             them, or set the annotation {}",
            same.join(", "),
            annotation::SKIP_CUSTOM_IMAGES
        )
    })
}

fn check(problems: &mut Vec<String>, entry: &str, reference: &str) {
    if let Err(problem) = image::check_reference(reference) {
        problems.push(format!("spec.customContainerImages.{entry}: {problem}; correct or remove it"));
    }
}

/// A backend that the control plane does not have: its image is kept for the day it has, and said until then.
fn unknown_backend(world: &World, map: &BackendMap, backend: &str) -> Option<String> {
    let cp = world.control_plane.as_ref()?;
    let spec = cp.spec.as_ref().ok()?;
    let known: Vec<&str> = spec
        .fields
        .get(map.section)
        .and_then(|section| json::get(section, map.backends))
        .and_then(Value::as_object)
        .map(|backends| backends.keys().map(String::as_str).collect())
        .unwrap_or_default();
    if backend == DEFAULT_BACKEND || known.contains(&backend) {
        return None;
    }
    Some(format!(
        "spec.customContainerImages.{}.{backend}: OpenStackControlPlane/{} has no such backend in spec.{}.{} (it has: {}); \
         correct the name or add the backend",
        map.name,
        cp.meta.name,
        map.section,
        map.backends,
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    ))
}
