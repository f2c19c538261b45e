//! The tests that need a real cluster: kubelet, containers, the network of pods. `hack/test --e2e` runs them.
//!
//! They share the cluster in whose network they run, and each works in a namespace of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod abort;
mod database;
mod failures;
mod install;
mod keys;
mod offline;
mod olm;
mod policies;
mod restore;
mod rotation;
mod scene;
mod smoke;
mod support;
mod upgrade;
