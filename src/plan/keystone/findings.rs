//! What the Job of `Preparing` found out about the schema.

use api::{condition::Reason, keystone::SchemaState};
use serde_json::Value;

use super::{
    Scene,
    failure::{self, Then},
    jobs::{self, Task},
    objects::holds,
    steps,
    world::JOB,
};
use crate::{
    json,
    machine::{Failure, Progress},
};

/// What a Job that succeeded found out.
pub(super) fn judge(scene: &Scene<'_>, object: &str, task: Task) -> Progress {
    if task != Task::Check {
        return Progress::Done;
    }
    let report = check_report(scene);
    let number = |path: &str| report.as_ref().and_then(|report| json::get(report, path)).and_then(Value::as_i64);
    let ahead = report.as_ref().and_then(|report| json::get(report, "ahead")).and_then(Value::as_bool) == Some(true);
    if steps::returns(scene) && number("check") != Some(0) {
        let to = scene.to().map(|to| to.release.to_string()).unwrap_or_default();
        let message = format!(
            "{object}: spec.upgrade.restoredRelease says {to}, and the schema is not that of {to}: restore the database \
             from a backup of {to}, then set the annotation keystone.openstack.org/retry to a new value"
        );
        return Progress::Failed(Failure { reason: Reason::SchemaAhead, message });
    }
    if ahead && !left_ahead(scene) {
        let text = "Can't locate revision: db_sync --check does not know the schema's revision";
        return Progress::Failed(failure::explain(object, text, task.failure(), Then::Asked));
    }
    Progress::Done
}

/// Whether the schema is known to be newer than the release that stays: an upgrade was aborted after expand, which the
/// old release does not mind.
fn left_ahead(scene: &Scene<'_>) -> bool {
    let schema = scene.before.schema_release.as_deref().and_then(|release| release.parse().ok());
    match (schema, scene.from(), scene.to()) {
        (Some(schema), Some(from), Some(to)) => from.release == to.release && to.release < schema,
        _ => false,
    }
}

/// What the Job of `Preparing` left.
fn check_report(scene: &Scene<'_>) -> Option<Value> {
    let upgrade = scene.before.upgrade.as_ref()?;
    let name = jobs::job_name(scene, upgrade, Task::Check)?;
    holds(scene.world.object(&JOB, &name)?, "Complete")?;
    let pods: Vec<_> = jobs::pods_of(scene, &name).collect();
    serde_json::from_str(&jobs::said(&pods)?).ok()
}

/// What the Job of `Preparing` found the schema to be.
pub(super) fn schema_state(scene: &Scene<'_>) -> SchemaState {
    let Some(report) = check_report(scene) else { return SchemaState::Unknown };
    if left_ahead(scene) && json::get(&report, "ahead").and_then(Value::as_bool) == Some(true) {
        return SchemaState::Current;
    }
    match json::get(&report, "check").and_then(Value::as_i64) {
        Some(0) if tells_the_truth(json::text(&report, "version").unwrap_or_default()) => SchemaState::Current,
        Some(2 | 4) => SchemaState::Behind,
        _ => SchemaState::Unknown,
    }
}

/// Whether that version's `db_sync --check` compares the database with the code: older ones compare it with itself, and
/// are always content (bug 2080542).
fn tells_the_truth(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor, patch) = (parts.next(), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match major {
        Some(26) => (minor, patch) >= (1, 0),
        Some(27) => (minor, patch) >= (0, 1),
        Some(major) => major >= 28,
        None => false,
    }
}
