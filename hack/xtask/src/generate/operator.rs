//! `manifests/operator/`: how the operator runs where it is installed without OLM.

use serde_json::{Map, Value, json};
use testbed::Release;

use super::{Files, NAMESPACE, OPERATOR, release, with, yaml};

/// The port of probes and metrics, and its name.
const PORT: u16 = 8080;
const HTTP: &str = "http";

/// The `ConfigMap` whose key `level` is the log level; it need not be there.
const LOG: &str = "openstack-release-operator-log";
const LOG_FOLDER: &str = "/etc/openstack-release-operator/log";

/// The `ConfigMap` whose keys are more environment variables; it need not be there. What the Deployment itself says holds.
const ENVIRONMENT: &str = "openstack-release-operator-env";

pub(super) fn files(release: Option<&Release>) -> anyhow::Result<Files> {
    let about = match release {
        Some(release) => format!("Brings version {} (manifests/releases/{0}.yaml).", release.version),
        None => "manifests/releases/ is empty: this Deployment brings no version.".to_owned(),
    };
    let network =
        "The operator talks to the API server and asks for names; it is asked for its metrics and its health.";
    Ok(Files::from([
        ("operator/namespace.yaml".to_owned(), yaml("", &[namespace()])?),
        ("operator/deployment.yaml".to_owned(), yaml(&about, &[deployment(release), budget()])?),
        ("operator/networkpolicy.yaml".to_owned(), yaml(network, &[network_policy()])?),
        ("operator/metrics.yaml".to_owned(), yaml("", &[metrics()])?),
    ]))
}

/// What is not as confined as the operator is told so, and let in: service operators of others have their home in it.
fn namespace() -> Value {
    let level = |mode: &str| (format!("pod-security.kubernetes.io/{mode}"), json!("restricted"));
    let labels: Map<String, Value> = ["audit", "warn"].map(level).into_iter().collect();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
}

/// What Prometheus finds the metrics by.
pub(super) fn metrics() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("{OPERATOR}-metrics"), "namespace": NAMESPACE, "labels": labels()},
        "spec": {
            "selector": labels(),
            "ports": [{"name": HTTP, "port": PORT, "targetPort": HTTP}],
        },
    })
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": OPERATOR})
}

fn metadata() -> Value {
    json!({"name": OPERATOR, "namespace": NAMESPACE, "labels": labels()})
}

/// Seconds between SIGTERM and SIGKILL: the longest call that may be under way takes 15, giving the Lease back 3.
const GRACE: u32 = 20;

/// The operator, as `kubectl apply -k` and as OLM install it.
pub(super) fn deployment(release: Option<&Release>) -> Value {
    let spread = [spread("kubernetes.io/hostname"), spread("topology.kubernetes.io/zone")];
    // No priority class: clouds serve without the operator, so it pushes nothing of theirs out. It uses less memory than
    // it requests, and so it is not the first to go when a node runs short.
    let pod = with(
        pod(OPERATOR, &container(release)),
        json!({
            "topologySpreadConstraints": spread,
            "volumes": [{"name": "log", "configMap": {"name": LOG, "optional": true}}],
        }),
    );
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(),
        "spec": {
            "replicas": 2,
            // A new one runs before an old one goes: somebody can lead at any time.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": labels()},
            "template": {"metadata": {"labels": labels()}, "spec": pod},
        },
    })
}

/// A pod of our image with that account.
pub(super) fn pod(account: &str, container: &Value) -> Value {
    json!({
        "serviceAccountName": account,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    })
}

/// Apart where there is a choice. One node is enough to run.
fn spread(key: &str) -> Value {
    json!({
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels()},
        // In a rollout the new ones count among themselves.
        "matchLabelKeys": ["pod-template-hash"],
    })
}

/// One at a time goes when nodes are drained. One that does not run is in nobody's way.
pub(super) fn budget() -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": labels()},
        },
    })
}

/// Where API servers listen, before and after the translation of their Service's address: of Kubernetes itself and k3s,
/// of managed clusters, of minikube, of `MicroK8s`. No selector finds them, they are no pods.
const API_SERVER: &[u16] = &[6443, 443, 8443, 16443];

/// The DNS of the cluster; behind its Service some listen on 5353.
const DNS: &[u16] = &[53, 5353];

fn network_policy() -> Value {
    let ports = |protocol: &str, ports: &[u16]| -> Vec<Value> {
        ports.iter().map(|port| json!({"protocol": protocol, "port": port})).collect()
    };
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(),
        "spec": {
            "podSelector": {"matchLabels": labels()},
            "policyTypes": ["Ingress", "Egress"],
            // Any pod of the cluster; whoever else watches it is not known here.
            "ingress": [{"from": [{"namespaceSelector": {}}], "ports": ports("TCP", &[PORT])}],
            "egress": [
                {"ports": ports("TCP", API_SERVER)},
                {"ports": ports("UDP", DNS)},
                {"ports": ports("TCP", DNS)},
            ],
        },
    })
}

fn container(release: Option<&Release>) -> Value {
    // No limit for the CPU: an operator that is held up loses its Lease.
    let limits = json!({"memory": "256Mi"});
    let more = json!({
        "env": env(release),
        // OLM gives the Deployment of a new version what `spec.config` of the Subscription says only after a while.
        "envFrom": [{"configMapRef": {"name": ENVIRONMENT, "optional": true}}],
        "resources": {"limits": limits},
        "ports": [{"name": HTTP, "containerPort": PORT}],
        // A process that does not work any more is started again after a minute.
        "livenessProbe": probe("/livez", 10, 6),
        "readinessProbe": probe("/readyz", 5, 2),
        "volumeMounts": [{"name": "log", "mountPath": LOG_FOLDER, "readOnly": true}],
    });
    with(container_of("operator", release, &["run"]), more)
}

/// A container of our image.
pub(super) fn container_of(name: &str, release: Option<&Release>, args: &[&str]) -> Value {
    let unreleased = || format!("{OPERATOR}:{}", env!("CARGO_PKG_VERSION"));
    json!({
        "name": name,
        "image": release.map_or_else(unreleased, |release| release.operator_image.clone()),
        "args": args,
        // From hack/bench: 39 MiB idle with 100 clouds and 48 at most while 20 of them are updated, which takes 0.7 CPU
        // seconds; with one cloud 17.
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
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
        env.push(json!({"name": "OPENSTACK_RELEASE", "value": release.release}));
        env.extend(release::env(release).map(|(name, value)| json!({"name": name, "value": value})));
    }
    env
}
