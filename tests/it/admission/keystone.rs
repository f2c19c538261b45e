//! What a `Keystone` may ask for, whatever is installed.

use api::keystone::names;
use serde_json::{Value, json};

use super::scene::{Answer, KEYSTONES, Scene};
use crate::support::merge;

const POLICY: &str = "keystone-spec";
const ADVICE: &str = "keystone-advice";
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A good spec, with `change` merged into it.
fn with(change: Value) -> Value {
    let mut spec = json!({
        "image": {"repository": "registry.example.com/keystone", "tag": "2025.2"},
        "database": {"host": "mariadb"},
    });
    merge(&mut spec, change);
    spec
}

async fn ask(scene: &Scene, change: Value) -> Answer {
    scene.try_create(KEYSTONES, scene.keystone(with(change))).await
}

#[tokio::test]
async fn what_makes_sense_is_accepted_without_a_word() {
    let scene = Scene::new("ks-spec").await;
    for good in [
        json!({}),
        json!({"release": "2025.2"}),
        json!({"release": ""}),
        json!({"image": {"tag": "2025.2-p1"}}),
        json!({"image": {"tag": "latest"}, "release": "2025.2"}),
        json!({"image": {"tag": "", "digest": DIGEST}, "release": "2025.2"}),
        json!({"database": {"host": null, "instance": "openstack"}}),
        json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilization": 80}}),
        json!({"autoscaling": {"maxReplicas": 5, "targetMemoryUtilization": 80}}),
        json!({"fernet": {"rotationSchedule": "*/30 0-6,12 1 jan-mar mon"}, "extraConfig": {"token": {"expiration": "30", "allow_expired_window": "30"}}}),
        json!({"credentialKeys": {"rotationSchedule": "@daily"}}),
        json!({"credentialKeys": {"rotationSchedule": "0 0 ? JAN Sun"}}),
    ] {
        ask(&scene, good).await.accepted();
    }
}

#[tokio::test]
async fn nonsense_is_refused_by_field_with_what_to_do() {
    let scene = Scene::new("ks-spec").await;
    for (bad, said) in [
        (json!({"image": {"tag": null}}), "exactly one of tag and digest"),
        (json!({"image": null}), "spec.image: needs repository"),
        (json!({"image": {"digest": DIGEST}}), "exactly one of tag and digest"),
        (json!({"image": {"tag": "2025.2 p1"}}), "spec.image.tag: \"2025.2 p1\" is not a tag"),
        (json!({"image": {"tag": "-2025.2"}, "release": "2025.2"}), "spec.image.tag: \"-2025.2\" is not a tag"),
        (
            json!({"image": {"tag": null, "digest": "sha256:12"}, "release": "2025.2"}),
            "spec.image.digest: \"sha256:12\"",
        ),
        (json!({"image": {"tag": null, "digest": DIGEST}}), "does not name an OpenStack release; set spec.release"),
        (json!({"image": {"tag": "latest"}}), "keystone:latest does not name an OpenStack release; set spec.release"),
        (json!({"image": {"tag": "2025.3"}}), "does not name an OpenStack release"),
        (json!({"release": "2026.1"}), "spec.release is 2026.1 and spec.image.tag names 2025.2; make them agree"),
        (json!({"database": {"host": ""}}), "spec.database: needs host"),
        (json!({"autoscaling": {"maxReplicas": 5}}), "needs targetCPUUtilization or targetMemoryUtilization"),
        (
            json!({"autoscaling": {"minReplicas": 6, "maxReplicas": 5, "targetCPUUtilization": 80}}),
            "spec.autoscaling.maxReplicas is 5 and spec.autoscaling.minReplicas is 6",
        ),
        (
            json!({"replicas": 4, "autoscaling": {"maxReplicas": 2, "targetCPUUtilization": 80}}),
            "maxReplicas is 2 and spec.replicas, the minimum where minReplicas is absent, is 4",
        ),
        (json!({"preStopSleepSeconds": 60}), "spec.terminationGracePeriodSeconds is 60: a pod would be killed"),
        (json!({"fernet": {"rotationSchedule": "weekly"}}), "spec.fernet.rotationSchedule: \"weekly\" is not a cron"),
        (json!({"fernet": {"rotationSchedule": "60 0 * * 0"}}), "is not a cron expression"),
        // The API server does not know it for the `CronJob`.
        (json!({"fernet": {"rotationSchedule": "@Weekly"}}), "is not a cron expression"),
        (json!({"fernet": {"rotationSchedule": "0 0 * *"}}), "is not a cron expression"),
        (
            json!({"credentialKeys": {"rotationSchedule": "0 24 * * *"}}),
            "spec.credentialKeys.rotationSchedule: \"0 24 * * *\"",
        ),
    ] {
        ask(&scene, bad).await.refused(POLICY, &[said]);
    }
}

/// What is named after it could not be created: nobody sees that before the first rotation.
#[tokio::test]
async fn a_name_that_leaves_no_room_is_refused_with_the_limit_and_why() {
    let scene = Scene::new("ks-spec").await;
    let named = |name: &str| {
        let mut object = scene.keystone(with(json!({})));
        object["metadata"]["name"] = json!(name);
        object
    };
    let longest = "k".repeat(names::tightest().room());
    scene.try_create(KEYSTONES, named(&longest)).await.accepted();
    let said = ["has 35 characters and at most 34", "CronJob/<name>-credential-rotate may have 52"];
    scene.try_create(KEYSTONES, named(&format!("{longest}k"))).await.refused(POLICY, &said);
    for name in ["key.stone", "1keystone"] {
        let said = format!("metadata.name: \"{name}\" cannot be the name of its Service");
        scene.try_create(KEYSTONES, named(name)).await.refused(POLICY, &[&said]);
    }
}

/// The schema says no.
#[tokio::test]
async fn values_out_of_range_are_refused() {
    let scene = Scene::new("ks-spec").await;
    for bad in [
        json!({"replicas": 0}),
        json!({"release": "2025"}),
        json!({"fernet": {"maxActiveKeys": 2}}),
        json!({"upgrade": {"strategy": "Recreate"}}),
        json!({"upgrade": {"skipLevel": "ALL"}}),
        json!({"deletionPolicy": "Orphan"}),
        json!({"database": {"port": 0}}),
        json!({"upgrade": {"jobDeadlineSeconds": 1}}),
    ] {
        let answer = ask(&scene, bad.clone()).await;
        assert!(!answer.is_accepted(), "{bad}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_likely_not_meant_is_warned_about() {
    let scene = Scene::new("ks-spec").await;
    ask(&scene, json!({"replicas": 1})).await.warned(ADVICE, &["spec.replicas: with one pod"]);
    let autoscaling = json!({"minReplicas": 1, "maxReplicas": 5, "targetCPUUtilization": 80});
    ask(&scene, json!({"autoscaling": autoscaling})).await.warned(ADVICE, &["with one pod"]);
    // Three keys, one a day: a token that lives for a day and can be used for two more ends early.
    let daily = json!({"rotationSchedule": "0 3 * * *"});
    ask(&scene, json!({"fernet": daily})).await.warned(ADVICE, &["dropped about 86400 s", "used for 176400 s"]);
    let hourly = json!({"rotationSchedule": "0 * * * *", "maxActiveKeys": 60});
    ask(&scene, json!({"fernet": hourly})).await.accepted();
    // Every third and fourth day: what is exactly needed, the operator says.
    let twice = json!({"rotationSchedule": "0 0 * * 0,3"});
    ask(&scene, json!({"fernet": twice})).await.accepted();
    let suspended = json!({"rotationSchedule": "* * * * *", "suspend": true});
    ask(&scene, json!({"fernet": suspended})).await.accepted();
}

/// An object that is older than a rule can still be labelled, and its status written.
#[tokio::test]
async fn only_a_change_of_the_spec_is_judged() {
    let scene = Scene::new("ks-spec").await;
    scene.create(KEYSTONES, scene.keystone(with(json!({})))).await.accepted();
    let operator = scene.as_operator().await;
    let mut object = scene.keystone(json!({}));
    object.as_object_mut().unwrap().remove("spec");
    object["status"] = json!({"installedRelease": "2025.1", "installedImage": "x:2025.1", "upgradePhase": "Expanding"});
    operator.replace_status(KEYSTONES, object).await.accepted();
    scene.patch(KEYSTONES, json!({"metadata": {"labels": {"a": "b"}}})).await.accepted();
    scene
        .try_patch(KEYSTONES, json!({"spec": {"preStopSleepSeconds": 90}}))
        .await
        .refused(POLICY, &["raise the latter"]);
}
