//! The shell around the decisions of the `plan` crate: everything that does I/O.
//!
//! * [`engine`]: observe, plan, act, report; one loop for every controller;
//! * [`controllers`]: one small file for each controller: the kinds it watches, how its world is built, what its plan
//!   writes;
//! * [`cli`]: the commands of the binary;
//! * [`http`]: probes and metrics; [`metrics`] is the table of them;
//! * [`config`], [`client`], [`leader`], [`telemetry`]: what a process needs once.

pub mod cli;
pub mod client;
pub mod config;
pub mod controllers;
pub mod engine;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod telemetry;
