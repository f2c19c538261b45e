//! What an update would do, before it does it.

use api::{
    step::{MINOR_UPDATE, Scope},
    version::OpenStackVersionStatus,
};
use serde::Serialize;

use super::{
    Scene, image_sets,
    images::SlotValue,
    nodesets,
    records::{Records, deployed_version},
    slots::{address_text, live_value, set_value},
    target,
    walk::{Judgement, in_step},
    wanted,
    world::World,
};
use crate::gate::plain;

/// What an update to a target would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The version that is deployed; empty before the first installation.
    pub from: String,
    /// The target.
    pub to: String,
    /// Why the target would be refused, if it would.
    pub refusal: Option<String>,
    /// The steps, in order.
    pub steps: Vec<PreviewStep>,
}

/// What one step would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewStep {
    /// The step.
    pub name: String,
    /// The image changes, object by object.
    pub changes: Vec<Change>,
    /// What the administrator has to do by hand.
    pub by_hand: Option<String>,
    /// Why there is nothing to do, if there is nothing.
    pub not_needed: Option<String>,
}

/// One value that would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The service.
    pub service: String,
    /// `Kind/name`.
    pub object: String,
    /// The dotted path.
    pub field: String,
    /// What it is.
    pub old: String,
    /// What it would be.
    pub new: String,
}

/// Says what setting `spec.targetVersion` to `target` would do.
pub fn preview(world: &World, target: &str) -> Preview {
    let mut world = world.clone();
    if let Some(spec) = world.version.as_mut().and_then(|version| version.spec.as_mut().ok()) {
        target.clone_into(&mut spec.target_version);
    }
    let nothing = OpenStackVersionStatus::default();
    let before = world.version.as_ref().map_or(&nothing, |version| &version.status);
    let records = Records::new(&world, before);
    let decision = target::decide(&world, before, &records);
    let refusal = (decision.verdict.status != api::condition::Status::True).then(|| decision.verdict.message.clone());
    let wanted = wanted::all(&world);
    let (from, _) = image_sets(&world, before, &records, &decision);
    // Whatever is in force (nothing, without a control plane): the question is about this target.
    let to = records.image_set(target, &world.custom_images());
    let deployed = deployed_version(&world, before).unwrap_or_default().to_owned();
    let scene = Scene { world: &world, before, records, decision, wanted, to, from };
    let steps = MINOR_UPDATE
        .iter()
        .map(|step| match step.scope {
            Scope::Services => services_step(&scene, step.name),
            scope => nodesets_step(&scene, step.name.to_string(), scope),
        })
        .collect();
    Preview { from: deployed, to: target.to_owned(), refusal, steps }
}

fn nodesets_step(scene: &Scene<'_>, name: String, scope: Scope) -> PreviewStep {
    let (by_hand, not_needed) = match nodesets::judge(scene, scope) {
        Judgement::Met => (None, Some("every nodeset is there already".to_owned())),
        Judgement::NotNeeded(reason) => (None, Some(reason)),
        Judgement::Unmet { message, .. } => (Some(message), None),
    };
    PreviewStep { name, changes: Vec::new(), by_hand, not_needed }
}

fn services_step(scene: &Scene<'_>, name: api::step::StepName) -> PreviewStep {
    if !scene.to.known {
        let not_needed = Some(format!("cannot be told: the images of {} are not known", scene.to.version));
        return PreviewStep { name: name.to_string(), changes: Vec::new(), by_hand: None, not_needed };
    }
    let mut changes = Vec::new();
    for wanted in in_step(scene, name) {
        for object in wanted.objects() {
            let live = object.live.as_deref();
            for spot in &object.spots {
                let old = live.and_then(|live| live_value(wanted.service, live, &spot.address));
                let new = match set_value(&scene.to, object, spot) {
                    SlotValue::Value(value) => plain(&value),
                    SlotValue::Nothing => continue,
                    SlotValue::Missing(image) => format!("MISSING: {image}"),
                };
                let old = old.as_ref().map_or_else(|| "-".to_owned(), plain);
                if old != new {
                    changes.push(Change {
                        service: wanted.service.name.to_owned(),
                        object: format!("{}/{}", wanted.kind().kind, object.name),
                        field: address_text(wanted.service, &spot.address),
                        old,
                        new,
                    });
                }
            }
        }
    }
    let not_needed = changes.is_empty().then(|| "nothing changes".to_owned());
    PreviewStep { name: name.to_string(), changes, by_hand: None, not_needed }
}
