//! One pass over one namespace.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use api::{DynamicObject, service::Kind};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;

use super::{Cache, Controller, Intent, backoff::Backoff, events::Events, watch::slim, write::Status};
use crate::leader::Leading;

/// What a pass needs; shared by all passes of a controller.
pub(super) struct Passes<C> {
    pub(super) controller: C,
    pub(super) client: Client,
    pub(super) cache: Cache,
    pub(super) events: Events,
    pub(super) leading: Leading,
    /// Turns true when the process is to end: what is not begun then is left to the next leader.
    pub(super) stopping: watch::Receiver<bool>,
    /// The failed writes, by namespace. Passes over a namespace never overlap.
    pub(super) backoffs: Mutex<HashMap<String, Backoff>>,
}

/// When to look again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Again {
    /// At the latest at this instant.
    pub(super) at: Option<Instant>,
}

impl<C: Controller> Passes<C> {
    /// Observes, plans and, when this process leads, reports and acts.
    pub(super) async fn run(self: Arc<Self>, namespace: String) -> Again {
        let mut again = Again::default();
        if self.may_act() {
            let mut backoff = self.take_backoff(&namespace);
            again = self.pass(&namespace, &mut backoff).await;
            self.put_backoff(namespace, backoff);
        }
        if self.leading.lapsed() {
            // What was left out is made up for when the Lease is renewed; nothing else would ask for it.
            again.at = again.at.into_iter().chain([Instant::now() + LAPSED]).min();
        }
        again
    }

    /// Reports until there is nothing left to say, then acts: what a plan does is on record before it is done.
    async fn pass(&self, namespace: &str, backoff: &mut Backoff) -> Again {
        for _ in 0..ROUNDS {
            let Some(intent) = self.decide(namespace, backoff) else { return Again::default() };
            if intent.statuses.is_empty() {
                return self.act(namespace, &intent, backoff).await;
            }
            match self.report(namespace, intent.statuses, backoff).await {
                // The cache has the answer: the next plan starts from what is on record now.
                Reported::Written => {}
                // Someone changed the object in between: the watch brings it, and the plan is made anew.
                Reported::Outdated => return Again { at: Some(Instant::now() + OUTDATED) },
                // What is not remembered must not be done.
                Reported::Failed => return Again { at: backoff.next() },
            }
        }
        // Things change faster than they can be told: others get their turn in between.
        Again { at: Some(Instant::now()) }
    }

    async fn act(&self, namespace: &str, intent: &Intent, backoff: &mut Backoff) -> Again {
        let wanted: Vec<String> = intent.writes.iter().map(super::Write::key).collect();
        let mut news = backoff.retain(|key| wanted.iter().any(|wanted| wanted == key));
        for write in &intent.writes {
            let key = write.key();
            if !self.may_act() || !backoff.may_try(&key, Instant::now()) {
                continue;
            }
            let (kind, name) = write.target();
            let before = self.cache.object(kind, namespace, name);
            match write.make(&self.client, namespace).await {
                Ok(written) => {
                    self.keep(*kind, before.as_ref(), written);
                    news |= backoff.succeeded(&key);
                }
                Err(error) => {
                    tracing::warn!(namespace, object = key, %error, "write failed; trying again later");
                    news |= backoff.failed(&key, error.to_string(), Instant::now());
                }
            }
        }
        let deadline = intent.next.map(instant_of);
        // What failed, or no longer fails, is said in a pass of its own: it starts from the newest objects.
        let failure = if news { Some(Instant::now()) } else { backoff.next() };
        Again { at: deadline.into_iter().chain(failure).min() }
    }

    fn may_act(&self) -> bool {
        self.leading.now() && !*self.stopping.borrow()
    }

    fn decide(&self, namespace: &str, backoff: &Backoff) -> Option<Intent> {
        let now = Timestamp::now();
        // Whole seconds, as the API server keeps them: a status is then equal to what is read back.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        self.controller.decide(&self.cache, namespace, &backoff.errors(), now)
    }

    async fn report(&self, namespace: &str, statuses: Vec<Status>, backoff: &mut Backoff) -> Reported {
        let mut reported = Reported::Written;
        for status in statuses {
            let key = status.key();
            if !self.may_act() || !backoff.may_try(&key, Instant::now()) {
                reported = Reported::Failed;
                continue;
            }
            let before = self.cache.object(&status.kind, namespace, &status.name);
            match status.write(&self.client, namespace).await {
                Ok(written) => {
                    self.events.publish(&written, status.events);
                    self.keep(status.kind, before.as_ref(), Some(written));
                    backoff.succeeded(&key);
                }
                Err(error) if error.is_conflict() || error.is_not_found() => return Reported::Outdated,
                Err(error) => {
                    tracing::warn!(namespace, object = key, %error, "status not written; trying again later");
                    backoff.failed(&key, error.to_string(), Instant::now());
                    reported = Reported::Failed;
                }
            }
        }
        reported
    }

    fn keep(&self, kind: Kind, before: Option<&Arc<DynamicObject>>, written: Option<DynamicObject>) {
        if let Some(mut written) = written {
            slim(&mut written);
            self.cache.written(kind, before, written);
        }
    }

    fn take_backoff(&self, namespace: &str) -> Backoff {
        let mut all = self.backoffs.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(namespace).unwrap_or_default()
    }

    fn put_backoff(&self, namespace: String, backoff: Backoff) {
        if backoff.next().is_some() {
            self.backoffs.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace, backoff);
        }
    }
}

/// How long to wait for the watch to bring what was written in between, before planning again anyway.
const OUTDATED: std::time::Duration = std::time::Duration::from_millis(500);

/// How long to wait for a Lease whose renewal is late.
const LAPSED: std::time::Duration = std::time::Duration::from_millis(250);

/// How often a pass plans again after its own reports. A plan is quiet after one report; more is a change in between.
const ROUNDS: usize = 4;

enum Reported {
    Written,
    Outdated,
    Failed,
}

fn instant_of(time: Timestamp) -> Instant {
    let wait = time.duration_since(Timestamp::now());
    // A little later than the second that the plan names, as its clock has whole seconds.
    let wait = std::time::Duration::try_from(wait).unwrap_or_default() + std::time::Duration::from_millis(20);
    Instant::now() + wait
}
