//! The controllers: for each, the kinds it watches, how its world is built, and what its plan writes.

mod keystone;
mod object;
mod release;

pub use keystone::Keystone;
pub(crate) use object::status;
pub(crate) use release::{CONTROL_PLANE, Charge, VERSION, in_charge};
pub use release::{Release, world};

/// The controllers that a process can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Name {
    /// `OpenStackVersion` and `OpenStackControlPlane`.
    Release,
    /// `Keystone`.
    Keystone,
}
