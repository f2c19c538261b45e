//! The status of the control plane.

use std::collections::BTreeMap;

use api::{
    controlplane::{OpenStackControlPlaneSpec, OpenStackControlPlaneStatus},
    image::DEFAULT_BACKEND,
    service::Source,
    step::StepName,
    version::{ContainerImages, ImageValue, ServiceState, ServiceStatus},
};

use super::Deployed;
use crate::{
    gate::plain,
    json,
    release::{Scene, children::Children, slots::live_value, wanted::Wanted, world::Root},
};

type ControlPlane = Root<OpenStackControlPlaneSpec, OpenStackControlPlaneStatus>;

/// Everything but the conditions.
pub(super) fn status(
    scene: &Scene<'_>,
    cp: &ControlPlane,
    children: &Children,
    deployed: &Deployed,
) -> OpenStackControlPlaneStatus {
    let before = &cp.status;
    OpenStackControlPlaneStatus {
        conditions: Vec::new(),
        deployed_version: deployed.version.clone(),
        deployed_image_set: deployed.image_set.clone(),
        deployed_ovn_version: ovn_version(children).or_else(|| before.deployed_ovn_version.clone()),
        // Only a target that is in force is worth remembering.
        target_version: scene.decision.course.to().map(str::to_owned).or_else(|| before.target_version.clone()),
        container_images: images(scene, children, &before.container_images),
        observed_generation: Some(cp.meta.generation),
    }
}

/// The version of the services of the first step, once they are ready with it.
fn ovn_version(children: &Children) -> Option<String> {
    let first = api::service::SERVICES.iter().position(|row| row.step == StepName::OvnControlplane)?;
    let line = children.lines.get(first).filter(|line| line.state == ServiceState::Ready)?;
    line.version.clone()
}

/// The images of the services that are ready; those of the others as they were when they last were.
fn images(scene: &Scene<'_>, children: &Children, before: &ContainerImages) -> ContainerImages {
    let mut images = ContainerImages::new();
    for (wanted, line) in scene.wanted.iter().zip(&children.lines) {
        for (name, backend, reference) in service_images(wanted, line, before) {
            match backend {
                None => {
                    images.insert(name.to_owned(), ImageValue::Image(reference));
                }
                Some(backend) => {
                    let entry =
                        images.entry(name.to_owned()).or_insert_with(|| ImageValue::Backends(BTreeMap::default()));
                    if let ImageValue::Backends(backends) = entry {
                        backends.insert(backend, Some(reference));
                    }
                }
            }
        }
    }
    images
}

/// Image name, backend, reference.
type Carried = (&'static str, Option<String>, String);

fn service_images(wanted: &Wanted, line: &ServiceStatus, before: &ContainerImages) -> Vec<Carried> {
    let ready = matches!(line.state, ServiceState::Ready | ServiceState::Pending);
    let mut carried = Vec::new();
    for object in wanted.objects() {
        for spot in &object.spots {
            let Some((name, backend)) = image_of(spot.slot.source, &spot.entry, &object.body) else { continue };
            let found = object.live.as_deref().filter(|_| ready);
            let reference = match found.and_then(|object| live_value(wanted.service, object, &spot.address)) {
                Some(value) => Some(plain(&value)),
                None => remembered(before, name, backend.as_deref()),
            };
            carried.extend(reference.map(|reference| (name, backend, reference)));
        }
    }
    carried
}

fn remembered(before: &ContainerImages, name: &str, backend: Option<&str>) -> Option<String> {
    match (before.get(name)?, backend) {
        (ImageValue::Image(reference), None) => Some(reference.clone()),
        (ImageValue::Backends(backends), Some(backend)) => backends.get(backend).cloned().flatten(),
        _ => None,
    }
}

fn image_of(source: Source, entry: &str, body: &serde_json::Value) -> Option<(&'static str, Option<String>)> {
    match source {
        Source::Image(name) | Source::ImageParts(name) => Some((name, None)),
        Source::Backend(map) => Some((map, Some(if entry.is_empty() { DEFAULT_BACKEND } else { entry }.to_owned()))),
        Source::ByField { field, cases } => Source::case(cases, json::text(body, field)).map(|name| (name, None)),
        Source::ServiceDefault { .. } | Source::Release => None,
    }
}
