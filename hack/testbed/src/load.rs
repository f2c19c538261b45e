//! A steady load on a real Keystone: tokens issued, validated and revoked, users created and deleted, and requests that
//! are slow on purpose. No request is ever repeated: what fails, fails for a user.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use http::{Method, Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

use crate::fetch;

/// How long a slow request takes to send its body.
const SLOW: Duration = Duration::from_secs(8);
/// How often it sends a byte: a server gives up on a client that is silent for long.
const TRICKLE: Duration = Duration::from_millis(250);
/// How long a client rests between two requests.
const REST: Duration = Duration::from_millis(20);

/// Where a Keystone is, and who asks.
#[derive(Clone, Debug)]
pub struct Api {
    /// Host and port.
    pub authority: String,
    /// The administrator's password.
    pub password: String,
}

impl Api {
    /// The body that asks for a token.
    fn login(&self) -> Value {
        let domain = json!({"id": "default"});
        let user = json!({"name": "admin", "domain": domain, "password": self.password});
        json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "admin", "domain": domain}},
        }})
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        subject: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<Response<String>> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.authority));
        for (header, value) in [("X-Auth-Token", token), ("X-Subject-Token", subject)] {
            if let Some(value) = value {
                request = request.header(header, value);
            }
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        fetch::send(request.header("Content-Type", "application/json").body(body)?).await
    }

    /// Issues a token.
    pub async fn issue(&self) -> anyhow::Result<String> {
        let answer = self.send(Method::POST, TOKENS, None, None, &self.login()).await?;
        ensure!(answer.status() == 201, "POST {TOKENS}: {} {}", answer.status(), answer.body());
        let token = answer.headers().get("X-Subject-Token").context("no token in the answer")?;
        Ok(token.to_str()?.to_owned())
    }

    /// Asks for something with a token, and insists on the status of the answer.
    async fn expect(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: &Value,
        status: u16,
    ) -> anyhow::Result<Value> {
        let subject = (path == TOKENS).then_some(token);
        let answer = self.send(method.clone(), path, Some(token), subject, body).await?;
        ensure!(
            answer.status() == status,
            "{method} {path}: {} instead of {status}: {}",
            answer.status(),
            answer.body()
        );
        Ok(serde_json::from_str(answer.body()).unwrap_or_default())
    }

    /// Whether a token is valid.
    pub async fn validate(&self, token: &str) -> anyhow::Result<()> {
        self.expect(Method::GET, TOKENS, token, &Value::Null, 200).await.map(|_| ())
    }

    /// Stores a credential of the administrator, and returns its id.
    pub async fn create_credential(&self, blob: &str) -> anyhow::Result<String> {
        let token = self.issue().await?;
        let subject = self.send(Method::GET, TOKENS, Some(&token), Some(&token), &Value::Null).await?;
        let subject: Value = serde_json::from_str(subject.body())?;
        let user = subject.pointer("/token/user/id").context("no user in the token")?;
        let credential = json!({"credential": {"type": "secret", "user_id": user, "blob": blob}});
        let created = self.expect(Method::POST, CREDENTIALS, &token, &credential, 201).await?;
        Ok(created.pointer("/credential/id").and_then(Value::as_str).context("no id")?.to_owned())
    }

    /// What was stored.
    pub async fn credential(&self, id: &str) -> anyhow::Result<String> {
        let token = self.issue().await?;
        let found = self.expect(Method::GET, &format!("{CREDENTIALS}/{id}"), &token, &Value::Null, 200).await?;
        Ok(found.pointer("/credential/blob").and_then(Value::as_str).context("no blob")?.to_owned())
    }

    /// Issues a token with a request that takes [`SLOW`] to arrive.
    async fn issue_slowly(&self) -> anyhow::Result<()> {
        let body = self.login().to_string();
        let mut stream = TcpStream::connect(&self.authority).await?;
        let head = format!(
            "POST {TOKENS} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: \
             close\r\n\r\n",
            self.authority,
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        let (slow, rest) = body.as_bytes().split_at(usize::try_from(SLOW.as_millis() / TRICKLE.as_millis())?);
        for byte in slow {
            stream.write_all(&[*byte]).await?;
            tokio::time::sleep(TRICKLE).await;
        }
        stream.write_all(rest).await?;
        let mut answer = String::new();
        tokio::time::timeout(SLOW * 4, stream.read_to_string(&mut answer)).await.context("no answer")??;
        let status = answer.lines().next().unwrap_or_default();
        ensure!(status.contains(" 201 "), "POST {TOKENS} over {SLOW:?}: {status}");
        Ok(())
    }
}

const TOKENS: &str = "/v3/auth/tokens";
const CREDENTIALS: &str = "/v3/credentials";

/// What was served so far.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Requests that were answered as they should be.
    pub good: usize,
    /// Of these, the ones that were slow on purpose.
    pub slow: usize,
    /// The longest that a request took that was not slow on purpose.
    pub slowest: Duration,
    /// What failed: when, and how.
    pub failed: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    served: Mutex<Served>,
    users: AtomicUsize,
}

/// A running load. It ends when it is dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts clients that use the API in turn, and as many that are slow. All of them validate `old`, a token from before.
    pub fn start(api: &Api, clients: usize, old: &str) -> Self {
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let client = Client {
                api: api.clone(),
                shared: Arc::clone(&shared),
                stopping: stopping.clone(),
                old: old.to_owned(),
            };
            tasks.spawn(client.clone().work());
            tasks.spawn(client.dawdle());
        }
        Self { shared, stop, clients: tasks }
    }

    /// What was served so far.
    pub fn served(&self) -> Served {
        self.shared.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets every request that is under way end, and tells what was served.
    pub async fn stop(mut self) -> Served {
        let _ = self.stop.send(true);
        while self.clients.join_next().await.is_some() {}
        self.served()
    }
}

#[derive(Clone)]
struct Client {
    api: Api,
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
    old: String,
}

impl Client {
    fn note(&self, start: Instant, slow: bool, result: anyhow::Result<()>) {
        let mut served = self.shared.served.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) if slow => {
                served.good += 1;
                served.slow += 1;
            }
            Ok(()) => {
                served.good += 1;
                served.slowest = served.slowest.max(start.elapsed());
            }
            Err(error) => served.failed.push(format!("{}: {error:#}", Timestamp::now())),
        }
    }

    /// Makes one request and counts it.
    async fn ask<T>(&self, request: impl Future<Output = anyhow::Result<T>>) -> Option<T> {
        let start = Instant::now();
        match request.await {
            Ok(answer) => {
                self.note(start, false, Ok(()));
                Some(answer)
            }
            Err(error) => {
                self.note(start, false, Err(error));
                None
            }
        }
    }

    async fn work(self) {
        let mut round: usize = 0;
        while !*self.stopping.borrow() {
            round += 1;
            self.round(round).await;
            tokio::time::sleep(REST).await;
        }
    }

    async fn round(&self, round: usize) -> Option<()> {
        let api = &self.api;
        let token = self.ask(api.issue()).await?;
        self.ask(api.validate(&token)).await;
        self.ask(api.validate(&self.old)).await;
        self.ask(api.expect(Method::GET, "/v3/projects", &token, &Value::Null, 200)).await;
        if round.is_multiple_of(5) {
            let name = format!("load-{}", self.shared.users.fetch_add(1, Ordering::Relaxed));
            let user = json!({"user": {"name": name, "domain_id": "default", "password": "a-password"}});
            let created = self.ask(api.expect(Method::POST, "/v3/users", &token, &user, 201)).await?;
            let id = created.pointer("/user/id").and_then(Value::as_str)?;
            self.ask(api.expect(Method::DELETE, &format!("/v3/users/{id}"), &token, &Value::Null, 204)).await;
        }
        if round.is_multiple_of(3) {
            self.ask(api.expect(Method::DELETE, TOKENS, &token, &Value::Null, 204)).await;
        }
        Some(())
    }

    async fn dawdle(self) {
        while !*self.stopping.borrow() {
            let start = Instant::now();
            let result = self.api.issue_slowly().await;
            self.note(start, true, result);
        }
    }
}

/// Waits until a Keystone issues a token.
pub async fn until_it_serves(api: &Api, timeout: Duration) -> anyhow::Result<String> {
    let start = Instant::now();
    loop {
        match api.issue().await {
            Ok(token) => return Ok(token),
            Err(error) if start.elapsed() > timeout => bail!("no token after {timeout:?}: {error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}
