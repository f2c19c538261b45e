//! One operator for several namespaces.

use api::{step::StepName, version::StepState};
use serde_json::json;
use testbed::{Cluster, cluster::Options};

use crate::support::{Cloud, NEW, OLD, Recorder, assert_truthful, moved, release, said};

/// Two clouds with one operator, which has a cluster to itself: it watches every namespace. The cluster lives as long as
/// the process.
async fn two() -> (Cloud, Cloud) {
    let cluster = Cluster::start(Options::bare()).await.unwrap();
    cluster.prepare().await.unwrap();
    let cluster: &'static Cluster = Box::leak(Box::new(cluster));
    let mut second = Cloud::on(cluster, "second", release(OLD), |options| options).await;
    // Its own goes: the first one's works for both.
    second.operator.stop().await.unwrap();
    let everywhere = |options: testbed::operator::Options| options.with_env("WATCH_NAMESPACE", "");
    let first = Cloud::on(cluster, "first", release(OLD), everywhere).await;
    for cloud in [&first, &second] {
        cloud.install(json!({})).await;
    }
    (first, second)
}

/// Peer: 9.29: one worker serves all namespaces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_is_stuck_holds_up_no_other_namespace() {
    let (mut stuck, other) = two().await;
    stuck.upgrade_operator(&release(NEW)).await;
    other.until("available", |status| status.available_version.as_deref() == Some(NEW)).await;
    let recorders = [Recorder::start(&stuck), Recorder::start(&other)];
    stuck.actors.hold("RabbitMq", "rabbitmq");
    stuck.target(NEW).await;
    other.target(NEW).await;
    let status = other.deployed(NEW).await;
    assert_eq!(said(&status, "Ready"), "True Ready: 1.0.1 is deployed");

    stuck.step_says(StepName::Rabbitmq, StepState::Running, "RabbitMq/rabbitmq: status.observedGeneration").await;
    assert_eq!(moved(&stuck.objects().await, NEW), ["OVNController/ovncontroller", "RabbitMq/rabbitmq"]);
    // Both go on being looked after.
    stuck.fence().await;
    other.fence().await;
    stuck.actors.release("RabbitMq", "rabbitmq");
    stuck.deployed(NEW).await;
    for recorder in recorders {
        recorder.assert_walk(OLD, NEW).await;
        assert_truthful(&recorder.frames().await);
    }
    stuck.assert_alive();
}
