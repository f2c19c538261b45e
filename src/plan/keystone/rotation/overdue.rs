//! Rotations that should have begun by themselves and did not: a `CronJob` that does nothing has no Job to look at.

use api::{
    condition::{Reason, Severity, Verdict},
    keystone::{KeySetStatus, KeystoneSpec},
};
use jiff::SignedDuration;

use super::{
    super::{
        Scene,
        keys::{Repository, Schedule},
        objects,
        world::CRON_JOB,
    },
    lifetime,
};

/// How long the Job may take, and more than the hour by which clocks change.
const JOB: SignedDuration = SignedDuration::from_hours(2);

/// Puts on record when two rotations are missing: one may be, when nothing could rotate at its time.
pub(super) fn record(status: &mut KeySetStatus, schedule: &Schedule<'_>, suspended: bool) {
    let pause = if suspended { None } else { lifetime::longest_pause(schedule) };
    let two = pause.and_then(|pause| pause.checked_mul(2)).map(SignedDuration::from_mins);
    status.overdue_at = two.and_then(|two| status.since.checked_add(two.checked_add(JOB)?).ok());
}

/// That they are missing, when nothing else says why.
pub(super) fn verdict(
    scene: &Scene<'_>,
    row: &Repository,
    spec: &KeystoneSpec,
    status: &KeySetStatus,
) -> Option<Verdict> {
    status.overdue_at.filter(|overdue| *overdue <= scene.world.now)?;
    let cron_job = row.rotation.of(scene.world.name());
    let live = scene.world.object(&CRON_JOB, &cron_job);
    let last = live.and_then(|live| objects::field(live, "status.lastScheduleTime")?.as_str());
    let message = format!(
        "{}: not rotated since {}, although {}.rotationSchedule {:?} was due twice; CronJob/{cron_job} began its last Job {}: \
         kubectl describe cronjob/{cron_job} says what keeps it, kubectl create job --from=cronjob/{cron_job} rotates now",
        row.id,
        status.since,
        row.section,
        (row.schedule)(spec).cron,
        last.map_or_else(|| "never".to_owned(), |last| format!("at {last}")),
    );
    Some(Verdict::no(Severity::Warning, Reason::KeysOverdue, message))
}
