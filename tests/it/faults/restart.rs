//! The API server itself goes away in the middle of an update.

use api::{step::StepName, version::StepState};
use serde_json::json;
use testbed::{Cluster, cluster::Options};

use crate::support::{Cloud, NEW, OLD, Recorder, release};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_is_restarted_in_the_middle_of_an_update() {
    // A cluster of its own; its processes end with this one.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(Options::default()).await.unwrap()));
    cluster.prepare().await.unwrap();
    let lease = |options: testbed::operator::Options| options.with_env("LEASE_DURATION_SECONDS", "120");
    let mut cloud = Cloud::on(cluster, "restart", release(OLD), lease).await;
    cloud.install(json!({})).await;
    cloud.upgrade_operator(&release(NEW)).await;
    let recorder = Recorder::start(&cloud);
    for (kind, name, step) in [("Galera", "openstack", StepName::Mariadb), ("Keystone", "keystone", StepName::Keystone)]
    {
        cloud.actors.hold(kind, name);
        if step == StepName::Mariadb {
            cloud.target(NEW).await;
        }
        cloud.step(step, StepState::Running).await;
        cluster.stop_apiserver().await;
        cloud.actors.release(kind, name);
        if step == StepName::Mariadb {
            cloud.actors.hold("Keystone", "keystone");
        }
        cluster.start_apiserver().await.unwrap();
    }
    cloud.deployed(NEW).await;
    recorder.assert_walk(OLD, NEW).await;
    assert_eq!(cloud.status().await.history.len(), 2);
    cloud.assert_alive();
}
