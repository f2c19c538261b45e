//! A watch that is tried again when it has failed, the later the more often it has.

use std::{pin::Pin, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::{Stream, StreamExt};
use kube::runtime::watcher;
use tokio::time::{Instant, sleep_until};

/// The first pause, and the longest one. Chance may double each: many watches that failed together are not to come back
/// together.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(800))
    .with_max_delay(Duration::from_secs(10))
    .without_max_times()
    .with_jitter();

/// A watch with pauses. kube's own take the beginning of a list for a success: one that fails each time would be tried
/// every second for ever.
pub(super) struct Retried<K> {
    events: Pin<Box<dyn Stream<Item = watcher::Result<watcher::Event<K>>> + Send>>,
    pauses: ExponentialBackoff,
    next: Instant,
    failing: bool,
}

impl<K> Retried<K> {
    pub(super) fn new(events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static) -> Self {
        Self { events: Box::pin(events), pauses: PAUSES.build(), next: Instant::now(), failing: false }
    }

    /// The next event or error. May be given up and called again.
    pub(super) async fn next(&mut self) -> Option<watcher::Result<watcher::Event<K>>> {
        sleep_until(self.next).await;
        let event = self.events.next().await;
        self.hears(event.as_ref());
        event
    }

    fn hears(&mut self, event: Option<&watcher::Result<watcher::Event<K>>>) {
        match event {
            Some(Err(_)) => {
                self.failing = true;
                self.next = Instant::now() + self.pauses.next().unwrap_or_default();
            }
            // It only begins; the next page may fail.
            Some(Ok(watcher::Event::Init | watcher::Event::InitApply(_))) | None => {}
            Some(Ok(_)) => self.works(),
        }
    }

    /// Whether it has not gone on since it failed.
    pub(super) fn failing(&self) -> bool {
        self.failing
    }

    /// How long it pauses from now on, before it tries again.
    pub(super) fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// It has gone on: the next failure is a first one.
    pub(super) fn works(&mut self) {
        self.failing = false;
        self.pauses = PAUSES.build();
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use watcher::Event::{Apply, Init, InitApply};

    use super::*;

    fn fails(watch: &mut Retried<()>) -> f64 {
        watch.hears(Some(&Err(watcher::Error::NoResourceVersion)));
        watch.pause().as_secs_f64()
    }

    #[test]
    fn a_list_that_never_ends_well_is_tried_less_and_less() {
        let mut watch = Retried::new(stream::empty());
        let pauses: Vec<f64> = (0..20)
            .map(|_| {
                watch.hears(Some(&Ok(Init)));
                watch.hears(Some(&Ok(InitApply(()))));
                fails(&mut watch)
            })
            .collect();
        assert!((0.7..1.6).contains(&pauses[0]), "{pauses:?}");
        assert!(pauses[5..].iter().all(|pause| (9.9..=20.0).contains(pause)), "{pauses:?}");
    }

    #[test]
    fn one_that_has_gone_on_is_tried_again_soon() {
        let mut watch = Retried::new(stream::empty());
        (0..20).for_each(|_| assert!(fails(&mut watch) > 0.0));
        watch.hears(Some(&Ok(Apply(()))));
        let pause = fails(&mut watch);
        assert!(pause < 1.6, "{pause}");
    }
}
