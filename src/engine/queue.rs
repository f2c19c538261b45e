//! The queue: which namespace is due, one pass at a time for each, bursts folded into one.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use kube::{
    Client,
    runtime::scheduler::{ScheduleRequest, debounced_scheduler},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Controller, Watched,
    cache::Cache,
    events::Events,
    pace::Pace,
    pass::{Again, Passes},
    watch::Watches,
};
use crate::leader::Leading;

/// How long changes are gathered before a pass: a burst of watch events is one pass.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// How many passes are under way at a time, each with a few writes: more only wait for each other in the API server, and
/// everybody else's requests wait with them.
const AT_ONCE: usize = 64;

/// At the latest after this long every namespace is looked at, whatever the watches say.
const RESYNC: Duration = Duration::from_secs(600);

/// How long after a change an object is kept ready to be read again.
const SETTLE: Duration = Duration::from_secs(10);

/// How a controller runs.
#[derive(Clone)]
pub struct Options {
    /// The client.
    pub client: Client,
    /// Only this namespace; all of them when absent.
    pub scope: Option<String>,
    /// The name of this replica, for Events.
    pub instance: String,
    /// Whether this replica leads.
    pub leading: Leading,
    /// Turns true when the process is to end.
    pub stopping: watch::Receiver<bool>,
}

/// Runs a controller until the process is to end; passes that are under way then are finished.
pub async fn run<C: Controller>(controller: C, options: Options) {
    let Options { client, scope, instance, leading, stopping } = options;
    let watched = controller.watched();
    let cache = Cache::default();
    let (touched, changes) = mpsc::unbounded_channel();
    let watching = Watches::new(client.clone(), cache.clone(), touched, scope).run(watched.clone());
    let watching = tokio::spawn(watching);
    let (events, publishing) = Events::start(client.clone(), instance);
    tracing::info!(controller = controller.name(), kinds = watched.len(), "watching");
    let passes = Passes {
        controller,
        client,
        cache: cache.clone(),
        events,
        leading: leading.clone(),
        stopping: stopping.clone(),
        memories: Mutex::new(HashMap::new()),
        pace: Pace::default(),
    };
    Queue { cache, watched, changes, leading, stopping }.work(Arc::new(passes)).await;
    watching.abort();
    // With the passes the channel of the events is closed: what was given to it is still published.
    let _ = tokio::time::timeout(Duration::from_secs(5), publishing).await;
}

struct Queue {
    cache: Cache,
    watched: Vec<Watched>,
    /// Namespaces that changed; `None` for all of them.
    changes: mpsc::UnboundedReceiver<Option<String>>,
    leading: Leading,
    stopping: watch::Receiver<bool>,
}

impl Queue {
    async fn work<C: Controller>(self, passes: Arc<Passes<C>>) {
        let Self { cache, watched, mut changes, mut leading, mut stopping } = self;
        let all = || namespaces(&cache, &watched);
        let (due, requests) = mpsc::unbounded_channel::<ScheduleRequest<String>>();
        let requests = futures::stream::unfold(requests, |mut requests| async {
            requests.recv().await.map(|request| (request, requests))
        });
        let scheduler = debounced_scheduler(requests, DEBOUNCE);
        tokio::pin!(scheduler);
        let mut running: HashSet<String> = HashSet::new();
        let mut under_way = FuturesUnordered::new();
        let mut resync = tokio::time::interval(RESYNC);
        let mut settle = tokio::time::interval(SETTLE);
        let ask = |namespace: String, at: Instant| {
            let _ = due.send(ScheduleRequest { message: namespace, run_at: at });
        };
        loop {
            let ready = cache.is_ready(watched.iter().map(|watched| watched.kind));
            tokio::select! {
                change = changes.recv() => match change {
                    Some(Some(namespace)) => ask(namespace, Instant::now()),
                    Some(None) => all().into_iter().for_each(|namespace| ask(namespace, Instant::now())),
                    None => break,
                },
                Some(namespace) = async {
                    scheduler.as_mut().hold_unless(|namespace| !running.contains(namespace)).next().await
                }, if ready && under_way.len() < AT_ONCE => {
                    running.insert(namespace.clone());
                    let pass = Arc::clone(&passes).run(namespace.clone());
                    under_way.push(pass.map(move |again| (namespace, again)));
                }
                Some((namespace, Again { at })) = under_way.next() => {
                    running.remove(&namespace);
                    if let Some(at) = at {
                        ask(namespace, at.into());
                    }
                }
                changed = leading.changed() => {
                    if !changed {
                        break;
                    }
                    for namespace in all() {
                        ask(namespace, Instant::now());
                    }
                }
                _ = settle.tick() => cache.settle(SETTLE),
                _ = resync.tick() => all().into_iter().for_each(|namespace| ask(namespace, Instant::now())),
                _ = stopping.wait_for(|stopping| *stopping) => break,
            }
        }
        while under_way.next().await.is_some() {}
    }
}

/// Every namespace that has an object of a watched kind.
fn namespaces(cache: &Cache, watched: &[Watched]) -> HashSet<String> {
    watched.iter().flat_map(|watched| cache.namespaces(&watched.kind)).collect()
}
