//! A database that refuses, holds on to a table, or is away: said with the remedy, and healed.

use std::time::Duration;

use api::{
    condition::{Reason, Status},
    keystone::UpgradePhase,
};
use serde_json::json;
use testbed::load::Load;

use crate::scene::Scene;

const PASSWORD: &str = "keystone-p@ss/word%1";
const WRONG: &str = "not the password";
const ANOTHER: &str = "an0ther p@ss/word%2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn a_wrong_password_a_held_table_and_a_lost_database_are_explained_and_heal() {
    let scene = Scene::start("database").await;
    password(&scene, WRONG).await;
    scene.apply("2025.2", 2).await;
    scene.says("Degraded", Status::True, "spec.database.secretRef").await;
    password(&scene, PASSWORD).await;
    scene.installed("2025.2").await;
    let before = scene.schema().await;
    let old = scene.token().await;

    scene.databases(0).await;
    scene.image("2026.1").await;
    let message = scene.says("Degraded", Status::True, "spec.database.host").await;
    assert!(message.contains("; it is tried again"), "{message}");
    password(&scene, WRONG).await;
    scene.databases(1).await;
    // Whoever runs has the right one.
    scene.says("Available", Status::True, "2 pods serve").await;
    let message = scene.stopped(Reason::DatabaseAccessDenied).await;
    assert!(message.contains("(1045,") && message.contains("; it is tried again"), "{message}");

    let load = Load::start(&scene.identity(), 1, &old);
    let transaction = scene.hold("begin; select count(*) from revocation_event").await;
    scene.patch(json!({"spec": {"upgrade": {"jobDeadlineSeconds": 30}}})).await;
    password(&scene, PASSWORD).await;
    let message = scene.stopped(Reason::JobFailed).await;
    assert!(message.contains("Lock wait timeout") && message.contains("SHOW PROCESSLIST"), "{message}");
    scene.event("ExpandFailed").await;
    let served = Scene::none_failed(load).await;
    assert!(served.slowest < Duration::from_secs(10), "who reads the table waits no longer than one try: {served:?}");

    // Another try waits for the table, too, and there is no database any more.
    scene.patch(json!({"spec": {"upgrade": {"jobDeadlineSeconds": 300}}})).await;
    scene.retry("with the table still held").await;
    let waiting = "select count(*) from information_schema.processlist where state like \"Waiting for table%\"";
    while scene.sql(waiting).await.trim() == "0" {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    scene.databases(0).await;
    drop(transaction);
    let message = scene.says("Degraded", Status::True, "spec.database.host").await;
    assert!(message.contains("; then set the annotation"), "half a change is not repeated by itself: {message}");
    scene.databases(1).await;
    scene.retry("the database is back").await;

    scene.until("the rollout", |status| status.upgrade_phase == Some(UpgradePhase::RollingUpdate)).await;
    // The second pod finds it; the first one may have started before.
    password(&scene, WRONG).await;
    let message = scene.says("Degraded", Status::True, "spec.database.secretRef").await;
    assert!(message.contains("Pod/") && message.contains("(1045,"), "long before the deadline: {message}");
    // It is started again, with what the Secret has then: without a database nobody refuses it, and it stays up.
    scene.databases(0).await;
    let message = scene.says("Available", Status::False, "Deployment/keystone").await;
    assert!(message.contains("spec.database"), "{message}");
    scene.all_started().await;
    password(&scene, PASSWORD).await;
    scene.databases(1).await;
    scene.installed("2026.1").await;
    assert_ne!(scene.schema().await, before);
    scene.identity().validate(&old).await.unwrap();

    another_password_starts_no_pod_again(&scene).await;
    scene.identity().validate(&old).await.unwrap();
    scene.end().await;
}

async fn another_password_starts_no_pod_again(scene: &Scene) {
    let starts = "jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount}{\"\\n\"}{end}";
    let pods = ["get", "pods", "--selector=app.kubernetes.io/component=api", "--output", starts];
    let before = scene.kubectl(&pods).await;
    scene.sql(&format!("alter user keystone identified by \"{ANOTHER}\"")).await;
    // Whoever is connected stays so.
    scene.databases(0).await;
    scene.databases(1).await;
    scene.says("Available", Status::False, "Deployment/keystone").await;
    password(scene, ANOTHER).await;
    scene.says("Available", Status::True, "2 pods serve").await;
    assert_eq!(scene.kubectl(&pods).await, before);
}

/// The password in the Secret; the database keeps its own.
async fn password(scene: &Scene, password: &str) {
    let patch = json!({"stringData": {"password": password}}).to_string();
    scene.kubectl(&["patch", "secret", "keystone-db", "--type=merge", "--patch", &patch]).await;
}
