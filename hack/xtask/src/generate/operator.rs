//! `manifests/operator/` and `manifests/kustomization.yaml`: how the operator is installed without OLM.

use serde_json::{Value, json};

use super::{Files, NAMESPACE, OPERATOR, release::Release, yaml};

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
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": files.collect::<Vec<_>>(),
    });
    yaml("`kubectl apply -k manifests` installs everything.", &[kustomization])
}

fn deployment(release: Option<&Release>) -> Value {
    let labels = json!({"app.kubernetes.io/name": OPERATOR});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": OPERATOR,
                    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": labels},
                    }],
                    "containers": [container(release)],
                },
            },
        },
    })
}

fn container(release: Option<&Release>) -> Value {
    json!({
        "name": "operator",
        "image": format!("{OPERATOR}:{}", env!("CARGO_PKG_VERSION")),
        "args": ["run"],
        "env": env(release),
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
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
        env.push(json!({"name": "OPENSTACK_RELEASE", "value": release.series}));
        env.extend(release.env().map(|(name, value)| json!({"name": name, "value": value})));
    }
    env
}
