//! The queue: which namespace is due, one pass at a time for each, bursts folded into one.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use kube::{
    Client,
    runtime::scheduler::{ScheduleRequest, debounced_scheduler},
};
use tokio::sync::{mpsc, watch};

use super::{
    Controller, Watched,
    cache::Cache,
    events::Events,
    handle::{Handle, Ping, Work},
    pace::Pace,
    pass::{Again, Passes},
    watch::Watches,
};
use crate::{leader::Leading, metrics};

/// How long changes are gathered before a pass: what arrives together is one pass. Every step of an update waits for it,
/// so it is no longer than that takes.
const DEBOUNCE: Duration = Duration::from_millis(2);

/// How many passes are under way at a time, each with a few writes: more only wait for each other in the API server, and
/// everybody else's requests wait with them.
pub(super) const AT_ONCE: usize = 64;

/// At the latest after this long every namespace is looked at, whatever the watches say. What is due by itself is asked for
/// by the plan; this is for what should not happen, so it must not cost an idle operator anything worth naming.
const RESYNC: Duration = Duration::from_secs(3600);

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
    /// What is counted.
    pub metrics: metrics::Engine,
}

/// Prepares a controller: what may be asked of it, and its run until the process is to end; passes that are under way
/// then are finished.
pub fn prepare<C: Controller>(controller: C, options: Options) -> (Handle, impl Future<Output = ()> + Send) {
    let cache = Cache::default();
    let work = Arc::<Work>::default();
    // One question at a time is enough.
    let (ask, pings) = mpsc::channel(1);
    let kinds = (controller.watched().iter().map(|row| row.kind).collect(), controller.roots());
    let handle = Handle::new(controller.name(), kinds, cache.clone(), Arc::clone(&work), ask);
    (handle, run(controller, options, cache, work, pings))
}

async fn run<C: Controller>(
    controller: C,
    options: Options,
    cache: Cache,
    work: Arc<Work>,
    pings: mpsc::Receiver<Ping>,
) {
    let Options { client, scope, instance, leading, stopping, metrics } = options;
    let watched = controller.watched();
    let (touched, changes) = mpsc::unbounded_channel();
    let watching = Watches::new(client.clone(), cache.clone(), touched, scope, metrics.clone()).run(watched.clone());
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
        work: Arc::clone(&work),
        metrics,
    };
    Queue { cache, watched, changes, leading, stopping, work, pings }.work(Arc::new(passes)).await;
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
    work: Arc<Work>,
    pings: mpsc::Receiver<Ping>,
}

impl Queue {
    async fn work<C: Controller>(self, passes: Arc<Passes<C>>) {
        let Self { cache, watched, mut changes, mut leading, mut stopping, work, mut pings } = self;
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
            work.asked(&namespace, at);
            let _ = due.send(ScheduleRequest { message: namespace, run_at: at.into() });
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
                    work.begins(&namespace, Instant::now());
                    running.insert(namespace.clone());
                    let pass = Arc::clone(&passes).run(namespace.clone());
                    under_way.push(pass.map(move |again| (namespace, again)));
                }
                Some((namespace, Again { at })) = under_way.next() => {
                    running.remove(&namespace);
                    work.ends(&namespace, Instant::now());
                    if let Some(at) = at {
                        ask(namespace, at);
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
                Some(answer) = pings.recv() => {
                    let _ = answer.send(());
                }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use api::dataplane::NODE_SET;
    use jiff::Timestamp;
    use kube::Config;
    use serde_json::json;

    use super::*;
    use crate::engine::{Failures, Intent, Seen};

    /// A controller whose decision lasts as long as the test wants.
    struct Slow {
        begun: mpsc::UnboundedSender<()>,
        end: Mutex<std::sync::mpsc::Receiver<()>>,
    }

    impl Controller for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn watched(&self) -> Vec<Watched> {
            vec![Watched { kind: NODE_SET, label: None }]
        }

        fn roots(&self) -> Vec<api::service::Kind> {
            vec![NODE_SET]
        }

        fn decide(&self, _: &Cache, _: &str, _: &Failures, _: Timestamp) -> Vec<Intent> {
            let _ = self.begun.send(());
            let _ = self.end.lock().unwrap().recv();
            Vec::new()
        }
    }

    /// Asked from another runtime, as in the process: one whose worker does not come back may not even see time pass.
    #[tokio::test]
    async fn a_decision_that_does_not_end_is_noticed() {
        let ((begun, mut begins), (end, ends)) = (mpsc::unbounded_channel(), std::sync::mpsc::channel());
        let ((leading, leads), (_stop, stopping)) = (Leading::of_test(), watch::channel(false));
        let metrics = metrics::Engine::default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // The client works in the runtime in which it is made.
        let entered = runtime.enter();
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let options = Options { client, scope: None, instance: String::new(), leading, stopping, metrics };
        let (handle, run) = prepare(Slow { begun, end: Mutex::new(ends) }, options);
        drop(entered);
        runtime.spawn(run);
        assert_eq!(handle.stuck().await, None, "no API server, and no trouble of its own");
        // What a watch would bring.
        let object = json!({"metadata": {"namespace": "cloud", "name": "edpm"}});
        handle.cache.put(NODE_SET, serde_json::from_value(object).unwrap());
        handle.cache.mark(NODE_SET, Seen::Synced);
        leads.send_replace(true);
        begins.recv().await.unwrap();
        assert_eq!(handle.stuck().await.unwrap(), "slow: the queue does not turn");
        drop(end);
        assert_eq!(handle.stuck().await, None);
        runtime.shutdown_background();
    }
}
