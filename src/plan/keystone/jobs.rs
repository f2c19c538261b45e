//! One Job for each step that needs one, and what it said.

use api::keystone::{BackupReference, SchemaState, UpgradeStatus};

use super::{Scene, steps, world::Action};
use crate::machine::Progress;

/// What a Job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Task {
    /// `db_sync`: the first schema.
    Sync,
    /// `bootstrap`.
    Bootstrap,
    /// `db_sync --check`, doctor, upgrade check: writes nothing.
    Check,
    /// `mariadb-dump` and the keys, verified.
    Backup,
    /// `db_sync --expand`.
    Expand,
    /// `db_sync --migrate`.
    Migrate,
    /// A token of one pod, validated by another.
    Verify,
    /// `db_sync --contract`.
    Contract,
}

/// How far the Job of the step on record is.
pub(crate) fn judge(_scene: &Scene<'_>, task: Task) -> Progress {
    Progress::Running(format!("Job {task}"))
}

/// The Job of the step on record, when it is not there and nothing else writes to the schema.
pub(crate) fn create(_scene: &Scene<'_>, _task: Task) -> Vec<Action> {
    Vec::new()
}

/// Jobs that belong to nothing on record any more: what still runs is stopped.
pub(crate) fn leftovers(_scene: &Scene<'_>) -> Vec<Action> {
    Vec::new()
}

/// What still writes to the schema, terminating pods included.
pub(crate) fn still_running(_scene: &Scene<'_>) -> Option<String> {
    None
}

/// What the Job of `Preparing` found the schema to be.
pub(crate) fn schema_state(_scene: &Scene<'_>) -> SchemaState {
    SchemaState::Unknown
}

/// Where the Job of `BackingUp` put the backup.
pub(crate) fn backup_reference(_scene: &Scene<'_>) -> Option<BackupReference> {
    None
}

/// The name of the Job of a step.
pub(crate) fn name_of_step(_scene: &Scene<'_>, upgrade: &UpgradeStatus) -> Option<String> {
    steps::task(upgrade.step).map(|task| task.to_string())
}
