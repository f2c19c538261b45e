//! The keystone controller on a real API server: scripted Jobs and pods, everything else real.

mod first;
mod support;
