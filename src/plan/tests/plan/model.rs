//! The walk in a hostile environment: what can happen between any two passes happens, in every order.

use plan::release::Objects;
use std::collections::{HashSet, VecDeque};

use api::{
    service::SERVICES,
    step::{MINOR_UPDATE, Revert, StepName},
};
use plan::{gate, release::Plan};
use serde_json::{Value, json};

use crate::support::{NEW, NEWER, OLD, Sim, bundle, checked, image_changes, versions_of};

/// What the world does between two passes.
#[derive(Clone, Copy, Debug)]
enum Move {
    Ready(&'static str),
    Unready(&'static str, &'static str),
    Target(&'static str),
    Pause,
    Deploy,
    Nothing,
}

const MOVES: &[Move] = &[
    Move::Nothing,
    Move::Ready("OVNController"),
    Move::Ready("Galera"),
    Move::Ready("PlacementAPI"),
    Move::Unready("OVNController", "ovncontroller"),
    Move::Unready("Galera", "openstack"),
    Move::Target(OLD),
    Move::Target(NEW),
    Move::Target(NEWER),
    Move::Pause,
    Move::Deploy,
];

/// How a pass ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Everything is written.
    Whole,
    /// A crash after the writes, before the report.
    Unreported,
    /// A crash before the writes.
    Nothing,
}

/// Three steps with a service, one with a nodeset; three versions are known.
fn start() -> Sim {
    let mut sim = Sim::new(Some(&["ovn", "galera", "placement"]), bundle(OLD));
    sim.cloud("/ovn/template", json!({"ovnController": {"nicMappings": {"a": "b"}}}));
    sim.cloud("/galera/templates", json!({"openstack": {}}));
    sim.settle();
    for version in [NEW, NEWER] {
        sim.world.bundle = bundle(version).into();
        sim.settle();
    }
    sim.world.nodesets = Objects::Known(vec![crate::support::nodeset("edpm", 1, Sim::deployed_with(OLD))]);
    sim.target(NEW);
    sim
}

fn make(sim: &mut Sim, this: Move) {
    match this {
        Move::Ready(kind) => sim.serve(kind),
        Move::Unready(kind, name) => {
            if sim.exists(kind, name) {
                sim.break_one(kind, name, "no quorum");
            }
        }
        Move::Target(target) => sim.target(target),
        Move::Pause => sim.spec().update.paused ^= true,
        Move::Deploy => sim.administrator(),
        Move::Nothing => {}
    }
}

/// What matters of a state; times, uids and generations do not.
fn key(sim: &Sim) -> String {
    let status = sim.status();
    let spec = sim.world.version_spec().unwrap();
    let mut update = serde_json::to_value(&status.update).unwrap();
    strip(&mut update);
    let objects: Vec<Value> = SERVICES
        .iter()
        .flat_map(|row| sim.world.objects(&row.kind).known().iter().map(move |object| (row, object)))
        .map(|(row, object)| {
            let images: Vec<String> = versions_of(&object.data).values().map(ToString::to_string).collect();
            json!([row.name, object.metadata.name, images, gate::first_unmet("", object, row.ready).is_none()])
        })
        .collect();
    let nodesets: Vec<&Value> = sim.world.nodesets.known().iter().map(|nodeset| &nodeset.data["status"]).collect();
    json!([spec.target_version, spec.update.paused, update, status.deployed_version, objects, nodesets]).to_string()
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            ["startedAt", "finishedAt", "message"].iter().for_each(|key| drop(map.remove(*key)));
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// What holds state, and must never see an older image.
fn nothing_irrevocable_goes_back(sim: &Sim, plan: &Plan) {
    let may = |step: StepName| MINOR_UPDATE.iter().any(|row| row.name == step && matches!(row.revert, Revert::Always));
    for (row, name, changes) in image_changes(&sim.world, plan) {
        for (path, old, new) in changes.iter().filter(|_| !may(row.step)) {
            let version = |text: &str| text.rsplit(':').next().unwrap().parse::<api::release::Version>().unwrap();
            assert!(version(new) >= version(old), "{name} {path} goes back from {old} to {new}");
        }
    }
}

/// One pass of the state, with the world moving on between observation and writes, and an end.
fn next(sim: &Sim, plan: &Plan, this: Move, end: End) -> Sim {
    let mut sim = sim.clone();
    let version = (sim.version().meta.generation, sim.status().clone());
    make(&mut sim, this);
    if end != End::Nothing {
        sim.act(plan);
    }
    // A status that is based on an older object is refused.
    let stale = version != (sim.version().meta.generation, sim.status().clone());
    if end == End::Whole && !stale {
        sim.report(plan);
    }
    sim.tick(10);
    sim
}

/// With a fair environment the update ends, with what is in force, and nothing irrevocable goes back on the way.
/// `good` are the states from which that is known.
fn finishes(sim: &Sim, good: &mut HashSet<String>) {
    let mut sim = sim.clone();
    sim.spec().update.paused = false;
    let mut passed = Vec::new();
    for _ in 0..60 {
        let key = key(&sim);
        if good.contains(&key) {
            good.extend(passed);
            return;
        }
        let rest = passed.last() == Some(&key);
        passed.push(key);
        if rest {
            finished(&sim);
            good.extend(passed);
            return;
        }
        let plan = checked(&sim.world);
        nothing_irrevocable_goes_back(&sim, &plan);
        sim.act(&plan);
        sim.report(&plan);
        sim.services();
        sim.administrator();
        sim.tick(10);
    }
    panic!("the update never ends: {:#?}", sim.status().update);
}

fn finished(sim: &Sim) {
    assert_eq!(sim.status().update, None, "the update never ends");
    let target = sim.world.version_spec().unwrap().target_version.clone();
    if sim.condition("TargetVersionValid").0 == api::condition::Status::True {
        assert_eq!(sim.deployed(), Some(target.as_str()));
    }
    let deployed: api::release::Version = sim.deployed().unwrap().parse().unwrap();
    for object in sim.world.kinds.values().flatten() {
        assert!(versions_of(&object.data).values().all(|version| *version == deployed), "{:?}", object.metadata.name);
    }
}

/// Every state that a fair update goes through: what a hostile world can do, it does from each of them.
fn path() -> VecDeque<Sim> {
    let mut sim = start();
    let mut states = VecDeque::from([sim.clone()]);
    while sim.deployed() == Some(OLD) {
        sim.pass();
        states.push_back(sim.clone());
        sim.services();
        sim.administrator();
        states.push_back(sim.clone());
    }
    states
}

/// Explores `most` states, breadth first or (with a seed) in a random order.
fn explore(most: usize, seed: Option<u64>) -> usize {
    let mut random = seed.unwrap_or_default();
    let mut queue = path();
    let mut seen: HashSet<String> = queue.iter().map(key).collect();
    let mut good = HashSet::new();
    let mut count = 0_usize;
    while let Some(sim) = queue.pop_front() {
        finishes(&sim, &mut good);
        count += 1;
        let plan = checked(&sim.world);
        nothing_irrevocable_goes_back(&sim, &plan);
        for this in MOVES {
            for end in [End::Whole, End::Unreported, End::Nothing] {
                let new = next(&sim, &plan, *this, end);
                if seen.len() < most && seen.insert(key(&new)) {
                    random = random.rotate_left(9).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
                    if seed.is_some() && !random.is_multiple_of(3) {
                        queue.push_front(new);
                    } else {
                        queue.push_back(new);
                    }
                }
            }
        }
    }
    count
}

#[test]
fn nothing_between_two_passes_breaks_the_walk() {
    assert!(explore(400, None) >= 400);
}

#[test]
fn nor_does_a_long_story() {
    for seed in [1, 2] {
        assert!(explore(120, Some(seed)) >= 120);
    }
}
