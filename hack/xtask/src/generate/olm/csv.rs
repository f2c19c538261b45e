//! The `ClusterServiceVersion`: the operator as OLM installs and shows it.

use api::release::Version;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use testbed::Release;

use super::{
    super::{NAMESPACE, OPERATOR, admission, operator, rbac, with},
    PACKAGE, crds, document,
};

/// The format of the icon.
pub(super) const ICON_TYPE: &str = "image/svg+xml";

/// Who puts the admission policies in place. The operator itself must not be able to: one of them limits it.
const ADMISSION: &str = "openstack-release-operator-admission";

const DESCRIPTION: &str = "\
Moves OpenStack clouds on Kubernetes from one release to the next: in order, with the API up all the time, and saying at
every moment what it does, why, and what it waits for.

Each version of this operator brings a version of OpenStack and its images. An upgrade of the operator changes nothing in
your clouds: `OpenStackVersion` shows the new version as *available*. When you set `spec.targetVersion` to it, the operator
takes the new images to every service of the `OpenStackControlPlane`, step by step.

`Keystone` is an identity service that upgrades itself while it serves, and rotates its keys.

The service operators (Glance, Nova, ...) have to be installed; a kind that is not yet there is named in the status and
picked up when it appears.
";

/// The name of the object that installs a release.
pub(super) fn name(release: &Release) -> anyhow::Result<String> {
    Ok(format!("{PACKAGE}.v{}", semver(&release.version.parse()?)))
}

/// The version as OLM knows versions: an epoch is a pre-release there. Which one replaces which is said by the channel.
pub(super) fn semver(version: &Version) -> String {
    let text = version.as_str();
    let mut parts = text.splitn(4, '.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(major), Some(minor), Some(patch), Some(epoch)) if !patch.contains('-') => {
            format!("{major}.{minor}.{patch}-{epoch}")
        }
        _ => text.to_owned(),
    }
}

pub(super) fn icon() -> String {
    BASE64_STANDARD.encode(include_str!("icon.svg").trim_end())
}

/// Every image of a release, for those who mirror them.
pub(super) fn related_images(release: &Release) -> Vec<Value> {
    let named = release.images.iter().map(|(name, image)| json!({"name": name, "image": image}));
    [json!({"name": OPERATOR, "image": release.operator_image})].into_iter().chain(named).collect()
}

/// The file.
pub(super) fn text(release: &Release, older: Option<&Release>) -> anyhow::Result<String> {
    let mut spec = described();
    spec.insert("version".to_owned(), semver(&release.version.parse()?).into());
    if let Some(older) = older {
        spec.insert("replaces".to_owned(), name(older)?.into());
    }
    spec.insert("icon".to_owned(), json!([{"base64data": icon(), "mediatype": ICON_TYPE}]));
    spec.insert("install".to_owned(), install(release)?);
    spec.insert("relatedImages".to_owned(), related_images(release).into());
    document(&json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": name(release)?,
            // Replaced by the namespace of the subscription.
            "namespace": "placeholder",
            "annotations": annotations(release)?,
        },
        "spec": spec,
    }))
}

/// What a catalog repeats of it, for consoles.
pub(super) fn metadata(release: &Release) -> anyhow::Result<Value> {
    let mut metadata = described();
    if let Some(crds) = metadata.remove("customresourcedefinitions") {
        metadata.insert("crdDescriptions".to_owned(), crds);
    }
    metadata.insert("annotations".to_owned(), annotations(release)?);
    Ok(metadata.into())
}

fn annotations(release: &Release) -> anyhow::Result<Value> {
    Ok(json!({
        "alm-examples": serde_json::to_string_pretty(&crds::samples()?)?,
        "capabilities": "Seamless Upgrades",
        "categories": "Cloud Provider",
        "containerImage": release.operator_image,
        "description": "Moves OpenStack clouds from one release to the next, in order, with the API up",
        "operatorframework.io/suggested-namespace": NAMESPACE,
        "support": "The community",
    }))
}

/// What does not change from release to release.
fn described() -> Map<String, Value> {
    let modes = ["OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces"];
    let modes = modes.map(|name| json!({"type": name, "supported": name == "AllNamespaces"}));
    let fields = json!({
        "displayName": "OpenStack Release Operator",
        "description": DESCRIPTION,
        "maturity": "alpha",
        "minKubeVersion": "1.30.0",
        "keywords": ["openstack", "keystone", "upgrade", "update", "release"],
        "provider": {"name": "OpenStack Release Operator"},
        "links": [{"name": "OpenStack releases", "url": "https://releases.openstack.org"}],
        "maintainers": [{"name": "OpenStack Release Operator", "email": "openstack-discuss@lists.openstack.org"}],
        "installModes": modes,
        "customresourcedefinitions": {"owned": crds::owned()},
    });
    fields.as_object().cloned().unwrap_or_default()
}

fn install(release: &Release) -> anyhow::Result<Value> {
    let account = |name: &str, rules: Vec<Value>| json!({"serviceAccountName": name, "rules": rules});
    Ok(json!({
        "strategy": "deployment",
        "spec": {
            "clusterPermissions":
                [account(OPERATOR, rbac::cluster_rules()?), account(ADMISSION, admission::rules())],
            "permissions": [account(OPERATOR, rbac::lease_rules())],
            "deployments": [
                deployment(&operator::deployment(Some(release))),
                deployment(&admission_deployment(release)),
            ],
        },
    }))
}

/// OLM takes no policies in a bundle: a process puts them in place, before its pod counts as ready, and keeps them there.
fn admission_deployment(release: &Release) -> Value {
    let container = |name, args: &[&str]| operator::container_of(name, Some(release), args);
    let first = json!({"initContainers": [container("apply", &["admission", "--once"])]});
    let pod = with(operator::pod(ADMISSION, &container("keep", &["admission"])), first);
    let labels = json!({"app.kubernetes.io/name": ADMISSION});
    json!({
        "metadata": {"name": ADMISSION, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    })
}

/// A Deployment as the install strategy has it.
fn deployment(deployment: &Value) -> Value {
    let part = |path: &str| deployment.pointer(path);
    json!({"name": part("/metadata/name"), "label": part("/metadata/labels"), "spec": part("/spec")})
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::{super::super::release::tests::release, *};

    fn csv(release: &Release, older: Option<&Release>) -> Value {
        serde_yaml::from_str(&text(release, older).unwrap()).unwrap()
    }

    #[test]
    fn an_epoch_is_a_pre_release() {
        for (version, wanted) in
            [("1.0.1", "1.0.1"), ("1.0.1-1755000000", "1.0.1-1755000000"), ("1.0.1.1755000000.p", "1.0.1-1755000000.p")]
        {
            assert_eq!(semver(&version.parse().unwrap()), wanted);
        }
    }

    #[test]
    fn it_runs_the_operator_of_the_manifests_with_the_images_of_its_release() {
        let (older, newer) = (release("1.0.0", &[]), release("1.0.1", &[("glanceAPIImage", "r.example.com/glance:2")]));
        let csv = csv(&newer, Some(&older));
        assert_eq!(csv["spec"]["replaces"], "openstack-release-operator.v1.0.0");
        let install = &csv["spec"]["install"]["spec"];
        let deployment = &install["deployments"][0];
        assert_eq!(deployment["spec"], operator::deployment(Some(&newer))["spec"]);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], newer.operator_image);
        let env = container["env"].as_array().unwrap();
        let value = |name: &str| env.iter().find(|one| one["name"] == name).unwrap()["value"].clone();
        assert_eq!(value("OPENSTACK_RELEASE_VERSION"), "1.0.1");
        assert_eq!(value("OPENSTACK_RELEASE"), "2025.2");
        assert_eq!(value("RELATED_IMAGE_GLANCE_API_IMAGE_URL_DEFAULT"), "r.example.com/glance:2");
        assert_eq!(csv["spec"]["relatedImages"][1]["image"], "r.example.com/glance:2");
    }

    #[test]
    fn only_the_other_account_may_write_policies() {
        let csv = csv(&release("1.0.0", &[]), None);
        let permissions = csv["spec"]["install"]["spec"]["clusterPermissions"].as_array().unwrap().clone();
        let writes = |permission: &Value| permission.to_string().contains("validatingadmissionpolicies");
        let accounts: Vec<_> =
            permissions.iter().filter(|one| writes(one)).map(|one| &one["serviceAccountName"]).collect();
        assert_eq!(accounts, [ADMISSION]);
    }
}
