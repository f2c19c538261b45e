//! The laws over random interleavings of the operator, the cluster and the administrator, with crashes in between.

use std::sync::Arc;

use plan::keystone::{KINDS, plan};
use proptest::{prelude::*, sample::select, test_runner::Config};
use serde_json::Value;

use super::sim::{Behaviour, NEW, OLD, Sim};

const PATCH: &str = "quay.io/keystone:2026.1-p1";
const TASKS: [&str; 8] = ["sync", "bootstrap", "check", "backup", "expand", "migrate", "verify", "contract"];

#[derive(Clone, Debug)]
enum Event {
    /// The operator: all of a pass.
    Pass,
    /// It is killed after the status and this many writes.
    Killed(usize),
    /// It is killed before the status is written.
    Lost,
    Job(usize),
    Pod(usize),
    Deployment,
    Image(&'static str),
    Replicas(i32),
    Retry(u8),
    Deadline(usize),
    Behaves(usize, u8),
    Broken(&'static str, bool),
    Config(u8),
    Offline(bool),
    Lingers(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let image = || prop_oneof![Just(OLD), Just(NEW), Just(PATCH)];
    prop_oneof![
        12 => Just(Event::Pass),
        2 => (0_usize..4).prop_map(Event::Killed),
        1 => Just(Event::Lost),
        8 => (0_usize..8).prop_map(Event::Job),
        12 => (0_usize..12).prop_map(Event::Pod),
        8 => Just(Event::Deployment),
        2 => image().prop_map(Event::Image),
        1 => (1_i32..5).prop_map(Event::Replicas),
        1 => (0_u8..4).prop_map(Event::Retry),
        1 => (0_usize..8).prop_map(Event::Deadline),
        1 => (0_usize..8, 0_u8..4).prop_map(|(task, how)| Event::Behaves(task, how)),
        1 => (image(), any::<bool>()).prop_map(|(image, broken)| Event::Broken(image, broken)),
        1 => (0_u8..3).prop_map(Event::Config),
        1 => any::<bool>().prop_map(Event::Offline),
        2 => any::<bool>().prop_map(Event::Lingers),
    ]
}

fn behaviour(how: u8) -> Option<Behaviour> {
    Some(match how {
        0 => Behaviour::Fails("(1061, \"Duplicate key name 'ix'\")".into()),
        1 => Behaviour::Hangs,
        2 => Behaviour::Waits("ImagePullBackOff", "not found"),
        _ => return None,
    })
}

fn happen(sim: &mut Sim, event: &Event) {
    let nth = |names: Vec<String>, n: usize| if names.is_empty() { None } else { Some(names[n % names.len()].clone()) };
    match event {
        Event::Pass => {
            sim.pass();
        }
        Event::Killed(writes) => sim.killed_after(*writes),
        Event::Lost => {
            plan(&sim.world);
        }
        Event::Job(n) => nth(sim.names("Job"), *n).into_iter().for_each(|job| sim.job(&job)),
        Event::Pod(n) => nth(sim.names("Pod"), *n).into_iter().for_each(|pod| sim.pod(&pod)),
        Event::Deployment => sim.deployment(),
        Event::Image(image) => drop(sim.image(image)),
        Event::Replicas(replicas) => drop(sim.spec(|spec| spec.replicas = *replicas)),
        Event::Retry(value) => drop(sim.retry(&value.to_string())),
        Event::Deadline(n) => nth(sim.names("Job"), *n).into_iter().for_each(|job| sim.deadline(&job)),
        Event::Behaves(task, how) => {
            sim.jobs.remove(TASKS[*task]);
            sim.jobs.extend(behaviour(*how).map(|behaviour| (TASKS[*task], behaviour)));
        }
        Event::Broken(image, broken) => {
            sim.broken.retain(|known| known != image);
            sim.broken.extend(broken.then(|| (*image).to_owned()));
        }
        Event::Lingers(lingers) => sim.lingering = *lingers,
        Event::Config(value) => {
            let option = [("debug".to_owned(), value.to_string())].into();
            sim.spec(|spec| spec.extra_config = [("DEFAULT".to_owned(), option)].into());
        }
        Event::Offline(offline) => {
            let strategy = if *offline { api::keystone::Strategy::Offline } else { api::keystone::Strategy::Online };
            sim.spec(|spec| spec.upgrade.strategy = strategy);
        }
    }
}

/// What holds between any two events.
fn check(sim: &Sim, contracted: &mut bool) -> Result<(), TestCaseError> {
    let status = &sim.world.keystone.status;
    if let Some(upgrade) = &status.upgrade {
        prop_assert!(!(upgrade.contracted && upgrade.aborting), "an abort after contract");
        *contracted |= upgrade.contracted && upgrade.from_image == OLD;
        if let Some(failure) = &upgrade.failure {
            let (degraded, message) = sim.condition("Degraded");
            prop_assert!(degraded, "a failure that is not said");
            prop_assert_eq!(&message, &failure.message);
            prop_assert!(
                message.contains("Job/") || message.contains("Pod/") || message.contains("Deployment/"),
                "{}",
                message
            );
        }
    }
    let installed = status.installed_image.as_deref();
    prop_assert!(!*contracted || status.upgrade.is_some() || installed != Some(OLD), "back after contract");
    Ok(())
}

/// The steps of an upgrade, as Events tell them.
const PREPARED: &[&str] = &["PreparationComplete"];
const ONLINE: &[&str] =
    &["ExpandComplete", "MigrateComplete", "DeploymentRolloutComplete", "VerificationComplete", "ContractComplete"];
const OFFLINE: &[&str] = &[
    "Stopped",
    "ExpandComplete",
    "MigrateComplete",
    "ContractComplete",
    "DeploymentRolloutComplete",
    "VerificationComplete",
];

/// Every phase of every upgrade that is complete was run, in one of the two orders, whatever the spec said meanwhile.
fn in_order(notes: &[String]) -> Result<(), TestCaseError> {
    let mut steps = Vec::new();
    for note in notes.iter().map(|note| note.split(':').next().unwrap()) {
        match note {
            "UpgradeInitiated" | "UpgradeRetargeted" => steps.clear(),
            "UpgradeComplete" => {
                let orders = [ONLINE, OFFLINE].map(|order| [PREPARED, order].concat());
                prop_assert!(orders.contains(&steps), "{:?}", steps);
            }
            _ if [PREPARED, ONLINE, OFFLINE].concat().contains(&note) => steps.push(note),
            _ => {}
        }
    }
    Ok(())
}

fn config() -> Config {
    let more = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: more.unwrap_or(16), failure_persistence: None, max_shrink_iters: 400, ..Config::default() }
}

/// Any JSON, with keys that are looked at.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        select(vec!["", "True", "Complete", "Failed", "Running", "0", "\u{0}", "ü"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let keys =
            select(vec!["spec", "status", "conditions", "type", "replicas", "template", "containers", "state", "0"]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((keys, inner), 0..4)
                .prop_map(|all| all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(config())]

    /// Total: whatever stands in the objects, and however large numbers are.
    #[test]
    fn any_json_has_a_plan(
        events in proptest::collection::vec(event(), 1..60),
        pieces in proptest::collection::vec(junk(), 1..6),
        at: usize,
        number: i64,
    ) {
        let mut sim = Sim::new(OLD);
        sim.settle();
        sim.image(NEW);
        for event in &events {
            happen(&mut sim, event);
        }
        let mut pieces = pieces.iter().cycle();
        for kind in KINDS {
            for (index, object) in sim.objects(kind.kind).iter_mut().enumerate() {
                let object = Arc::make_mut(object);
                match (index + at % 8) % 4 {
                    0 => object.data = pieces.next().unwrap().clone(),
                    1 if object.data.is_object() => object.data["spec"] = pieces.next().unwrap().clone(),
                    2 if object.data.is_object() => object.data["status"] = pieces.next().unwrap().clone(),
                    _ => {}
                }
            }
        }
        sim.spec(|spec| {
            let small = i32::try_from(number % i64::from(i32::MAX)).unwrap();
            (spec.replicas, spec.processes, spec.fernet.max_active_keys) = (small, small, small);
            (spec.pre_stop_sleep_seconds, spec.termination_grace_period_seconds) = (number, number);
            spec.resources = pieces.next().cloned();
        });
        plan(&sim.world);
        sim.world.keystone.spec = Err("junk".into());
        plan(&sim.world);
    }

    /// Ordered (checked by the kubelet of the simulation: one writer at a time, no contract beside an old pod), explained,
    /// monotone, crash-safe; and when everything is well again, convergent and quiet.
    #[test]
    fn whatever_happens_it_ends_well(
        installed: bool,
        events in proptest::collection::vec(event(), 1..250),
        flips in proptest::collection::vec(any::<bool>(), 60),
    ) {
        let mut sim = if installed { Sim::installed(OLD) } else { Sim::new(OLD) };
        if installed {
            sim.image(NEW);
        }
        let mut contracted = false;
        for event in &events {
            happen(&mut sim, event);
            check(&sim, &mut contracted)?;
        }
        sim.jobs.clear();
        sim.broken.clear();
        sim.lingering = false;
        sim.retry("well again").settle();
        sim.image(PATCH);
        for offline in flips {
            happen(&mut sim, &Event::Offline(offline));
            sim.pass();
            sim.cluster();
        }
        sim.settle();
        let image = sim.world.keystone.status.installed_image.clone();
        prop_assert_eq!(image.as_deref(), Some(PATCH), "{:#?}", sim.world.keystone.status);
        prop_assert!(sim.condition("Ready").0, "{:?}", sim.condition("Ready"));
        in_order(&sim.notes)?;
    }
}
