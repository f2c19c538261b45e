//! Kubernetes Events, published in order beside the passes: never a reason for a pass to fail or to wait.

use api::DynamicObject;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::Notice;
use crate::client::DEADLINE;

/// Takes the events of all passes.
#[derive(Clone)]
pub(super) struct Events {
    sender: mpsc::UnboundedSender<Notice>,
}

impl Events {
    /// Starts the publisher. The task ends when every clone of the sender is gone and all is published.
    pub(super) fn start(client: Client, instance: String) -> (Self, JoinHandle<()>) {
        let (sender, mut notices) = mpsc::unbounded_channel::<Notice>();
        let reporter = Reporter { controller: "openstack-release-operator".to_owned(), instance: Some(instance) };
        let recorder = Recorder::new(client, reporter);
        let task = tokio::spawn(async move {
            while let Some(notice) = notices.recv().await {
                let reference = reference(&notice.about);
                match tokio::time::timeout(DEADLINE, recorder.publish(&notice.event, &reference)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%error, reason = notice.event.reason, "event not published"),
                    Err(_) => tracing::warn!(reason = notice.event.reason, "event not published in time"),
                }
            }
        });
        (Self { sender }, task)
    }

    /// Publishes, after what was given before.
    pub(super) fn publish(&self, notices: Vec<Notice>) {
        for notice in notices {
            let _ = self.sender.send(notice);
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
