//! What somebody puts into the Secret of a rotation: published only when a rotation would make it.
#![no_main]

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fuzz_targets::{
    KEYSTONES,
    keystone::keys::{FERNET, key, rotated},
    keystone_plan,
};
use libfuzzer_sys::fuzz_target;
use plan::keystone::Action;
use serde_json::{Value, json};

/// A key: what a rotation would have there, a known one, or anything.
type Key<'a> = (&'a str, u8, &'a [u8]);

fuzz_target!(|input: (bool, Vec<Key<'_>>, Option<&str>, Option<&str>)| {
    let (good, changes, from, at) = input;
    let mut sim = KEYSTONES[1].clone();
    let published = sim.keys(FERNET);
    let next = rotated(&published, 3, key(77));
    let start = if good { &next } else { &published };
    let text = |key: &String| json!(STANDARD.encode(key));
    let mut data: BTreeMap<String, Value> = start.iter().map(|(number, key)| (number.to_string(), text(key))).collect();
    for (name, kind, bytes) in changes {
        let value = match kind % 4 {
            0 => json!(STANDARD.encode(bytes)),
            1 => json!(String::from_utf8_lossy(bytes)),
            2 => Value::Null,
            _ => text(&key(u64::from(kind))),
        };
        data.insert(name.to_owned(), value);
    }
    let record = sim.record(FERNET).set;
    let now = sim.world.now.to_string();
    let secret = format!("{FERNET}-rotation");
    if sim.find("Secret", &secret).is_none() {
        return;
    }
    sim.edit("Secret", &secret, |secret| {
        secret["metadata"]["annotations"] = json!({
            "keystone.openstack.org/rotated-at": at.unwrap_or(&now),
            "keystone.openstack.org/rotated-from": from.unwrap_or(&record),
        });
        secret["data"] = json!(data);
    });
    let plan = keystone_plan(&sim.world);
    let wanted: Value =
        next.iter().filter(|(number, _)| **number != 0).map(|(n, key)| (n.to_string(), text(key))).collect();
    for action in plan.actions {
        let Action::Merge { kind: "Secret", object } = action else { continue };
        if object["metadata"]["name"] == FERNET && !object["data"].is_null() {
            let is = |number: &str| &object["data"][number];
            for (number, key) in wanted.as_object().into_iter().flatten() {
                assert!(is(number).is_null() || is(number) == key, "published key {number}: {object}");
            }
        }
    }
});
