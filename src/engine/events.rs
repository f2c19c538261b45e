//! Kubernetes Events, published in order beside the passes: never a reason for a pass to fail or to wait.

use api::DynamicObject;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, Recorder, Reporter},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::client::Deadlines;

/// Takes the events of all passes.
#[derive(Clone)]
pub(super) struct Events {
    sender: mpsc::UnboundedSender<(ObjectReference, Event)>,
}

impl Events {
    /// Starts the publisher. The task ends when every clone of the sender is gone and all is published.
    pub(super) fn start(client: Client, instance: String) -> (Self, JoinHandle<()>) {
        let (sender, mut notices) = mpsc::unbounded_channel::<(ObjectReference, Event)>();
        let reporter = Reporter { controller: "openstack-release-operator".to_owned(), instance: Some(instance) };
        let task = tokio::spawn(async move {
            while let Some((about, event)) = notices.recv().await {
                // One recorder for each event: one that lives on takes two events of the same reason from one pass for a
                // repetition, and the text of the second is lost.
                let recorder = Recorder::new(client.clone(), reporter.clone());
                match tokio::time::timeout(Deadlines::get().call, recorder.publish(&event, &about)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%error, reason = event.reason, "event not published"),
                    Err(_) => tracing::warn!(reason = event.reason, "event not published in time"),
                }
            }
        });
        (Self { sender }, task)
    }

    /// Publishes events about an object, after what was given before.
    pub(super) fn publish(&self, about: &DynamicObject, events: Vec<Event>) {
        for event in events {
            let _ = self.sender.send((reference(about), event));
        }
    }
}

fn reference(object: &DynamicObject) -> ObjectReference {
    let (types, metadata) = (object.types.as_ref(), &object.metadata);
    ObjectReference {
        api_version: types.map(|types| types.api_version.clone()),
        kind: types.map(|types| types.kind.clone()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}
