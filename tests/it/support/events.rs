//! The Events that the operator published.

use std::pin::pin;

use futures::StreamExt;
use k8s_openapi::{api::events::v1::Event, jiff::Timestamp};
use kube::{
    Api,
    api::ListParams,
    runtime::{WatchStreamExt, watcher},
};

use super::{Cloud, SOON};

impl Cloud {
    /// Reason and note of every Event, oldest first.
    pub async fn events(&self) -> Vec<(String, String)> {
        let mut events = self.event_api().list(&ListParams::default()).await.unwrap().items;
        events.sort_by_key(time);
        events.into_iter().map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect()
    }

    /// Waits for an Event. They are published beside the passes, in order: what comes first is there, too.
    pub async fn event(&self, reason: &str, text: &str) -> Event {
        let holds = |event: &Event| {
            event.reason.as_deref() == Some(reason) && event.note.as_ref().is_some_and(|note| note.contains(text))
        };
        let found = tokio::time::timeout(SOON, async {
            let mut events = pin!(watcher(self.event_api(), watcher::Config::default()).applied_objects());
            while let Some(event) = events.next().await {
                if let Some(event) = event.ok().filter(holds) {
                    return Some(event);
                }
            }
            None
        });
        let found = found.await.ok().flatten();
        found.unwrap_or_else(|| panic!("no Event {reason} with \"{text}\"\n{}", self.operator.log_tail(40)))
    }

    fn event_api(&self) -> Api<Event> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

fn time(event: &Event) -> Option<Timestamp> {
    event.event_time.as_ref().map(|time| time.0)
}
