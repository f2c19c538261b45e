//! A tiny cluster in memory: the world, writes to it, and well-behaved service operators.

mod cloud;
mod env;
mod look;
pub mod random;
mod sim;

pub use cloud::{bundle, control_plane, custom, image_of, nodeset};
pub use env::kind_named;
pub use look::{checked, image_changes, versions_of};
pub use sim::{Sim, same_but_time};

/// The objects of an installed kind, to be changed.
pub fn known_mut(objects: &mut plan::release::Objects) -> &mut Vec<std::sync::Arc<api::DynamicObject>> {
    match objects {
        plan::release::Objects::Known(objects) => objects,
        other => panic!("the kind is not readable: {other:?}"),
    }
}

/// When every test begins.
pub fn epoch() -> jiff::Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// The versions most tests use.
pub const OLD: &str = "1.0.0";
pub const NEW: &str = "1.0.1";
pub const NEWER: &str = "1.0.2";
