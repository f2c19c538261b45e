//! The simulated Keystones of the tests of `plan::keystone`.

#[path = "../../../src/plan/tests/keystone/cluster.rs"]
pub mod cluster;
#[path = "../../../src/plan/tests/keystone/keys.rs"]
pub mod keys;
#[path = "../../../src/plan/tests/keystone/sim.rs"]
pub mod sim;
