//! Stories.
use crate::support::{NEW, OLD, Sim, bundle};
#[test]
fn smoke() {
    let mut sim = Sim::new(None, bundle(OLD));
    let n = sim.settle();
    println!("install rounds {n} {:#?}", sim.condition("Ready"));
    assert_eq!(sim.deployed(), Some(OLD), "{:#?}", sim.status().conditions);
    sim.world.bundle = bundle(NEW);
    let n = sim.settle();
    println!("upgrade rounds {n}");
    sim.target(NEW);
    let n = sim.finish();
    println!("update rounds {n} {:#?}", sim.notes);
    assert_eq!(sim.deployed(), Some(NEW));
}
