//! A cloud of its own for each test: a namespace, scripted service operators, and the operator as a process.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use api::{
    condition::{self, Condition},
    controlplane::OpenStackControlPlane,
    dataplane,
    service::{self, Kind},
    step::StepName,
    version::{OpenStackVersion, OpenStackVersionStatus, ServiceStatus, StepState, StepStatus},
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use testbed::{
    Actors, Cluster, Operator, Release, Script, actors, cluster,
    fixtures::{self, NAME},
    operator::Options,
    wait,
};

mod events;
mod images;
mod recorder;
mod truth;

pub use images::{carries, moved, moved_to, versions};
pub use recorder::{Frame, Recorder, position};
pub use truth::assert_truthful;

/// The operator.
pub const BINARY: &str = env!("CARGO_BIN_EXE_openstack-release-operator");
/// What is installed first.
pub const OLD: &str = "1.0.0";
/// What is updated to.
pub const NEW: &str = "1.0.1";
/// How long anything may take; two cores are shared by several clouds.
pub const SOON: Duration = Duration::from_secs(60);
/// How long a service takes to get ready.
const DELAY: Duration = Duration::from_millis(30);

/// The namespace of a test, with everybody who works in it.
pub struct Cloud {
    pub cluster: &'static Cluster,
    pub client: Client,
    pub namespace: String,
    pub actors: Actors,
    pub operator: Operator,
}

/// The steps that the operator makes itself, each with an object of the small cloud that is moved in it: held, it makes
/// the step last as long as the test wants.
pub const GATES: &[(StepName, &str, &str)] = &[
    (StepName::OvnControlplane, "OVNController", "ovncontroller"),
    (StepName::Rabbitmq, "RabbitMq", "rabbitmq"),
    (StepName::Mariadb, "Galera", "openstack"),
    (StepName::Memcached, "Memcached", "memcached"),
    (StepName::Keystone, "Keystone", "keystone"),
    (StepName::Controlplane, "Glance", "glance"),
];

/// A bundle.
pub fn release(version: &str) -> Release {
    Release::named(version).unwrap()
}

impl Cloud {
    /// An operator of the bundle of 1.0.0, and nothing to do.
    pub async fn empty(prefix: &str) -> Self {
        Self::with(prefix, release(OLD), |options| options).await
    }

    /// An operator of that bundle, started with other options, and nothing to do.
    pub async fn with(prefix: &str, release: Release, options: impl FnOnce(Options) -> Options) -> Self {
        let cluster = cluster::shared().await.unwrap();
        Self::on(cluster, prefix, release, options).await
    }

    /// The same on another cluster.
    pub async fn on(
        cluster: &'static Cluster,
        prefix: &str,
        release: Release,
        options: impl FnOnce(Options) -> Options,
    ) -> Self {
        let client = cluster.client().await.unwrap();
        let namespace = cluster.namespace(prefix).await.unwrap();
        let actors = Actors::start(client.clone(), &namespace, Script { delay: DELAY, ..Script::default() });
        let options = options(Options::new(BINARY, &namespace, release));
        let operator = Operator::start(cluster, options).unwrap();
        Self { cluster, client, namespace, actors, operator }
    }

    /// A small cloud that has 1.0.0. `spec` is merged into the spec of its control plane.
    pub async fn installed(prefix: &str, spec: Value) -> Self {
        let cloud = Self::empty(prefix).await;
        cloud.install(spec).await;
        cloud
    }

    /// A small cloud that has 1.0.0, with an operator that offers 1.0.1.
    pub async fn offered(prefix: &str, spec: Value) -> Self {
        let mut cloud = Self::installed(prefix, spec).await;
        cloud.upgrade_operator(&release(NEW)).await;
        cloud
    }

    /// Creates a small control plane and waits until it has the version that is available.
    pub async fn install(&self, spec: Value) {
        self.cluster.apply(self.plane(spec)).await.unwrap();
        self.until("installed", |status| {
            status.deployed_version.is_some() && status.deployed_version == status.available_version
        })
        .await;
    }

    /// The small control plane, with `spec` merged into its spec.
    pub fn plane(&self, spec: Value) -> Value {
        let mut plane = fixtures::small_control_plane(&self.namespace);
        merge(&mut plane["spec"], spec);
        plane
    }

    /// Replaces the operator by that of another bundle.
    pub async fn upgrade_operator(&mut self, release: &Release) {
        // As a rollout does it: asked to end first.
        self.operator.stop().await.unwrap();
        self.operator.restart_with(release).await.unwrap();
        let version = release.version.clone();
        self.until("available", |status| status.available_version.as_deref() == Some(&version)).await;
    }

    /// Sets `spec.targetVersion`.
    pub async fn target(&self, version: &str) {
        self.patch_version(json!({"spec": {"targetVersion": version}})).await.unwrap();
    }

    /// Waits until that version is deployed.
    pub async fn deployed(&self, version: &str) -> OpenStackVersionStatus {
        self.until("deployed", |status| status.deployed_version.as_deref() == Some(version)).await
    }

    /// Does what the waiting steps ask for until 1.0.1 is deployed.
    pub async fn finish(&self, node_sets: &[&str]) -> OpenStackVersionStatus {
        let mut seen: Vec<StepName> = Vec::new();
        loop {
            let waiting = |status: &OpenStackVersionStatus| {
                let steps = status.update.iter().flat_map(|update| &update.steps);
                let mut steps = steps.filter(|step| step.state == StepState::Waiting && !seen.contains(&step.name));
                steps.next().map(|step| step.name)
            };
            let status = self
                .until("finished", |status| {
                    waiting(status).is_some() || status.deployed_version.as_deref() == Some(NEW)
                })
                .await;
            let Some(step) = waiting(&status) else { return status };
            seen.push(step);
            let services = if step == StepName::OvnDataplane { "ovn" } else { "update" };
            self.deploy(&format!("by-hand-{step}"), node_sets, &[services]).await;
        }
    }

    /// Deploys nodesets and waits for the end.
    pub async fn deploy(&self, name: &str, node_sets: &[&str], services: &[&str]) {
        self.cluster.apply(fixtures::deployment(&self.namespace, name, node_sets, services)).await.unwrap();
        self.value(dataplane::DEPLOYMENT.kind, name, "/status/deployed", json!(true)).await;
    }

    /// Creates a nodeset, with OVN on it.
    pub async fn add_node_set(&self, name: &str) {
        self.cluster.apply(fixtures::node_set(&self.namespace, name)).await.unwrap();
        self.deploy(&format!("install-{name}"), &[name], &[]).await;
    }

    pub fn versions(&self) -> Api<OpenStackVersion> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn planes(&self) -> Api<OpenStackControlPlane> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The objects of a service kind.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &actors::resource(find(kind)))
    }

    /// An object, as JSON.
    pub async fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::to_value(self.api(kind).get(name).await.unwrap()).unwrap()
    }

    /// Watches until an object was written and its status does not speak of that yet, and answers it: a step says what
    /// it waits for a moment before its write.
    pub async fn unobserved(&self, kind: &str, name: &str) -> Value {
        let holds = |object: &DynamicObject| {
            object.metadata.generation > object.data.pointer("/status/observedGeneration").and_then(Value::as_i64)
        };
        let found = wait::until(&self.api(kind), name, SOON, holds).await;
        serde_json::to_value(self.expect("written", found)).unwrap()
    }

    /// Every service object, with kind and name.
    pub async fn objects(&self) -> Vec<(String, String, Value)> {
        let mut objects = Vec::new();
        for kind in service::kinds().into_iter().filter(|kind| !kind.group.is_empty()) {
            for object in list(&self.api(kind.kind)).await {
                let name = object.metadata.name.clone().unwrap();
                objects.push((kind.kind.to_owned(), name, serde_json::to_value(object).unwrap()));
            }
        }
        objects
    }

    /// The generation of each service object, by kind and name.
    pub async fn generations(&self) -> BTreeMap<String, i64> {
        let generation = |object: &Value| object["metadata"]["generation"].as_i64().unwrap();
        let objects = self.objects().await;
        objects.iter().map(|(kind, name, object)| (format!("{kind}/{name}"), generation(object))).collect()
    }

    /// Asserts that each service object has been written once since.
    pub async fn assert_written_once(&self, before: &BTreeMap<String, i64>) {
        let once: BTreeMap<String, i64> = before.iter().map(|(label, at)| (label.clone(), at + 1)).collect();
        assert_eq!(self.generations().await, once, "one write for each service object");
    }

    pub async fn version(&self) -> OpenStackVersion {
        self.versions().get(NAME).await.unwrap()
    }

    pub async fn status(&self) -> OpenStackVersionStatus {
        self.version().await.status.unwrap_or_default()
    }

    pub async fn patch_version(&self, patch: Value) -> kube::Result<OpenStackVersion> {
        self.versions().patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    pub async fn patch_plane(&self, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.planes().patch(NAME, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Watches the `OpenStackVersion` until its status is as wanted.
    pub async fn until(
        &self,
        what: &str,
        mut holds: impl FnMut(&OpenStackVersionStatus) -> bool,
    ) -> OpenStackVersionStatus {
        let holds = |version: &OpenStackVersion| version.status.as_ref().is_some_and(&mut holds);
        let found = wait::until(&self.versions(), NAME, SOON, holds).await;
        self.expect(what, found).status.unwrap()
    }

    /// Watches until a step has that state, and answers it.
    pub async fn step(&self, name: StepName, state: StepState) -> StepStatus {
        self.step_says(name, state, "").await
    }

    /// Watches until a step has that state and its message contains the text.
    pub async fn step_says(&self, name: StepName, state: StepState, text: &str) -> StepStatus {
        let says = |step: &StepStatus| step.state == state && step.message.contains(text);
        let what = format!("{name} {state} with \"{text}\"");
        let status = self.until(&what, |status| step(status, name).is_some_and(says)).await;
        step(&status, name).unwrap().clone()
    }

    /// Watches until a condition of the `OpenStackVersion` is False and contains all the texts.
    pub async fn refused(&self, type_: &str, texts: &[&str]) -> Condition {
        let says = |condition: &&Condition| {
            condition.status == condition::Status::False && texts.iter().all(|text| condition.message.contains(text))
        };
        let what = format!("{type_} False with {texts:?}");
        let status =
            self.until(&what, |status| condition::find(&status.conditions, type_).as_ref().is_some_and(says)).await;
        condition_of(&status, type_).clone()
    }

    /// Watches until an object has that value at a JSON pointer.
    pub async fn value(&self, kind: &str, name: &str, pointer: &str, wanted: Value) {
        let found = wait::value(&self.api(kind), name, pointer, &wanted, SOON).await;
        self.expect(&format!("{kind}/{name} {pointer} {wanted}"), found);
    }

    /// Waits until everything that was done before has gone through a whole pass of the operator: it is not slept to see
    /// that nothing happens, something else is made to happen afterwards.
    pub async fn fence(&self) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let generation = self.version().await.metadata.generation;
        self.until("fence", |status| status.observed_generation >= generation).await;
        // Twice: the first may arrive in the middle of a pass, the second only in a later one.
        for _ in 0..2 {
            let marker = json!(format!("fence-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
            self.patch_plane(json!({"glance": {"template": {"marker": marker.clone()}}})).await;
            self.value("Glance", "glance", "/spec/marker", marker).await;
        }
    }

    /// The operator runs.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        assert_eq!(self.operator.exited().unwrap(), None, "the operator ended:\n{}", self.operator.log_tail(40));
    }

    /// Runs kubectl in the namespace: whether it succeeded, and what it printed.
    pub async fn kubectl(&self, args: &[&str]) -> (bool, String) {
        let output = self.cluster.kubectl(["-n", &self.namespace].iter().chain(args)).await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// What a wait found, or a panic with what the operator said last.
    #[track_caller]
    pub fn expect<T>(&self, what: &str, found: anyhow::Result<T>) -> T {
        found.unwrap_or_else(|error| panic!("{what}: {error:#}\n--- the operator:\n{}", self.operator.log_tail(40)))
    }
}

/// The objects of a kind: none of one that is not installed.
async fn list(api: &Api<DynamicObject>) -> Vec<DynamicObject> {
    match api.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        objects => objects.unwrap().items,
    }
}

fn find(kind: &str) -> Kind {
    let all = service::kinds().into_iter().chain([dataplane::NODE_SET, dataplane::DEPLOYMENT]);
    all.into_iter().find(|row| row.kind == kind).unwrap()
}

pub fn step(status: &OpenStackVersionStatus, name: StepName) -> Option<&StepStatus> {
    status.update.as_ref()?.steps.iter().find(|step| step.name == name)
}

#[track_caller]
pub fn condition_of<'a>(status: &'a OpenStackVersionStatus, type_: &str) -> &'a Condition {
    condition::find(&status.conditions, type_).unwrap_or_else(|| panic!("no {type_} in {:?}", status.conditions))
}

/// `True Ready: completed` and the like.
pub fn said(status: &OpenStackVersionStatus, type_: &str) -> String {
    let Some(condition) = condition::find(&status.conditions, type_) else { return "absent".to_owned() };
    format!("{} {}: {}", condition.status, condition.reason, condition.message)
}

/// The line of a service.
#[track_caller]
pub fn line<'a>(status: &'a OpenStackVersionStatus, service: &str) -> &'a ServiceStatus {
    status.services.iter().find(|line| line.name == service).unwrap()
}

/// Merges maps; anything else is replaced, null removes.
pub fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (field, value) in from {
                if value.is_null() {
                    into.remove(&field);
                } else {
                    merge(into.entry(field).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from,
    }
}
