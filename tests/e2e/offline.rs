//! Installation and upgrade with the operator killed in every step, and nobody at the database while it is saved and its
//! schema changes.

use api::{
    condition::{self, Reason, Status},
    keystone::{
        KeystoneStatus,
        UpgradeStep::{
            self, BackingUp, Bootstrapping, Contracting, Expanding, Installing, Migrating, Preparing, RollingUpdate,
            Stopping, Verifying,
        },
    },
};
use serde_json::json;

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn an_installation_and_an_upgrade_with_downtime_go_on_after_the_operator_is_killed() {
    let mut scene = Scene::start("offline").await;
    scene.claim("backups").await;
    scene.apply("2025.1", 2).await;
    let steps = killed_in_every_step(&mut scene, "2025.1").await;
    assert_eq!(steps, [Installing, Bootstrapping, RollingUpdate]);
    let before = scene.schema().await;
    let token = scene.token().await;

    // The keys are in a safe of somebody's own; the restore scene has them in the backup.
    let backup = json!({"claimName": "backups", "image": "localhost/mariadb:10.11", "keys": false});
    let upgrade = json!({"strategy": "Offline", "skipLevel": "SLURP", "backup": backup});
    scene.patch(json!({"spec": {"upgrade": upgrade, "image": {"tag": "2026.1"}}})).await;
    let steps = killed_in_every_step(&mut scene, "2026.1").await;
    let way =
        [Preparing, Stopping, BackingUp, Expanding, Migrating, Contracting, RollingUpdate, Verifying, Bootstrapping];
    assert_eq!(steps, way);
    let tasks = ["check", "backup", "expand", "migrate", "contract", "verify", "bootstrap"];
    assert_eq!(scene.tasks().await, tasks, "each once");
    let status = scene.installed("2026.1").await;
    let kept = status.history.last().unwrap().backup.clone().unwrap();
    assert_eq!(scene.files("backups", &kept.path), ["SHA256SUMS", "database.sql"], "and no key");
    assert_ne!(scene.schema().await, before);
    scene.identity().validate(&token).await.unwrap();
    scene.end().await;
}

/// Kills the operator in each step until the release is installed, and answers the steps.
async fn killed_in_every_step(scene: &mut Scene, release: &str) -> Vec<UpgradeStep> {
    let mut steps: Vec<UpgradeStep> = Vec::new();
    loop {
        let step = |status: &KeystoneStatus| status.upgrade.as_ref().map(|upgrade| upgrade.step);
        let next = |status: &KeystoneStatus| {
            step(status).is_some_and(|step| !steps.contains(&step))
                || status.installed_release.as_deref() == Some(release)
        };
        let status = scene.until("the next step", next).await;
        if status.installed_release.as_deref() == Some(release) {
            break;
        }
        let step = step(&status).unwrap();
        steps.push(step);
        if [BackingUp, Expanding, Migrating, Contracting].contains(&step) {
            assert_eq!(scene.servers().await, Vec::<String>::new(), "{step}");
            let available = condition::find(&status.conditions, "Available").unwrap();
            assert_eq!((available.status, available.reason), (Status::False, Reason::Requested), "{step}");
        }
        scene.operator.kill_and_restart();
    }
    scene.installed(release).await;
    steps
}
