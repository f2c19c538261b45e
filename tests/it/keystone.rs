//! The keystone controller on a real API server: scripted Jobs and pods, everything else real.

mod apart;
mod cloud;
mod failure;
mod objects;
mod replicas;
mod rotation;
mod support;
mod walk;
mod ways;
