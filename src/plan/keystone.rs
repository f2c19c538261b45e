//! The keystone controller's decisions: which step of an installation or upgrade comes next, what every object shall
//! be now, and what the `Keystone` says about it.
//!
//! ```text
//! World -> target   which image is wanted, and may it be gone to     (refusals are made here)
//!       -> course   where the machine is on record, and where it goes
//!       -> steps    the tables: what each step waits for and writes
//!       -> rotation what becomes of the keys
//!       -> account  what the pods run as
//!       -> server   Deployment, Service, PDB, HPA: reconciled in every step
//!       -> jobs     one Job for each step that needs one; one writer of the schema at a time
//!       -> report   the status and the notes
//! ```

mod account;
mod config;
mod course;
mod deployment;
mod failure;
mod findings;
mod job_pod;
mod jobs;
mod keys;
mod objects;
mod pod;
mod report;
mod rotation;
mod server;
mod steps;
mod target;
mod world;

use api::keystone::{KeystoneSpec, KeystoneStatus};

pub use account::admission_rule;
pub use keys::keys_to_make;
pub use world::{
    ACCOUNT, Action, COMPONENT, CRON_JOB, DEPLOYMENT, HPA, INSTANCE, JOB, KINDS, Note, NoteReason, Other, PDB, POD,
    Plan, ROLE, ROLE_BINDING, Refusal, SCHEMA_WRITER, SECRET, SERVICE, World, kind_named,
};

use course::Course;
use target::{Place, Target};

/// Everything that the parts below share: the world, and what was decided so far.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    /// The wish, when it can be read.
    pub(crate) spec: Option<&'a KeystoneSpec>,
    /// The status as it was observed: what is on record.
    pub(crate) before: &'a KeystoneStatus,
    pub(crate) target: Target,
}

impl Scene<'_> {
    /// Where the installation or upgrade on record goes to.
    pub(crate) fn to(&self) -> Option<&Place> {
        self.target.course.to()
    }

    /// Where it comes from; `None` for an installation.
    pub(crate) fn from(&self) -> Option<&Place> {
        self.target.course.from()
    }
}

/// Decides. Total: any world has a plan.
pub fn plan(world: &World) -> Plan {
    if let Some(plan) = report::held(world) {
        return plan;
    }
    let scene = Scene {
        world,
        spec: world.keystone.spec.as_ref().ok(),
        before: &world.keystone.status,
        target: target::decide(world),
    };
    let course = Course::plan(&scene);
    let rotations = rotation::plan(&scene);
    let (accounts, due) = account::actions(&scene);
    let mut actions = keys::actions(&scene);
    actions.extend(accounts);
    actions.extend(server::actions(&scene));
    actions.extend(course.actions.iter().cloned());
    actions.extend(rotations.actions.iter().cloned());
    let status = report::status(&scene, &course, &rotations);
    let mut notes = report::notes(&scene, &course, &status);
    notes.extend(rotations.notes);
    Plan { status, actions, notes, next: [course.next, rotations.next, due].into_iter().flatten().min() }
}
