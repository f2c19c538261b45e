//! The operator, installed and upgraded by the Operator Lifecycle Manager.
//!
//! OLM, the catalogs, the bundles and the operator are real; the service operators are scripted.

use std::{collections::BTreeMap, fs, time::Duration};

use api::{crd, service};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde::Deserialize as _;
use serde_json::{Value, json};
use testbed::{Actors, Node, Script, actors, cluster::setup, fixtures, wait};
use tokio::process::Command;

const PACKAGE: &str = "openstack-release-operator";

/// How long a step of OLM may take: pods for the catalog, for the bundle and for the operator come one after the other.
const STEP: Duration = Duration::from_secs(240);

struct Scene {
    node: Node,
    client: Client,
    /// Where the operator is installed.
    home: String,
    /// Where a control plane is.
    cloud: String,
}

impl Scene {
    async fn start() -> Self {
        let node = Node::here().unwrap();
        let client = node.client().await.unwrap();
        setup::install(&client, crd::foreign()).await.unwrap();
        let installed = Command::new(testbed::root().join("hack/cluster")).arg("olm").status().await.unwrap();
        assert!(installed.success(), "hack/cluster olm");
        // A run that failed left its own, for everybody to look at; two of them would be in each other's way.
        let left = ["delete", "subscriptions,clusterserviceversions", "--all", "--all-namespaces"];
        node.kubectl(left).await.unwrap();
        let (home, cloud) = (node.namespace("olm").await.unwrap(), node.namespace("cloud").await.unwrap());
        Self { node, client, home, cloud }
    }

    fn api(&self, group: &str, version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let resource = kube::api::ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    fn olm(&self, kind: &str) -> Api<DynamicObject> {
        self.api("operators.coreos.com", "v1alpha1", kind, &self.home)
    }

    fn versions(&self) -> Api<DynamicObject> {
        self.api(api::GROUP, api::API_VERSION, "OpenStackVersion", &self.cloud)
    }

    async fn apply(&self, object: Value) {
        setup::apply(&self.client, object).await.unwrap();
    }

    fn catalog(&self, version: &str) -> String {
        self.node.digest(&format!("localhost/{PACKAGE}-catalog:{version}")).unwrap()
    }

    /// What an administrator applies, in the namespaces of this test.
    async fn subscribe(&self) {
        let text = fs::read_to_string(testbed::root().join("hack/node/subscription.yaml")).unwrap();
        let text = text.replace("@CATALOG@", &self.catalog("1.0.0")).replace("openstack-operators", &self.home);
        // Other tests have operators of their own for what is theirs: this one must not touch it, in no version and at no
        // time, so its Subscription cannot say it.
        self.apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("{PACKAGE}-env"), "namespace": self.home},
            "data": {"WATCH_NAMESPACE": self.cloud, "CONTROLLERS": "release"},
        }))
        .await;
        for document in serde_yaml::Deserializer::from_str(&text) {
            self.apply(Value::deserialize(document).unwrap()).await;
        }
    }

    /// Waits until OLM has installed that version of the operator: all of its pods are ready.
    async fn installed(&self, version: &str) {
        let name = format!("{PACKAGE}.v{version}");
        let (api, succeeded) = (self.olm("ClusterServiceVersion"), json!("Succeeded"));
        if let Err(error) = Box::pin(wait::value(&api, &name, "/status/phase", &succeeded, STEP)).await {
            let olm =
                self.node.kubectl(["get", "subscriptions,installplans,csv,jobs", "-oyaml", "-n", &self.home]).await;
            panic!("{name}: {error:#}\n{}\n{}", olm.unwrap_or_default(), self.node.describe(&self.home).await);
        }
    }

    /// Waits until the status of the `OpenStackVersion` says so.
    async fn says(&self, field: &str, version: &str) -> Value {
        let (api, pointer, wanted) = (self.versions(), format!("/status/{field}"), json!(version));
        match Box::pin(wait::value(&api, fixtures::NAME, &pointer, &wanted, STEP)).await {
            Ok(object) => object.data,
            Err(error) => {
                let log = [
                    "logs",
                    "--namespace",
                    &self.home,
                    "--selector",
                    "app.kubernetes.io/name=openstack-release-operator",
                ];
                panic!("{field} {version}: {error:#}\n{}", self.node.kubectl(log).await.unwrap_or_default())
            }
        }
    }

    /// Every object of the services, with what changes with each write.
    async fn children(&self) -> BTreeMap<(String, String), Option<String>> {
        let mut children = BTreeMap::new();
        for kind in service::kinds() {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &self.cloud, &actors::resource(kind));
            for object in api.list(&ListParams::default()).await.unwrap() {
                children.insert((kind.kind.to_owned(), object.name_any()), object.resource_version());
            }
        }
        children
    }

    /// What Prometheus would scrape, by the Service in the bundle.
    async fn metrics(&self) -> String {
        let service = format!("/api/v1/namespaces/{}/services/{PACKAGE}-metrics:http/proxy/metrics", self.home);
        self.node.kubectl(["get", "--raw", &service]).await.unwrap()
    }

    async fn end(self) {
        for resource in ["subscription", "clusterserviceversion"] {
            self.node.kubectl(["delete", resource, "--all", "--namespace", &self.home]).await.unwrap();
        }
        self.node.kubectl(["delete", "namespace", "--wait=false", &self.home, &self.cloud]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the real cluster: hack/test --e2e"]
async fn olm_installs_and_upgrades_the_operator_and_only_the_target_moves_the_cloud() {
    let scene = Scene::start().await;
    scene.subscribe().await;
    scene.installed("1.0.0").await;

    let _actors = Actors::start(scene.client.clone(), &scene.cloud, Script::default());
    scene.apply(fixtures::small_control_plane(&scene.cloud)).await;
    let version = scene.says("deployedVersion", "1.0.0").await;
    assert_eq!(version["spec"]["targetVersion"], "1.0.0");

    // The rules came with the operator, although no bundle can carry them, and stay.
    let (policies, rule) =
        (Api::<ValidatingAdmissionPolicy>::all(scene.client.clone()), format!("one-openstackversion.{}", api::GROUP));
    let first = policies.get(&rule).await.unwrap().uid();
    policies.delete(&rule, &DeleteParams::default()).await.unwrap();
    wait::until(&policies, &rule, STEP, |policy| policy.uid() != first).await.unwrap();
    setup::policies_in_force(&scene.client).await.unwrap();
    let mut second = fixtures::version(&scene.cloud, "1.0.0");
    second["metadata"]["name"] = json!("second");
    let refusal = format!("{:#}", setup::apply(&scene.client, second).await.unwrap_err());
    assert!(refusal.contains("ValidatingAdmissionPolicy 'one-openstack"), "{refusal}");

    // A newer catalog: OLM does the rest.
    let before = scene.children().await;
    assert!(before.len() > 6, "{before:?}");
    let newer = json!({"spec": {"image": scene.catalog("1.0.1")}});
    let patch = Patch::Merge(newer);
    scene.olm("CatalogSource").patch(PACKAGE, &PatchParams::default(), &patch).await.unwrap();
    scene.installed("1.0.1").await;
    let old = format!("{PACKAGE}.v1.0.0");
    wait::gone(&scene.olm("ClusterServiceVersion"), &old, STEP).await.unwrap();
    let plans = scene.olm("InstallPlan");
    for plan in plans.list(&ListParams::default()).await.unwrap() {
        // OLM writes it after the fact.
        let plan = wait::value(&plans, &plan.name_any(), "/status/phase", &json!("Complete"), STEP).await.unwrap();
        assert_eq!(plan.data["spec"]["approval"], "Automatic");
    }
    let version = scene.says("availableVersion", "1.0.1").await;
    assert_eq!(version["spec"]["targetVersion"], "1.0.0");
    assert_eq!(version["status"]["deployedVersion"], "1.0.0");
    assert_eq!(wait::condition_status(&version, "MinorUpdateAvailable"), Some("True"));
    assert_eq!(scene.children().await, before, "an upgrade of the operator writes no object of a service");

    // The administrator's one step.
    let target = Patch::Merge(json!({"spec": {"targetVersion": "1.0.1"}}));
    scene.versions().patch(fixtures::NAME, &PatchParams::default(), &target).await.unwrap();
    scene.says("deployedVersion", "1.0.1").await;
    let glance = scene.api("glance.openstack.org", "v1beta1", "Glance", &scene.cloud).get("glance").await.unwrap();
    assert_eq!(glance.data["spec"]["containerImage"], "registry.example.com/openstack/glance-api:1.0.1");
    let (metrics, cloud) = (scene.metrics().await, &scene.cloud);
    let sample =
        metrics.lines().find(|line| line.starts_with("openstack_release_version_state{") && line.contains(cloud));
    assert!(sample.is_some_and(|sample| sample.contains("state=\"UpToDate\"")), "{metrics}");
    scene.end().await;
}
