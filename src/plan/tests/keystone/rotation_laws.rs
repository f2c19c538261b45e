//! Random histories of rotations, hostile ones among them: what one pod encrypts, every other one can read.

use std::collections::BTreeMap;

use plan::keystone::plan;
use proptest::{prelude::*, test_runner::Config};

use super::{
    keys::{CREDENTIAL, FERNET, Keys, key, rotated},
    sim::{NEW, OLD, Sim},
};

#[derive(Clone, Debug)]
enum Event {
    Pass,
    Killed(usize),
    Lost,
    Rotate(bool),
    Hostile(bool, u64),
    Replay(bool, usize),
    Unstage(bool),
    Refresh(usize),
    Job(usize),
    Pod(usize),
    Deployment,
    Expire(usize),
    Image(bool),
    Replicas(i32),
    Keys(i32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Pass),
        2 => (0_usize..4).prop_map(Event::Killed),
        1 => Just(Event::Lost),
        4 => any::<bool>().prop_map(Event::Rotate),
        2 => (any::<bool>(), 0_u64..6).prop_map(|(which, number)| Event::Hostile(which, number)),
        2 => (any::<bool>(), 0_usize..9).prop_map(|(which, nth)| Event::Replay(which, nth)),
        1 => any::<bool>().prop_map(Event::Unstage),
        6 => (0_usize..8).prop_map(Event::Refresh),
        6 => (0_usize..8).prop_map(Event::Job),
        8 => (0_usize..8).prop_map(Event::Pod),
        4 => Just(Event::Deployment),
        1 => (0_usize..8).prop_map(Event::Expire),
        1 => any::<bool>().prop_map(Event::Image),
        1 => (1_i32..4).prop_map(Event::Replicas),
        1 => (3_i32..6).prop_map(Event::Keys),
    ]
}

fn happen(sim: &mut Sim, event: &Event, staged: &mut Vec<(&'static str, Keys)>) {
    let nth = |names: Vec<String>, n: usize| if names.is_empty() { None } else { Some(names[n % names.len()].clone()) };
    let secret = |which: bool| if which { FERNET } else { CREDENTIAL };
    match event {
        Event::Pass => drop(sim.pass()),
        Event::Killed(writes) => sim.killed_after(*writes),
        Event::Lost => {
            let planned = plan(&sim.world);
            sim.act(&planned);
        }
        Event::Rotate(which) => {
            let new = sim.rotate(secret(*which));
            staged.push((secret(*which), new));
        }
        Event::Hostile(which, number) => {
            sim.uids += 1;
            let mut keys = rotated(&sim.keys(secret(*which)), 3, key(sim.uids));
            keys.insert(*number, key(sim.uids + 1_000_000));
            // A new announced key is what a rotation brings.
            if *number > 0 {
                sim.stage(secret(*which), &keys);
            }
        }
        Event::Replay(which, nth) => {
            let old: Vec<Keys> =
                staged.iter().filter(|(of, _)| *of == secret(*which)).map(|(_, keys)| keys.clone()).collect();
            if let Some(keys) = old.get(*nth) {
                sim.stage(secret(*which), keys);
            }
        }
        Event::Unstage(which) => sim.delete("Secret", &format!("{}-rotation", secret(*which))),
        Event::Refresh(n) => nth(sim.servers(), *n).into_iter().for_each(|pod| sim.refresh(&pod)),
        Event::Job(n) => nth(sim.names("Job"), *n).into_iter().for_each(|job| sim.job(&job)),
        Event::Pod(n) => nth(sim.names("Pod"), *n).into_iter().for_each(|pod| sim.pod(&pod)),
        Event::Deployment => sim.deployment(),
        Event::Expire(n) => {
            let finished = |job: &String| sim.find("Job", job).unwrap().data.get("status").is_some();
            let old = sim.names("Job").into_iter().filter(|job| job.contains("-confirm-")).filter(finished).collect();
            if let Some(job) = nth(old, *n) {
                let pods = sim.pods_of(&job);
                sim.delete("Job", &job);
                for pod in &pods {
                    sim.pod(pod);
                }
            }
        }
        Event::Image(new) => drop(sim.image(if *new { NEW } else { OLD })),
        Event::Replicas(replicas) => drop(sim.spec(|spec| spec.replicas = *replicas)),
        Event::Keys(most) => drop(sim.spec(|spec| spec.fernet.max_active_keys = *most)),
    }
}

/// What a published set may become.
fn check(sim: &Sim, before: &mut BTreeMap<&'static str, Keys>) -> Result<(), TestCaseError> {
    for secret in [FERNET, CREDENTIAL] {
        let (old, new) = (before[secret].clone(), sim.keys(secret));
        if old != new {
            let primary = new.keys().max().unwrap();
            prop_assert_eq!(*primary, old.keys().max().unwrap() + 1);
            prop_assert_eq!(&new[primary], &old[&0], "what encrypts was announced before");
            let kept = |number: &&u64| **number != 0 && *number != primary;
            prop_assert!(new.keys().filter(kept).all(|number| old.get(number) == new.get(number)), "kept as it was");
            prop_assert!(!old.values().any(|key| *key == new[&0]), "a new key is announced");
            prop_assert!(new.len() >= 3);
            before.insert(secret, new);
        }
        // Whatever one pod encrypts, every other one can read.
        let seen: Vec<&Keys> =
            sim.servers().into_iter().filter_map(|pod| sim.seen.get(&(pod, secret.to_owned()))).collect();
        for keys in &seen {
            let encrypts = &keys[keys.keys().max().unwrap()];
            for other in &seen {
                prop_assert!(other.values().any(|key| key == encrypts), "a pod cannot read what another one encrypts");
            }
        }
    }
    Ok(())
}

fn config() -> Config {
    let more = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: more.unwrap_or(24), failure_persistence: None, max_shrink_iters: 400, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Safe at every instant, and when everything is well again, a rotation goes through.
    #[test]
    fn whatever_happens_no_pod_meets_what_it_cannot_read(events in proptest::collection::vec(event(), 1..200)) {
        let mut sim = Sim::installed(OLD);
        let mut before: BTreeMap<&'static str, Keys> =
            [FERNET, CREDENTIAL].map(|secret| (secret, sim.keys(secret))).into();
        let mut staged = Vec::new();
        for event in &events {
            happen(&mut sim, event, &mut staged);
            check(&sim, &mut before)?;
        }
        sim.image(NEW).settle();
        check(&sim, &mut before)?;
        for secret in [FERNET, CREDENTIAL] {
            let new = sim.rotate(secret);
            sim.settle();
            prop_assert_eq!(sim.keys(secret), new);
            check(&sim, &mut before)?;
        }
        prop_assert!(sim.condition("KeysRotate").0, "{:?}", sim.condition("KeysRotate"));
        prop_assert!(sim.condition("Ready").0, "{:?}", sim.condition("Ready"));
        let shown = serde_json::to_string(&sim.world.keystone.status).unwrap();
        for keys in before.values().flat_map(Keys::values) {
            prop_assert!(!shown.contains(keys.as_str()), "a key is shown");
        }
    }
}
