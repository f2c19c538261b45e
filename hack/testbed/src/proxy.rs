//! A proxy between the operator and the API server.
//!
//! The operator speaks plain HTTP to it; it speaks to the API server with the operator's own credentials. It logs every
//! request, counts the writes, and does on request what networks and API servers do to a client:
//!
//! * [`Proxy::stop_at`] keeps the n-th write from reaching the server, or its answer from reaching the operator, so
//!   that a test can kill the operator exactly there;
//! * [`Proxy::add`] spoils requests by [`Rule`];
//! * [`Proxy::disturb`] ends, expires or silences the watches that are open.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, anyhow, bail};
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kube::{Client, Config, client::Body};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::{JoinHandle, JoinSet},
};

mod call;
mod rule;
mod stream;

pub use call::Call;
pub use rule::{Fault, Rule};
pub use stream::Disturbance;

use crate::{Cluster, cluster::User};

/// A body on its way to the operator.
type Answer = Response<UnsyncBoxBody<Bytes, anyhow::Error>>;

/// Where a write is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The server never hears of it.
    Before,
    /// The server has done it; the operator never hears of that.
    After,
}

/// A running proxy. It ends when it is dropped, and so do the connections through it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    kubeconfig: PathBuf,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The number of disturbances so far, and the last one.
    disturbed: watch::Sender<(u64, Disturbance)>,
    /// The number of counted writes so far.
    written: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    rules: Vec<(usize, Rule)>,
    added: usize,
    /// The writes since the last [`Proxy::stop_at`].
    counted: usize,
    stop: Option<Stop>,
    /// Whether a stop has happened: nothing of the process that is being killed goes through any more.
    stopped: bool,
    /// Whether the API server is out of reach.
    unplugged: bool,
}

#[derive(Debug)]
struct Stop {
    at: usize,
    moment: Moment,
    tell: oneshot::Sender<Call>,
}

impl Proxy {
    /// Starts a proxy for the operator's user.
    pub async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        Self::of(cluster, User::Operator).await
    }

    /// Starts a proxy for another user.
    pub async fn of(cluster: &Cluster, user: User) -> anyhow::Result<Self> {
        Self::before(cluster.config(user).await?, cluster.dir()).await
    }

    /// Starts a proxy before any API server; its kubeconfig is kept in that directory.
    pub async fn before(mut config: Config, dir: &Path) -> anyhow::Result<Self> {
        // What the API server says is for the operator to see, at once.
        config.default_retry = false;
        let client = Client::try_from(config)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let kubeconfig = dir.join(format!("proxy-{port}.kubeconfig"));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        });
        std::fs::write(&kubeconfig, config.to_string())?;
        let disturbed = watch::Sender::new((0, Disturbance::Cut));
        let shared = Arc::new(Shared { state: Mutex::default(), disturbed, written: watch::Sender::new(0) });
        let accepting = tokio::spawn(accept(listener, client, Arc::clone(&shared)));
        Ok(Self { shared, kubeconfig, accepting })
    }

    /// The kubeconfig that leads through this proxy.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Every request so far, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// The writes that were counted so far: all but those of Leases and Events.
    pub fn writes(&self) -> Vec<Call> {
        self.shared.state().calls.iter().filter(|call| call.is_counted()).cloned().collect()
    }

    /// How many writes were counted so far, as it changes.
    pub fn written(&self) -> watch::Receiver<usize> {
        self.shared.written.subscribe()
    }

    /// How many requests there were so far: where [`Proxy::calls`] will go on.
    pub fn mark(&self) -> usize {
        self.shared.state().calls.len()
    }

    /// Stops the n-th write from now on (the first is 1), and everything after it, until [`Proxy::go_on`]. The answer
    /// comes when the write is where it is stopped. What was stopped never goes on: its process is meant to be killed.
    pub fn stop_at(&self, nth: usize, moment: Moment) -> oneshot::Receiver<Call> {
        let (tell, told) = oneshot::channel();
        let mut state = self.shared.state();
        state.counted = 0;
        state.stop = Some(Stop { at: nth, moment, tell });
        told
    }

    /// Lets new requests through again.
    pub fn go_on(&self) {
        let mut state = self.shared.state();
        state.stop = None;
        state.stopped = false;
    }

    /// Adds a rule; the first one that matches a request counts. Answers its number, for [`Proxy::lift`].
    pub fn add(&self, rule: Rule) -> usize {
        let mut state = self.shared.state();
        state.added += 1;
        let number = state.added;
        state.rules.push((number, rule));
        number
    }

    /// Removes a rule.
    pub fn lift(&self, number: usize) {
        self.shared.state().rules.retain(|(known, _)| *known != number);
    }

    /// Removes every rule.
    pub fn lift_all(&self) {
        self.shared.state().rules.clear();
    }

    /// How often the rules had something to do so far.
    pub fn spoiled(&self) -> usize {
        self.shared.state().calls.iter().filter(|call| call.spoiled).count()
    }

    /// Does something to every watch that is open.
    pub fn disturb(&self, how: Disturbance) {
        self.shared.disturbed.send_modify(|(number, last)| {
            *number += 1;
            *last = how;
        });
    }

    /// Every connection is refused, and the watches break, until [`Proxy::plug`].
    pub fn unplug(&self) {
        self.shared.state().unplugged = true;
        self.disturb(Disturbance::Cut);
    }

    /// The API server is within reach again.
    pub fn plug(&self) {
        self.shared.state().unplugged = false;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a call; answers its place in the log and what is to be done to it.
    fn arrived(&self, mut call: Call) -> anyhow::Result<(usize, Option<Fault>)> {
        let mut state = self.state();
        if state.unplugged {
            bail!("unplugged");
        }
        let fault = state.rules.iter_mut().find_map(|(_, rule)| rule.take(&call));
        call.spoiled = fault.is_some();
        if call.is_counted() {
            self.written.send_modify(|count| *count += 1);
        }
        state.calls.push(call);
        Ok((state.calls.len() - 1, fault))
    }

    /// Counts a call that is about to be forwarded. Answers whether it must not be, and whether its answer must not.
    fn counted(&self, call: &Call) -> Passage {
        let mut state = self.state();
        if state.stopped {
            return Passage::Closed;
        }
        if !call.is_counted() {
            return Passage::Open;
        }
        state.counted += 1;
        let counted = state.counted;
        let Some(stop) = state.stop.take_if(|stop| stop.at == counted) else { return Passage::Open };
        state.stopped = true;
        match stop.moment {
            Moment::Before => {
                let _ = stop.tell.send(call.clone());
                Passage::Closed
            }
            Moment::After => Passage::There(stop.tell),
        }
    }

    fn answered(&self, at: usize, status: u16) {
        if let Some(call) = self.state().calls.get_mut(at) {
            call.status = Some(status);
        }
    }
}

enum Passage {
    Open,
    /// There, and not back.
    There(oneshot::Sender<Call>),
    Closed,
}

async fn accept(listener: TcpListener, client: Client, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        while connections.try_join_next().is_some() {}
        let (client, shared) = (client.clone(), Arc::clone(&shared));
        let answer = service_fn(move |request| answer(request, client.clone(), Arc::clone(&shared)));
        // An error is a connection that ended early, here on purpose.
        connections.spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await });
    }
}

/// An error closes the connection without an answer.
async fn answer(request: Request<Incoming>, client: Client, shared: Arc<Shared>) -> anyhow::Result<Answer> {
    let call = Call::of(&request);
    // From now on: a watch that is being opened is disturbed like those that are open.
    let disturbed = shared.disturbed.subscribe();
    let (at, fault) = shared.arrived(call.clone())?;
    match &fault {
        Some(Fault::Answer { code, retry_after }) => {
            shared.answered(at, *code);
            return rule::refusal(&call, *code, *retry_after);
        }
        Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Drop) => bail!("dropped"),
        Some(Fault::DropAnswer) | None => {}
    }
    let passage = shared.counted(&call);
    if matches!(passage, Passage::Closed) {
        // Until the connection ends with the process at its other end.
        std::future::pending::<()>().await;
    }
    let response = forward(request, &client).await?;
    shared.answered(at, response.status().as_u16());
    if call.verb == "watch" {
        return Ok(response.map(|body| stream::watched(body, disturbed)));
    }
    // In full: whatever is done to the answer, the server has done its part.
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| anyhow!("{error}"))?.to_bytes();
    if let Passage::There(tell) = passage {
        let _ = tell.send(call);
        std::future::pending::<()>().await;
    }
    if let Some(Fault::DropAnswer) = fault {
        bail!("answer dropped");
    }
    Ok(Response::from_parts(parts, whole(body)))
}

async fn forward(request: Request<Incoming>, client: &Client) -> anyhow::Result<Response<Body>> {
    let (mut parts, body) = request.into_parts();
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let body = body.collect().await?.to_bytes();
    let mut response =
        client.send(Request::from_parts(parts, Body::from(body))).await.context("the API server does not answer")?;
    // Of this hop, and hyper sets them for the next one.
    for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
        response.headers_mut().remove(name);
    }
    Ok(response)
}

fn whole(bytes: Bytes) -> UnsyncBoxBody<Bytes, anyhow::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
