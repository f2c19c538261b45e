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
#[test]
fn timing() {
    let sim = Sim::updating(None, OLD, NEW);
    let t = std::time::Instant::now();
    for _ in 0..50 {
        std::hint::black_box(plan::release::plan(&sim.world));
    }
    println!("plan {:?}", t.elapsed() / 50);
    let t = std::time::Instant::now();
    for _ in 0..50 {
        std::hint::black_box(crate::support::checked(&sim.world));
    }
    println!("checked {:?}", t.elapsed() / 50);
    let t = std::time::Instant::now();
    for _ in 0..50 {
        std::hint::black_box(sim.world.clone());
    }
    println!("clone {:?}", t.elapsed() / 50);
    let s = Sim::updating(Some(&["ovn", "galera"]), OLD, NEW);
    let t = std::time::Instant::now();
    for _ in 0..50 {
        std::hint::black_box(plan::release::plan(&s.world));
    }
    println!("small {:?}", t.elapsed() / 50);
}
