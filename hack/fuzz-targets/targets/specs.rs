//! The specs that users write, as JSON: whatever can be read can be planned.
#![no_main]

use fuzz_targets::{CLOUDS, KEYSTONES, keystone_plan, release_plan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let (which, text) = input;
    let at = usize::from(which / 4);
    match which % 4 {
        0 => {
            let Ok(spec) = serde_json::from_str(text) else { return };
            let mut world = CLOUDS[at % CLOUDS.len()].clone();
            if let Some(version) = &mut world.version {
                version.spec = Ok(spec);
            }
            release_plan(&world);
        }
        1 => {
            let Ok(spec) = serde_json::from_str(text) else { return };
            let mut world = CLOUDS[at % CLOUDS.len()].clone();
            if let Some(plane) = &mut world.control_plane {
                plane.spec = Ok(spec);
            }
            release_plan(&world);
        }
        2 => {
            let Ok(spec) = serde_json::from_str(text) else { return };
            let mut world = KEYSTONES[at % KEYSTONES.len()].world.clone();
            world.keystone.spec = Ok(spec);
            keystone_plan(&world);
        }
        _ => {
            let world = &CLOUDS[at % CLOUDS.len()];
            let preview = plan::release::preview(world, text);
            assert_eq!(preview.to, text);
        }
    }
});
