//! The laws, the scenarios and the model check of the release controller's decisions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
// Builders take values by value so that the stories stay short.
#![allow(clippy::needless_pass_by_value, clippy::similar_names, clippy::needless_for_each, clippy::assigning_clones)]
#![allow(clippy::case_sensitive_file_extension_comparisons)]

mod exhaustive;
mod laws;
mod model;
mod scenarios;
mod support;
