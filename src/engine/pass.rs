//! One pass over one namespace.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use api::{DynamicObject, service::Kind};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::{
    Cache, Controller, Intent, Write,
    backoff::Backoff,
    cache::is_same,
    events::Events,
    handle::Work,
    pace::{Pace, Patience},
    watch::slim,
    write::{Status, Urgency, Verb},
};
use crate::{client::CallError, clock, leader::Leading, metrics};

/// What a pass needs; shared by all passes of a controller.
pub(super) struct Passes<C> {
    pub(super) controller: C,
    pub(super) client: Client,
    pub(super) cache: Cache,
    pub(super) events: Events,
    pub(super) leading: Leading,
    /// Turns true when the process is to end: what is not begun then is left to the next leader.
    pub(super) stopping: watch::Receiver<bool>,
    /// What passes over a namespace leave to the next one. They never overlap.
    pub(super) memories: Mutex<HashMap<String, Memory>>,
    /// What keeps reports that can wait out of the way of others.
    pub(super) pace: Pace,
    /// Where each call that was answered shows that a pass goes on.
    pub(super) work: Arc<Work>,
    pub(super) metrics: metrics::Engine,
}

/// What a pass over a namespace leaves to the next one.
#[derive(Default)]
pub(super) struct Memory {
    /// The writes that failed.
    backoff: Backoff,
    /// The reports that wait.
    patience: Patience,
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
            let (start, controller) = (Instant::now(), self.controller.name());
            let span = tracing::info_span!("pass", controller, namespace);
            let mut memory = self.take_memory(&namespace);
            again = self.pass(&namespace, &mut memory).instrument(span).await;
            self.put_memory(namespace, memory);
            self.metrics.passed(controller, start.elapsed());
        }
        if self.leading.lapsed() {
            // What was left out is made up for when the Lease is renewed; nothing else would ask for it.
            again.at = again.at.into_iter().chain([Instant::now() + LAPSED]).min();
        }
        again
    }

    /// Reports until nothing is left that must be said first, then acts: what a plan does is on record before it is done.
    async fn pass(&self, namespace: &str, memory: &mut Memory) -> Again {
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let intents = self.decide(namespace, &memory.backoff);
            let mut round = Round::new(intents, &mut memory.patience, &self.pace, start);
            if round.unsaid.is_empty() {
                return round.again(self.act(namespace, &round, &mut memory.backoff).await);
            }
            let mut outcomes = Outcomes::default();
            for statuses in std::mem::take(&mut round.unsaid) {
                outcomes.add(self.report(namespace, statuses, &mut memory.backoff).await);
            }
            memory.patience.reported(Instant::now());
            // The cache has the answers: the next plan starts from what is on record now.
            if !outcomes.written {
                // What is not remembered must not be done; what is, does not wait for it.
                let acted = self.act(namespace, &round, &mut memory.backoff).await;
                // Someone changed an object in between: the watch brings it, and the plan is made anew.
                let outdated = outcomes.outdated.then(|| Instant::now() + OUTDATED);
                let next = [acted.at, outdated, memory.backoff.next(start)].into_iter().flatten().min();
                return round.again(Again { at: next });
            }
        }
        // Things change faster than they can be told: others get their turn in between.
        Again { at: Some(Instant::now()) }
    }

    /// Makes the writes that may be tried now, a few at a time: they do not depend on each other.
    async fn act(&self, namespace: &str, round: &Round, backoff: &mut Backoff) -> Again {
        let mut news = backoff.retain(|key| round.wanted.contains(key));
        let start = Instant::now();
        let due = round.writes.iter().map(|write| (write, write.key())).filter(|(_, key)| backoff.may_try(key, start));
        let due: Vec<_> = due.map(|(write, key)| self.make(namespace, write, key)).collect();
        let mut made = stream::iter(due).buffer_unordered(AT_ONCE);
        let mut outdated = None;
        while let Some((key, result)) = made.next().await {
            news |= match result {
                None => false,
                // What was written changes the plan: the watch will not say again what the answer said.
                Some(Ok(changed)) => backoff.succeeded(&key) || changed,
                // It was made for an object that somebody changed in between: no failure, but to be planned anew.
                Some(Err(error)) if error.is_conflict() => {
                    outdated = Some(Instant::now() + OUTDATED);
                    false
                }
                Some(Err(error)) => {
                    tracing::warn!(namespace, object = key, %error, "write failed; trying again later");
                    backoff.failed(&key, error.to_string(), Instant::now())
                }
            };
        }
        // What failed, or no longer fails, is said in a pass of its own: it starts from the newest objects.
        Again {
            at: if news { Some(Instant::now()) } else { [outdated, backoff.next(start)].into_iter().flatten().min() },
        }
    }

    /// Makes one write and keeps its answer; tells whether it changed anything, and `None` when this process may not act
    /// any more.
    async fn make(&self, namespace: &str, write: &Write, key: String) -> (String, Option<Result<bool, CallError>>) {
        if !self.may_act() {
            return (key, None);
        }
        let (kind, name) = write.target();
        let before = self.cache.object(kind, namespace, name);
        let (object, verb) = (key.as_str(), write.verb());
        let span = tracing::info_span!("act", object, verb = <&str>::from(verb));
        let written = write.make(&self.client, namespace).instrument(span).await;
        self.work.goes_on(namespace, Instant::now());
        self.metrics.wrote(kind.kind, verb, &written);
        let made = written.map(|written| {
            // A write that a webhook takes back changes nothing: doing it again at once would never end. What a delete
            // has done, the watch tells.
            let changed =
                written.as_ref().is_some_and(|after| !before.as_deref().is_some_and(|now| is_same(now, after)));
            self.keep(*kind, before.as_ref(), written);
            changed
        });
        (key, Some(made))
    }

    fn may_act(&self) -> bool {
        self.leading.now() && !*self.stopping.borrow()
    }

    fn decide(&self, namespace: &str, backoff: &Backoff) -> Vec<Intent> {
        let _span = tracing::info_span!("plan").entered();
        let now = clock::now();
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
            let planned_on = |object: &&Arc<DynamicObject>| {
                object.metadata.resource_version.as_deref() == Some(status.resource_version.as_str())
            };
            let Some(object) = before.as_ref().filter(planned_on) else { return Reported::Outdated };
            let span = tracing::info_span!("report", object = key);
            let written = status.write(&self.client, namespace, object).instrument(span).await;
            self.work.goes_on(namespace, Instant::now());
            self.metrics.wrote(status.kind.kind, Verb::Status, &written);
            match written {
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

    fn take_memory(&self, namespace: &str) -> Memory {
        let mut all = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(namespace).unwrap_or_default()
    }

    fn put_memory(&self, namespace: String, memory: Memory) {
        if !memory.backoff.is_empty() || !memory.patience.is_over(Instant::now()) {
            self.memories.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace, memory);
        }
    }
}

/// How many writes of one namespace are under way at a time.
const AT_ONCE: usize = 4;

/// How long to wait for the watch to bring what was written in between, before planning again anyway.
const OUTDATED: std::time::Duration = std::time::Duration::from_secs(1);

/// How long to wait for a Lease whose renewal is late.
const LAPSED: std::time::Duration = std::time::Duration::from_millis(250);

/// How often a pass plans again after its own reports. A plan is quiet after one report; more is a change in between.
const ROUNDS: usize = 4;

/// What is to be done in one round of a pass.
struct Round {
    /// The writes of the intents whose statuses are on record.
    writes: Vec<Write>,
    /// The statuses that must be said first, by intent.
    unsaid: Vec<Vec<Status>>,
    /// The keys of everything that is wanted: the failures of anything else are forgotten.
    wanted: HashSet<String>,
    /// When to look again although nothing changed.
    next: Option<Instant>,
}

impl Round {
    fn new(intents: Vec<Intent>, patience: &mut Patience, pace: &Pace, now: Instant) -> Self {
        let mut round = Self { writes: Vec::new(), unsaid: Vec::new(), wanted: HashSet::new(), next: None };
        let mut waits = false;
        for Intent { statuses, writes, next } in intents {
            round.wanted.extend(writes.iter().map(Write::key));
            // Also of those that can wait: what failed is not forgotten meanwhile.
            round.wanted.extend(statuses.iter().map(Status::key));
            if !writes.is_empty() {
                pace.acts(now);
            }
            // Nothing depends on a report that no write follows and no Event goes with: only lines change.
            let can_wait = |status: &Status| match status.urgency {
                Urgency::Later => true,
                Urgency::WithWrites => writes.is_empty() && status.events.is_empty(),
                Urgency::Now => false,
            };
            let (patient, mut due): (Vec<_>, Vec<_>) = statuses.into_iter().partition(can_wait);
            waits |= !patient.is_empty();
            let later = if patient.is_empty() { None } else { patience.until(pace, now) };
            if later.is_none() {
                due.extend(patient);
            }
            round.next = [round.next, later, next.map(instant_of)].into_iter().flatten().min();
            if due.is_empty() {
                round.writes.extend(writes);
            } else {
                round.unsaid.push(due);
            }
        }
        if !waits {
            patience.ends();
        }
        round
    }

    fn again(&self, again: Again) -> Again {
        Again { at: [self.next, again.at].into_iter().flatten().min() }
    }
}

/// What became of the reports of a round.
#[derive(Default)]
struct Outcomes {
    /// Whether any intent is wholly on record now.
    written: bool,
    outdated: bool,
}

impl Outcomes {
    fn add(&mut self, reported: Reported) {
        match reported {
            Reported::Written => self.written = true,
            Reported::Outdated => self.outdated = true,
            Reported::Failed => {}
        }
    }
}

#[derive(Clone, Copy)]
enum Reported {
    Written,
    Outdated,
    Failed,
}

fn instant_of(time: Timestamp) -> Instant {
    let wait = time.duration_since(clock::now());
    // A little later than the second that the plan names, as its clock has whole seconds.
    let wait = std::time::Duration::try_from(wait).unwrap_or_default() + std::time::Duration::from_millis(20);
    Instant::now() + wait
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_failed_is_not_forgotten_while_it_waits() {
        let status = Status {
            kind: api::dataplane::NODE_SET,
            name: "openstack".to_owned(),
            resource_version: "1".to_owned(),
            status: json!({}),
            events: Vec::new(),
            urgency: Urgency::WithWrites,
        };
        let key = status.key();
        let (mut patience, now) = (Patience::default(), Instant::now());
        patience.reported(now);
        let intent = Intent { statuses: vec![status], writes: Vec::new(), next: None };
        let round = Round::new(vec![intent], &mut patience, &Pace::default(), now);
        assert!(round.unsaid.is_empty(), "it waits for others");
        assert!(round.wanted.contains(&key));
    }
}
