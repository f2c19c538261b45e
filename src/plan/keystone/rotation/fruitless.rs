//! Jobs that were to rotate keys and did not: the ones that failed, and the ones that only say that they did not.

use api::{DynamicObject, condition::Reason, keystone::KeySetStatus};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    super::{
        Scene,
        failure::{self, Then},
        jobs,
        keys::Repository,
        objects::{field, holds, name},
    },
    parts,
    staging::Staging,
};
use crate::json;

/// How long after its end a Job's new keys may still be on their way here: Jobs and Secrets are watched apart.
const ON_THE_WAY: SignedDuration = SignedDuration::from_secs(10);

/// What to look at when a Job does not say it.
const REMEDY: &str = "look at its log (kubectl logs)";

/// The Jobs, each with what is said about it, and when to look again.
pub(super) struct Fruitless {
    pub(super) jobs: Vec<(String, String)>,
    pub(super) next: Option<Timestamp>,
}

/// Looks at all of them.
pub(super) fn jobs(scene: &Scene<'_>, row: &Repository, status: &KeySetStatus, staging: &Staging<'_>) -> Fruitless {
    let component = parts::rotate(row);
    let mut found = Fruitless { jobs: Vec::new(), next: None };
    for job in parts::jobs(scene, &component).filter(|job| !is_answered(job, status, staging)) {
        let object = format!("Job/{}", name(job));
        let pods: Vec<_> = jobs::pods_of(scene, name(job)).collect();
        let said = jobs::said(&pods).unwrap_or_default();
        if holds(job, "Failed").is_some() {
            let failure = failure::explain(&object, &said, (Reason::RotationFailed, REMEDY), Then::Rotated);
            found.jobs.push((name(job).to_owned(), failure.message));
        } else if let Some(ended) = holds(job, "Complete").and_then(|_| time(job, "status.completionTime")) {
            let report: Value = serde_json::from_str(&said).unwrap_or_default();
            let due = ended.saturating_add(ON_THE_WAY).unwrap_or(ended);
            if json::text(&report, "staged") == Some(status.set.as_str()) {
                continue;
            }
            if due > scene.world.now {
                found.next = found.next.into_iter().chain([due]).min();
            } else {
                let message = format!(
                    "{object} succeeded and no new keys came of it: {REMEDY}, and who deletes or changes Secret/{}; {}",
                    parts::staging(scene, row),
                    Then::Rotated
                );
                found.jobs.push((name(job).to_owned(), message));
            }
        }
    }
    found.jobs.sort();
    found
}

/// Whether something came of it, or of one that began later: keys that were published, rejected, or wait.
fn is_answered(job: &DynamicObject, status: &KeySetStatus, staging: &Staging<'_>) -> bool {
    let created = job.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let Some(began) = time(job, "status.startTime").or(created) else { return true };
    let rejected = status.rejected.as_ref().is_some_and(|rejected| rejected.at >= began);
    status.since >= began || rejected || !matches!(staging, Staging::Empty)
}

fn time(job: &DynamicObject, path: &str) -> Option<Timestamp> {
    field(job, path).and_then(Value::as_str)?.parse().ok()
}
