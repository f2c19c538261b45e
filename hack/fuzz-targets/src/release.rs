//! The simulated clouds of the tests of `plan::release`.

#[path = "../../../src/plan/tests/plan/support/mod.rs"]
pub mod support;
