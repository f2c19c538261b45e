//! The admission policies of `manifests/admission`, rule by rule, on a real API server.
//!
//! No operator runs: the tests write the status that it would have written.

mod custom_images;
mod keystone;
mod keystone_target;
mod samples;
mod scene;
mod singletons;
mod stage;
mod target;
mod templates;
