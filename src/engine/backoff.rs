//! Writes that failed: not tried again before their time, and never forgotten until they succeed.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::Failures;

/// The first delay.
const FIRST: Duration = Duration::from_millis(250);

/// The longest delay.
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Failure {
    attempts: u32,
    not_before: Instant,
    error: String,
}

/// The failed writes of one namespace, by `Kind/name`.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failed: HashMap<String, Failure>,
}

impl Backoff {
    /// Whether the write may be tried now.
    pub(super) fn may_try(&self, key: &str, now: Instant) -> bool {
        self.failed.get(key).is_none_or(|failure| failure.not_before <= now)
    }

    /// Notes a failure; tells whether its error is news.
    pub(super) fn failed(&mut self, key: &str, error: String, now: Instant) -> bool {
        let known = self.failed.get(key);
        let attempts = known.map_or(0, |failure| failure.attempts.saturating_add(1));
        let news = known.is_none_or(|failure| failure.error != error);
        let delay = FIRST.saturating_mul(1 << attempts.min(16)).min(LONGEST);
        self.failed.insert(key.to_owned(), Failure { attempts, not_before: now + delay, error });
        news
    }

    /// Notes a success; tells whether there was a failure.
    pub(super) fn succeeded(&mut self, key: &str) -> bool {
        self.failed.remove(key).is_some()
    }

    /// Forgets failures of writes that are no longer wanted; tells whether there were any.
    pub(super) fn retain(&mut self, wanted: impl Fn(&str) -> bool) -> bool {
        let before = self.failed.len();
        self.failed.retain(|key, _| wanted(key));
        self.failed.len() != before
    }

    /// The last errors.
    pub(super) fn errors(&self) -> Failures {
        self.failed.iter().map(|(key, failure)| (key.clone(), failure.error.clone())).collect()
    }

    /// When the next write may be tried again that might not be before. One that might and was not waits for something
    /// else: for a report, or for its turn to come.
    pub(super) fn next(&self, before: Instant) -> Option<Instant> {
        self.failed.values().map(|failure| failure.not_before).filter(|time| *time > before).min()
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_end_with_a_success() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        assert!(backoff.failed("Glance/glance", "forbidden".to_owned(), start));
        assert!(!backoff.failed("Glance/glance", "forbidden".to_owned(), start), "the same error is no news");
        assert!(!backoff.may_try("Glance/glance", start + FIRST));
        assert!(backoff.may_try("Glance/glance", start + 2 * FIRST));
        assert!(backoff.may_try("Nova/nova", start), "others are not affected");
        for _ in 0..40 {
            backoff.failed("Glance/glance", "forbidden".to_owned(), start);
        }
        assert_eq!(backoff.next(start), Some(start + LONGEST));
        assert_eq!(backoff.next(start + LONGEST), None, "what is due and waits for something else wakes nobody");
        assert_eq!(backoff.errors().get("Glance/glance").map(String::as_str), Some("forbidden"));
        assert!(backoff.succeeded("Glance/glance"));
        assert!(backoff.is_empty());
    }
}
