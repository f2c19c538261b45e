//! What happens to everybody at once: the API server is killed, etcd stands still, a kind goes away and comes back.

use std::time::{Duration, Instant};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt, api::DeleteParams};
use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use testbed::{
    Cluster,
    cluster::{Options, User},
    wait,
};
use tokio::sync::watch;

use super::{Ground, outcome, schedule::Schedule, seeded};

/// How many clouds suffer together.
const CLOUDS: u64 = 4;
/// How long a kind may take to be gone.
const GONE: Duration = Duration::from_secs(60);
/// The kind that goes away: it moves in the last step.
const GLANCES: &str = "glances.glance.openstack.org";
/// The kind that is not installed, as in most clusters: no watch of it may be begun, whatever breaks.
const KEYSTONE_APIS: &str = "keystoneapis.keystone.openstack.org";

/// What may happen to everybody.
#[derive(Clone, Debug)]
enum Outage {
    /// SIGKILL of the API server, and a new one.
    Restart,
    /// etcd stands still for so many milliseconds.
    Pause(u64),
    /// Glance's kind is not installed for so many milliseconds.
    WithoutKind(u64),
}

/// Each outage, after so many milliseconds.
fn outages(seed: u64) -> Vec<(u64, Outage)> {
    let what = prop_oneof![
        2 => Just(Outage::Restart),
        2 => select(vec![500, 4_000, 16_000]).prop_map(Outage::Pause),
        1 => (100..3_000u64).prop_map(Outage::WithoutKind),
    ];
    let all = prop::collection::vec((500..6_000u64, what), 2..5);
    all.new_tree(&mut TestRunner::new_with_rng(Config::default(), seeded(seed))).unwrap().current()
}

async fn suffer(cluster: &Cluster, outage: &Outage) {
    match outage {
        Outage::Restart => cluster.restart_apiserver().await.unwrap(),
        Outage::Pause(millis) => {
            cluster.pause_etcd().await.unwrap();
            tokio::time::sleep(Duration::from_millis(*millis)).await;
            cluster.resume_etcd().await.unwrap();
        }
        Outage::WithoutKind(millis) => {
            if !uninstall(cluster, GLANCES).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(*millis)).await;
            cluster.install(api::crd::foreign().into_iter().filter(|crd| crd.name_any() == GLANCES)).await.unwrap();
        }
    }
}

/// Removes a CRD, and waits until it is gone: applied before that, it would go all the same. Tells whether it could be.
async fn uninstall(cluster: &Cluster, name: &str) -> bool {
    let crds: Api<CustomResourceDefinition> = Api::all(cluster.client_of(User::Admin).await.unwrap());
    if crds.delete(name, &DeleteParams::default()).await.is_err() {
        return false;
    }
    wait::gone(&crds, name, GONE).await.unwrap();
    true
}

/// A few schedules on a cluster of their own, and what happens to all of them. Answers what failed.
pub async fn group(seed: u64) -> Vec<String> {
    let cluster: &'static Cluster =
        Box::leak(Box::new(Cluster::start(Options { audit: false, ..Options::default() }).await.unwrap()));
    cluster.prepare().await.unwrap();
    assert!(uninstall(cluster, KEYSTONE_APIS).await);
    let outages = outages(seed);
    let schedules: Vec<Schedule> = (0..CLOUDS).map(|cloud| Schedule::of(seed * CLOUDS + cloud)).collect();
    let (over, quiet) = watch::channel(false);
    let ground = &Ground { cluster, quiet };
    let runs = schedules.iter().cloned().map(|schedule| outcome(ground, schedule));
    let disturb = async {
        for (after, outage) in &outages {
            tokio::time::sleep(Duration::from_millis(*after)).await;
            let start = Instant::now();
            suffer(cluster, outage).await;
            eprintln!("  {outage:?}: {:.1} s", start.elapsed().as_secs_f64());
        }
        over.send_replace(true);
    };
    let (ended, ()) = tokio::join!(futures::future::join_all(runs), disturb);
    cluster.end().await;
    let failed = ended.into_iter().filter_map(Result::err);
    failed.map(|why| format!("{why}\n--- group {seed}: {outages:?}")).collect()
}
