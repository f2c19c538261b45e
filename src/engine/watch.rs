//! One watch for each kind; kinds may be installed later, or never.

use std::{collections::HashMap, time::Duration};

use api::{DynamicObject, service::Kind};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    core::{ApiResource, GroupVersionKind, PartialObjectMeta},
    runtime::{WatchStreamExt, watcher},
};
use tokio::{sync::mpsc, task::JoinHandle};

mod retried;

use retried::Retried;

use super::{
    Watched,
    cache::{Cache, Seen},
};
use crate::{
    client::{CallError, Deadlines, call},
    metrics::Engine,
};

/// Where a change goes: the namespace, or `None` for all of them.
pub(super) type Touched = mpsc::UnboundedSender<Option<String>>;

/// Watches every kind until the process ends.
pub(super) struct Watches {
    client: Client,
    cache: Cache,
    touched: Touched,
    scope: Option<String>,
    metrics: Engine,
    unknown: Unknown,
    running: HashMap<Kind, JoinHandle<()>>,
}

/// What a kind is that the API server does not know, as far as its own list of CRDs cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// It cannot be read: what is decided must not depend on an answer that may come from somewhere else.
    Unreadable,
    /// It is not installed: good enough for who only looks, and may not see CRDs.
    Absent,
}

impl Watches {
    pub(super) fn new(client: Client, cache: Cache, touched: Touched, scope: Option<String>, metrics: Engine) -> Self {
        Self { client, cache, touched, scope, metrics, unknown: Unknown::Unreadable, running: HashMap::new() }
    }

    /// Follows the CRDs and keeps exactly the watches of the installed kinds running.
    pub(super) async fn run(mut self, watched: Vec<Watched>) {
        let by_crd: HashMap<String, Watched> =
            watched.iter().filter(|kind| !kind.kind.is_builtin()).map(|w| (w.kind.crd_name(), w.clone())).collect();
        for builtin in watched.iter().filter(|kind| kind.kind.is_builtin()) {
            self.start(builtin);
        }
        let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(self.client.clone());
        let mut events = Retried::new(watcher(api, config()));
        let (mut listed, mut known) = (Vec::<String>::new(), false);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(crd)) => listed.extend(crd.metadata.name),
                Ok(watcher::Event::InitDone) => {
                    known = true;
                    for (name, kind) in &by_crd {
                        if listed.contains(name) { self.start(kind) } else { self.stop(kind.kind) }
                    }
                }
                Ok(watcher::Event::Apply(crd)) => {
                    if let Some(kind) = crd.metadata.name.and_then(|name| by_crd.get(&name)) {
                        self.start(kind);
                    }
                }
                Ok(watcher::Event::Delete(crd)) => {
                    if let Some(kind) = crd.metadata.name.and_then(|name| by_crd.get(&name)) {
                        self.stop(kind.kind);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "CustomResourceDefinitions cannot be watched");
                    self.metrics.watch_failed("CustomResourceDefinition");
                    // Without the right to see them every kind is tried: better than knowing nothing. Once they were
                    // seen, it is known which ones are there.
                    if !known {
                        for kind in by_crd.values() {
                            self.start(kind);
                        }
                    }
                }
            }
        }
    }

    fn start(&mut self, watched: &Watched) {
        if self.running.get(&watched.kind).is_some_and(|task| !task.is_finished()) {
            return;
        }
        let api = api_of(&self.client, &watched.kind, self.scope.as_deref());
        let mut config = config();
        if let Some(label) = &watched.label {
            config = config.labels(label);
        }
        let seen = Seeing {
            kind: watched.kind,
            cache: self.cache.clone(),
            touched: self.touched.clone(),
            metrics: self.metrics.clone(),
            unknown: self.unknown,
            told: None,
        };
        self.running.insert(watched.kind, tokio::spawn(follow(api, config, seen)));
    }

    fn stop(&mut self, kind: Kind) {
        if let Some(task) = self.running.remove(&kind) {
            task.abort();
        }
        if self.cache.mark(kind, Seen::Absent) {
            tracing::info!(kind = kind.kind, "kind is not installed");
            let _ = self.touched.send(None);
        }
    }
}

/// Lists of the newest state: one from the cache of an API server that lags could show what was before our own last
/// writes. Watches end by themselves before anybody can forget them.
fn config() -> watcher::Config {
    let seconds = Deadlines::get().watch.as_secs();
    watcher::Config::default().timeout(u32::try_from(seconds).unwrap_or(u32::MAX)).page_size(PAGE)
}

/// How many objects a list brings at a time: until they are in the cache, they take several times their text.
const PAGE: u32 = 50;

/// The API of a kind, in one namespace or in all.
pub(crate) fn api_of(client: &Client, kind: &Kind, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = resource(kind);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// The API resource of a kind.
pub(crate) fn resource(kind: &Kind) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(kind.group, kind.version, kind.kind), kind.plural)
}

/// Where what a watch brings goes.
struct Seeing {
    kind: Kind,
    cache: Cache,
    touched: Touched,
    metrics: Engine,
    unknown: Unknown,
    /// How the watch has failed for so long that it was told.
    told: Option<String>,
}

impl Seeing {
    fn tell(&self, namespace: Option<String>) {
        let _ = self.touched.send(namespace);
    }

    /// Takes what the watch brings.
    fn takes(&self, event: watcher::Event<DynamicObject>) {
        match event {
            watcher::Event::Init => self.cache.begin(self.kind),
            watcher::Event::InitApply(object) => self.cache.listed(self.kind, object),
            watcher::Event::InitDone => {
                self.cache.complete(self.kind);
                self.tell(None);
            }
            watcher::Event::Apply(object) => {
                if let Some(namespace) = self.cache.put(self.kind, object) {
                    self.tell(Some(namespace));
                }
            }
            watcher::Event::Delete(object) => self.tell(Some(self.cache.remove(self.kind, &object))),
        }
    }

    fn works(&mut self) {
        self.told = None;
        if self.cache.works(self.kind) {
            self.tell(None);
        }
    }

    fn fails(&mut self, error: &watcher::Error) {
        if self.unknown == Unknown::Absent && is_unknown(error) {
            if self.cache.mark(self.kind, Seen::Absent) {
                self.tell(None);
            }
            return;
        }
        tracing::warn!(kind = self.kind.kind, %error, "watch failed; trying again");
        self.metrics.watch_failed(self.kind.kind);
        self.cache.fails(self.kind, error.to_string());
        let news = self.cache.mark(self.kind, Seen::Unreadable(error.to_string()));
        let stale = self.cache.failing(&self.kind, Deadlines::get().stale());
        // Every cloud is looked at for it: once, not with each try.
        if news || stale != self.told {
            self.told = stale;
            self.tell(None);
        }
    }
}

/// Whether the API server says that there is no such kind.
fn is_unknown(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

async fn follow(api: Api<DynamicObject>, config: watcher::Config, mut seeing: Seeing) {
    let mut events = Retried::new(watcher(api, config).modify(slim));
    loop {
        // A watch that works again says nothing before something happens: its silence has to be heard. A try that is
        // not answered is silent, too, until it ends.
        let patience =
            if events.failing() { events.pause() + Deadlines::get().silence() + SURE } else { Duration::MAX };
        match tokio::time::timeout(patience, events.next()).await {
            Err(_) => {
                events.works();
                seeing.works();
            }
            Ok(Some(Ok(event))) => {
                if !events.failing() {
                    seeing.works();
                }
                seeing.takes(event);
            }
            Ok(None) => return,
            Ok(Some(Err(error))) => seeing.fails(&error),
        }
    }
}

/// What is added to the longest silence of a connection, to be sure that it is over.
const SURE: Duration = Duration::from_secs(1);

/// Drops what nobody reads and what takes most of the memory.
pub(super) fn slim(object: &mut DynamicObject) {
    object.metadata.managed_fields = None;
}

/// Reads once, for commands that do not watch: everything that is installed, in one namespace or in all.
pub(crate) async fn read_once(client: &Client, watched: &[Watched], scope: Option<&str>) -> Result<Cache, CallError> {
    let cache = Cache::default();
    for watched in watched {
        read_kind(&cache, client, watched, scope).await?;
    }
    Ok(cache)
}

/// The same for commands that show what they can: the cache says which kinds cannot be read.
pub(crate) async fn read_readable(client: &Client, watched: &[Watched], scope: Option<&str>) -> Cache {
    let cache = Cache::default();
    for watched in watched {
        if let Err(error) = read_kind(&cache, client, watched, scope).await {
            cache.mark(watched.kind, Seen::Unreadable(error.to_string()));
        }
    }
    cache
}

async fn read_kind(cache: &Cache, client: &Client, watched: &Watched, scope: Option<&str>) -> Result<(), CallError> {
    let Watched { kind, label } = watched;
    let api = api_of(client, kind, scope);
    let mut params = kube::api::ListParams::default();
    if let Some(label) = label {
        params = params.labels(label);
    }
    match call(api.list(&params)).await {
        Ok(list) => {
            cache.begin(*kind);
            for mut object in list.items {
                slim(&mut object);
                // Items of a list do not carry their type.
                object.types =
                    Some(kube::core::TypeMeta { api_version: kind.api_version(), kind: kind.kind.to_owned() });
                cache.listed(*kind, object);
            }
            cache.complete(*kind);
        }
        Err(error) if error.is_not_found() => {
            cache.mark(*kind, Seen::Absent);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// What watches bring, for commands that only look. They end with it.
pub(crate) struct Observed {
    /// What is there.
    pub(crate) cache: Cache,
    changes: mpsc::UnboundedReceiver<Option<String>>,
    watching: JoinHandle<()>,
}

impl Observed {
    /// Begins to watch, in one namespace or in all.
    pub(crate) fn new(client: Client, watched: Vec<Watched>, scope: Option<String>) -> Self {
        let cache = Cache::default();
        let (touched, changes) = mpsc::unbounded_channel();
        let mut all = Watches::new(client, cache.clone(), touched, scope, Engine::default());
        all.unknown = Unknown::Absent;
        let watching = tokio::spawn(all.run(watched));
        Self { cache, changes, watching }
    }

    /// Returns when something changed, or a watch fails or works again.
    pub(crate) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
