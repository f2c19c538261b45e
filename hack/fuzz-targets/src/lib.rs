//! What the targets share: worlds to start from, and ways to spoil them.

// The tests of `plan` are written as tests are.
#![allow(dead_code)]

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub mod keystone;
pub mod release;

/// The image of an installed Keystone, and the next one.
pub const OLD_IMAGE: &str = keystone::sim::OLD;
const NEW_TAG: &str = "2026.1";

/// Clouds at rest and in each step of an update.
pub static CLOUDS: LazyLock<Vec<plan::release::World>> = LazyLock::new(|| {
    use release::support::{NEW, OLD, Sim, bundle, nodeset};
    let few = ["galera", "rabbitmq", "memcached", "keystone", "ovn", "glance", "cinder"];
    let mut worlds = vec![Sim::new(Some(&few), bundle(OLD)).world];
    let mut sim = Sim::updating(Some(&few), OLD, NEW);
    sim.world.nodesets = plan::release::Objects::Known(vec![nodeset("compute", 1, Sim::deployed_with(OLD))]);
    for _ in 0..12 {
        worlds.push(sim.world.clone());
        sim.round();
        sim.administrator();
    }
    worlds
});

/// Keystones at rest and in each step of an upgrade.
pub static KEYSTONES: LazyLock<Vec<keystone::sim::Sim>> = LazyLock::new(|| {
    let mut sims = vec![keystone::sim::Sim::new(OLD_IMAGE)];
    let mut sim = keystone::sim::Sim::installed(OLD_IMAGE);
    sims.push(sim.clone());
    sim.spec(|spec| spec.image.tag = Some(NEW_TAG.to_owned()));
    for _ in 0..16 {
        sims.push(sim.clone());
        sim.pass();
        sim.cluster();
    }
    sims
});

/// One of them.
pub fn one_of<'a, T>(bytes: &mut Unstructured<'_>, all: &'a [T]) -> Result<&'a T> {
    bytes.choose(all)
}

/// Changes some values of anything that is written as JSON; `None` when it cannot be read any more.
pub fn spoiled<T: Serialize + DeserializeOwned>(value: &T, bytes: &mut Unstructured<'_>) -> Result<Option<T>> {
    let mut text = serde_json::to_value(value).unwrap_or_default();
    for _ in 0..bytes.int_in_range(1..=4)? {
        let count = size(&text);
        let at = bytes.int_in_range(0..=count.saturating_sub(1))?;
        let other = bytes.int_in_range(0..=count.saturating_sub(1))?;
        let new = junk(&text, other, bytes)?;
        if let Some(place) = nth(&mut text, at) {
            *place = new;
        }
    }
    Ok(serde_json::from_value(text).ok())
}

fn junk(text: &Value, other: usize, bytes: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match bytes.int_in_range(0..=9)? {
        0 => Value::Null,
        1 => json!(bool::arbitrary(bytes)?),
        2 => json!(i64::arbitrary(bytes)?),
        3 => json!(f64::arbitrary(bytes)?),
        4 => json!([]),
        5 => json!({}),
        6 => json!(""),
        7 => json!(String::arbitrary(bytes)?),
        8 => json!({"type": "Ready", "status": "True", "lastTransitionTime": "9999-12-31T23:59:59Z"}),
        // What stands elsewhere.
        _ => nth(&mut text.clone(), other).cloned().unwrap_or_default(),
    })
}

/// How many values there are in a value.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(size).sum(),
        Value::Array(items) => items.iter().map(size).sum(),
        _ => 0,
    }
}

/// The value at that place, counted from the outside.
fn nth(value: &mut Value, at: usize) -> Option<&mut Value> {
    if at == 0 {
        return Some(value);
    }
    let mut left = at - 1;
    let children: Vec<&mut Value> = match value {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        let here = size(child);
        if left < here {
            return nth(child, left);
        }
        left -= here;
    }
    None
}

/// Plans twice: the same, and no panic. What it says can be written and read.
pub fn release_plan(world: &plan::release::World) {
    let first = plan::release::plan(world);
    assert_eq!(first, plan::release::plan(world), "not the same twice");
    let status = serde_json::to_value(&first.statuses.version).expect("a status that cannot be written");
    let read: Option<api::version::OpenStackVersionStatus> =
        serde_json::from_value(status).expect("a status that cannot be read");
    assert_eq!(read, first.statuses.version, "a status that is read back differently is written for ever");
}

/// The same for a Keystone.
pub fn keystone_plan(world: &plan::keystone::World) -> plan::keystone::Plan {
    let first = plan::keystone::plan(world);
    assert_eq!(first, plan::keystone::plan(world), "not the same twice");
    let status = serde_json::to_value(&first.status).expect("a status that cannot be written");
    let read: api::keystone::KeystoneStatus = serde_json::from_value(status).expect("a status that cannot be read");
    assert_eq!(read, first.status, "a status that is read back differently is written for ever");
    first
}
