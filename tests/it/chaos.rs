//! Schedules of everything that may go wrong, and of everything that a user may do, made from seeds. Whatever happens, the
//! cloud ends as it does when nothing happens, nothing is lost, and nothing is out of order.
//!
//! `hack/test --long` runs a thousand of them; `ORO_CHAOS_SEED=17 hack/test --test it chaos::schedules -- --nocapture` one,
//! and makes it smaller when it fails.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use proptest::strategy::ValueTree;
use serde_json::Value;
use testbed::{Cluster, cluster, proxy::Moment};
use tokio::sync::{OnceCell, watch};

use crate::{
    crash::{differences, state},
    support::{Cloud, NEW, OLD, assert_truthful},
};

mod acts;
mod board;
mod judge;
mod outage;
mod schedule;
mod stage;

use board::{Board, Outcome};
use schedule::{Event, Schedule, What, seeded};
use stage::{NEWEST, Stage};

/// How many schedules run at a time.
const PARALLEL: usize = 6;
/// How many run in every test run.
const USUAL: u64 = 25;
/// How many smaller schedules are tried when one fails.
const SMALLER: usize = 24;
/// How long the last reports may take: some of them wait for others, and an outage may still go on.
const LAST: Duration = Duration::from_secs(90);

/// The seeds to run: one, some (`1..50`), or the usual ones.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("ORO_CHAOS_SEED") else { return 0..USUAL };
    let (first, end) = text.split_once("..").unwrap_or((&text, ""));
    let first: u64 = first.parse().expect("ORO_CHAOS_SEED is a number, or two: 1..50");
    first..end.parse().unwrap_or(first + 1)
}

/// Where schedules play.
#[derive(Clone)]
struct Ground {
    cluster: &'static Cluster,
    /// Whether nothing more happens to all of them.
    quiet: watch::Receiver<bool>,
}

impl Ground {
    /// Where nothing ever happens to all of them.
    async fn shared() -> Self {
        Self { cluster: cluster::shared().await.unwrap(), quiet: watch::channel(true).1 }
    }

    async fn until_quiet(&self) {
        self.quiet.clone().wait_for(|quiet| *quiet).await.unwrap();
    }
}

/// Runs a schedule to its end.
async fn run(ground: &Ground, schedule: &Schedule) -> Result<(), String> {
    let mut stage = Stage::new(ground.cluster, schedule).await;
    let played = play(&mut stage, schedule, ground).await;
    let told = || format!("{schedule:?}\n{}", stage.told.join("\n"));
    played.map_err(|what| format!("{what}\n{}\n--- namespace {}", told(), stage.cloud.namespace))
}

async fn play(stage: &mut Stage, schedule: &Schedule, ground: &Ground) -> Result<(), String> {
    let (first, second) = schedule.events.split_at(schedule.installing.min(schedule.events.len()));
    stage.create().await;
    for event in first {
        stage.happen(event).await;
    }
    stage.calm().await;
    stage.settled().await;
    if schedule.node_set {
        stage.add_node_set().await;
    }
    if stage.bundle.version == OLD {
        stage.offer(NEW).await;
    }
    stage.target(NEW).await;
    for event in second {
        stage.happen(event).await;
    }
    stage.calm().await;
    // An operator that loses its Lease in an outage ends, and has to be there again for what comes after it.
    stage.supervised(ground.until_quiet()).await;
    stage.settled().await;
    stage.rotated().await;
    let frames = stage.recorder.frames().await;
    judge::judge(&frames, stage.went_back, stage.forgot).map_err(|why| format!("{why}\n{}", judge::told(&frames)))?;
    if !stage.forgot {
        assert_truthful(&frames);
    }
    if stage.logs().contains("panicked at") {
        return Err(format!("the operator panicked:\n{}", stage.logs()));
    }
    ends_like_an_undisturbed_one(stage, schedule).await
}

/// The final state is that of a cloud that nobody disturbed, and of which the same was asked.
async fn ends_like_an_undisturbed_one(stage: &mut Stage, schedule: &Schedule) -> Result<(), String> {
    let asked = stage.asked_for().await;
    let mut wanted = reference(schedule, &asked).await;
    forget(&mut wanted, stage);
    let start = Instant::now();
    loop {
        stage.supervise().await;
        let mut found = seen(&stage.cloud).await;
        forget(&mut found, stage);
        if found == wanted {
            return Ok(());
        }
        if start.elapsed() > LAST {
            return Err(format!("it ends differently:\n{}", differences("", &wanted, &found).join("\n")));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Final states, by what was asked for.
type References = Mutex<HashMap<String, Arc<OnceCell<Value>>>>;

/// What is there when nothing went wrong; made once for everything that can be asked for.
async fn reference(schedule: &Schedule, asked: &Value) -> Value {
    static KNOWN: LazyLock<References> = LazyLock::new(Mutex::default);
    // Where no outage is.
    let cluster = cluster::shared().await.unwrap();
    let Schedule { keystone, node_set, same_data, .. } = *schedule;
    let key = format!("{keystone} {node_set} {same_data} {asked}");
    let cell = Arc::clone(KNOWN.lock().unwrap().entry(key).or_default());
    let make = || async {
        let quiet = Schedule { keystone, node_set, same_data, installing: 0, events: Vec::new() };
        let mut stage = Stage::new(cluster, &quiet).await;
        stage.create().await;
        stage.settled().await;
        if node_set {
            stage.add_node_set().await;
        }
        stage.offer(NEW).await;
        if asked["bundle"] == NEWEST {
            stage.offer(NEWEST).await;
        }
        stage.ask_for(asked).await;
        stage.settled().await;
        // The last reports wait for others.
        let mut last = seen(&stage.cloud).await;
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let now = seen(&stage.cloud).await;
            if now == last {
                return now;
            }
            last = now;
        }
    };
    cell.get_or_init(make).await.clone()
}

/// What can be seen of the cloud, without the name of its namespace.
async fn seen(cloud: &Cloud) -> Value {
    let text = state(cloud).await.to_string().replace(&cloud.namespace, "the namespace");
    serde_json::from_str(&text).unwrap()
}

/// Takes out what depends on the way, what a deleted object does not remember, and what an aborted upgrade leaves behind.
fn forget(value: &mut Value, stage: &Stage) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                let way = [
                    "generation",
                    "observedGeneration",
                    "history",
                    "annotations",
                    "keys",
                    "labels",
                    "trackedCustomImages",
                ];
                let lost = ["containerImageVersionDefaults", "availableServiceDefaults", "availableReleases"];
                !(way.contains(&name.as_str())
                    || stage.forgot && lost.contains(&name.as_str())
                    || stage.went_back && name == "schemaRelease")
            });
            fields.values_mut().for_each(|value| forget(value, stage));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| forget(value, stage)),
        _ => {}
    }
}

/// Runs it in a task: what panics there is a failure of the schedule, and not the end of the others.
async fn outcome(ground: &Ground, schedule: Schedule) -> Result<(), String> {
    let ground = ground.clone();
    let task = tokio::spawn(async move { run(&ground, &schedule).await });
    task.await.unwrap_or_else(|error| {
        let panic = error.into_panic();
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
        // Without the maps of images of a whole status.
        Err(text.lines().filter(|line| !line.contains("Image: ")).collect::<Vec<_>>().join("\n"))
    })
}

/// Finds a smaller schedule that fails, too.
async fn shrink(ground: &Ground, seed: u64, mut why: String) -> String {
    let mut tree = schedule::tree(seed);
    let mut more = tree.simplify();
    for _ in 0..SMALLER {
        if !more {
            break;
        }
        match outcome(ground, tree.current()).await {
            Err(error) => {
                why = error;
                more = tree.simplify();
            }
            Ok(()) => more = tree.complicate(),
        }
    }
    why
}

/// A schedule with a real Keystone, of which nothing is left to chance.
async fn certain(installing: usize, events: Vec<What>) {
    let events = events.into_iter().map(|what| Event { after: 3, what }).collect();
    let schedule = Schedule { keystone: true, node_set: false, same_data: false, installing, events };
    run(&Ground::shared().await, &schedule).await.unwrap();
}

/// Two operators that do not know of each other act on the same cloud all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_leaders_end_with_what_one_would() {
    let edit = |field| What::Edit { field, value: 2 };
    certain(1, vec![What::Rival, edit(0), What::Rotate { credentials: false }, edit(3), What::Kill(Moment::After)])
        .await;
}

/// The clock is hours ahead, then hours behind, and keys rotate in between: none is refused, none rotates twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_jumps_stall_nothing_and_rotate_nothing_twice() {
    let rotate = |credentials| What::Rotate { credentials };
    certain(1, vec![What::Clock(-30), rotate(false), What::Clock(30), rotate(true), What::Clock(-7), rotate(false)])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules() {
    let ground = &Ground::shared().await;
    let seeds = seeds();
    let alone = seeds.end - seeds.start == 1;
    let mut board = Board::new(seeds.end - seeds.start);
    let runs = stream::iter(seeds).map(|seed| async move {
        let start = Instant::now();
        let schedule = Schedule::of(seed);
        let failure = outcome(ground, schedule.clone()).await.err();
        Outcome { seed, schedule, took: start.elapsed(), failure }
    });
    let parallel = number("ORO_CHAOS_PARALLEL").and_then(|number| number.try_into().ok()).unwrap_or(PARALLEL);
    let mut runs = runs.buffer_unordered(parallel);
    while let Some(outcome) = runs.next().await {
        board.add(outcome);
    }
    drop(runs);
    board.finish();
    let failed = board.failed();
    let Some(first) = failed.first() else { return };
    let seed = first.seed;
    let mut why = first.failure.clone().unwrap_or_default();
    if alone {
        why = shrink(ground, seed, why).await;
    }
    panic!(
        "{} of the schedules failed: seeds {:?}. The first: {why}\nAgain, and made smaller: ORO_CHAOS_SEED={seed} \
         hack/test --test it chaos::schedules -- --nocapture",
        failed.len(),
        failed.iter().map(|outcome| outcome.seed).collect::<Vec<_>>(),
    );
}

/// Groups of clouds, and outages that all of them suffer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: hack/test --long"]
async fn outages() {
    let groups = number("ORO_CHAOS_GROUPS").unwrap_or(1);
    let first = number("ORO_CHAOS_GROUP").unwrap_or(0);
    let mut failed = Vec::new();
    for seed in first..first + groups {
        let start = Instant::now();
        let failures = outage::group(seed).await;
        eprintln!("  group {seed}: {} failed, {:.1} s", failures.len(), start.elapsed().as_secs_f64());
        failed.extend(failures.into_iter().map(|why| {
            format!("{why}\nAgain: ORO_CHAOS_GROUP={seed} hack/test --test it chaos::outages -- --ignored --nocapture")
        }));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
