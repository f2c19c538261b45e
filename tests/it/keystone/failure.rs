//! What goes wrong, what is said about it, and how it goes on.

use api::{
    condition::{Reason, Status},
    keystone::{KeystoneStatus, UpgradeStep},
};
use rstest::rstest;
use serde_json::json;
use testbed::kubelet::Play;

use super::support::{NEW_TAG, OLD_TAG, STEPS, Scene, image, pods_of};

/// Each Job fails once, stops everything, says why, and runs again when a person asks for it.
#[tokio::test]
async fn each_job_that_fails_is_explained_and_repeated_on_request() {
    let scene = Scene::empty("ks-fail").await;
    let install = [(UpgradeStep::Installing, "DBSyncFailed"), (UpgradeStep::Bootstrapping, "BootstrapFailed")];
    let upgrade = [
        (UpgradeStep::Preparing, "PreparationFailed"),
        (UpgradeStep::Expanding, "ExpandFailed"),
        (UpgradeStep::Migrating, "MigrateFailed"),
        (UpgradeStep::Verifying, "VerificationFailed"),
        (UpgradeStep::Contracting, "ContractFailed"),
    ];
    for (step, _) in install.iter().chain(&upgrade) {
        scene.kubelet.play(&pods_of(*step, NEW_TAG), Play::Failed(1, format!("it broke in {step}")));
    }
    scene.create(json!({"replicas": 1})).await;
    for (step, event) in install {
        fails_and_is_repeated(&scene, step, event).await;
    }
    scene.installed(&image(OLD_TAG)).await;
    scene.upgrade(NEW_TAG).await;
    for (step, event) in upgrade {
        fails_and_is_repeated(&scene, step, event).await;
    }
    scene.installed(&image(NEW_TAG)).await;
}

async fn fails_and_is_repeated(scene: &Scene, step: UpgradeStep, event: &str) {
    let text = format!("it broke in {step}");
    let degraded =
        scene.says("Degraded", Status::True, &["Job/keystone-db-", &text, "keystone.openstack.org/retry"]).await;
    scene.says("Ready", Status::False, &[&text]).await;
    assert!(scene.event(event).await.contains(&text));
    let upgrade = scene.status().await.upgrade.unwrap();
    assert_eq!((upgrade.step, upgrade.attempt), (step, 1));
    assert_eq!(upgrade.failure.unwrap().reason, degraded.reason);
    scene.release(step);
    scene.retry(&step.to_string()).await;
    let went_on = |status: &KeystoneStatus| {
        status.upgrade.as_ref().is_none_or(|upgrade| upgrade.step > step || upgrade.attempt == 2)
    };
    scene.until("another attempt", went_on).await;
}

/// What the text of a failure means.
#[rstest]
#[case::half_applied("OperationalError: (1061, \"Duplicate key name 'ix_x'\")", Reason::PartiallyApplied)]
#[case::column("OperationalError: (1060, \"Duplicate column name 'x'\")", Reason::PartiallyApplied)]
#[case::password(
    "(1045, \"Access denied for user 'keystone'@'10.0.0.1' (using password: YES)\")",
    Reason::DatabaseAccessDenied
)]
#[case::unreachable("(2003, \"Can't connect to MySQL server on 'mariadb'\")", Reason::DatabaseUnreachable)]
#[tokio::test]
async fn a_failure_of_expand_is_recognised(#[case] text: &str, #[case] reason: Reason) {
    let scene = Scene::with_keystone("ks-text", json!({})).await;
    scene.kubelet.play(&pods_of(UpgradeStep::Expanding, NEW_TAG), Play::Failed(1, text.to_owned()));
    scene.upgrade(NEW_TAG).await;
    let degraded = scene.says("Degraded", Status::True, &["Job/keystone-db-expand-"]).await;
    assert_eq!(degraded.reason, reason, "{}", degraded.message);
    // What runs is not harmed.
    scene.says("Available", Status::True, &[]).await;
    assert_eq!(scene.serving().await, image(OLD_TAG));
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_stops_the_rollout_and_a_new_build_goes_on() {
    let scene = Scene::with_keystone("ks-pull", json!({})).await;
    scene.kubelet.play(&pods_of(UpgradeStep::RollingUpdate, NEW_TAG), Play::CannotPull);
    scene.upgrade(NEW_TAG).await;
    let degraded = scene.says("Degraded", Status::True, &[&image(NEW_TAG), "cannot be pulled", &image(OLD_TAG)]).await;
    assert_eq!(degraded.reason, Reason::ImagePull);
    scene.event("RolloutFailed").await;
    scene.says("Available", Status::True, &[]).await;
    assert!(!scene.jobs().await.iter().any(|job| job.contains("contract")));
    scene.upgrade("2025.2-p1").await;
    scene.installed(&image("2025.2-p1")).await;
    scene.event("UpgradeRetargeted").await;
}

#[tokio::test]
async fn a_job_whose_image_cannot_be_pulled_and_a_missing_secret_are_named() {
    let scene = Scene::empty("ks-secret").await;
    scene.kubelet.play(
        &pods_of(UpgradeStep::Installing, OLD_TAG),
        Play::NoSecret("secret \"keystone-db\" not found".to_owned()),
    );
    scene.create(json!({"replicas": 1})).await;
    let degraded =
        scene.says("Degraded", Status::True, &["secret \"keystone-db\" not found", "create the Secret"]).await;
    assert_eq!(degraded.reason, Reason::SecretMissing);
    // It goes on by itself when the Secret is there.
    scene.release(UpgradeStep::Installing);
    scene.installed(&image(OLD_TAG)).await;
    scene.kubelet.play(&pods_of(UpgradeStep::Expanding, NEW_TAG), Play::CannotPull);
    scene.upgrade(NEW_TAG).await;
    let degraded = scene.says("Degraded", Status::True, &["cannot be pulled"]).await;
    assert_eq!(degraded.reason, Reason::ImagePull);
    scene.upgrade(OLD_TAG).await;
    scene.installed(&image(OLD_TAG)).await;
}

/// SIGKILL in each step: the new process goes on where the record says, and does nothing twice.
#[tokio::test]
async fn a_killed_operator_resumes_in_every_step() {
    let mut scene = Scene::with_keystone("ks-kill", json!({})).await;
    scene.hold_all();
    scene.upgrade(NEW_TAG).await;
    for step in STEPS {
        let before = scene.at(step).await;
        scene.operator.kill().await.unwrap();
        // Done while nobody looks.
        scene.release(step);
        scene.operator.restart().await.unwrap();
        let moved = |status: &KeystoneStatus| {
            status.upgrade.as_ref().is_none_or(|upgrade| upgrade.step > step && upgrade.started_at == before.started_at)
        };
        scene.until(&format!("beyond {step}"), moved).await;
    }
    scene.installed(&image(NEW_TAG)).await;
    let jobs = scene.jobs().await;
    let expected =
        ["check", "expand", "migrate", "verify", "contract", "bootstrap"].map(|task| format!("keystone-db-{task}"));
    assert!(jobs.ends_with(&expected), "{jobs:?}");
}
