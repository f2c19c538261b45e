//! Every combination of service states in a small cloud with one service for each step.

use std::sync::Arc;

use api::DynamicObject;
use plan::release::{Objects, World};
use serde_json::{Value, json};

use crate::support::{NEW, OLD, Sim, bundle, checked, nodeset};

/// The service of each services step.
const SERVICES: &[(&str, &str)] = &[
    ("OVNController", "ovncontroller"),
    ("RabbitMq", "rabbitmq"),
    ("Galera", "openstack"),
    ("Memcached", "memcached"),
    ("Keystone", "keystone"),
    ("PlacementAPI", "placement"),
];

/// What an object can be.
const STATES: &[State] = &[State::Absent, State::Old, State::OldReady, State::New, State::NewStale, State::NewReady];

#[derive(Clone, Copy, Debug)]
enum State {
    Absent,
    Old,
    OldReady,
    New,
    NewStale,
    NewReady,
}

/// One service for each step, and one instance of each.
fn small() -> Sim {
    let sections = ["ovn", "rabbitmq", "galera", "memcached", "keystone", "placement"];
    let mut sim = Sim::new(Some(&sections), bundle(OLD));
    sim.cloud("/ovn/template", json!({"ovnController": {"nicMappings": {"a": "b"}}}));
    sim.cloud("/rabbitmq/templates", json!({"rabbitmq": {}}));
    sim.cloud("/galera/templates", json!({"openstack": {}}));
    sim.cloud("/openstackclient", Value::Null);
    sim
}

/// Each object in each state, as finished clouds show them.
fn objects() -> Vec<Vec<Option<Arc<DynamicObject>>>> {
    let mut old = small();
    old.settle();
    let mut new = old.clone();
    new.world.bundle = bundle(NEW).into();
    new.settle();
    new.target(NEW);
    new.finish();
    let take = |sim: &mut Sim, kind: &str, name: &str, status: fn(&mut Value)| {
        let mut object = sim.one(kind, name).clone();
        status(&mut object.data["status"]);
        Some(Arc::new(object))
    };
    let unready = |status: &mut Value| status["conditions"] = json!([]);
    let stale = |status: &mut Value| status["observedGeneration"] = json!(0);
    let of = |(kind, name): &(&str, &str)| {
        let state = |state: &State| match state {
            State::Absent => None,
            State::Old => take(&mut old.clone(), kind, name, unready),
            State::OldReady => take(&mut old.clone(), kind, name, |_| ()),
            State::New => take(&mut new.clone(), kind, name, unready),
            State::NewStale => take(&mut new.clone(), kind, name, stale),
            State::NewReady => take(&mut new.clone(), kind, name, |_| ()),
        };
        STATES.iter().map(state).collect()
    };
    SERVICES.iter().map(of).collect()
}

fn nodesets() -> Vec<Objects> {
    vec![
        Objects::Absent,
        Objects::Known(vec![nodeset("a", 1, Sim::deployed_with(OLD)), nodeset("empty", 0, json!({}))]),
        Objects::Known(vec![nodeset("a", 1, Sim::deployed_with(NEW))]),
        Objects::Known(vec![nodeset("new", 1, json!({}))]),
    ]
}

#[test]
fn every_small_world_is_ordered_and_explained_and_comes_to_rest() {
    let mut start = small();
    start.settle();
    start.world.bundle = bundle(NEW).into();
    start.settle();
    start.target(NEW);
    let fresh = start.clone();
    start.until(api::step::StepName::Mariadb);
    let memories = [fresh.world, start.world.clone()];
    let objects = objects();
    let nodesets = nodesets();
    let combinations = STATES.len().pow(u32::try_from(SERVICES.len()).unwrap());
    // Coprime to the number of states: every state of every service meets every state of every other.
    for (count, combination) in (0..combinations).step_by(29).enumerate() {
        let mut world = memories[count % memories.len()].clone();
        world.nodesets.clone_from(&nodesets[(count / memories.len()) % nodesets.len()]);
        place(&mut world, &objects, combination);
        let mut sim = start.clone();
        sim.world = world;
        // The first pass records, the second writes.
        sim.pass();
        checked(&sim.world);
        if count % 40 == 0 {
            sim.finish();
            assert_eq!(sim.deployed(), Some(NEW));
            let plan = checked(&sim.world);
            assert!(plan.actions.is_empty() && plan.notes.is_empty());
        }
    }
}

fn place(world: &mut World, objects: &[Vec<Option<Arc<DynamicObject>>>], mut combination: usize) {
    for ((kind, _), states) in SERVICES.iter().zip(objects) {
        let state = &states[combination % STATES.len()];
        combination /= STATES.len();
        let key = world.kinds.keys().find(|key| key.starts_with(&format!("{kind}."))).unwrap().clone();
        world.kinds.insert(key, Objects::Known(state.iter().cloned().collect()));
    }
}
