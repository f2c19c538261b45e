//! Scripted service operators: whatever the service table has a row for gets ready, when the script says so.
//!
//! Nothing here knows a service by name. An actor reacts to an object whose status does not speak of its spec yet, after
//! the script's delay, with the status that the row's checks ask for. Tests hold objects, let them fail, or write a
//! status by hand, and read what happened from [`Actors::log`].

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{dataplane, service};
use futures::StreamExt;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    runtime::watcher::{self, Event, watcher},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

mod deployment;
mod status;

use status::Wish;

/// The field manager of the actors.
const MANAGER: &str = "testbed-actors";
/// How long a watch or a write that failed rests: a CRD may come later, the API server may be away on purpose.
const REST: Duration = Duration::from_millis(200);

/// How the actors play.
#[derive(Clone, Debug)]
pub struct Script {
    /// How long a service takes to get ready.
    pub delay: Duration,
    /// The kinds that somebody else plays.
    pub without: Vec<&'static str>,
}

impl Script {
    /// For a real cluster: Keystone is ours, and runs.
    pub fn beside_keystone(delay: Duration) -> Self {
        let ours = service::find("keystone").map(|row| row.kind.kind);
        Self { delay, without: ours.into_iter().collect() }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self { delay: Duration::from_millis(50), without: Vec::new() }
    }
}

/// One spec that an actor saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// Its generation.
    pub generation: i64,
    /// The images in it, by path, in the order of the row's slots.
    pub images: Vec<(String, String)>,
}

/// A handle on the running actors. They end with the last handle.
#[derive(Clone)]
pub struct Actors {
    stage: Arc<Stage>,
    _tasks: Arc<JoinSet<()>>,
}

/// A kind and a name.
type Key = (String, String);

/// What the tasks share.
struct Stage {
    client: Client,
    namespace: String,
    script: Script,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: HashMap<Key, DynamicObject>,
    generations: HashMap<Key, Vec<i64>>,
    log: Vec<Seen>,
    hold_all: bool,
    held: HashSet<Key>,
    /// Let go one by one while everything is held.
    exempt: HashSet<Key>,
    failing: HashMap<Key, String>,
    /// To be written again although the status speaks of the spec.
    forced: HashSet<Key>,
    reacting: HashSet<Key>,
    /// One write to an object at a time, each on what the one before has left.
    writing: HashMap<Key, Arc<tokio::sync::Mutex<()>>>,
}

impl State {
    fn is_held(&self, key: &Key) -> bool {
        self.held.contains(key) || (self.hold_all && !self.exempt.contains(key))
    }

    fn record(&mut self, key: &Key, object: &DynamicObject) {
        let generation = object.metadata.generation.unwrap_or_default();
        let seen = self.generations.entry(key.clone()).or_default();
        // An object that was deleted and created again starts over.
        if seen.last() != Some(&generation) {
            seen.push(generation);
            self.log.push(Seen {
                at: Instant::now(),
                kind: key.0.clone(),
                name: key.1.clone(),
                generation,
                images: status::images(&key.0, object),
            });
        }
        self.objects.insert(key.clone(), object.clone());
    }
}

impl Actors {
    /// Starts an actor for each kind of the table, and one for the dataplane, in one namespace.
    pub fn start(client: Client, namespace: &str, script: Script) -> Self {
        let namespace = namespace.to_owned();
        let stage = Arc::new(Stage { client, namespace, script, state: Mutex::default() });
        let mut tasks = JoinSet::new();
        let without = |kind: &service::Kind| stage.script.without.contains(&kind.kind);
        let kinds: Vec<_> =
            service::kinds().into_iter().filter(|kind| *kind != service::CONFIG_MAP && !without(kind)).collect();
        for kind in kinds.into_iter().chain([dataplane::NODE_SET, dataplane::DEPLOYMENT]) {
            tasks.spawn(Arc::clone(&stage).watch(kind));
        }
        Self { stage, _tasks: Arc::new(tasks) }
    }

    /// Does not react to this object any more. A reaction that is being written still arrives.
    pub fn hold(&self, kind: &str, name: &str) {
        let mut state = self.stage.state();
        state.exempt.remove(&key(kind, name));
        state.held.insert(key(kind, name));
    }

    /// Reacts to this object again, at once to what it is now; a failure or a status by hand is forgotten.
    pub fn release(&self, kind: &str, name: &str) {
        let key = key(kind, name);
        {
            let mut state = self.stage.state();
            state.held.remove(&key);
            state.failing.remove(&key);
            state.exempt.insert(key.clone());
            state.forced.insert(key.clone());
        }
        self.stage.schedule(key, Duration::ZERO);
    }

    /// Reacts to nothing any more.
    pub fn hold_all(&self) {
        let mut state = self.stage.state();
        state.hold_all = true;
        state.exempt.clear();
    }

    /// Reacts to everything again, at once. What fails keeps failing until it is released itself.
    pub fn release_all(&self) {
        let keys: Vec<Key> = {
            let mut state = self.stage.state();
            state.hold_all = false;
            let held = state.held.drain().collect::<Vec<_>>();
            state.forced.extend(held);
            state.objects.keys().cloned().collect()
        };
        for key in keys {
            self.stage.schedule(key, Duration::ZERO);
        }
    }

    /// Writes `{"status": status}` by merge patch, and holds the object: the actor would correct it.
    pub async fn set_status(&self, kind: &str, name: &str, status: Value) -> anyhow::Result<()> {
        self.hold(kind, name);
        let kind = find_kind(kind)?;
        self.stage
            .api(kind)
            .patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status})))
            .await?;
        Ok(())
    }

    /// Makes the object not ready, now and after each further change, until it is released.
    pub fn fail(&self, kind: &str, name: &str, message: &str) {
        let key = key(kind, name);
        {
            let mut state = self.stage.state();
            state.failing.insert(key.clone(), message.to_owned());
            state.forced.insert(key.clone());
        }
        self.stage.schedule(key, Duration::ZERO);
    }

    /// Every spec that was seen, in order.
    pub fn log(&self) -> Vec<Seen> {
        self.stage.state().log.clone()
    }

    /// How many specs of this object were seen.
    pub fn generations(&self, kind: &str, name: &str) -> usize {
        self.stage.state().generations.get(&key(kind, name)).map_or(0, Vec::len)
    }
}

impl Stage {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement: a test that failed elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api(&self, kind: service::Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource(kind))
    }

    async fn watch(self: Arc<Self>, kind: service::Kind) {
        let mut events = pin!(watcher(self.api(kind), watcher::Config::default()));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => self.saw(kind, &object),
                Ok(Event::Delete(object)) => {
                    let key = key(kind.kind, &object.name_any());
                    self.state().objects.remove(&key);
                }
                Ok(Event::Init | Event::InitDone) => {}
                Err(_) => tokio::time::sleep(REST).await,
            }
        }
    }

    fn saw(self: &Arc<Self>, kind: service::Kind, object: &DynamicObject) {
        let key = key(kind.kind, &object.name_any());
        self.state().record(&key, object);
        if status::is_behind(object) {
            self.schedule(key, self.script.delay);
        }
    }

    /// Reacts once after `delay` to what the object is then.
    fn schedule(self: &Arc<Self>, key: Key, delay: Duration) {
        // One reaction at a time; it looks at the newest object, so a second one would say the same. Only what was
        // released or failed by hand does not wait for a slow one.
        if !self.state().reacting.insert(key.clone()) && !delay.is_zero() {
            return;
        }
        let stage = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            stage.state().reacting.remove(&key);
            while let Err(_error) = stage.react(&key).await {
                tokio::time::sleep(REST).await;
            }
        });
    }

    async fn react(&self, key: &Key) -> anyhow::Result<()> {
        let turn = Arc::clone(self.state().writing.entry(key.clone()).or_default());
        let _turn = turn.lock().await;
        let Some((object, wish)) = self.due(key) else { return Ok(()) };
        let kind = find_kind(&key.0)?;
        let done = if kind == dataplane::DEPLOYMENT {
            self.deploy(&object, &wish).await
        } else if kind == dataplane::NODE_SET {
            self.write(kind, &object, status::node_set(&object, &wish)).await
        } else {
            self.write(kind, &object, status::service(&key.0, &object, &wish)).await
        };
        if done.is_err() {
            self.state().forced.insert(key.clone());
        }
        done
    }

    /// The object and what to say about it, if there is something to say.
    fn due(&self, key: &Key) -> Option<(DynamicObject, Wish)> {
        let mut state = self.state();
        let object = state.objects.get(key)?.clone();
        if state.is_held(key) {
            return None;
        }
        let forced = state.forced.remove(key);
        let wish = state.failing.get(key).map_or(Wish::Ready, |message| Wish::Failed(message.clone()));
        (forced || status::is_behind(&object)).then_some((object, wish))
    }

    /// Writes a status, unless it is there. An object that is gone needs none.
    async fn write(&self, kind: service::Kind, object: &DynamicObject, status: Value) -> anyhow::Result<()> {
        if status::includes(object.data.get("status"), &status) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({"metadata": {"uid": object.metadata.uid}, "status": status}));
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match self.api(kind).patch_status(&object.name_any(), &params, &patch).await {
            Err(kube::Error::Api(error)) if error.code != 404 && error.code != 409 => Err(error.into()),
            Err(kube::Error::Api(_)) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(written) => {
                // The watch may be late: what follows has to know of this.
                self.state().objects.insert(key(kind.kind, &object.name_any()), written);
                Ok(())
            }
        }
    }
}

fn key(kind: &str, name: &str) -> Key {
    (kind.to_owned(), name.to_owned())
}

fn find_kind(kind: &str) -> anyhow::Result<service::Kind> {
    let all = service::kinds().into_iter().chain([dataplane::NODE_SET, dataplane::DEPLOYMENT]);
    all.into_iter().find(|row| row.kind == kind).ok_or_else(|| anyhow::anyhow!("no actor plays the kind {kind}"))
}

/// The status that an actor would write: the object is ready with the spec that it has. `None` when it says so already.
pub fn ready_status(object: &DynamicObject) -> Option<Value> {
    let kind = object.types.as_ref().map(|types| types.kind.as_str())?;
    status::is_behind(object).then(|| status::service(kind, object, &Wish::Ready))
}

/// What the client needs to know of a kind.
pub fn resource(kind: service::Kind) -> ApiResource {
    ApiResource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        plural: kind.plural.to_owned(),
    }
}
