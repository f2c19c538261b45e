//! Worlds of the release controller in which anything may be anything.
#![no_main]

use arbitrary::Unstructured;
use fuzz_targets::{CLOUDS, one_of, release_plan, spoiled};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Unstructured::new(data);
    let Ok(world) = one_of(&mut bytes, &CLOUDS) else { return };
    if let Ok(Some(world)) = spoiled(world, &mut bytes) {
        release_plan(&world);
    }
});
