//! The operator dies at the worst moments. Whatever was written or not written then, the update ends the same.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use testbed::{
    Proxy, cluster, fixtures,
    proxy::{Call, Moment},
    wait,
};

use crate::support::{Cloud, NEW, OLD, Recorder, SOON, release};

mod replicas;

/// How many clouds are updated at a time.
const PARALLEL: usize = 4;

/// A cloud that has 1.0.0, and an operator behind a proxy that offers 1.0.1.
pub struct Scene {
    pub cloud: Cloud,
    pub proxy: Proxy,
}

impl Scene {
    pub async fn new(prefix: &str) -> Self {
        Self::with_env(prefix, &[]).await
    }

    /// The same with more environment for the operator.
    pub async fn with_env(prefix: &str, env: &[(&str, &str)]) -> Self {
        let proxy = Proxy::start(cluster::shared().await.unwrap()).await.unwrap();
        let mut cloud = Cloud::with(prefix, release(OLD), |options| {
            let options = options.with_kubeconfig(proxy.kubeconfig());
            env.iter().fold(options, |options, (name, value)| options.with_env(name, value))
        })
        .await;
        cloud.install(json!({})).await;
        cloud.upgrade_operator(&release(NEW)).await;
        Self { cloud, proxy }
    }
}

/// How an update ended.
struct Ended {
    /// Whether the operator was killed: with fewer writes than before, it did not come to that.
    killed: bool,
    /// The counted writes, from the target on.
    writes: Vec<Call>,
    /// Everything that can be seen of the cloud, but for times and names that the server chose.
    state: Value,
}

/// Updates a new cloud; kills the operator where it is told to.
async fn update(kill: Option<(usize, Moment)>) -> Ended {
    let Scene { mut cloud, proxy } = Scene::new("crash").await;
    let recorder = Recorder::start(&cloud);
    let before = cloud.generations().await;
    let mark = proxy.mark();
    let (nth, moment) = kill.unwrap_or((usize::MAX, Moment::Before));
    let stopped = proxy.stop_at(nth, moment);
    cloud.target(NEW).await;
    let killed = tokio::select! {
        call = stopped => {
            let call = call.unwrap();
            cloud.operator.kill().await.unwrap();
            eprintln!("killed {moment:?} write {nth}: {} {}", call.verb, call.target());
            proxy.go_on();
            cloud.operator.restart().await.unwrap();
            settled(&cloud).await;
            true
        }
        // Both root objects: the write of the second may be the one to be stopped.
        () = settled(&cloud) => false,
    };
    proxy.go_on();

    recorder.assert_walk(OLD, NEW).await;
    cloud.assert_written_once(&before).await;
    let writes: Vec<Call> = proxy.calls().split_off(mark).into_iter().filter(Call::is_counted).collect();
    assert_once(&writes);
    assert_eq!(cloud.status().await.history.len(), 2, "one installation and one update");
    cloud.assert_alive();
    Ended { killed, writes, state: state(&cloud).await }
}

/// Waits until both root objects say that the update is over.
pub async fn settled(cloud: &Cloud) {
    let ready = |object: &api::controlplane::OpenStackControlPlane| {
        let object = serde_json::to_value(object).unwrap();
        object["status"]["deployedVersion"] == json!(NEW) && wait::condition_status(&object, "Ready") == Some("True")
    };
    cloud.expect("the control plane", wait::until(&cloud.planes(), fixtures::NAME, SOON, ready).await);
    cloud.until("ready", |status| crate::support::said(status, "Ready").starts_with("True")).await;
}

/// No service object was written twice.
pub fn assert_once(writes: &[Call]) {
    let mut written: BTreeMap<String, usize> = BTreeMap::new();
    for write in writes.iter().filter(|call| call.subresource.is_empty() && call.succeeded()) {
        *written.entry(write.target()).or_default() += 1;
    }
    let twice: Vec<_> = written.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "written more than once: {twice:?}");
}

/// What can be seen of the cloud.
pub async fn state(cloud: &Cloud) -> Value {
    let mut state: BTreeMap<String, Value> = BTreeMap::new();
    for (kind, name, object) in cloud.objects().await {
        state.insert(format!("{kind}/{name}"), object);
    }
    for name in ["test-operator-config", "infra-instanceha-config"] {
        state.insert(format!("ConfigMap/{name}"), cloud.get("ConfigMap", name).await);
    }
    state.insert("OpenStackVersion".to_owned(), serde_json::to_value(cloud.version().await).unwrap());
    let plane = cloud.planes().get(fixtures::NAME).await.unwrap();
    state.insert("OpenStackControlPlane".to_owned(), serde_json::to_value(plane).unwrap());
    let mut state = serde_json::to_value(state).unwrap();
    scrub(&mut state, &cloud.namespace);
    state
}

/// Takes out what differs between two clouds that are the same.
fn scrub(value: &mut Value, namespace: &str) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                let chosen = matches!(name.as_str(), "uid" | "resourceVersion" | "creationTimestamp" | "managedFields");
                !chosen && !name.ends_with("At") && !name.ends_with("Time")
            });
            fields.values_mut().for_each(|value| scrub(value, namespace));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| scrub(value, namespace)),
        Value::String(text) if text == namespace => "the namespace".clone_into(text),
        _ => {}
    }
}

/// Every write, once before and once after in turn; with `ORO_THOROUGH` each of them both before and after.
fn cases(writes: usize) -> Vec<(usize, Moment)> {
    let thorough = std::env::var_os("ORO_THOROUGH").is_some();
    let both = (1..=writes).flat_map(|nth| [(nth, Moment::Before), (nth, Moment::After)]);
    both.filter(|(nth, moment)| thorough || (nth % 2 == 0) == (*moment == Moment::After)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_write_the_update_ends_the_same() {
    let whole = update(None).await;
    for write in &whole.writes {
        eprintln!("{} {} {:?}", write.verb, write.target(), write.status);
    }
    let cases = cases(whole.writes.len());
    let count = cases.len();
    eprintln!("{} writes, {count} cases", whole.writes.len());
    let runs = stream::iter(cases).map(|case| async move { (case, tokio::spawn(update(Some(case))).await) });
    let mut runs = runs.buffer_unordered(PARALLEL);
    let (mut failed, mut killed) = (Vec::new(), 0);
    while let Some((case, ended)) = runs.next().await {
        match ended {
            Ok(ended) if ended.state == whole.state => killed += usize::from(ended.killed),
            Ok(ended) => failed.push((case, differences("", &whole.state, &ended.state).join("\n"))),
            Err(panic) => failed.push((case, panic.to_string())),
        }
    }
    for (case, what) in &failed {
        eprintln!("--- {case:?}:\n{what}");
    }
    assert!(failed.is_empty(), "{} of the updates ended differently", failed.len());
    // Two passes may fold into one, so the last writes are not always reached.
    assert!(killed * 10 >= count * 9, "only {killed} of {count} were killed");
}

/// Where two values differ.
pub fn differences(path: &str, left: &Value, right: &Value) -> Vec<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            let at = |value: &serde_json::Map<String, Value>, name: &str| value.get(name).cloned().unwrap_or_default();
            names
                .iter()
                .flat_map(|name| differences(&format!("{path}/{name}"), &at(left, name), &at(right, name)))
                .collect()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let items = left.iter().zip(right).enumerate();
            items.flat_map(|(at, (left, right))| differences(&format!("{path}/{at}"), left, right)).collect()
        }
        _ if left == right => Vec::new(),
        _ => vec![format!("{path}: {left} became {right}")],
    }
}
