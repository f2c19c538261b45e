//! What every controller does with objects: read them as values, and say what changed.

use api::{DynamicObject, service::Kind};
use kube::runtime::events::{Event, EventType};
use plan::release::{Meta, Objects, Root};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::engine::{Cache, Seen, Status, Urgency};

/// What the cache knows of a kind in a namespace.
pub(super) fn objects(cache: &Cache, kind: &Kind, namespace: &str) -> Objects {
    match cache.seen(kind) {
        Seen::Synced => Objects::Known(cache.objects(kind, namespace)),
        Seen::Absent => Objects::Absent,
        Seen::Unreadable(reason) => Objects::Unreadable(reason),
        Seen::Pending => Objects::Unreadable("its watch has not answered yet".to_owned()),
    }
}

/// The metadata that plans need.
pub(super) fn meta(object: &DynamicObject) -> Meta {
    let metadata = object.metadata.clone();
    Meta {
        name: metadata.name.unwrap_or_default(),
        uid: metadata.uid.unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        resource_version: metadata.resource_version.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
        owners: metadata.owner_references.unwrap_or_default().into_iter().map(|owner| owner.uid).collect(),
        deleting: metadata.deletion_timestamp.is_some(),
        finalizers: metadata.finalizers.unwrap_or_default(),
    }
}

/// A spec that does not parse says so.
pub(super) fn root<S: DeserializeOwned + Default, T: DeserializeOwned + Default>(object: &DynamicObject) -> Root<S, T> {
    let spec = match object.data.get("spec") {
        None | Some(Value::Null) => Ok(S::default()),
        Some(spec) => {
            serde_path_to_error::deserialize(spec).map_err(|error| format!("spec.{}: {}", error.path(), error.inner()))
        }
    };
    Root { meta: meta(object), spec, status: status(object) }
}

/// A status that does not parse counts as empty: it is only a report.
pub(crate) fn status<T: DeserializeOwned + Default>(object: &DynamicObject) -> T {
    object.data.get("status").and_then(|status| T::deserialize(status).ok()).unwrap_or_default()
}

/// A status is written only when it says something new.
pub(super) fn status_write<T: Serialize + PartialEq>(kind: Kind, meta: &Meta, before: &T, after: &T) -> Option<Status> {
    if before == after {
        return None;
    }
    Some(Status {
        kind,
        name: meta.name.clone(),
        resource_version: meta.resource_version.clone(),
        status: serde_json::to_value(after).unwrap_or_default(),
        urgency: Urgency::default(),
        events: Vec::new(),
    })
}

/// An Event, to be published with a status.
pub(super) fn event(warning: bool, reason: String, message: String) -> Event {
    Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason,
        note: Some(shortened(message)),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

/// The API server takes at most 1024 bytes.
fn shortened(mut text: String) -> String {
    const LONGEST: usize = 1000;
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push_str("...");
    }
    text
}
