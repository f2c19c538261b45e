//! What one object does not do to another, and what is not written at all.

use std::time::Duration;

use api::{condition::Status, keystone::Keystone};
use k8s_openapi::api::{
    batch::v1::CronJob,
    core::v1::{Secret, Service},
    rbac::v1::RoleBinding,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use testbed::{
    Proxy,
    cluster::{User, Write, shared},
    proxy::Rule,
    wait,
};

use super::support::{NAME, OLD_TAG, SOON, Scene, image};

/// A status that cannot be written keeps what it speaks of from being done; another object goes on.
#[tokio::test]
async fn a_status_that_cannot_be_written_holds_up_its_own_object_only() {
    let proxy = Proxy::start(shared().await.unwrap()).await.unwrap();
    let rule = proxy.add(Rule::answer(403).writes().resource("keystones").subresource("status").name("second"));
    let scene = Scene::with("ks-apart", |options| options.with_kubeconfig(proxy.kubeconfig())).await;
    let other = json!({"replicas": 1, "database": {"host": "other"}});
    scene.cluster.apply(scene.keystone("second", other)).await.unwrap();
    scene.create(json!({"replicas": 1})).await;
    scene.installed(&image(OLD_TAG)).await;
    // What is not on record is not done.
    assert!(!scene.jobs().await.iter().any(|job| job.starts_with("second")));
    proxy.lift(rule);
    let ready = wait::condition(&scene.keystones(), "second", "Ready", "True", SOON).await;
    scene.expect("the second is installed", ready);
}

/// Somebody's Secret is not taken for the keys, and says so.
#[tokio::test]
async fn a_secret_of_somebody_else_is_not_taken_for_the_keys() {
    let scene = Scene::empty("ks-theirs").await;
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let name = "keystone-fernet-keys";
    let theirs =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": scene.namespace}});
    scene.cluster.apply(theirs).await.unwrap();
    scene.create(json!({"replicas": 1})).await;
    let texts = ["Secret/keystone-fernet-keys", "has no label", "delete or rename it"];
    scene.says("Degraded", Status::True, &texts).await;
    assert!(secrets.get(name).await.unwrap().data.is_none());
    secrets.delete(name, &DeleteParams::default()).await.unwrap();
    scene.installed(&image(OLD_TAG)).await;
}

/// What the operator wrote in the namespace, but for the Lease.
fn writes(scene: &Scene) -> Vec<Write> {
    let all = scene.cluster.writes(User::Operator).unwrap();
    all.into_iter().filter(|write| write.namespace == scene.namespace && write.resource != "leases").collect()
}

#[tokio::test]
async fn at_rest_nothing_is_written_but_the_lease() {
    let scene = Scene::with_keystone("ks-idle", json!({"replicas": 2})).await;
    scene.event("Installed").await;
    // What a rotation needs comes after the first installation; a role is bound a moment after it was made.
    let (cron_jobs, bindings): (Api<CronJob>, Api<RoleBinding>) = (scene.all(), scene.all());
    scene.expect("keystone-pods", Box::pin(wait::until(&bindings, "keystone-pods", SOON, |_| true)).await);
    for row in ["fernet", "credential"] {
        let name = format!("keystone-{row}-rotate");
        scene.expect(&name, Box::pin(wait::until(&cron_jobs, &name, SOON, |_| true)).await);
        scene.expect(&name, Box::pin(wait::until(&bindings, &name, SOON, |_| true)).await);
    }
    let before = writes(&scene);
    let services: Api<Service> = Api::namespaced(scene.client.clone(), &scene.namespace);
    for number in 0..10 {
        // What happens to an object and means nothing to us.
        let noise = json!({"metadata": {"annotations": {"example.com/noise": number.to_string()}}});
        services.patch(NAME, &PatchParams::default(), &Patch::Merge(noise)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(writes(&scene)[before.len()..], [], "an idle operator writes");
}

/// Whoever changes what the operator owns finds it changed back; what is deleted is made again.
#[tokio::test]
async fn what_was_changed_or_deleted_by_hand_is_mended() {
    let scene = Scene::with_keystone("ks-mend", json!({})).await;
    let services: Api<Service> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let before = services.get(NAME).await.unwrap().uid();
    services.delete(NAME, &DeleteParams::default()).await.unwrap();
    let again = wait::until(&services, NAME, SOON, |service| service.uid() != before).await;
    scene.expect("the Service again", again);
    let output =
        scene.cluster.kubectl(["-n", &scene.namespace, "set", "image", "deployment", "*=evil:1", "--all"]).await;
    assert!(output.unwrap().status.success());
    let mended = |keystone: &Keystone| keystone.status.is_some();
    scene.expect("there", wait::until(&scene.keystones(), NAME, SOON, mended).await);
    scene
        .value::<k8s_openapi::api::apps::v1::Deployment>(
            "/spec/template/spec/containers/0/image",
            json!(image(OLD_TAG)),
        )
        .await;
    scene.installed(&image(OLD_TAG)).await;
}
