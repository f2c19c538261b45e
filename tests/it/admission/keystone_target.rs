//! Where `spec.image` may go: admission and plan say the same, in the same words.

use std::collections::BTreeMap;

use api::{
    condition::{self, Status},
    keystone::{KeystoneSpec, KeystoneStatus},
};
use jiff::Timestamp;
use plan::{
    keystone::{KINDS, World, plan},
    release::{Meta, Objects, Root, kind_key},
};
use serde_json::{Value, json};

use super::scene::{KEYSTONES, Scene};
use crate::support::merge;

const POLICY: &str = "keystone-target";
const REPOSITORY: &str = "registry.example.com/keystone";
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn installed(tag: &str) -> Value {
    let release = tag.split('-').next();
    json!({"installedRelease": release, "installedImage": format!("{REPOSITORY}:{tag}")})
}

/// On the way from one image to another.
fn upgrading(from: &str, to: &str, flags: Value) -> Value {
    let mut upgrade = json!({
        "from": from, "to": to, "fromImage": format!("{REPOSITORY}:{from}"), "toImage": format!("{REPOSITORY}:{to}"),
        "step": "Expanding", "startedAt": "2026-01-01T00:00:00Z", "stepStartedAt": "2026-01-01T00:00:00Z", "attempt": 1,
    });
    merge(&mut upgrade, flags);
    let mut status = if from.is_empty() { json!({}) } else { installed(from) };
    status["upgrade"] = upgrade;
    status
}

fn statuses() -> Vec<Value> {
    vec![
        json!({}),
        installed("2025.1"),
        installed("2025.2"),
        installed("2025.2-p1"),
        installed("2026.1"),
        upgrading("", "2025.1", json!({})),
        upgrading("2025.1", "2025.2", json!({})),
        upgrading("2025.1", "2025.2", json!({"expanded": true})),
        upgrading("2025.1", "2025.2", json!({"expanded": true, "contracted": true})),
        upgrading("2025.1", "2025.2", json!({"expanded": true, "aborting": true})),
        upgrading("2025.2", "2026.1", json!({})),
        upgrading("2025.2", "2025.1", json!({})),
        upgrading("2025.2", "2025.1", json!({"schema": "Current"})),
        upgrading("2025.2", "2025.1", json!({"schema": "Current", "contracted": true})),
        // Written by nobody: what cannot be read counts as absent.
        json!({"installedRelease": "master", "installedImage": "x:master"}),
    ]
}

fn wishes() -> Vec<Value> {
    let image = |tag: &str| json!({"image": {"repository": REPOSITORY, "tag": tag}});
    let digest = |release: &str| json!({"image": {"repository": REPOSITORY, "digest": DIGEST}, "release": release});
    let mut wishes: Vec<Value> =
        ["2024.2", "2025.1", "2025.1-p2", "2025.2", "2025.2-p1", "2025.2-p2", "2026.1", "2026.2", "2027.1"]
            .map(image)
            .into();
    wishes.extend(["2025.1", "2025.2", "2026.1"].map(digest));
    wishes
}

fn options() -> Vec<Value> {
    vec![
        json!({}),
        json!({"upgrade": {"skipLevel": "SLURP"}}),
        json!({"upgrade": {"restoredRelease": "2025.1"}}),
        json!({"upgrade": {"restoredRelease": "2025.2", "skipLevel": "SLURP"}}),
    ]
}

/// Why the plan refuses to go there, if it does.
fn refused_by_plan(spec: &Value, status: &Value) -> Option<String> {
    let spec: KeystoneSpec = serde_json::from_value(spec.clone()).unwrap();
    let status: KeystoneStatus = serde_json::from_value(status.clone()).unwrap();
    let meta: Meta = serde_json::from_value(json!({
        "name": "keystone", "uid": "u", "generation": 1, "resource_version": "1", "resourceVersion": "1",
        "annotations": {}, "owners": [], "deleting": false,
    }))
    .unwrap();
    let world = World {
        now: Timestamp::UNIX_EPOCH,
        namespace: "openstack".to_owned(),
        keystone: Root { meta, spec: Ok(spec), status },
        created: None,
        others: Vec::new(),
        kinds: KINDS.iter().map(|kind| (kind_key(kind), Objects::Known(Vec::new()))).collect(),
        fresh_keys: Vec::new(),
        failures: BTreeMap::new(),
    };
    let status = plan(&world).status;
    let condition = condition::find(&status.conditions, "TargetReleaseValid").unwrap();
    (condition.status == Status::False).then(|| condition.message.clone())
}

#[tokio::test]
async fn admission_and_plan_give_the_same_verdict_in_the_same_words() {
    let scene = Scene::new("ks-target").await;
    let before = json!({"image": {"repository": REPOSITORY, "tag": "2030.1"}, "database": {"host": "mariadb"}});
    scene.create(KEYSTONES, scene.keystone(before.clone())).await.accepted();
    let (mut allowed, mut refused) = (0, 0);
    for status in statuses() {
        scene.set_status_of(KEYSTONES, status.clone()).await;
        for wish in wishes() {
            for option in options() {
                let mut change = wish.clone();
                merge(&mut change, option);
                let mut spec = before.clone();
                spec["image"] = Value::Null;
                merge(&mut spec, change.clone());
                if change["image"].get("tag").is_none() {
                    change["image"]["tag"] = Value::Null;
                }
                let answer = scene.try_patch(KEYSTONES, json!({"spec": change})).await;
                match refused_by_plan(&spec, &status) {
                    Some(message) => answer.refused(POLICY, &[&message]),
                    None => assert!(answer.is_accepted(), "{change} with {status}: {answer:?}"),
                }
                if answer.is_accepted() { allowed += 1 } else { refused += 1 }
            }
        }
    }
    assert!(allowed > 100 && refused > 100, "{allowed} allowed, {refused} refused");
}

/// Whatever is not about the image goes through, however wrong the image is by now.
#[tokio::test]
async fn everything_else_can_be_changed_in_any_state() {
    let scene = Scene::new("ks-target").await;
    let spec = json!({"image": {"repository": REPOSITORY, "tag": "2027.1"}, "database": {"host": "mariadb"}});
    scene.create(KEYSTONES, scene.keystone(spec)).await.accepted();
    for status in statuses() {
        scene.set_status_of(KEYSTONES, status).await;
        for change in
            [json!({"replicas": 5}), json!({"upgrade": {"skipLevel": "SLURP"}}), json!({"fernet": {"suspend": true}})]
        {
            scene.try_patch(KEYSTONES, json!({"spec": change})).await.accepted();
        }
    }
}
