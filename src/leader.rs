//! Which replica acts. All watch and plan; only the holder of the Lease writes.
//!
//! The holder is sure of its Lease only for a time that it counts itself, from before it asked for it. When that time is
//! over it is no leader any more, whether or not it could ask the API server: another replica may be one. Others count
//! from when they saw the Lease change last, so the clocks of two machines are never compared. Every write of the Lease
//! carries the resource version that it is based on: of two replicas that take it at the same time, one gets it. See
//! `hack/adr/0005`.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::Client;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

mod lock;

use lock::Lock;

/// The name of the Lease.
pub const LEASE: &str = "openstack-release-operator";

/// How long a Lease lives without renewal: the longest time without a leader after a crash. Why so long, and no longer:
/// `hack/adr/0005`.
pub const DURATION: Duration = Duration::from_secs(8);

/// How a replica takes part in the election.
#[derive(Clone, Debug)]
pub struct Election {
    /// Where the Lease is.
    pub namespace: String,
    /// The name of this replica. A restarted container of the same pod takes its own Lease up again at once.
    pub identity: String,
    /// How long a Lease lives without renewal.
    pub duration: Duration,
}

impl Election {
    /// How often the Lease is renewed, or looked at by those who hear nothing of it.
    fn period(&self) -> Duration {
        self.duration / 3
    }

    /// How long to rest after an attempt that failed.
    fn rest(&self) -> Duration {
        self.duration / 12
    }

    /// How long a holder acts after the last renewal: less than others wait, so that its last write has arrived.
    fn term(&self) -> Duration {
        self.duration * 5 / 6
    }
}

/// Whether this process leads.
#[derive(Clone)]
pub struct Leading {
    state: watch::Receiver<bool>,
    until: Arc<Mutex<Option<Instant>>>,
}

impl Leading {
    /// Whether it leads at this very moment. A process that stood still for a while knows at once that its time is over.
    pub fn now(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *self.state.borrow() && until.is_some_and(|until| Instant::now() < until)
    }

    /// One that leads for a day, once it is told so.
    #[cfg(test)]
    pub(crate) fn of_test() -> (Self, watch::Sender<bool>) {
        let (tell, state) = watch::channel(false);
        let until = Arc::new(Mutex::new(Some(Instant::now() + Duration::from_secs(86_400))));
        (Self { state, until }, tell)
    }

    /// Whether a renewal is late: it does not lead at this moment, and may again in the next.
    pub fn lapsed(&self) -> bool {
        *self.state.borrow() && !self.now()
    }

    /// Waits until it begins or ceases to lead; false when neither can happen any more.
    pub async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }

    /// Waits until it leads.
    pub async fn begun(&mut self) {
        if self.state.wait_for(|leading| *leading).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until it does not lead.
    pub async fn ended(&mut self) {
        let _ = self.state.wait_for(|leading| !*leading).await;
    }
}

impl fmt::Debug for Leading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leading").field(&self.now()).finish()
    }
}

/// The membership in the election.
pub struct Leadership {
    leading: Leading,
    resign: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Leadership {
    /// Joins the election. Trouble with the Lease is logged and tried again: it never ends a process that does not lead.
    pub fn join(client: Client, election: Election) -> Self {
        let (tell, state) = watch::channel(false);
        let (resign, resigned) = watch::channel(false);
        let until = Arc::default();
        let leading = Leading { state, until: Arc::clone(&until) };
        let member = Member { lock: Lock::new(client, &election), election, tell, until };
        let task = tokio::spawn(member.run(resigned));
        Self { leading, resign, task }
    }

    /// Whether this process leads, as it changes.
    pub fn leading(&self) -> Leading {
        self.leading.clone()
    }

    /// Gives the Lease back. Nothing may act any more.
    pub async fn release(self) {
        let _ = self.resign.send(true);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "leader election failed");
        }
    }
}

struct Member {
    election: Election,
    lock: Lock,
    tell: watch::Sender<bool>,
    until: Arc<Mutex<Option<Instant>>>,
}

impl Member {
    /// Takes part until it has led and does so no more, or until it is told to resign.
    async fn run(mut self, mut resigned: watch::Receiver<bool>) {
        let part = async {
            self.campaign().await;
            self.hold().await;
        };
        let resigns = tokio::select! {
            () = part => false,
            asked = resigned.wait_for(|resigned| *resigned) => asked.is_ok(),
        };
        if resigns {
            self.tell.send_replace(false);
            self.lock.give_back().await;
        }
    }

    /// Tries until it leads: when the Lease changes, when it is over, and now and then.
    async fn campaign(&mut self) {
        let mut changes = self.lock.changes();
        loop {
            let rest = self.attempt().await;
            if *self.tell.borrow() {
                return;
            }
            let over = self.lock.others_time().map_or(rest, |left| rest.min(left));
            tokio::select! {
                () = tokio::time::sleep(over) => {}
                () = changes.next() => {}
            }
        }
    }

    /// Renews until it could not in time.
    async fn hold(&mut self) {
        let mut rest = self.election.period();
        loop {
            let over = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
            let over = over.unwrap_or_else(Instant::now);
            if over <= Instant::now() {
                tracing::error!("the lease could not be renewed in time");
                self.tell.send_replace(false);
                return;
            }
            // Not beyond the end of the term: then it is over, and says so.
            tokio::time::sleep_until(over.min(Instant::now() + rest)).await;
            rest = self.attempt().await;
        }
    }

    /// Takes or renews the Lease once, if it may; answers how long to rest.
    async fn attempt(&mut self) -> Duration {
        // From before the question: the server may count from later, never from earlier.
        let asked = Instant::now();
        let attempt = tokio::time::timeout(self.election.period(), self.lock.take()).await;
        match attempt {
            Ok(Ok(true)) => {
                *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked + self.election.term());
                self.tell.send_if_modified(|leading| !std::mem::replace(leading, true));
                // From the question on, like the term: or slow answers would use it up.
                (asked + self.election.period()).saturating_duration_since(Instant::now())
            }
            Ok(Ok(false)) => {
                if *self.tell.borrow() {
                    *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
                }
                self.election.period()
            }
            Ok(Err(error)) => {
                let namespace = &self.election.namespace;
                tracing::warn!(%error, namespace, lease = LEASE, "the Lease cannot be read or written; trying again");
                self.election.rest()
            }
            Err(_) => {
                self.lock.doubt();
                tracing::warn!("no answer about the Lease in time");
                Duration::ZERO
            }
        }
    }
}

/// What the Lease says of its holder.
fn spec(election: &Election, before: Option<&LeaseSpec>) -> LeaseSpec {
    let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
    let mine = before.filter(|spec| spec.holder_identity.as_deref() == Some(&election.identity));
    let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
    LeaseSpec {
        acquire_time: mine.and_then(|spec| spec.acquire_time.clone()).or_else(|| Some(now.clone())),
        holder_identity: Some(election.identity.clone()),
        lease_duration_seconds: i32::try_from(election.duration.as_secs()).ok(),
        lease_transitions: Some(if mine.is_some() { transitions } else { transitions.saturating_add(1) }),
        renew_time: Some(now),
        ..LeaseSpec::default()
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}
