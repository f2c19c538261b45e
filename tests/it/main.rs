//! The tests that need a real API server: one binary, so that it is linked and started once.
//!
//! Tests share one cluster (`testbed::cluster::shared`) and each works in a namespace of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// `json!` values are made for one call.
#![allow(clippy::needless_pass_by_value)]

mod admission;
mod bad_input;
mod chaos;
mod crash;
mod faults;
mod gates;
mod http;
mod keystone;
mod kinds;
mod lifecycle;
mod manifests;
mod matrix;
mod midway;
mod peer;
mod plugin;
mod preview;
mod rbac;
mod respin;
mod restart;
mod seed;
mod shapes;
mod support;
#[cfg(feature = "otel")]
mod traces;
mod upstream;
mod walk;
