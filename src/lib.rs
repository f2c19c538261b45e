//! The shell around the decisions of the `plan` crate: everything that does I/O.
//!
//! * [`engine`]: observe, plan, act, report; one loop for every controller;
//! * [`controllers`]: one small file for each controller: the kinds it watches, how its world is built, what its plan
//!   writes;
//! * [`admission`]: the admission policies, where the installer cannot carry them;
//! * [`cli`]: the commands of the binary;
//! * [`http`]: probes and metrics; [`metrics`] is the table of them;
//! * [`clock`], [`config`], [`client`], [`leader`], [`telemetry`]: what a process needs once.

pub mod admission;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod controllers;
pub mod engine;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod telemetry;
