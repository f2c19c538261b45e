//! A backup is taken on the way, and leads back, as the README tells; and another build of a release just rolls.

use std::fs;

use api::{
    condition::Reason,
    keystone::{KeystoneStatus, UpgradeResult},
};
use serde_json::json;

use crate::scene::Scene;

const NO_SCHEMA_JOB: [&str; 2] = ["check", "verify"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn another_build_only_rolls_and_a_backup_leads_back_to_the_release_before() {
    let scene = Scene::start("restore").await;
    scene.claim("backups").await;
    scene.apply("2025.2", 2).await;
    scene.installed("2025.2").await;
    let before = scene.schema().await;
    let token = scene.token().await;

    scene.image("2025.2-p1").await;
    scene.until("the other build", |status| at_rest_with(status, "2025.2-p1")).await;
    assert_eq!(scene.tasks().await, NO_SCHEMA_JOB);

    // Somebody keeps a table, and the dump waits for it.
    let lock = scene.hold("lock tables policy_association write").await;
    let backup = json!({"claimName": "backups", "image": "localhost/mariadb:10.11"});
    // Long enough for the checks before it, also on a machine that is busy.
    let upgrade = json!({"backup": backup, "jobDeadlineSeconds": 60});
    scene.patch(json!({"spec": {"upgrade": upgrade, "image": {"tag": "2026.1"}}})).await;
    let message = scene.stopped(Reason::DeadlineExceeded).await;
    assert!(message.contains("spec.upgrade.jobDeadlineSeconds (60)"), "{message}");
    scene.event("BackupFailed").await;
    assert_eq!(scene.schema().await, before, "nothing without a backup");
    lock.release().await;
    scene.retry("1").await;
    let status = scene.installed("2026.1").await;
    let kept = status.history.last().unwrap().backup.clone().unwrap();
    assert_eq!((kept.claim_name.as_str(), kept.release.as_str()), ("backups", "2025.2"));
    assert_ne!(scene.schema().await, before);
    scene.sql("create table made_later (id int)").await;

    let [manifest, commands] = recipe();
    scene.script(&format!("cat >restore.yaml <<'END'\n{manifest}END\n{commands}")).await;
    let status = scene.until("the old release", |status| at_rest_with(status, "2025.2")).await;
    assert_eq!(status.history.last().map(|entry| entry.result), Some(UpgradeResult::Completed));
    assert_eq!(scene.schema().await, before);
    assert_eq!(scene.sql("show tables like \"made%\"").await, "", "what was not there then is gone");
    assert_eq!(scene.tasks().await, NO_SCHEMA_JOB);
    scene.identity().validate(&token).await.unwrap();
    scene.identity().issue().await.unwrap();
    scene.end().await;
}

fn at_rest_with(status: &KeystoneStatus, tag: &str) -> bool {
    let image = format!("localhost/keystone:{tag}");
    api::condition::is_true(&status.conditions, "Ready") && status.installed_image.as_ref() == Some(&image)
}

/// What the README has an administrator do: a manifest, and commands.
fn recipe() -> [String; 2] {
    let readme = fs::read_to_string(testbed::root().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n### Go back after Contracting\n").unwrap();
    let block = |language: &str| {
        let (_, rest) = section.split_once(&format!("\n```{language}\n")).unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        block.replace("registry.example.com/mariadb:11", "localhost/mariadb:10.11")
    };
    [block("yaml"), block("bash")]
}
