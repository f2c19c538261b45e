//! The controllers: for each, the kinds it watches, how its world is built, and what its plan writes.

mod release;

pub use release::{Release, world};

/// The controllers that a process can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// `OpenStackVersion` and `OpenStackControlPlane`.
    Release,
}
