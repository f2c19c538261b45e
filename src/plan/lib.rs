//! The decisions: everything the operator knows goes in as one value, everything it decides comes out as one value.
//!
//! No I/O, no clock, no panic, no `Result`: trouble is data. The dependency list of this crate is the proof. Laws that
//! the functions here keep are property tests in `tests/`: deterministic, total, quiet, convergent, ordered, monotone,
//! crash-safe, explained.

pub mod gate;
pub mod json;
pub mod keystone;
pub mod machine;
pub mod release;
