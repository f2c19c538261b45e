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

use super::{
    Cache, Controller, Intent, Write, backoff::Backoff, cache::is_same, events::Events, watch::slim, write::Status,
};
use crate::{client::CallError, leader::Leading};

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
    /// When any pass acted last.
    pub(super) acted: Mutex<Option<Instant>>,
}

/// What a pass over a namespace leaves to the next one.
#[derive(Default)]
pub(super) struct Memory {
    /// The writes that failed.
    backoff: Backoff,
    /// Until when reports that can wait do: some time after the last report that came at its own time.
    window: Option<Instant>,
    /// Since when one waits.
    waiting: Option<Instant>,
}

impl Memory {
    /// Until when a report that can wait does: until the window ends, and until nothing that is `urgent` elsewhere needs
    /// the API server more, but not for ever.
    fn wait(&self, now: Instant, urgent: Option<Instant>) -> Option<Instant> {
        let latest = self.waiting.unwrap_or(now) + LONGEST;
        self.window.max(urgent).map(|end| end.min(latest)).filter(|end| *end > now)
    }

    /// A report was made: the next one that can wait takes what follows soon with it.
    fn reported(&mut self, now: Instant) {
        self.window = self.window.filter(|end| *end > now).or(Some(now + FOLD));
    }
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
            let mut memory = self.take_memory(&namespace);
            again = self.pass(&namespace, &mut memory).await;
            self.put_memory(namespace, memory);
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
            let intents = self.decide(namespace, &memory.backoff);
            let mut round = Round::new(intents, memory, Instant::now(), self.urgent());
            if round.unsaid.is_empty() {
                return round.again(self.act(namespace, &round, &mut memory.backoff).await);
            }
            let mut outcomes = Outcomes::default();
            for statuses in std::mem::take(&mut round.unsaid) {
                outcomes.add(self.report(namespace, statuses, &mut memory.backoff).await);
            }
            memory.reported(Instant::now());
            // The cache has the answers: the next plan starts from what is on record now.
            if !outcomes.written {
                // What is not remembered must not be done; what is, does not wait for it.
                let acted = self.act(namespace, &round, &mut memory.backoff).await;
                // Someone changed an object in between: the watch brings it, and the plan is made anew.
                let outdated = outcomes.outdated.then(|| Instant::now() + OUTDATED);
                let next = [acted.at, outdated, memory.backoff.next()].into_iter().flatten().min();
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
        if !due.is_empty() {
            *self.acted.lock().unwrap_or_else(PoisonError::into_inner) = Some(start);
        }
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
        Again { at: if news { Some(Instant::now()) } else { [outdated, backoff.next()].into_iter().flatten().min() } }
    }

    /// Makes one write and keeps its answer; tells whether it changed anything, and `None` when this process may not act
    /// any more.
    async fn make(&self, namespace: &str, write: &Write, key: String) -> (String, Option<Result<bool, CallError>>) {
        if !self.may_act() {
            return (key, None);
        }
        let (kind, name) = write.target();
        let before = self.cache.object(kind, namespace, name);
        let written = write.make(&self.client, namespace).await;
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

    /// Until when the passes that act come first.
    fn urgent(&self) -> Option<Instant> {
        self.acted.lock().unwrap_or_else(PoisonError::into_inner).map(|acted| acted + FOLD)
    }

    fn may_act(&self) -> bool {
        self.leading.now() && !*self.stopping.borrow()
    }

    fn decide(&self, namespace: &str, backoff: &Backoff) -> Vec<Intent> {
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

    fn take_memory(&self, namespace: &str) -> Memory {
        let mut all = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(namespace).unwrap_or_default()
    }

    fn put_memory(&self, namespace: String, memory: Memory) {
        // A window that is over says as much as none.
        let waiting = memory.waiting.is_some() || memory.window.is_some_and(|end| end > Instant::now());
        if memory.backoff.next().is_some() || waiting {
            self.memories.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace, memory);
        }
    }
}

/// How long after a report, or after a write in any namespace, the reports that can wait do: services that get ready one
/// after the other are one report, and an update does not queue behind what a hundred other clouds have to say.
const FOLD: std::time::Duration = std::time::Duration::from_secs(1);

/// How long a report waits at most.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(5);

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
    fn new(intents: Vec<Intent>, memory: &mut Memory, now: Instant, urgent: Option<Instant>) -> Self {
        let mut round = Self { writes: Vec::new(), unsaid: Vec::new(), wanted: HashSet::new(), next: None };
        let end = memory.wait(now, urgent);
        let since = memory.waiting.take().unwrap_or(now);
        for Intent { statuses, writes, next } in intents {
            round.wanted.extend(writes.iter().map(Write::key));
            let (statuses, later) = due(statuses, !writes.is_empty(), end);
            memory.waiting = memory.waiting.or(later.map(|_| since));
            round.next = [round.next, later, next.map(instant_of)].into_iter().flatten().min();
            if statuses.is_empty() {
                round.writes.extend(writes);
            } else {
                round.wanted.extend(statuses.iter().map(Status::key));
                round.unsaid.push(statuses);
            }
        }
        round
    }

    fn again(&self, again: Again) -> Again {
        Again { at: [self.next, again.at].into_iter().flatten().min() }
    }
}

/// Splits what is to be reported into what is due now and what can wait until `end`.
fn due(statuses: Vec<Status>, acts: bool, end: Option<Instant>) -> (Vec<Status>, Option<Instant>) {
    let Some(end) = end else { return (statuses, None) };
    // Nothing depends on a report that no write follows and no Event goes with: only lines change.
    let waits = |status: &Status| status.can_wait || (!acts && status.events.is_empty());
    let all = statuses.len();
    let due: Vec<Status> = statuses.into_iter().filter(|status| !waits(status)).collect();
    let waiting = due.len() < all;
    (due, waiting.then_some(end))
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
    let wait = time.duration_since(Timestamp::now());
    // A little later than the second that the plan names, as its clock has whole seconds.
    let wait = std::time::Duration::try_from(wait).unwrap_or_default() + std::time::Duration::from_millis(20);
    Instant::now() + wait
}
