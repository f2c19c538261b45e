//! The keystone controller on a real API server: scripted Jobs and pods, everything else real.

mod apart;
mod cloud;
mod failure;
pub mod keys;
mod objects;
mod replicas;
pub mod rotation;
pub mod support;
mod walk;
mod ways;
