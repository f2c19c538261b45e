//! The release controller's decisions: which images every service shall have now, and what the root objects say.
//!
//! ```text
//! World -> records   which versions are known, with which images   (respins are held here)
//!       -> target    which version is wanted, and may it be        (refusals are made here)
//!       -> wanted    which objects the control plane asks for
//!       -> walk      which steps are done, and which one is open
//!       -> children  what to write, keep and delete
//!       -> report    both statuses and the notes
//! ```

mod children;
mod images;
mod last;
mod nodesets;
mod notes;
mod preview;
mod records;
mod report;
mod revert;
mod slots;
mod target;
mod walk;
mod wanted;
mod world;

use api::version::OpenStackVersionStatus;

pub use images::{Effective, ImageSet, Origin, Resolved};
pub use notes::{About, Note, NoteReason};
pub use preview::{Change, Preview, PreviewStep, preview};
pub use world::{Action, Bundle, Kinds, Meta, Objects, Plan, Root, RootStatus, Surplus, World, kind_key};

use children::Children;
use records::Records;
use target::{Course, Decision};
use wanted::Wanted;

/// Everything that the parts below share: the world, and what was decided so far.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    /// The status of the `OpenStackVersion` as it was observed; empty when it has none.
    pub(crate) before: &'a OpenStackVersionStatus,
    pub(crate) records: Records,
    pub(crate) decision: Decision,
    pub(crate) wanted: Vec<Wanted>,
    /// The images of the version that the cloud goes to (or stays at), or would without a control plane.
    pub(crate) to: ImageSet,
    /// The images of the version that the cloud comes from.
    pub(crate) from: ImageSet,
}

impl Scene<'_> {
    /// Why nothing can move, when nobody knows the images of the version that the cloud goes to or stays at.
    pub(crate) fn unknown_images(&self) -> Option<String> {
        let to = self.decision.course.to().filter(|_| !self.to.known)?;
        let keeps = "every service keeps the images it has";
        if self.records.versions.contains_key(to) {
            return Some(format!(
                "which custom images {to} had is not known, and spec.targetVersion is refused: {keeps}; correct \
                 spec.targetVersion"
            ));
        }
        let way_out = match &self.records.held {
            Some(held) if held.version == to => {
                format!("set spec.update.confirmImageSet to {} to take the bundle's, or ", held.hash)
            }
            _ => String::new(),
        };
        let known = self.records.names();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Some(format!(
            "status.containerImageVersionDefaults has no {to}: {keeps}; {way_out}set spec.targetVersion to a known \
             version to move on (known: {known})"
        ))
    }
}

/// Decides. Total: any world has a plan.
pub fn plan(world: &World) -> Plan {
    let nothing = OpenStackVersionStatus::default();
    let before = world.version.as_ref().map_or(&nothing, |version| &version.status);
    let records = Records::new(world, before);
    let decision = target::decide(world, before, &records);
    let wanted = wanted::all(world);
    let (from, to) = image_sets(world, before, &records, &decision);
    let scene = Scene { world, before, records, decision, wanted, to, from };

    let walk = walk::walk(&scene);
    let children = Children::plan(&scene, &walk);
    let mut actions = world::root_actions(world, &scene.decision);
    let statuses = report::statuses(&scene, &walk, &children);
    let next = walk.next;
    actions.extend(children.actions);
    actions.extend(world::closing_actions(world, walk.all_done));
    let notes = notes::between(&scene, &statuses, &walk);
    Plan { statuses, actions, notes, next }
}

/// The images of the version the cloud comes from, with the custom images that it had, and of the one it goes to.
fn image_sets(
    world: &World,
    before: &OpenStackVersionStatus,
    records: &Records,
    decision: &Decision,
) -> (ImageSet, ImageSet) {
    let in_force = decision.in_force.as_deref().unwrap_or_default();
    // Custom images were made for the target that stands beside them: refused with it, they are not for another one.
    let custom = match before.tracked_custom_images.get(in_force) {
        _ if !decision.is_refused() => Some(world.custom_images()),
        tracked => tracked.cloned(),
    };
    let to = custom.map_or_else(|| ImageSet::unknown(in_force), |custom| records.image_set(in_force, &custom));
    let from = match &decision.course {
        Course::Update { from, to, .. } if from != to => {
            let tracked = before.tracked_custom_images.get(from).cloned().unwrap_or_default();
            records.image_set(from, &tracked)
        }
        // A return or a respin: the walk goes to the version that it comes from.
        _ => to.clone(),
    };
    (from, to)
}
