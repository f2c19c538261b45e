//! When keys rotate, and how long tokens live, as users write it.
#![no_main]

use fuzz_targets::{KEYSTONES, keystone_plan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, Option<&str>, i32, Option<&str>, Option<&str>)| {
    let (schedule, zone, most, expiration, window) = input;
    let mut world = KEYSTONES[1].world.clone();
    if let Ok(spec) = &mut world.keystone.spec {
        spec.fernet.rotation_schedule = schedule.to_owned();
        spec.fernet.time_zone = zone.map(str::to_owned);
        spec.fernet.max_active_keys = most.into();
        let options = [("expiration", expiration), ("allow_expired_window", window)];
        let token = spec.extra_config.entry("token".to_owned()).or_default();
        token.extend(options.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned()))));
    }
    keystone_plan(&world);
});
