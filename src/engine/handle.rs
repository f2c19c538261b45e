//! What the outside may ask of a controller that runs: whether it knows everything, whether it works, what it sees.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{DynamicObject, service::Kind};
use tokio::sync::{mpsc, oneshot};

use super::{Cache, Seen, queue::AT_ONCE};
use crate::client::Deadlines;

/// A question whether the queue still turns; the answer is all there is to say.
pub(super) type Ping = oneshot::Sender<()>;

/// How long the queue may take to answer: a plan takes about a millisecond.
const TURN: Duration = Duration::from_secs(2);

/// A controller that runs, seen from outside.
#[derive(Clone)]
pub struct Handle {
    name: &'static str,
    watched: Vec<Kind>,
    roots: Vec<Kind>,
    pub(super) cache: Cache,
    work: Arc<Work>,
    pings: mpsc::Sender<Ping>,
}

/// How the watch of a kind is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum WatchState {
    /// It has not answered yet.
    Pending,
    /// The kind is not installed.
    Absent,
    /// It was never read.
    Unreadable,
    /// Its objects are known.
    Synced,
    /// Its objects were known, and may be out of date.
    Failing,
}

impl Handle {
    pub(super) fn new(
        name: &'static str,
        (watched, roots): (Vec<Kind>, Vec<Kind>),
        cache: Cache,
        work: Arc<Work>,
        pings: mpsc::Sender<Ping>,
    ) -> Self {
        Self { name, watched, roots, cache, work, pings }
    }

    /// The name of the controller.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is missing before it can decide anything: a kind that has not answered, or one of its own that cannot be
    /// read. What was known once stays known, whether or not the API server can be reached.
    pub fn unsynced(&self) -> Option<String> {
        let seen = |kind: &&Kind| self.cache.seen(kind);
        if let Some(kind) = self.watched.iter().find(|kind| seen(kind) == Seen::Pending) {
            return Some(format!("{}: the watch of {} has not answered yet", self.name, kind.kind));
        }
        let unreadable = self.roots.iter().find(|kind| matches!(seen(kind), Seen::Unreadable(_)))?;
        Some(format!("{}: {} cannot be read", self.name, unreadable.kind))
    }

    /// Why it does not work any more, if so. Trouble with the API server is none: every call has its deadline.
    pub async fn stuck(&self) -> Option<String> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.pings.send(answer).await.ok()?;
            answered.await.ok()
        };
        // A queue that has ended ends the process.
        if tokio::time::timeout(TURN, asked).await.is_err() {
            return Some(format!("{}: the queue does not turn", self.name));
        }
        let ready = self.cache.is_ready(self.watched.iter().copied());
        let problem = self.work.stuck(ready, Instant::now(), patience())?;
        Some(format!("{}: {problem}", self.name))
    }

    /// How many namespaces are due and not begun.
    pub fn queue_depth(&self) -> usize {
        self.work.depth(Instant::now())
    }

    /// How the watch of each kind is.
    pub fn watch_states(&self) -> Vec<(Kind, WatchState)> {
        let failing = self.cache.all_failing(Deadlines::get().stale());
        let state = |kind: &Kind| match self.cache.seen(kind) {
            Seen::Pending => WatchState::Pending,
            Seen::Absent => WatchState::Absent,
            Seen::Unreadable(_) => WatchState::Unreadable,
            Seen::Synced if failing.iter().any(|(failing, _)| failing == kind) => WatchState::Failing,
            Seen::Synced => WatchState::Synced,
        };
        self.watched.iter().map(|kind| (*kind, state(kind))).collect()
    }

    /// The objects that this controller reports on, with their kinds; those of one namespace at a time.
    pub fn root_objects(&self) -> impl Iterator<Item = (Kind, Arc<DynamicObject>)> + '_ {
        self.roots.iter().flat_map(move |kind| {
            let namespaces = self.cache.namespaces(kind).into_iter();
            namespaces
                .flat_map(move |namespace| self.cache.objects(kind, &namespace))
                .map(move |object| (*kind, object))
        })
    }
}

/// How long nothing may go on where something should: some calls that all end by their deadline, and some more.
fn patience() -> Duration {
    Deadlines::get().call * 4 + Duration::from_secs(60)
}

/// What a queue has to do, and what it does.
#[derive(Default)]
pub(super) struct Work {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Namespaces that are asked for, and from when on.
    due: HashMap<String, Instant>,
    /// Namespaces whose pass is under way, and when it went on last.
    running: HashMap<String, Instant>,
    /// When a pass began or ended last.
    turned: Option<Instant>,
}

impl Work {
    /// A pass is asked for.
    pub(super) fn asked(&self, namespace: &str, at: Instant) {
        let mut state = self.state();
        match state.due.get_mut(namespace) {
            Some(known) => *known = at.min(*known),
            None => drop(state.due.insert(namespace.to_owned(), at)),
        }
    }

    /// A pass begins.
    pub(super) fn begins(&self, namespace: &str, now: Instant) {
        let mut state = self.state();
        state.due.remove(namespace);
        state.running.insert(namespace.to_owned(), now);
        state.turned = Some(now);
    }

    /// A pass goes on: a call was answered or given up.
    pub(super) fn goes_on(&self, namespace: &str, now: Instant) {
        if let Some(since) = self.state().running.get_mut(namespace) {
            *since = now;
        }
    }

    /// A pass has ended.
    pub(super) fn ends(&self, namespace: &str, now: Instant) {
        let mut state = self.state();
        state.running.remove(namespace);
        state.turned = Some(now);
    }

    fn depth(&self, now: Instant) -> usize {
        self.state().due.values().filter(|at| **at <= now).count()
    }

    /// What should go on and does not.
    fn stuck(&self, ready: bool, now: Instant, patience: Duration) -> Option<String> {
        let state = self.state();
        let long = |since: Instant| now.saturating_duration_since(since) > patience;
        if let Some((namespace, _)) = state.running.iter().find(|(_, since)| long(**since)) {
            return Some(format!("the pass over {namespace} does not end"));
        }
        // Before the caches are complete nothing is begun, and there is no more than so many passes at a time.
        let may_begin = ready && state.running.len() < AT_ONCE && state.turned.is_none_or(long);
        let waits = |(namespace, at): &(&String, &Instant)| long(**at) && !state.running.contains_key(*namespace);
        let (namespace, _) = state.due.iter().find(waits).filter(|_| may_begin)?;
        Some(format!("the pass over {namespace} does not begin"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(120);

    #[test]
    fn a_queue_with_nothing_to_do_is_not_stuck() {
        let work = Work::default();
        assert_eq!(work.stuck(true, Instant::now() + 10 * PATIENCE, PATIENCE), None);
        work.asked("cloud", Instant::now());
        work.begins("cloud", Instant::now());
        work.ends("cloud", Instant::now());
        assert_eq!(work.stuck(true, Instant::now() + 10 * PATIENCE, PATIENCE), None);
    }

    #[test]
    fn work_that_nobody_takes_is_noticed_once_the_caches_are_complete() {
        let (work, start) = (Work::default(), Instant::now());
        work.asked("cloud", start);
        work.asked("later", start + 10 * PATIENCE);
        assert_eq!(work.depth(start), 1, "what is due later does not wait");
        assert_eq!(work.stuck(true, start + PATIENCE, PATIENCE), None);
        let late = start + PATIENCE + Duration::from_secs(1);
        assert_eq!(work.stuck(false, late, PATIENCE), None, "nothing may be begun yet");
        assert_eq!(work.stuck(true, late, PATIENCE).unwrap(), "the pass over cloud does not begin");
    }

    #[test]
    fn what_waits_for_its_turn_is_not_stuck() {
        let (work, start) = (Work::default(), Instant::now());
        work.asked("cloud", start);
        let late = start + 3 * PATIENCE;
        // In an outage every pass takes its time, and no more are begun than there may be.
        for number in 0..AT_ONCE {
            work.begins(&format!("other-{number}"), late);
        }
        assert_eq!(work.stuck(true, late + PATIENCE, PATIENCE), None);
        let later = late + PATIENCE;
        work.ends("other-0", later);
        assert_eq!(work.stuck(true, later, PATIENCE), None, "it is about to begin");
        (1..AT_ONCE).for_each(|number| work.goes_on(&format!("other-{number}"), later + PATIENCE));
        let stuck = work.stuck(true, later + PATIENCE + Duration::from_secs(1), PATIENCE).unwrap();
        assert_eq!(stuck, "the pass over cloud does not begin");
    }

    #[test]
    fn a_pass_that_does_not_go_on_is_noticed_and_one_that_waits_for_it_is_not() {
        let work = Work::default();
        work.begins("cloud", Instant::now());
        work.asked("cloud", Instant::now());
        let late = Instant::now() + PATIENCE + Duration::from_secs(1);
        assert_eq!(work.stuck(true, late, PATIENCE).unwrap(), "the pass over cloud does not end");
        work.goes_on("cloud", late);
        assert_eq!(work.stuck(true, late + PATIENCE, PATIENCE), None, "its last call was answered");
    }
}
