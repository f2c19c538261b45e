//! Upgrades of a real Keystone that cannot go on: users notice nothing, the administrator hears why and what to do.

use api::{condition::Reason, keystone::UpgradeResult};

use testbed::load::Load;

use crate::scene::Scene;

/// An index that 2026.1 makes, made by hand: what an expand that was killed half-way leaves behind.
const HALF: &str = "create index ix_revocation_event_project_id_user_id on revocation_event (project_id, user_id)";
const WHOLE: &str = "drop index ix_revocation_event_project_id_user_id on revocation_event";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn a_missing_image_and_a_half_applied_expand_stop_the_upgrade_and_harm_nobody() {
    let scene = Scene::start("failures").await;
    scene.apply("2025.2", 2).await;
    scene.installed("2025.2").await;
    let before = scene.schema().await;
    let token = scene.token().await;

    scene.image("2026.1-missing").await;
    let message = scene.stopped(Reason::ImagePull).await;
    assert!(message.contains("localhost/keystone:2026.1-missing"), "{message}");
    assert_eq!(scene.schema().await, before, "nothing was begun");
    scene.image("2025.2").await;
    let status = scene.until("aborted", |status| status.upgrade.is_none()).await;
    assert_eq!(status.history.last().map(|entry| entry.result), Some(UpgradeResult::Aborted));
    scene.installed("2025.2").await;

    // Nobody misses the cache: it saves time.
    scene.kubectl(&["scale", "deployment/memcached", "--replicas=0"]).await;
    scene.kubectl(&["wait", "pod", "--selector=app=memcached", "--for=delete", "--timeout=60s"]).await;
    let load = Load::start(&scene.identity(), 1, &token);

    scene.sql(HALF).await;
    scene.image("2026.1").await;
    let message = scene.stopped(Reason::PartiallyApplied).await;
    assert!(message.contains("1061"), "{message}");
    scene.event("ExpandFailed").await;
    scene.identity().validate(&token).await.unwrap();
    // What the message asks for, then another attempt.
    scene.sql(WHOLE).await;
    scene.retry("1").await;
    scene.installed("2026.1").await;
    assert_ne!(scene.schema().await, before);
    assert!(Scene::none_failed(load).await.good > 0);
    scene.identity().validate(&token).await.unwrap();
    scene.end().await;
}
