//! `manifests/operator/` and `manifests/kustomization.yaml`: how the operator is installed without OLM.

use serde_json::{Value, json};

use super::{Files, NAMESPACE, OPERATOR, release::Release, yaml};

/// The port of probes and metrics, and its name.
const PORT: u16 = 8080;
const HTTP: &str = "http";

/// The `ConfigMap` whose key `level` is the log level; it need not be there.
const LOG: &str = "openstack-release-operator-log";
const LOG_FOLDER: &str = "/etc/openstack-release-operator/log";

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
        ("operator/metrics.yaml".to_owned(), yaml("", &[metrics()])?),
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

/// What Prometheus finds the metrics by.
fn metrics() -> Value {
    let labels = json!({"app.kubernetes.io/name": OPERATOR});
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("{OPERATOR}-metrics"), "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "selector": labels,
            "ports": [{"name": HTTP, "port": PORT, "targetPort": HTTP}],
        },
    })
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
                    "volumes": [{"name": "log", "configMap": {"name": LOG, "optional": true}}],
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
        "ports": [{"name": HTTP, "containerPort": PORT}],
        // A process that does not work any more is started again after a minute.
        "livenessProbe": probe("/livez", 10, 6),
        "readinessProbe": probe("/readyz", 5, 2),
        "volumeMounts": [{"name": "log", "mountPath": LOG_FOLDER, "readOnly": true}],
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

fn probe(path: &str, every: u32, failures: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": HTTP},
        "periodSeconds": every,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    })
}

fn env(release: Option<&Release>) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut env = vec![field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")];
    env.push(json!({"name": "LOG_LEVEL_FILE", "value": format!("{LOG_FOLDER}/level")}));
    if let Some(release) = release {
        env.push(json!({"name": "OPENSTACK_RELEASE_VERSION", "value": release.version}));
        env.push(json!({"name": "OPENSTACK_RELEASE", "value": release.series}));
        env.extend(release.env().map(|(name, value)| json!({"name": name, "value": value})));
    }
    env
}
