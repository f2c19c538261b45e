//! The other generated manifests: what the operator may do, and that all of them apply.

use api::{
    GROUP, MANAGED_BY, dataplane,
    keystone::KEYSTONE,
    manager,
    service::{self, CONFIG_MAP, Kind, Objects, SERVICES},
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use plan::keystone::{ROLE, SECRET, admission_rule};
use serde_json::{Value, json};
use testbed::{
    cluster::{self, Cluster, User},
    fixtures,
};

fn api_of(client: &Client, namespace: &str, kind: &Kind) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&gvk, kind.plural))
}

async fn operator() -> (&'static Cluster, Client, String) {
    let cluster = cluster::shared().await.unwrap();
    (cluster, cluster.client_of(User::Operator).await.unwrap(), cluster.namespace("rbac").await.unwrap())
}

fn child(kind: &Kind, name: &str) -> Patch<Value> {
    let mut object = json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "metadata": {"name": name, "labels": {MANAGED_BY.0: MANAGED_BY.1}},
    });
    if *kind == KEYSTONE {
        // The one kind of the table with a schema.
        let image = json!({"repository": "registry.example.com/keystone", "tag": "2025.2"});
        object["spec"] = json!({"image": image, "database": {"host": "mariadb"}});
    }
    Patch::Apply(object)
}

/// The names of objects that a row of this kind may have.
fn names(kind: &Kind) -> Vec<&'static str> {
    let rows = SERVICES.iter().filter(|row| row.kind == *kind);
    rows.map(|row| match row.objects {
        Objects::One { name, .. } => name,
        Objects::Each { .. } => "any",
    })
    .collect()
}

#[tokio::test]
async fn the_operator_may_write_every_kind_of_the_table() {
    let (_, client, namespace) = operator().await;
    let params = PatchParams::apply(manager::CHILDREN).force();
    for kind in service::kinds() {
        let api = api_of(&client, &namespace, &kind);
        for name in names(&kind) {
            api.patch(name, &params, &child(&kind, name)).await.unwrap();
            api.delete(name, &DeleteParams::default()).await.unwrap();
        }
        Api::<DynamicObject>::list(&api, &ListParams::default()).await.unwrap();
    }
}

#[tokio::test]
async fn the_operator_may_not_write_what_belongs_to_others() {
    let (cluster, client, namespace) = operator().await;
    let forbidden = |error: kube::Error| matches!(error, kube::Error::Api(status) if status.code == 403);
    let params = PatchParams::apply(manager::CHILDREN).force();
    let control_plane =
        Kind { group: GROUP, version: "v1beta1", kind: "OpenStackControlPlane", plural: "openstackcontrolplanes" };
    for (kind, name) in
        [(dataplane::NODE_SET, "edpm"), (dataplane::DEPLOYMENT, "edpm"), (control_plane, fixtures::NAME)]
    {
        let api = api_of(&client, &namespace, &kind);
        assert!(forbidden(api.patch(name, &params, &child(&kind, name)).await.unwrap_err()), "{}", kind.kind);
    }
    // Its status is the operator's.
    let mut plane = cluster.apply(fixtures::small_control_plane(&namespace)).await.unwrap();
    plane.data["status"] = json!({"deployedVersion": "1.0.0"});
    let api = api_of(&client, &namespace, &control_plane);
    api.replace_status(fixtures::NAME, &PostParams::default(), &plane).await.unwrap();
}

/// A role cannot tell whose a Secret is; a policy does.
#[tokio::test]
async fn the_operator_writes_only_objects_with_its_label() {
    let (cluster, client, namespace) = operator().await;
    let refused = |error: kube::Error| match error {
        kube::Error::Api(status) if status.message.contains("'operator-objects.core.openstack.org'") => {
            status.message.clone()
        }
        other => panic!("{other}"),
    };
    let params = PatchParams::apply(manager::CHILDREN).force();
    for kind in [CONFIG_MAP, SECRET] {
        let api = api_of(&client, &namespace, &kind);
        let theirs =
            json!({"apiVersion": "v1", "kind": kind.kind, "metadata": {"namespace": namespace, "name": "somebodys"}});
        cluster.apply(theirs.clone()).await.unwrap();
        let said = refused(api.patch("somebodys", &params, &child(&kind, "somebodys")).await.unwrap_err());
        assert!(
            said.contains("somebodys is not the operator's: it has no label app.kubernetes.io/managed-by="),
            "{said}"
        );
        let deleted = api.delete("somebodys", &DeleteParams::default()).await.unwrap_err();
        // Secrets are deleted by nobody but their owner.
        if kind == SECRET {
            assert!(deleted.to_string().contains("cannot delete resource \"secrets\""), "{deleted}");
        } else {
            refused(deleted);
        }
        let mut without = theirs;
        without["metadata"]["name"] = json!("ours");
        refused(api.patch("ours", &params, &Patch::Apply(without.clone())).await.unwrap_err());
        api.patch("ours", &params, &child(&kind, "ours")).await.unwrap();
        // Nor may the label be dropped.
        refused(api.patch("ours", &params, &Patch::Apply(without)).await.unwrap_err());
    }
}

/// What `rbac::UNRECORDED` rests on: the API server of the tests asks for these rights, too.
#[tokio::test]
async fn an_owner_that_blocks_must_be_one_whose_finalizers_may_be_updated() {
    let (cluster, client, namespace) = operator().await;
    let plane = cluster.apply(fixtures::small_control_plane(&namespace)).await.unwrap();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": "owner"}});
    let map = cluster.apply(map).await.unwrap();
    let api = api_of(&client, &namespace, &CONFIG_MAP);
    let params = PatchParams::apply(manager::CHILDREN).force();
    for (owner, allowed) in [(plane, true), (map, false)] {
        let types = owner.types.unwrap();
        let owner = json!({
            "apiVersion": types.api_version, "kind": types.kind,
            "name": owner.metadata.name, "uid": owner.metadata.uid, "blockOwnerDeletion": true,
        });
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "owned", "labels": {MANAGED_BY.0: MANAGED_BY.1}, "ownerReferences": [owner]},
        });
        match api.patch("owned", &params, &Patch::Apply(object)).await {
            Ok(_) => assert!(allowed),
            Err(error) => assert!(!allowed && error.to_string().contains("blockOwnerDeletion"), "{error}"),
        }
    }
}

/// Every API server asks for the right that the operator passes on to pods, that of OpenShift or not; it passes on no more.
#[tokio::test]
async fn a_role_of_pods_may_allow_to_be_admitted_and_no_more() {
    let (_, client, namespace) = operator().await;
    let api = api_of(&client, &namespace, &ROLE);
    let params = PatchParams::apply(manager::CHILDREN).force();
    let allows = |rule: Value| {
        let mut role = json!({
            "apiVersion": ROLE.api_version(),
            "kind": ROLE.kind,
            "metadata": {"name": "pods", "labels": {MANAGED_BY.0: MANAGED_BY.1}},
        });
        role["rules"] = json!([rule]);
        Patch::Apply(role)
    };
    let changed = |field: &str, value: Value| {
        let mut rule = admission_rule();
        rule[field] = value;
        allows(rule)
    };
    for more in [
        changed("resourceNames", json!(["anyuid"])),
        changed("resourceNames", json!([])),
        changed("verbs", json!(["get"])),
    ] {
        let refused = api.patch("pods", &params, &more).await.unwrap_err().to_string();
        assert!(refused.contains("attempting to grant RBAC permissions not currently held"), "{refused}");
    }
    api.patch("pods", &params, &allows(admission_rule())).await.unwrap();
}

#[tokio::test]
async fn the_kustomization_has_every_manifest() {
    let cluster = cluster::shared().await.unwrap();
    let output = cluster.kubectl(["kustomize", &testbed::root().join("manifests").to_string_lossy()]).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for kind in ["CustomResourceDefinition", "ClusterRole", "Deployment", "ValidatingAdmissionPolicyBinding"] {
        assert!(text.contains(&format!("kind: {kind}\n")), "{kind}");
    }
    assert!(text.contains("name: OPENSTACK_RELEASE_VERSION"), "the Deployment brings a version");
}

/// A cluster without Prometheus has not the CRDs of its operator.
#[tokio::test]
async fn monitoring_is_apart_and_complete() {
    let cluster = cluster::shared().await.unwrap();
    let built = async |folder: &str| {
        let folder = testbed::root().join(folder);
        let output = cluster.kubectl(["kustomize", &folder.to_string_lossy()]).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!built("manifests").await.contains("monitoring.coreos.com"));
    let monitoring = built("manifests/monitoring").await;
    for kind in ["PrometheusRule", "ServiceMonitor", "ConfigMap"] {
        assert!(monitoring.contains(&format!("kind: {kind}\n")), "{kind}");
    }
}
