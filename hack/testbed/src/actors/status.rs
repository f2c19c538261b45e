//! What a scripted service says: the status that the checks of its row ask for.

use api::service::{Body, Check, Place, SERVICES, Service, Source};
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

/// What an actor shall say about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// That it is ready.
    Ready,
    /// That it is not, and why.
    Failed(String),
}

/// Whether the status does not speak of the spec yet.
pub(super) fn is_behind(object: &DynamicObject) -> bool {
    let status = object.data.get("status");
    let observed = status.and_then(|status| status.get("observedGeneration")).and_then(Value::as_i64);
    let ready = status.is_some_and(|status| previous(status, "Ready").is_some());
    observed != object.metadata.generation || !ready
}

/// The status of a service object.
pub(super) fn service(kind: &str, object: &DynamicObject, wish: &Wish) -> Value {
    let mut status = Map::new();
    let mut wanted = vec!["Ready"];
    for row in SERVICES.iter().filter(|row| row.kind.kind == kind) {
        if let Ok(Value::Object(required)) = serde_json::from_str(row.required_status) {
            status.extend(required);
        }
        for check in row.ready {
            match *check {
                Check::Observed => {}
                Check::Condition(type_) => wanted.push(type_),
                Check::StatusEmpty(field) => set(&mut status, field, Value::Null),
                Check::StatusFollowsSpec { status: field, spec } => {
                    set(&mut status, field, spec_value(object, spec).cloned().unwrap_or_default());
                }
                Check::StatusHasImage { status: field, spec } => {
                    let image = spec_value(object, spec).and_then(joined);
                    set(&mut status, field, image.map(Value::from).unwrap_or_default());
                }
            }
        }
    }
    wanted.dedup();
    status.insert("observedGeneration".into(), json!(object.metadata.generation));
    status.insert("conditions".into(), conditions(object, &wanted, wish));
    if *wish != Wish::Ready {
        // A service that failed is not installed: what says otherwise keeps its value.
        status.retain(|field, value| field == "observedGeneration" || field == "conditions" || value.is_boolean());
    }
    Value::Object(status)
}

/// The status of a nodeset. As with the real one, `Ready` needs a deployment.
pub(super) fn node_set(object: &DynamicObject, wish: &Wish) -> Value {
    let deployments = object.data.pointer("/status/deploymentStatuses").and_then(Value::as_object);
    let deployed = deployments.is_some_and(|deployments| !deployments.is_empty());
    let mut conditions = conditions(object, &["Ready", "SetupReady", "DeploymentReady"], wish);
    if !deployed && *wish == Wish::Ready {
        for condition in conditions.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            if condition.get("type") != Some(&json!("SetupReady")) {
                condition.insert("status".into(), json!("False"));
                condition.insert("reason".into(), json!("Requested"));
                condition.insert("message".into(), json!("Deployment not started"));
            }
        }
    }
    json!({"observedGeneration": object.metadata.generation, "conditions": conditions})
}

/// Conditions of these types, in this order; those that keep their status keep their time.
pub(super) fn conditions(object: &DynamicObject, types: &[&str], wish: &Wish) -> Value {
    let (status, reason, severity, message) = match wish {
        Wish::Ready => ("True", "Ready", "", "Setup complete"),
        Wish::Failed(message) => ("False", "Error", "Error", message.as_str()),
    };
    let old = object.data.get("status").unwrap_or(&Value::Null);
    let condition = |type_: &&str| {
        let kept = previous(old, type_).filter(|old| old.get("status").and_then(Value::as_str) == Some(status));
        let since = kept.and_then(|old| old.get("lastTransitionTime")).cloned();
        json!({
            "type": type_,
            "status": status,
            "severity": severity,
            "reason": reason,
            "message": message,
            "lastTransitionTime": since.unwrap_or_else(|| json!(now())),
        })
    };
    types.iter().map(condition).collect()
}

/// The present, in whole seconds as Kubernetes writes it.
pub(super) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The images in the spec of an object, by path.
pub(super) fn images(kind: &str, object: &DynamicObject) -> Vec<(String, String)> {
    let row = SERVICES.iter().find(|row| row.kind.kind == kind);
    row.map(|row| images_of(row, object)).unwrap_or_default()
}

fn images_of(row: &Service, object: &DynamicObject) -> Vec<(String, String)> {
    let body = match row.body {
        Body::Spec => object.data.get("spec"),
        Body::Data => object.data.get("data"),
    };
    let Some(body) = body else { return Vec::new() };
    let mut images = Vec::new();
    for slot in row.slots.iter().filter(|slot| slot.source.is_image()) {
        let text = |value: &Value| match slot.source {
            Source::ImageParts(_) => joined(value),
            _ => value.as_str().map(str::to_owned),
        };
        match slot.place {
            Place::Path(path) => {
                images.extend(at(body, path).and_then(text).map(|image| (path.to_owned(), image)));
            }
            Place::EachEntry { map, leaf } => {
                for (entry, value) in at(body, map).and_then(Value::as_object).into_iter().flatten() {
                    let image = at(value, leaf).and_then(text);
                    images.extend(image.map(|image| (format!("{map}.{entry}.{leaf}"), image)));
                }
            }
            Place::Annotation(_) => {}
        }
    }
    images
}

/// Whether `status` says all that `patch` would.
pub(super) fn includes(status: Option<&Value>, patch: &Value) -> bool {
    match (status, patch) {
        (None, Value::Null) => true,
        (Some(Value::Object(status)), Value::Object(patch)) => {
            patch.iter().all(|(field, value)| includes(status.get(field), value))
        }
        (status, patch) => status == Some(patch),
    }
}

/// Joins an image that is given in parts.
fn joined(parts: &Value) -> Option<String> {
    let part = |name: &str| parts.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let repository = part("repository")?;
    Some(match (part("tag"), part("digest")) {
        (_, Some(digest)) => format!("{repository}@{digest}"),
        (Some(tag), None) => format!("{repository}:{tag}"),
        (None, None) => repository.to_owned(),
    })
}

fn previous<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = status.get("conditions")?.as_array()?;
    conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(type_))
}

fn spec_value<'a>(object: &'a DynamicObject, path: &str) -> Option<&'a Value> {
    at(object.data.get("spec")?, path)
}

/// The value at a dotted path.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, field| value.get(field))
}

/// Sets the value at a dotted path, creating the parents.
fn set(fields: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            fields.insert(path.to_owned(), value);
        }
        Some((head, rest)) => {
            let child = fields.entry(head).or_insert_with(|| json!({}));
            if let Some(child) = child.as_object_mut() {
                set(child, rest, value);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use api::dataplane;

    use super::*;

    fn object(kind: &str, spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "generation": 3}, "spec": spec,
        }))
        .unwrap()
    }

    /// The checks of every row, judged from the status that the actor writes.
    #[test]
    fn every_row_is_satisfied_by_its_actor() {
        for row in SERVICES.iter().filter(|row| !row.ready.is_empty()) {
            let mut spec = json!({});
            for check in row.ready {
                if let Check::StatusFollowsSpec { spec: field, .. } = check {
                    set(spec.as_object_mut().unwrap(), field, json!("4.2"));
                }
                if let Check::StatusHasImage { spec: field, .. } = check {
                    set(spec.as_object_mut().unwrap(), field, json!({"repository": "r/i", "tag": "1"}));
                }
            }
            let mut object = object(row.kind.kind, &spec);
            assert!(is_behind(&object));
            let status = service(row.kind.kind, &object, &Wish::Ready);
            assert_eq!(status["observedGeneration"], 3);
            for check in row.ready {
                match check {
                    Check::Condition(type_) => assert_eq!(previous(&status, type_).unwrap()["status"], "True"),
                    Check::StatusFollowsSpec { status: field, .. } => assert_eq!(at(&status, field).unwrap(), "4.2"),
                    Check::StatusHasImage { status: field, .. } => assert_eq!(at(&status, field).unwrap(), "r/i:1"),
                    Check::StatusEmpty(field) => assert!(at(&status, field).unwrap().is_null()),
                    Check::Observed => {}
                }
            }
            object.data["status"] = status.clone();
            assert!(!is_behind(&object) && includes(object.data.get("status"), &status));
        }
    }

    #[test]
    fn a_failure_says_so_and_keeps_the_time_of_what_did_not_change() {
        let mut failed = object("Glance", &json!({}));
        failed.data["status"] = service("Glance", &failed, &Wish::Failed("no disk".to_owned()));
        let condition = previous(&failed.data["status"], "Ready").unwrap();
        assert_eq!((condition["status"].as_str(), condition["message"].as_str()), (Some("False"), Some("no disk")));
        failed.data["status"]["conditions"][0]["lastTransitionTime"] = json!("2020-01-01T00:00:00Z");
        let again = service("Glance", &failed, &Wish::Failed("still".to_owned()));
        assert_eq!(previous(&again, "Ready").unwrap()["lastTransitionTime"], "2020-01-01T00:00:00Z");
    }

    #[test]
    fn images_are_found_where_the_row_puts_them() {
        let cinder = object(
            "Cinder",
            &json!({"cinderAPI": {"containerImage": "a"}, "cinderVolumes": {"pure": {"containerImage": "p"}, "x": {}}}),
        );
        let found = images("Cinder", &cinder);
        assert_eq!(
            found,
            [
                ("cinderAPI.containerImage".to_owned(), "a".to_owned()),
                ("cinderVolumes.pure.containerImage".to_owned(), "p".to_owned())
            ]
        );
        let node_set = object(dataplane::NODE_SET.kind, &json!({}));
        assert!(images(dataplane::NODE_SET.kind, &node_set).is_empty());
    }
}
