//! What serves: Deployment, Service, PodDisruptionBudget, HorizontalPodAutoscaler. Reconciled in every step.

use super::{Scene, target::Place, world::Action};
use crate::machine::Progress;

/// What has to be written so that everything is as it shall be now.
pub(crate) fn actions(_scene: &Scene<'_>) -> Vec<Action> {
    Vec::new()
}

/// Whether every pod has that image and is ready.
pub(crate) fn rollout(_scene: &Scene<'_>, _to: &Place) -> Progress {
    Progress::Running(String::new())
}

/// Whether no pod serves.
pub(crate) fn stopped(_scene: &Scene<'_>) -> Progress {
    Progress::Running(String::new())
}

/// The pods that do not have the image on the way yet, terminating ones included.
pub(crate) fn old_pods(_scene: &Scene<'_>) -> Option<String> {
    None
}

/// How many pods serve.
pub(crate) fn ready_replicas(_scene: &Scene<'_>) -> i64 {
    0
}

/// The URL of the Service.
pub(crate) fn endpoint(scene: &Scene<'_>) -> String {
    format!("http://{}.{}.svc:5000/v3", scene.world.name(), scene.world.namespace)
}
