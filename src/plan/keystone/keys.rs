//! The keys: made once, never again by themselves.

use super::{Scene, world::Action};
use crate::machine::Failure;

/// The creation of the key Secrets, when they were never made.
pub(crate) fn actions(_scene: &Scene<'_>) -> Vec<Action> {
    Vec::new()
}

/// Whether both Secrets are there.
pub(crate) fn exist(_scene: &Scene<'_>) -> bool {
    false
}

/// What is wrong with the keys, if anything is.
pub(crate) fn trouble(_scene: &Scene<'_>) -> Option<Failure> {
    None
}
