//! Pods that do not get the published keys: remembered from one answer to the next, and trouble when it takes too long.
//! Nothing rotates before they have them, so an end must be in sight.

use api::keystone::KeySetStatus;
use jiff::{SignedDuration, Timestamp};

use super::{
    super::{Scene, keys::Repository, objects::name, server},
    confirm::Spread,
};

/// How long a pod may lag: the kubelet brings a changed Secret within two minutes.
const LONG: SignedDuration = SignedDuration::from_mins(10);

/// Puts on record which pods lag, and since when.
pub(super) fn record(scene: &Scene<'_>, status: &mut KeySetStatus, spread: &Spread) {
    match spread {
        Spread::Everywhere => status.lagging.clear(),
        Spread::Waits { lagging, .. } if !lagging.is_empty() => status.lagging.clone_from(lagging),
        // Nobody has said anything new: one that is gone does not lag any more, its successor mounts what is published.
        _ => status.lagging.retain(|lagging| {
            let mut staying = server::pods(scene).filter(|pod| pod.metadata.deletion_timestamp.is_none());
            staying.any(|pod| name(pod) == lagging)
        }),
    }
    let since = status.lagging_since.unwrap_or(scene.world.now);
    status.lagging_since = (!status.lagging.is_empty()).then_some(since);
}

/// When it is too long.
pub(super) fn end(status: &KeySetStatus) -> Option<Timestamp> {
    status.lagging_since.and_then(|since| since.checked_add(LONG).ok())
}

/// What to do when it is too long.
pub(super) fn trouble(scene: &Scene<'_>, row: &Repository, status: &KeySetStatus) -> Option<String> {
    end(status).filter(|end| *end <= scene.world.now)?;
    Some(format!(
        "{}: Pod/{} has not the published keys, known since {}, and nothing rotates before it has them; delete it (kubectl \
         delete pod {}): its successor starts with them. If that lags, too, look at the kubelet of its node",
        row.id,
        status.lagging.join(", Pod/"),
        status.lagging_since?,
        status.lagging.join(" "),
    ))
}
