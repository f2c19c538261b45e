//! The way through every step, and what is true in each.

use api::{
    condition::{self, Status},
    keystone::{UpgradePhase, UpgradeResult, UpgradeStep},
};
use k8s_openapi::api::{
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{Secret, Service},
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, api::ListParams};
use serde_json::json;
use testbed::kubelet::Play;

use super::support::{NAME, NEW_TAG, OLD_TAG, STEPS, Scene, image, pods_of};

#[tokio::test]
async fn an_installation_makes_everything_in_order() {
    let scene = Scene::empty("ks-install").await;
    scene.kubelet.play(&pods_of(UpgradeStep::Installing, OLD_TAG), Play::Running);
    scene.create(json!({"replicas": 3})).await;
    scene.at(UpgradeStep::Installing).await;
    assert_eq!(scene.jobs().await, ["keystone-db-sync"]);
    // The seed's columns, word for word.
    let columns = "custom-columns=NAME:.metadata.name,PHASE:.status.upgradePhase,FROM:.status.installedRelease,\
                   TO:.status.targetRelease,READY:.status.conditions[?(@.type=='Ready')].status";
    let output = scene.cluster.kubectl(["-n", &scene.namespace, "get", "keystone", NAME, "-o", columns]).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(line, [NAME, "<none>", "<none>", OLD_TAG, "False"], "{text}");

    scene.release(UpgradeStep::Installing);
    let status = scene.installed(&image(OLD_TAG)).await;
    assert_eq!(status.installed_release.as_deref(), Some(OLD_TAG));
    assert_eq!((status.target_release, status.upgrade_phase, status.ready_replicas), (None, None, 3));
    assert_eq!(scene.jobs().await, ["keystone-db-sync", "keystone-db-bootstrap"]);
    assert_eq!(scene.deployment().await["spec"]["replicas"], 3);
    scene.value::<Service>("/spec/ports/0/port", json!(5000)).await;
    scene.value::<PodDisruptionBudget>("/spec/minAvailable", json!(1)).await;
    for reason in ["FernetKeysGenerated", "CredentialKeysGenerated", "DatabaseSynced", "BootstrapComplete", "Installed"]
    {
        scene.event(reason).await;
    }
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let keys = secrets.get("keystone-fernet-keys").await.unwrap().data.unwrap();
    assert_eq!(keys.len(), 3);
    assert!(keys.values().all(|key| key.0.len() == 44), "32 bytes in base64");
    let hpa: Api<HorizontalPodAutoscaler> = Api::namespaced(scene.client.clone(), &scene.namespace);
    assert_eq!(hpa.list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn an_upgrade_goes_through_every_step_and_the_api_serves_in_each() {
    let scene = Scene::with_keystone("ks-upgrade", json!({"replicas": 2})).await;
    scene.hold_all();
    scene.upgrade(NEW_TAG).await;
    let phases = [
        None,
        Some(UpgradePhase::Expanding),
        Some(UpgradePhase::Migrating),
        Some(UpgradePhase::RollingUpdate),
        Some(UpgradePhase::RollingUpdate),
        Some(UpgradePhase::Contracting),
    ];
    for (step, phase) in STEPS.into_iter().zip(phases) {
        let upgrade = scene.at(step).await;
        assert_eq!((upgrade.from.as_str(), upgrade.to.as_str(), upgrade.attempt), (OLD_TAG, NEW_TAG, 1));
        let status = scene.status().await;
        assert_eq!(status.upgrade_phase, phase, "{step}");
        assert_eq!(status.installed_release.as_deref(), Some(OLD_TAG));
        assert_eq!(status.target_release.as_deref(), Some(NEW_TAG));
        assert!(condition::is_true(&status.conditions, "Available"), "{step}");
        assert!(condition::is_true(&status.conditions, "Progressing"), "{step}");
        assert!(!condition::is_true(&status.conditions, "Ready"), "{step}");
        assert!(!condition::is_true(&status.conditions, "Degraded"), "{step}: {:?}", status.conditions);
        let rolled = step >= UpgradeStep::RollingUpdate;
        assert_eq!(scene.serving().await == image(NEW_TAG), rolled, "{step}");
        scene.release(step);
    }
    let status = scene.installed(&image(NEW_TAG)).await;
    assert_eq!((status.target_release, status.upgrade_phase), (None, None));
    let last = status.history.last().unwrap();
    assert_eq!((last.from.as_str(), last.to.as_str()), (image(OLD_TAG).as_str(), image(NEW_TAG).as_str()));
    assert_eq!(last.result, UpgradeResult::Completed);
    let expected =
        ["check", "expand", "migrate", "verify", "contract", "bootstrap"].map(|task| format!("keystone-db-{task}"));
    assert!(scene.jobs().await.ends_with(&expected), "{:?}", scene.jobs().await);
    for reason in
        ["UpgradeInitiated", "ExpandComplete", "MigrateComplete", "DeploymentRolloutComplete", "UpgradeComplete"]
    {
        scene.event(reason).await;
    }
    // Nothing was ever said to be wrong.
    assert_eq!(scene.warnings().await, Vec::<String>::new());
}

/// Contract never runs while an old pod is left, a terminating one included.
#[tokio::test]
async fn a_pod_that_lingers_keeps_contract_from_running() {
    let scene = Scene::with_keystone("ks-linger", json!({})).await;
    scene.kubelet.linger(&format!("server {} ", image(OLD_TAG)));
    scene.upgrade(NEW_TAG).await;
    let says = |status: &api::keystone::KeystoneStatus| {
        status.upgrade.as_ref().is_some_and(|upgrade| {
            upgrade.step == UpgradeStep::Verifying && upgrade.message.contains("of another image is not gone yet")
        })
    };
    scene.until("an old pod is named", says).await;
    assert!(!scene.jobs().await.iter().any(|job| job.contains("verify") || job.contains("contract")));
    scene.kubelet.let_go();
    scene.installed(&image(NEW_TAG)).await;
}

/// Everything that is not the upgrade goes on in every phase.
#[tokio::test]
async fn replicas_budget_and_autoscaler_follow_the_spec_in_every_step() {
    let scene = Scene::with_keystone("ks-scale", json!({})).await;
    scene.hold_all();
    scene.upgrade(NEW_TAG).await;
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(scene.client.clone(), &scene.namespace);
    for (number, step) in STEPS.into_iter().enumerate() {
        scene.at(step).await;
        let replicas = if number % 2 == 0 { 2 } else { 1 };
        scene.patch(json!({"replicas": replicas})).await.unwrap();
        scene.value::<k8s_openapi::api::apps::v1::Deployment>("/spec/replicas", json!(replicas)).await;
        let budget = if replicas > 1 { "/spec/minAvailable" } else { "/spec/maxUnavailable" };
        scene.value::<PodDisruptionBudget>(budget, json!(1)).await;
        let autoscaling = json!({"minReplicas": 1, "maxReplicas": 4, "targetCPUUtilization": 70});
        scene.patch(json!({"autoscaling": autoscaling})).await.unwrap();
        scene.value::<HorizontalPodAutoscaler>("/spec/maxReplicas", json!(4)).await;
        scene.value::<HorizontalPodAutoscaler>("/spec/scaleTargetRef/name", json!(NAME)).await;
        // Turning it on resets nothing.
        assert_eq!(scene.deployment().await["spec"]["replicas"], replicas, "{step}");
        scene.patch(json!({"autoscaling": null})).await.unwrap();
        let gone = testbed::wait::gone(&hpas, NAME, super::support::SOON).await;
        scene.expect("no autoscaler", gone);
        scene.release(step);
    }
    scene.installed(&image(NEW_TAG)).await;
}

/// The autoscaler's number is nobody else's.
#[tokio::test]
async fn what_the_autoscaler_decided_stays() {
    let scene = Scene::with_keystone("ks-hpa", json!({"replicas": 5})).await;
    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 9, "targetCPUUtilization": 70});
    scene.patch(json!({"autoscaling": autoscaling})).await.unwrap();
    scene.value::<HorizontalPodAutoscaler>("/spec/minReplicas", json!(2)).await;
    assert_eq!(scene.deployment().await["spec"]["replicas"], 5);
    let output =
        scene.cluster.kubectl(["-n", &scene.namespace, "scale", "deployment", NAME, "--replicas=3"]).await.unwrap();
    assert!(output.status.success());
    scene.says("Ready", Status::True, &[]).await;
    // A new configuration is written with the number that is there.
    scene.patch(json!({"extraConfig": {"token": {"expiration": "7200"}}})).await.unwrap();
    let generation = scene.keystones().get(NAME).await.unwrap().metadata.generation;
    scene
        .until("observed", |status| {
            status.observed_generation == generation && condition::is_true(&status.conditions, "Ready")
        })
        .await;
    assert_eq!(scene.deployment().await["spec"]["replicas"], 3);
}
