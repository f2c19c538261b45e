//! Several objects, the end of one, and a kind that comes late.

use api::{
    condition::Status,
    keystone::{Keystone, names},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::{CronJob, Job},
    coordination::v1::Lease,
    core::v1::{Secret, ServiceAccount},
    rbac::v1::Role,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use rstest::rstest;
use serde_json::json;
use testbed::{Cluster, cluster, wait};

use super::support::{NAME, OLD_TAG, SOON, Scene, image};

#[rstest]
#[case::retain("Retain", true)]
#[case::delete("Delete", false)]
#[tokio::test]
async fn a_deleted_keystone_keeps_its_keys_unless_told_otherwise(#[case] policy: &str, #[case] kept: bool) {
    let scene = Scene::with_keystone("ks-delete", json!({"deletionPolicy": policy})).await;
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let before = secrets.get("keystone-fernet-keys").await.unwrap();
    scene.keystones().delete(NAME, &DeleteParams::default()).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(scene.client.clone(), &scene.namespace);
    scene.expect("no Deployment", wait::gone(&deployments, NAME, SOON).await);
    let (account, accounts, roles): (_, Api<ServiceAccount>, Api<Role>) =
        (names::PODS.of(NAME), scene.all(), scene.all());
    scene.expect("no account", wait::gone(&accounts, &account, SOON).await);
    scene.expect("no role", wait::gone(&roles, &account, SOON).await);
    if !kept {
        scene.expect("no keys", wait::gone(&secrets, "keystone-fernet-keys", SOON).await);
        scene.expect("no keys", wait::gone(&secrets, "keystone-credential-keys", SOON).await);
        return;
    }
    // Created again, it finds them: tokens and credentials stay readable.
    scene.create(json!({"replicas": 1})).await;
    scene.installed(&image(OLD_TAG)).await;
    let after = secrets.get("keystone-fernet-keys").await.unwrap();
    assert_eq!((before.metadata.uid, before.data), (after.metadata.uid, after.data));
}

/// The limit of admission is not beyond what Kubernetes takes for each of the derived names.
#[tokio::test]
async fn a_name_of_the_greatest_length_does_for_everything() {
    let scene = Scene::empty("ks-name").await;
    let name = "k".repeat(names::tightest().room());
    scene.cluster.apply(scene.keystone(&name, json!({"replicas": 1}))).await.unwrap();
    for condition in ["Ready", "KeysRotate"] {
        let holds = wait::condition(&scene.keystones(), &name, condition, "True", SOON).await;
        scene.expect(condition, holds);
    }
    let cron_jobs: Api<CronJob> = Api::namespaced(scene.client.clone(), &scene.namespace);
    for derived in names::DERIVED.iter().filter(|derived| derived.kind == "CronJob") {
        scene.expect("CronJob", Box::pin(wait::until(&cron_jobs, &derived.of(&name), SOON, |_| true)).await);
    }
    let longer = format!("{}k", names::tightest().of(&name));
    let cron_job =
        json!({"metadata": {"name": longer}, "spec": cron_jobs.get(&longer[..longer.len() - 1]).await.unwrap().spec});
    let refused =
        cron_jobs.create(&PostParams::default(), &serde_json::from_value(cron_job).unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("52 characters"), "{refused}");
    let jobs: Api<Job> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let jobs = jobs.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(jobs.len(), 2, "its schema and its administrator");
}

/// Keys that were made once and are gone are never made again by themselves.
#[tokio::test]
async fn lost_keys_are_said_and_not_replaced() {
    let scene = Scene::with_keystone("ks-lost", json!({})).await;
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let mut keys = secrets.get("keystone-credential-keys").await.unwrap();
    secrets.delete("keystone-credential-keys", &DeleteParams::default()).await.unwrap();
    let texts = ["Secret/keystone-credential-keys was made once and is gone", "restore it from a backup"];
    scene.says("Degraded", Status::True, &texts).await;
    assert!(secrets.get_opt("keystone-credential-keys").await.unwrap().is_none());
    keys.metadata.resource_version = None;
    keys.metadata.uid = None;
    secrets.create(&PostParams::default(), &keys).await.unwrap();
    scene.says("Degraded", Status::False, &[]).await;
}

#[tokio::test]
async fn two_keystones_on_one_database_do_not_write_to_it_both() {
    let scene = Scene::with_keystone("ks-two", json!({})).await;
    scene.cluster.apply(scene.keystone("second", json!({"replicas": 1}))).await.unwrap();
    let refused = |keystone: &Keystone| {
        let status = keystone.status.clone().unwrap_or_default();
        api::condition::find(&status.conditions, "Degraded").is_some_and(|condition| {
            condition.status == Status::True
                && condition.message.contains("Keystone/keystone is older and uses the same")
        })
    };
    let found = wait::until(&scene.keystones(), "second", SOON, refused).await;
    scene.expect("the second is refused", found);
    assert!(!scene.jobs().await.iter().any(|job| job.starts_with("second-db-sync")));
    // The first one is not harmed, and the second goes on with a database of its own.
    scene.says("Ready", Status::True, &[]).await;
    scene.cluster.apply(scene.keystone("second", json!({"replicas": 1, "database": {"host": "other"}}))).await.unwrap();
    let ready = wait::condition(&scene.keystones(), "second", "Ready", "True", SOON).await;
    scene.expect("the second is installed", ready);
}

/// The operator runs before the CRD is there, and goes on when it is.
#[tokio::test]
async fn the_kind_may_be_installed_later() {
    let options = cluster::Options { audit: false, ..cluster::Options::default() };
    let cluster: &Cluster = Box::leak(Box::new(Cluster::start(options).await.unwrap()));
    cluster.install_rbac().await.unwrap();
    cluster.start_controllers().await.unwrap();
    let mut scene = Scene::on(cluster, "ks-late", |options| options).await;
    let leases: Api<Lease> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let leads = wait::until(&leases, "openstack-release-operator", SOON, |_| true).await;
    scene.expect("it runs", leads);
    cluster.install(api::crd::all()).await.unwrap();
    scene.create(json!({"replicas": 1})).await;
    scene.installed(&image(OLD_TAG)).await;
    assert_eq!(scene.operator.exited().unwrap(), None);
}
