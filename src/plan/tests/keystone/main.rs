//! The laws and the scenarios of the keystone controller's decisions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
// Builders take values by value so that the stories stay short.
#![allow(clippy::needless_pass_by_value)]

mod account;
mod bootstrap;
mod cluster;
mod keys;
mod laws;
mod rotation;
mod rotation_laws;
mod rotation_waits;
mod scenarios;
mod sim;
mod trouble;
