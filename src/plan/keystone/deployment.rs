//! The Deployment.

use api::keystone::KeystoneSpec;
use serde_json::{Map, Value, json};

use super::{
    Scene, account, config,
    objects::{self, field},
    pod,
    server::{self, IMAGE, PORT, RELEASE, Serving},
    target::Place,
    world::{Action, DEPLOYMENT},
};
use crate::json;

/// Seconds that a pod has to stay ready before the next one is replaced.
const MIN_READY_SECONDS: i64 = 3;
/// Seconds that the server has between the end of the sleep and being killed, at least.
const DRAIN_SECONDS: i64 = 10;

/// What the Deployment shall be.
struct Wish {
    spec: Value,
    /// The fields of its spec that others may set, too.
    free: &'static [&'static str],
}

fn wish(scene: &Scene<'_>, spec: &KeystoneSpec, serving: &Serving) -> Option<Wish> {
    let place = serving.place()?;
    let count = server::live(scene).and_then(|live| field(live, "spec.replicas")).and_then(Value::as_i64);
    let scaled = spec.autoscaling.is_some() && matches!(serving, Serving::Running(_));
    let replicas = match serving {
        Serving::Stopped(_) | Serving::Nothing => 0,
        // The autoscaler's number is repeated, never left out: a field that is dropped by its only owner falls to 1.
        Serving::Running(_) if scaled => {
            count.filter(|count| *count > 0).unwrap_or_else(|| i64::from(server::minimum(spec)))
        }
        Serving::Running(_) => i64::from(spec.replicas),
    };
    Some(Wish { spec: deployment(scene, spec, place, replicas), free: if scaled { &["replicas"] } else { &[] } })
}

/// The apply of the Deployment, when it is needed.
pub(super) fn write(scene: &Scene<'_>, spec: &KeystoneSpec, serving: &Serving) -> Option<Action> {
    let Wish { spec: wanted, free } = wish(scene, spec, serving)?;
    let mut action = objects::apply(scene, &DEPLOYMENT, wanted, free)?;
    // What others set is repeated only onto the object that it was read from: what they write in between stays.
    if let (Action::Apply { object, .. }, false) = (&mut action, free.is_empty())
        && let Some(version) = server::live(scene).and_then(|live| live.metadata.resource_version.clone())
    {
        json::set(object, &["metadata".into(), "resourceVersion".into()], json!(version));
    }
    Some(action)
}

/// What somebody else makes of the Deployment each time that it is applied, for a person.
pub(super) fn overruled(scene: &Scene<'_>, spec: &KeystoneSpec, serving: &Serving) -> Option<String> {
    let Wish { spec: wanted, free } = wish(scene, spec, serving)?;
    let unmet = objects::overruled(scene, &DEPLOYMENT, &wanted, free)?;
    Some(format!("{unmet}, although it was applied: look for a webhook or a controller that changes it"))
}

fn deployment(scene: &Scene<'_>, spec: &KeystoneSpec, place: &Place, replicas: i64) -> Value {
    json!({
        "replicas": replicas,
        "minReadySeconds": MIN_READY_SECONDS,
        "progressDeadlineSeconds": spec.upgrade.rollout_deadline_seconds,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": objects::selector(scene)},
        // A new pod serves before an old one goes.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {
                "labels": objects::labels(scene, objects::API),
                "annotations": {IMAGE: place.image, RELEASE: place.release.to_string()},
            },
            "spec": pod_spec(scene, spec, place),
        },
    })
}

fn pod_spec(scene: &Scene<'_>, spec: &KeystoneSpec, place: &Place) -> Value {
    let (password, password_mount) = pod::password(scene, spec);
    let mut volumes = pod::volumes(scene, spec, &config::name(scene, spec, place));
    volumes.push(password);
    let mut pod = json!({
        "automountServiceAccountToken": false,
        // Their variables begin with the names of Services: one of them could look like an option of Keystone.
        "enableServiceLinks": false,
        "securityContext": pod::pod_security(),
        "terminationGracePeriodSeconds": grace(spec),
        "topologySpreadConstraints": spread(scene, spec),
        "volumes": volumes,
        "containers": [container(scene, spec, place, password_mount)],
    });
    let optional = [
        ("serviceAccountName", json!(account::of_pods(scene)), !account::serves(scene)),
        ("nodeSelector", json!(spec.node_selector), spec.node_selector.is_empty()),
        ("tolerations", json!(spec.tolerations), spec.tolerations.is_empty()),
        (
            "priorityClassName",
            json!(spec.priority_class_name),
            spec.priority_class_name.as_ref().is_none_or(String::is_empty),
        ),
    ];
    for (field, value, _) in optional.into_iter().filter(|(_, _, absent)| !absent) {
        json::set(&mut pod, &[field.to_owned()], value);
    }
    if spec.topology_spread_constraints.as_ref().is_some_and(Vec::is_empty) {
        json::remove(&mut pod, &["topologySpreadConstraints".to_owned()]);
    }
    pod
}

/// Seconds from the wish that a pod ends to its being killed.
fn grace(spec: &KeystoneSpec) -> i64 {
    spec.termination_grace_period_seconds.max(spec.pre_stop_sleep_seconds.saturating_add(DRAIN_SECONDS))
}

/// By host and by zone, where there is a choice.
fn spread(scene: &Scene<'_>, spec: &KeystoneSpec) -> Value {
    if let Some(given) = &spec.topology_spread_constraints {
        return json!(given);
    }
    let by = |key: &str| {
        json!({
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": objects::selector(scene)},
        })
    };
    json!([by("topology.kubernetes.io/zone"), by("kubernetes.io/hostname")])
}

fn container(scene: &Scene<'_>, spec: &KeystoneSpec, place: &Place, password: Value) -> Value {
    let mut mounts = pod::mounts(spec);
    mounts.push(password);
    let mut container = json!({
        "name": "keystone",
        "image": place.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", format!("{}/launch.py", pod::FILES)],
        "args": server_command(spec),
        "env": pod::database_env(scene, spec),
        "ports": [{"name": "api", "containerPort": PORT, "protocol": "TCP"}],
        "volumeMounts": mounts,
        "securityContext": pod::container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        // The server may take long to start on a busy node; then each probe has its own task.
        "startupProbe": {
            "httpGet": {"path": "/healthcheck", "port": PORT},
            "periodSeconds": 2,
            "timeoutSeconds": 5,
            "failureThreshold": 150,
        },
        "readinessProbe": {
            "exec": {"command": ["python3", "-S", "-E", format!("{}/probe.py", pod::FILES), "8"]},
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 3,
        },
        // Never a request: a server whose workers are all busy is alive.
        "livenessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 15, "timeoutSeconds": 5, "failureThreshold": 4},
    });
    if spec.pre_stop_sleep_seconds > 0 {
        let sleep = json!({"preStop": {"sleep": {"seconds": spec.pre_stop_sleep_seconds}}});
        json::set(&mut container, &["lifecycle".to_owned()], sleep);
    }
    if let Some(resources) =
        spec.resources.as_ref().filter(|given| given.as_object().is_some_and(|map| !map.is_empty()))
    {
        json::set(&mut container, &["resources".to_owned()], Value::Object(without_empty(resources)));
    }
    container
}

/// Without empty parts: the API server drops them.
fn without_empty(resources: &Value) -> Map<String, Value> {
    let parts = resources.as_object().into_iter().flatten();
    parts
        .filter(|(_, part)| !part.as_object().is_some_and(Map::is_empty) && !part.is_null())
        .map(|(name, part)| (name.clone(), part.clone()))
        .collect()
}

/// uWSGI. When it is asked to end it takes no more requests and finishes those that it has (`--die-on-term` would drop
/// them, and by itself it would start again).
fn server_command(spec: &KeystoneSpec) -> Vec<String> {
    let mercy = grace(spec).saturating_sub(spec.pre_stop_sleep_seconds).saturating_sub(2);
    [
        "uwsgi",
        "--http-socket",
        &format!(":{PORT}"),
        "--master",
        "--processes",
        &spec.processes.to_string(),
        // A client that sends slowly holds a thread, not a process.
        "--threads",
        "4",
        "--lazy-apps",
        "--need-app",
        "--wsgi-file",
        &format!("{}/wsgi.py", pod::FILES),
        "--hook-master-start",
        "unix_signal:15 gracefully_kill_them_all",
        "--worker-reload-mercy",
        &mercy.to_string(),
        "--buffer-size",
        "65535",
        "--log-x-forwarded-for",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect()
}
