//! The Events of a namespace, as a table.

use k8s_openapi::{api::events::v1::Event, jiff::Timestamp};
use kube::{Api, Client, api::ListParams};
use openstack_release_operator::cli::board;

/// Every Event, in order, with the seconds since the first.
pub(super) async fn table(client: Client, namespace: &str) -> anyhow::Result<Vec<String>> {
    let api: Api<Event> = Api::namespaced(client, namespace);
    let mut events = api.list(&ListParams::default()).await?.items;
    events.sort_by_key(time);
    let first = events.first().and_then(time);
    let rows = events.iter().map(|event| {
        let since = first.zip(time(event)).map(|(first, at)| at.duration_since(first).as_secs_f64());
        let regarding = event.regarding.clone().unwrap_or_default();
        vec![
            since.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default(),
            event.type_.clone().unwrap_or_default(),
            event.reason.clone().unwrap_or_default(),
            format!("{}/{}", regarding.kind.unwrap_or_default(), regarding.name.unwrap_or_default()),
            event.note.clone().unwrap_or_default(),
        ]
    });
    Ok(board::table(&["SINCE", "TYPE", "REASON", "OBJECT", "MESSAGE"], rows))
}

fn time(event: &Event) -> Option<Timestamp> {
    let created = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    event.event_time.as_ref().map(|time| time.0).or(created)
}
