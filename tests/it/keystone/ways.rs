//! The rows of the table of upgrades: where one may go, how, and what is refused by the operator itself.

use api::{
    condition::Status,
    keystone::{UpgradeResult, UpgradeStep},
};
use kube::api::{Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};
use testbed::kubelet::Play;

use super::support::{NAME, NEW_TAG, OLD_TAG, REPOSITORY, STEPS, Scene, checked, image, pods_of};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[rstest]
// Another build: `db_sync --check` decides.
#[case::patch(json!({"image": {"tag": "2025.1-p1"}}), 0, "2025.1", &["check", "verify"])]
#[case::patch_with_schema(json!({"image": {"tag": "2025.1-p1"}}), 2, "2025.1", &["check", "expand", "migrate", "verify", "contract"])]
// Another release runs every phase, whatever the check says.
#[case::next(json!({"image": {"tag": "2025.2"}}), 0, "2025.2", &["check", "expand", "migrate", "verify", "contract", "bootstrap"])]
#[case::slurp(
    json!({"image": {"tag": "2026.1"}, "upgrade": {"skipLevel": "SLURP"}}), 2, "2026.1",
    &["check", "expand", "migrate", "verify", "contract", "bootstrap"]
)]
#[case::digest(
    json!({"image": {"tag": null, "digest": DIGEST}, "release": "2025.2"}), 2, "2025.2",
    &["check", "expand", "migrate", "verify", "contract", "bootstrap"]
)]
#[case::backup(
    json!({"image": {"tag": "2025.2"}, "upgrade": {"backup": {"claimName": "backups", "image": "registry.example.com/mariadb:11"}}}),
    2, "2025.2", &["check", "backup", "expand", "migrate", "verify", "contract", "bootstrap"]
)]
// Seed 002: nobody reads the schema while it shrinks.
#[case::offline(
    json!({"image": {"tag": "2025.2"}, "upgrade": {"strategy": "Offline"}}), 2, "2025.2",
    &["check", "expand", "migrate", "contract", "verify", "bootstrap"]
)]
// Seed 000's recovery, after the database was restored.
#[case::restored(json!({"image": {"tag": "2024.2"}, "upgrade": {"restoredRelease": "2024.2"}}), 0, "2024.2", &["check", "verify"])]
#[tokio::test]
async fn a_way_runs_its_jobs(#[case] change: Value, #[case] check: i32, #[case] release: &str, #[case] jobs: &[&str]) {
    let scene = Scene::with_keystone("ks-way", json!({})).await;
    scene.kubelet.play(&pods_of(UpgradeStep::Preparing, NEW_TAG), Play::Succeeded(checked(check)));
    let keystone = scene.patch(change).await.unwrap();
    let status = scene.installed(&keystone.spec.image.reference()).await;
    assert_eq!(status.installed_release.as_deref(), Some(release));
    let expected: Vec<String> = jobs.iter().map(|task| format!("keystone-db-{task}")).collect();
    let found = scene.jobs().await;
    // Behind those of the installation.
    let found: Vec<_> = found.into_iter().skip_while(|job| !job.contains("check")).collect();
    assert_eq!(found, expected);
    assert_eq!(scene.serving().await, keystone.spec.image.reference());
}

/// Admission refuses these before; an object that slipped through is not acted on.
#[rstest]
#[case::skips("2024.1", "UpgradePathInvalid", "go to 2024.2, or 2025.1 with spec.upgrade.skipLevel SLURP first")]
#[case::lower("2025.2", "DowngradeNotSupported", "set spec.upgrade.restoredRelease to 2025.1")]
#[tokio::test]
async fn an_illegal_way_is_refused_by_the_operator_itself(
    #[case] installed: &str,
    #[case] reason: &str,
    #[case] text: &str,
) {
    let mut scene = Scene::with_keystone("ks-refuse", json!({})).await;
    // As if the image had been changed before there was a policy.
    let installed_before = json!({"installedRelease": installed, "installedImage": image(installed)});
    let other = if installed == "2024.1" { "2025.2" } else { OLD_TAG };
    scene.upgrade_unseen(other, installed_before).await;
    let condition = scene.says("TargetReleaseValid", Status::False, &[text]).await;
    assert_eq!(condition.reason.to_string(), reason);
    assert!(scene.event(reason).await.contains(text));
    assert_eq!(scene.status().await.upgrade, None);
    // Everything else goes on.
    scene.patch(json!({"replicas": 2})).await.unwrap();
    scene.value::<k8s_openapi::api::apps::v1::Deployment>("/spec/replicas", json!(2)).await;
}

/// In each step before Contracting the old image comes back; in Contracting it is refused.
#[tokio::test]
async fn an_upgrade_is_taken_back_in_every_step_before_contracting() {
    let scene = Scene::with_keystone("ks-abort", json!({})).await;
    for step in STEPS {
        for each in STEPS {
            if each < step { scene.release(each) } else { scene.hold(each) }
        }
        scene.upgrade(NEW_TAG).await;
        scene.at(step).await;
        if step == UpgradeStep::Contracting {
            break;
        }
        scene.upgrade(OLD_TAG).await;
        scene.until("aborting", |status| status.upgrade.as_ref().is_none_or(|upgrade| upgrade.aborting)).await;
        // What has begun to write to the schema ends by itself.
        scene.release(step);
        let status = scene.installed(&image(OLD_TAG)).await;
        assert_eq!(status.history.last().unwrap().result, UpgradeResult::Aborted, "{step}");
        let expanded = step >= UpgradeStep::Expanding;
        assert_eq!(status.schema_release.as_deref(), expanded.then_some(NEW_TAG), "{step}");
        assert_eq!(scene.serving().await, image(OLD_TAG));
        scene.event("UpgradeAborted").await;
    }
    let refused = scene.patch(json!({"image": {"tag": OLD_TAG}})).await.unwrap_err().to_string();
    assert!(refused.contains("Contracting to 2025.2 has begun"), "{refused}");
    scene.release(UpgradeStep::Contracting);
    let status = scene.installed(&image(NEW_TAG)).await;
    assert_eq!(status.schema_release, None);
}

/// A newer build of the same release takes the place of the one on the way, in any step.
#[tokio::test]
async fn a_newer_build_takes_over_in_every_step() {
    let scene = Scene::with_keystone("ks-retarget", json!({})).await;
    scene.hold_all();
    scene.upgrade(NEW_TAG).await;
    scene.at(UpgradeStep::Preparing).await;
    let other = scene.patch(json!({"image": {"tag": "2026.1"}})).await.unwrap_err().to_string();
    assert!(other.contains("is under way") && other.contains("is looked at when it is complete"), "{other}");
    // Of every build, until it is the turn of the step.
    scene.kubelet.play(&format!("server {}", image(NEW_TAG)), Play::Running);
    scene.release(UpgradeStep::Preparing);
    for (number, step) in STEPS.into_iter().enumerate().skip(1) {
        let started = scene.at(step).await.started_at;
        let tag = format!("2025.2-p{number}");
        scene.upgrade(&tag).await;
        let superseded = |status: &api::keystone::KeystoneStatus| {
            status
                .upgrade
                .as_ref()
                .is_some_and(|upgrade| upgrade.to_image == image(&tag) && upgrade.started_at == started)
        };
        scene.until("superseded", superseded).await;
        scene.release(step);
        if step == UpgradeStep::RollingUpdate {
            scene.kubelet.play(&format!("server {}", image(NEW_TAG)), Play::Ready);
        }
    }
    let last = format!("2025.2-p{}", STEPS.len() - 1);
    let status = scene.installed(&image(&last)).await;
    assert_eq!(status.installed_release.as_deref(), Some(NEW_TAG));
}

impl Scene {
    /// Writes a status and an image while nobody looks: what is installed is another release than the operator knows.
    async fn upgrade_unseen(&mut self, tag: &str, status: Value) {
        self.operator.kill().await.unwrap();
        let params = PatchParams::default();
        let unset = json!({"status": {"installedRelease": null, "installedImage": null}});
        self.keystones().patch_status(NAME, &params, &Patch::Merge(unset)).await.unwrap();
        let image = json!({"spec": {"image": {"repository": REPOSITORY, "tag": tag}}});
        self.keystones().patch(NAME, &params, &Patch::Merge(image)).await.unwrap();
        self.keystones().patch_status(NAME, &params, &Patch::Merge(json!({"status": status}))).await.unwrap();
        self.operator.restart().await.unwrap();
    }
}
