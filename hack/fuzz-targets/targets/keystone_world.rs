//! Worlds of the keystone controller in which anything may be anything.
#![no_main]

use arbitrary::Unstructured;
use fuzz_targets::{KEYSTONES, keystone_plan, one_of, spoiled};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Unstructured::new(data);
    let Ok(sim) = one_of(&mut bytes, &KEYSTONES) else { return };
    if let Ok(Some(world)) = spoiled(&sim.world, &mut bytes) {
        keystone_plan(&world);
    }
});
