//! What a Job is made of.

use api::keystone::{Backup, KeystoneSpec, UpgradeStatus};
use serde_json::{Map, Value, json};

use super::{
    Scene, account, config,
    jobs::{self, Task},
    objects, pod, server,
    target::Place,
    world::{JOB, SCHEMA_WRITER},
};
use crate::json;

/// Where the scripts are.
const SCRIPTS: &str = "/opt/keystone-operator-jobs";
/// Exit code of a script that has begun nothing (`EX_TEMPFAIL`): the only one after which the Job may try again.
pub(super) const NOT_BEGUN: i32 = 75;
/// How often a Job tries: with the growing pauses in between, for about ten minutes.
const TRIES: i32 = 6;
/// Seconds until a container is killed that writes to the schema: a change that has begun shall end.
const WRITER_GRACE: i64 = 300;
/// Seconds until another one is.
const GRACE: i64 = 15;
/// Seconds that a schema change waits for a table: everybody who wants to read it waits with it. The script tries again.
const LOCK_WAIT_SECONDS: i32 = 5;

/// The Job; `None` when what it needs is not said.
pub(super) fn job(
    scene: &Scene<'_>,
    spec: &KeystoneSpec,
    task: Task,
    name: &str,
    labels: &[(&str, String)],
) -> Option<Value> {
    let upgrade = scene.before.upgrade.as_ref()?;
    let place = scene.to()?;
    let mut all = objects::labels(scene, objects::UPGRADE);
    all.extend(labels.iter().map(|(label, value)| ((*label).to_owned(), json!(value))));
    if task.writes() {
        all.insert(SCHEMA_WRITER.to_owned(), json!("true"));
    }
    let template = json!({
        "metadata": {"labels": all},
        "spec": pod_spec(scene, spec, task, upgrade, place)?,
    });
    let mut job = json!({
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": TRIES,
        "activeDeadlineSeconds": spec.upgrade.job_deadline_seconds,
        // A pod that is still terminating still writes.
        "podReplacementPolicy": "Failed",
        "template": template,
    });
    if task.runs_once() {
        // Whatever stopped it, even a node that went away: a person looks first.
        let rule = json!({"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [NOT_BEGUN]}});
        json::set(&mut job, &["podFailurePolicy".to_owned()], json!({"rules": [rule]}));
    }
    let mut object = objects::object(scene, &JOB, name, objects::UPGRADE, Map::from_iter([("spec".to_owned(), job)]));
    json::set(&mut object, &["metadata".into(), "labels".into()], Value::Object(all));
    Some(object)
}

fn pod_spec(
    scene: &Scene<'_>,
    spec: &KeystoneSpec,
    task: Task,
    upgrade: &UpgradeStatus,
    place: &Place,
) -> Option<Value> {
    let backup = spec.upgrade.backup.as_ref().filter(|_| task == Task::Backup);
    if task == Task::Backup && backup.is_none() {
        return None;
    }
    let mut volumes = volumes(scene, spec, place);
    if let Some(backup) = backup {
        without_keys(backup, &mut volumes);
        volumes.push(json!({"name": "backup", "persistentVolumeClaim": {"claimName": backup.claim_name}}));
    }
    let mut pod = pod(scene, spec, &volumes, &container_of_task(scene, spec, task, upgrade, place, backup)?);
    let grace = if task.writes() { WRITER_GRACE } else { GRACE };
    json::set(&mut pod, &["terminationGracePeriodSeconds".to_owned()], json!(grace));
    Some(pod)
}

/// What the pod of any Job of ours is, around its container.
pub(super) fn pod(scene: &Scene<'_>, spec: &KeystoneSpec, volumes: &[Value], container: &Value) -> Value {
    let mut pod = json!({
        "restartPolicy": "Never",
        "serviceAccountName": account::of_pods(scene),
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": pod::pod_security(),
        "volumes": volumes,
        "containers": [container],
    });
    if !spec.node_selector.is_empty() {
        json::set(&mut pod, &["nodeSelector".to_owned()], json!(spec.node_selector));
    }
    if !spec.tolerations.is_empty() {
        json::set(&mut pod, &["tolerations".to_owned()], json!(spec.tolerations));
    }
    pod
}

/// Its volumes: those of every pod, and the scripts.
pub(super) fn volumes(scene: &Scene<'_>, spec: &KeystoneSpec, place: &Place) -> Vec<Value> {
    let mut volumes = pod::volumes(scene, spec, &config::name(scene, spec, place));
    volumes.push(json!({"name": "scripts", "configMap": {"name": config::tasks_name(scene), "defaultMode": 292}}));
    volumes
}

/// Where they are mounted.
pub(super) fn mounts(spec: &KeystoneSpec) -> Vec<Value> {
    let mut mounts = pod::mounts(spec);
    mounts.push(json!({"name": "scripts", "mountPath": SCRIPTS, "readOnly": true}));
    mounts
}

/// The command that runs a script with the configuration of Keystone.
pub(super) fn script(name: &str, args: &[String]) -> Value {
    let launch = format!("{}/launch.py", pod::FILES);
    let mut command = vec!["python3".to_owned(), launch, "python3".to_owned(), format!("{SCRIPTS}/{name}")];
    command.extend_from_slice(args);
    json!(command)
}

/// The container. `env` is what it gets beside the way to the database.
pub(super) fn container(
    scene: &Scene<'_>,
    spec: &KeystoneSpec,
    image: &str,
    command: &Value,
    env: Vec<Value>,
    mounts: &[Value],
) -> Value {
    let mut all = pod::database_env(scene, spec);
    all.extend(env);
    json!({
        "name": "job",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": all,
        "volumeMounts": mounts,
        "securityContext": pod::container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    })
}

fn container_of_task(
    scene: &Scene<'_>,
    spec: &KeystoneSpec,
    task: Task,
    upgrade: &UpgradeStatus,
    place: &Place,
    backup: Option<&Backup>,
) -> Option<Value> {
    let mut mounts = mounts(spec);
    let command = if let Some(backup) = backup {
        without_keys(backup, &mut mounts);
        mounts.push(json!({"name": "backup", "mountPath": "/backup"}));
        json!(["sh", format!("{SCRIPTS}/backup.sh")])
    } else {
        script("job.py", &[task.to_string()])
    };
    let image = backup.map_or(&place.image, |backup| &backup.image);
    Some(container(scene, spec, image, &command, own_env(scene, spec, task, upgrade)?, &mounts))
}

/// Takes volumes of keys, or their mounts, from a backup that has no use for them.
fn without_keys(backup: &Backup, volumes: &mut Vec<Value>) {
    volumes.retain(|volume| backup.keys || !pod::KEYS.contains(&json::text(volume, "name").unwrap_or_default()));
}

/// What only that task needs.
fn own_env(scene: &Scene<'_>, spec: &KeystoneSpec, task: Task, upgrade: &UpgradeStatus) -> Option<Vec<Value>> {
    let (secret, key) = pod::admin_secret(scene, spec);
    let administrator = || {
        // By the environment, never by an argument: arguments can be read by everybody on the node.
        vec![
            Some(pod::secret_env("OS_BOOTSTRAP_PASSWORD", &secret, &key)),
            pod::env("ADMIN_USER", &spec.bootstrap.admin_user),
        ]
    };
    let env = match task {
        Task::Backup => {
            let keys = spec.upgrade.backup.as_ref().is_some_and(|backup| backup.keys);
            vec![
                pod::env("BACKUP_PATH", &jobs::backup_path(scene, upgrade)),
                pod::env("BACKUP_KEYS", &if keys { pod::KEYS.join(" ") } else { String::new() }),
            ]
        }
        Task::Bootstrap => {
            let mut env = administrator();
            env.push(pod::env("REGION", &spec.bootstrap.region));
            env.push(pod::env("PUBLIC_URL", &server::public_endpoint(scene, spec)));
            env.push(pod::env("INTERNAL_URL", &server::endpoint(scene)));
            env
        }
        Task::Verify => {
            let addresses: Vec<String> = jobs::verified_pods(scene)?.into_iter().map(|(_, address)| address).collect();
            let mut env = administrator();
            env.push(pod::env("PODS", &addresses.join(",")));
            env
        }
        Task::Sync | Task::Expand | Task::Migrate | Task::Contract => {
            vec![
                pod::env("DB_LOCK_WAIT", &LOCK_WAIT_SECONDS.to_string()),
                pod::env("JOB_DEADLINE", &spec.upgrade.job_deadline_seconds.to_string()),
            ]
        }
        Task::Check => Vec::new(),
    };
    Some(env.into_iter().flatten().collect())
}
