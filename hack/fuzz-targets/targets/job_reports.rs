//! What the pods of Jobs leave as their last words, in each step of an upgrade.
#![no_main]

use fuzz_targets::{KEYSTONES, keystone::sim::Behaviour, keystone_plan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, bool, &str)| {
    let (at, well, text) = input;
    let mut sim = KEYSTONES[usize::from(at) % KEYSTONES.len()].clone();
    let tasks = ["sync", "bootstrap", "check", "backup", "expand", "migrate", "verify", "contract"];
    for task in tasks {
        let said = text.to_owned();
        sim.jobs.insert(task, if well { Behaviour::Succeeds(said) } else { Behaviour::Fails(said) });
    }
    for _ in 0..4 {
        sim.pass();
        sim.cluster();
    }
    keystone_plan(&sim.world);
});
