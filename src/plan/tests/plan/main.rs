//! The laws, the scenarios and the model check of the release controller's decisions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod exhaustive;
mod laws;
mod model;
mod scenarios;
mod support;
