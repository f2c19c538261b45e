//! `manifests/operator/` and `manifests/kustomization.yaml`: how the operator is installed without OLM.

use serde_json::{Value, json};
use testbed::Release;

use super::{Files, NAMESPACE, OPERATOR, release, with, yaml};

pub(super) fn files(release: Option<&Release>) -> anyhow::Result<Files> {
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    let about = match release {
        Some(release) => format!("Brings version {} (manifests/releases/{0}.yaml).", release.version),
        None => "manifests/releases/ is empty: this Deployment brings no version.".to_owned(),
    };
    Ok(Files::from([
        ("operator/namespace.yaml".to_owned(), yaml("", &[namespace])?),
        ("operator/deployment.yaml".to_owned(), yaml(&about, &[deployment(release)])?),
    ]))
}

/// Lists the files, so that `kubectl apply -k manifests` installs everything.
pub(super) fn kustomization<'a>(files: impl Iterator<Item = &'a String>) -> anyhow::Result<String> {
    list("`kubectl apply -k manifests` installs everything.", files)
}

/// A kustomization of these files.
pub(super) fn list<'a>(about: &str, files: impl Iterator<Item = &'a String>) -> anyhow::Result<String> {
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": files.collect::<Vec<_>>(),
    });
    yaml(about, &[kustomization])
}

/// The operator, as `kubectl apply -k` and as OLM install it.
pub(super) fn deployment(release: Option<&Release>) -> Value {
    let spread = json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": OPERATOR}},
    }]);
    let pod = with(pod(OPERATOR, &container(release)), json!({"topologySpreadConstraints": spread}));
    deployment_of(OPERATOR, 2, &pod)
}

/// A Deployment of pods that run our image.
pub(super) fn deployment_of(name: &str, replicas: i32, pod: &Value) -> Value {
    let labels = json!({"app.kubernetes.io/name": name});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    })
}

/// A pod of that account.
pub(super) fn pod(account: &str, container: &Value) -> Value {
    json!({
        "serviceAccountName": account,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    })
}

fn container(release: Option<&Release>) -> Value {
    let limits = json!({"memory": "256Mi"});
    with(container_of("operator", release, &["run"]), json!({"env": env(release), "resources": {"limits": limits}}))
}

/// A container of our image.
pub(super) fn container_of(name: &str, release: Option<&Release>, args: &[&str]) -> Value {
    let unreleased = || format!("{OPERATOR}:{}", env!("CARGO_PKG_VERSION"));
    json!({
        "name": name,
        "image": release.map_or_else(unreleased, |release| release.operator_image.clone()),
        "args": args,
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
    })
}

fn env(release: Option<&Release>) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut env = vec![field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")];
    if let Some(release) = release {
        env.push(json!({"name": "OPENSTACK_RELEASE_VERSION", "value": release.version}));
        env.push(json!({"name": "OPENSTACK_RELEASE", "value": release.release}));
        env.extend(release::env(release).map(|(name, value)| json!({"name": name, "value": value})));
    }
    env
}
