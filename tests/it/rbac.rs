//! The rules of `manifests/rbac` are what the operator asks for in all that it does: none is missing, none is for nothing.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use api::{
    MANAGED_BY,
    keystone::UpgradeStep,
    service::{SERVICES, sections},
};
use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, batch::v1::Job, core::v1::Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use testbed::{
    Cluster, Operator,
    cluster::{Access, Options as ClusterOptions, User},
    fixtures,
    operator::Options,
    wait,
};

use crate::{
    keystone::{
        keys::rotated,
        support::{NAME, NEW_TAG, OLD_TAG, Scene, image},
    },
    support::{BINARY, Cloud, NEW, OLD, SOON, release},
};

/// What the API server asks the roles while it answers something else: its log does not have it. It has the admission
/// plugin `OwnerReferencesPermissionEnforcement`; without these rules it would refuse whatever has an owner, or gets one
/// although it is there already. And it lets nobody make a role that allows more than he may do himself.
const UNRECORDED: &[(&str, &str, &str)] = &[
    ("core.openstack.org", "openstackcontrolplanes/finalizers", "update"),
    ("core.openstack.org", "openstackversions", "delete"),
    ("keystone.openstack.org", "keystones/finalizers", "update"),
    ("", "serviceaccounts", "delete"),
    ("", "services", "delete"),
    ("apps", "deployments", "delete"),
    ("batch", "cronjobs", "delete"),
    ("policy", "poddisruptionbudgets", "delete"),
    ("rbac.authorization.k8s.io", "rolebindings", "delete"),
    ("rbac.authorization.k8s.io", "roles", "delete"),
    ("security.openshift.io", "securitycontextconstraints", "use"),
];

fn access(group: &str, resource: &str, verb: &str) -> Access {
    Access { group: group.to_owned(), resource: resource.to_owned(), verb: verb.to_owned() }
}

/// What the roles allow.
fn allowed() -> BTreeSet<Access> {
    let text = fs::read_to_string(testbed::root().join("manifests/rbac/rbac.yaml")).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap());
    let texts = |rule: &Value, field: &str| -> Vec<String> { serde_json::from_value(rule[field].clone()).unwrap() };
    let mut allowed = BTreeSet::new();
    for rule in documents.flat_map(|document| document["rules"].as_array().cloned().unwrap_or_default()) {
        for group in texts(&rule, "apiGroups") {
            for resource in texts(&rule, "resources") {
                allowed.extend(texts(&rule, "verbs").iter().map(|verb| access(&group, &resource, verb)));
            }
        }
    }
    allowed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_allow_what_is_done_and_nothing_else() {
    let cluster = Cluster::start(ClusterOptions::default()).await.unwrap();
    cluster.prepare().await.unwrap();
    let cluster: &'static Cluster = Box::leak(Box::new(cluster));
    every_service(cluster).await;
    upstreams_keystone(cluster).await;
    our_keystone(cluster).await;

    let asked = cluster.accesses(User::Operator).unwrap();
    assert_eq!(asked.refused, BTreeSet::new(), "refused");
    let allowed = allowed();
    let missing: Vec<_> = asked.allowed.difference(&allowed).collect();
    assert!(missing.is_empty(), "allowed by something else than manifests/rbac: {missing:#?}");
    let unrecorded: BTreeSet<_> =
        UNRECORDED.iter().map(|(group, resource, verb)| access(group, resource, verb)).collect();
    let unused: BTreeSet<_> = allowed.difference(&asked.allowed).cloned().collect();
    assert_eq!(unused, unrecorded, "rules that nothing needs, or that this test does not make the operator need");
}

/// Waits until the operator has asked for it.
async fn asked(cluster: &Cluster, group: &str, resource: &str, verb: &str) {
    let wanted = access(group, resource, verb);
    let start = Instant::now();
    while !cluster.accesses(User::Operator).unwrap().allowed.contains(&wanted) {
        assert!(start.elapsed() < SOON, "{wanted:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every service is installed, updated and removed; one replica takes over from another.
async fn every_service(cluster: &'static Cluster) {
    // Of all namespaces.
    let mut cloud = Cloud::on(cluster, "rbac", release(OLD), |options| options.with_env("WATCH_NAMESPACE", "")).await;
    cluster.apply(fixtures::full_control_plane(&cloud.namespace)).await.unwrap();
    cloud.deployed(OLD).await;
    cloud.upgrade_operator(&release(NEW)).await;
    cloud.target(NEW).await;
    cloud.deployed(NEW).await;

    let options = Options::new(BINARY, &cloud.namespace, release(NEW)).with_env("WATCH_NAMESPACE", "");
    let _second = Operator::start(cluster, options).unwrap();
    // It knows that it has to wait.
    asked(cluster, "coordination.k8s.io", "leases", "watch").await;
    cloud.operator.stop().await.unwrap();
    let off: Map<String, Value> =
        sections().into_iter().map(|name| (name.to_owned(), json!({"enabled": false}))).collect();
    cloud.patch_plane(Value::Object(off)).await;
    for row in SERVICES.iter().filter(|row| row.variant.is_none_or(|variant| variant.default)) {
        let api = cloud.api(row.kind.kind);
        for name in api.list(&ListParams::default()).await.unwrap().items.into_iter().filter_map(|o| o.metadata.name) {
            if row.kind.kind != "ConfigMap" {
                cloud.expect(row.name, wait::gone(&api, &name, SOON).await);
            }
        }
    }
}

/// The same for the other kind of Keystone, which no cloud has beside ours.
async fn upstreams_keystone(cluster: &'static Cluster) {
    let cloud = Cloud::on(cluster, "rbac", release(OLD), |options| options).await;
    cloud.install(json!({"keystone": {"kind": "KeystoneAPI", "template": null}})).await;
    cloud.patch_plane(json!({"keystone": {"enabled": false}})).await;
    cloud.expect("KeystoneAPI", wait::gone(&cloud.api("KeystoneAPI"), NAME, SOON).await);
}

/// Installed, scaled by load, rotated, upgraded; things of its names are there already.
async fn our_keystone(cluster: &'static Cluster) {
    let scene = Scene::on(cluster, "rbac", |options| options).await;
    let secrets: Api<Secret> = scene.all();
    let theirs = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keystone-fernet-keys", "namespace": scene.namespace}});
    cluster.apply(theirs).await.unwrap();
    scene
        .create(json!({"replicas": 1, "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilization": 70}}))
        .await;
    scene.says("Degraded", api::condition::Status::True, &["Secret/keystone-fernet-keys"]).await;
    secrets.delete("keystone-fernet-keys", &DeleteParams::default()).await.unwrap();
    scene.installed(&image(OLD_TAG)).await;

    let old = scene.keys("keystone-fernet-keys").await;
    scene.stage("fernet", &rotated(&old, 1)).await.unwrap();
    scene.spread("fernet", 3).await;

    // The configuration before is of no use when the Jobs of the installation are gone.
    scene.patch(json!({"cache": {"servers": ["memcached:11211"]}})).await.unwrap();
    scene.hold(UpgradeStep::Migrating);
    scene.upgrade(NEW_TAG).await;
    let at = scene.at(UpgradeStep::Migrating).await;
    let jobs: Api<Job> = scene.all();
    let job = at.job.unwrap();
    // Whoever takes the label away takes it out of the operator's sight.
    let label = json!({"metadata": {"labels": {MANAGED_BY.0: null}}});
    jobs.patch(&job, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    scene.says("Degraded", api::condition::Status::True, &["Job/", "has no label"]).await;
    let label = json!({"metadata": {"labels": {MANAGED_BY.0: MANAGED_BY.1}}});
    jobs.patch(&job, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    scene.release(UpgradeStep::Migrating);
    scene.installed(&image(NEW_TAG)).await;
    scene.patch(json!({"autoscaling": null})).await.unwrap();
    let autoscalers: Api<HorizontalPodAutoscaler> = scene.all();
    scene.expect("the autoscaler", wait::gone(&autoscalers, NAME, SOON).await);
    // The Jobs of the last upgrade go when there is another.
    scene.upgrade("2026.1").await;
    scene.installed(&image("2026.1")).await;
    asked(cluster, "", "configmaps", "delete").await;
}
