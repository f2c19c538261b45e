//! When a report is made that nothing depends on: neither a write follows it, nor does an Event go with it, nor does
//! admission read it.
//!
//! It waits for what comes soon after it, and for passes that act in any namespace. See `hack/adr/0006`.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long after a report, or after a write in any namespace, the next one waits: services that get ready one after the
/// other are one report, and an update does not queue behind what a hundred other clouds have to say.
const FOLD: Duration = Duration::from_secs(1);

/// How long it waits at most for others.
const LONGEST: Duration = Duration::from_secs(5);

/// What the namespaces share.
#[derive(Default)]
pub(super) struct Pace {
    /// When any pass acted last.
    acted: Mutex<Option<Instant>>,
}

impl Pace {
    /// A pass is about to act.
    pub(super) fn acts(&self, now: Instant) {
        *self.acted() = Some(now);
    }

    /// Until when the passes that act come first.
    fn urgent(&self) -> Option<Instant> {
        self.acted().map(|acted| acted + FOLD)
    }

    fn acted(&self) -> MutexGuard<'_, Option<Instant>> {
        self.acted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a namespace remembers from one pass to the next.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Until when reports that can wait do: some time after the last one that came at its own time.
    window: Option<Instant>,
    /// Since when one waits.
    since: Option<Instant>,
}

impl Patience {
    /// Until when a report that can wait does; `None` when it is made now.
    pub(super) fn until(&mut self, pace: &Pace, now: Instant) -> Option<Instant> {
        let latest = *self.since.get_or_insert(now) + LONGEST;
        self.window.max(pace.urgent()).map(|end| end.min(latest)).filter(|end| *end > now)
    }

    /// Nothing waits any more.
    pub(super) fn ends(&mut self) {
        self.since = None;
    }

    /// A report was made: the next one that can wait takes what follows soon with it.
    pub(super) fn reported(&mut self, now: Instant) {
        self.ends();
        self.window = self.window.filter(|end| *end > now).or(Some(now + FOLD));
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.since.is_none() && self.window.is_none_or(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_report_is_made_at_once_and_those_that_follow_are_one() {
        let (pace, mut patience, start) = (Pace::default(), Patience::default(), Instant::now());
        assert_eq!(patience.until(&pace, start), None);
        patience.reported(start);
        let soon = start + FOLD / 2;
        assert_eq!(patience.until(&pace, soon), Some(start + FOLD));
        assert_eq!(patience.until(&pace, start + FOLD), None);
    }

    #[test]
    fn a_report_waits_while_others_act_but_not_for_ever() {
        let (pace, mut patience, start) = (Pace::default(), Patience::default(), Instant::now());
        let mut now = start;
        pace.acts(now);
        while let Some(end) = patience.until(&pace, now) {
            assert!(end <= start + LONGEST);
            now = end;
            pace.acts(now);
        }
        assert_eq!(now, start + LONGEST);
    }
}
