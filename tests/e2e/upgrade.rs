//! An upgrade of a real Keystone that nobody notices.

use api::keystone::UpgradePhase;
use testbed::load::Load;

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn an_upgrade_under_load_fails_no_request_although_the_operator_is_killed_in_every_phase() {
    let mut scene = Scene::start("upgrade").await;
    scene.apply("2025.2", 3).await;
    scene.installed("2025.2").await;
    let before = scene.schema().await;
    let old = scene.token().await;
    let load = Load::start(&scene.identity(), 2, &old);

    scene.image("2026.1").await;
    let mut phases: Vec<UpgradePhase> = Vec::new();
    loop {
        let status = scene
            .until("the next phase", |status| {
                status.upgrade_phase.is_some_and(|phase| !phases.contains(&phase))
                    || status.installed_release.as_deref() == Some("2026.1")
            })
            .await;
        let Some(phase) = status.upgrade_phase else { break };
        phases.push(phase);
        scene.operator.kill_and_restart();
    }
    let status = scene.installed("2026.1").await;
    let served = Scene::none_failed(load).await;
    assert!(served.good > 100 && served.slow > 2, "{served:?}");
    let seed =
        [UpgradePhase::Expanding, UpgradePhase::Migrating, UpgradePhase::RollingUpdate, UpgradePhase::Contracting];
    assert_eq!(phases, seed);
    assert_eq!((status.target_release, status.upgrade_phase), (None, None));
    assert_ne!(scene.schema().await, before, "2026.1 has a schema of its own");
    // Those of the phases may be lost with the process that was killed.
    for reason in ["UpgradeInitiated", "UpgradeComplete"] {
        scene.event(reason).await;
    }
    scene.end().await;
}
