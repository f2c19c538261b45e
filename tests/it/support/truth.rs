//! Whether the root objects say the truth, in every state in which anybody could have seen them.

use std::collections::BTreeMap;

use api::{
    condition::{self, Condition, Status},
    step::MINOR_UPDATE,
    version::{OpenStackVersionStatus, UpdateStatus},
};
use serde_json::Value;

use super::{Frame, versions};

/// Asserts that every state of the root objects in the record is true: `MinorUpdateAvailable` is there and True only when
/// something newer than the deployed version is available, `Ready` is True only when everything is done, the conditions
/// of the steps are those of the running update, and what is deployed is not forgotten. Answers how many states there
/// were.
#[track_caller]
pub fn assert_truthful(frames: &[Frame]) -> usize {
    let (mut seen, mut deployed) = (0, false);
    for frame in frames.iter().filter(|frame| frame.kind == "OpenStackVersion") {
        let status: OpenStackVersionStatus = status_of(frame);
        // Just created: nothing is said yet.
        if status.conditions.is_empty() {
            continue;
        }
        seen += 1;
        assert!(!deployed || status.deployed_version.is_some(), "what is deployed was forgotten: {status:#?}");
        deployed |= status.deployed_version.is_some();
        available_is_newer(&status);
        ready_is_done(frame, &status);
        steps_are_those_of_the_update(&status);
    }
    for (at, frame) in frames.iter().enumerate().filter(|(_, frame)| frame.kind == "OpenStackControlPlane") {
        seen += 1;
        control_plane_is_true(frame, &frames[..at]);
    }
    seen
}

fn status_of<S: serde::de::DeserializeOwned + Default>(frame: &Frame) -> S {
    let status = &frame.object["status"];
    if status.is_null() { S::default() } else { serde_json::from_value(status.clone()).unwrap() }
}

/// Version numbers, read without the product's own reader.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap()).collect()
}

fn status_is(conditions: &[Condition], type_: &str, status: Status) -> bool {
    condition::find(conditions, type_).is_some_and(|condition| condition.status == status)
}

#[track_caller]
fn available_is_newer(status: &OpenStackVersionStatus) {
    let newer = match (&status.deployed_version, &status.available_version) {
        (Some(deployed), Some(available)) => numbers(available) > numbers(deployed),
        _ => false,
    };
    let wanted = if newer { Status::True } else { Status::False };
    assert!(status_is(&status.conditions, "MinorUpdateAvailable", wanted), "not {wanted}: {status:#?}");
}

/// `Ready` is True only when nothing is left to do.
#[track_caller]
fn ready_is_done(frame: &Frame, status: &OpenStackVersionStatus) {
    if !status_is(&status.conditions, "Ready", Status::True) {
        return;
    }
    assert!(status.update.is_none() && status.deployed_version.is_some(), "Ready too early: {status:#?}");
    let current = frame.object["metadata"]["generation"] == frame.object["status"]["observedGeneration"];
    let target = frame.object["spec"]["targetVersion"].as_str().unwrap_or_default();
    // Right after its creation the object has no target yet.
    if current && !target.is_empty() {
        assert_eq!(Some(target), status.deployed_version.as_deref(), "Ready with another target: {status:#?}");
    }
}

/// A step's condition is there while an update runs, and True when the step is finished.
#[track_caller]
fn steps_are_those_of_the_update(status: &OpenStackVersionStatus) {
    for row in MINOR_UPDATE {
        let found = condition::find(&status.conditions, row.condition);
        let step =
            status.update.iter().flat_map(|update: &UpdateStatus| &update.steps).find(|step| step.name == row.name);
        let wanted = step.map(|step| step.state.is_finished());
        assert_eq!(found.map(|found| found.status == Status::True), wanted, "{}: {status:#?}", row.condition);
    }
    if let Some(update) = &status.update {
        assert!(status_is(&status.conditions, "Ready", Status::False), "Ready in an update: {status:#?}");
        assert_eq!(status.deployed_version.as_ref(), Some(&update.from), "deployed before the last step");
    }
}

/// `Ready` comes with the first deployed version, and a version of OVN is named only when its controller was ready with it.
#[track_caller]
fn control_plane_is_true(frame: &Frame, before: &[Frame]) {
    let status: BTreeMap<String, Value> = status_of(frame);
    let text = |field: &str| status.get(field).and_then(Value::as_str);
    let conditions: Vec<Condition> =
        status.get("conditions").map(|all| serde_json::from_value(all.clone()).unwrap()).unwrap_or_default();
    assert!(
        !status_is(&conditions, "Ready", Status::True) || text("deployedVersion").is_some(),
        "Ready, and nothing is deployed yet: {status:#?}"
    );
    let Some(ovn) = text("deployedOVNVersion") else { return };
    let ready = |earlier: &&Frame| {
        earlier.kind == "OVNController" && earlier.is_ready() && versions(&earlier.object).contains(ovn)
    };
    let known = before.iter().any(|earlier| earlier.kind == "OVNController");
    assert!(!known || before.iter().any(|earlier| ready(&earlier)), "OVN {ovn} is not deployed yet: {status:#?}");
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn frame(kind: &str, status: Value) -> Frame {
        let object = json!({"metadata": {"generation": 1}, "spec": {"targetVersion": "1.0.0"}, "status": status});
        Frame { version: 0, kind: kind.to_owned(), name: "x".to_owned(), object }
    }

    fn said(conditions: &[(&str, &str)]) -> Value {
        let one = |(type_, status): &(&str, &str)| json!({"type": type_, "status": status, "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        conditions.iter().map(one).collect()
    }

    /// A version at rest, with one field changed.
    fn version(field: &str, value: Value) -> Frame {
        let mut status = json!({
            "observedGeneration": 1, "deployedVersion": "1.0.0", "availableVersion": "1.0.1",
            "conditions": said(&[("Ready", "True"), ("MinorUpdateAvailable", "True")]),
        });
        status[field] = value;
        frame("OpenStackVersion", status)
    }

    fn updating() -> Value {
        let step = json!({"name": "keystone", "state": "Running"});
        json!({"from": "1.0.0", "to": "1.0.1", "imageSetHash": "", "startedAt": "2026-01-01T00:00:00Z", "steps": [step]})
    }

    #[test]
    fn what_is_true_passes() {
        let told = said(&[("Ready", "False"), ("MinorUpdateAvailable", "True"), ("MinorUpdateKeystone", "False")]);
        let mut update = version("conditions", told);
        update.object["status"]["update"] = updating();
        let plane = frame(
            "OpenStackControlPlane",
            json!({"deployedVersion": "1.0.0", "conditions": said(&[("Ready", "True")])}),
        );
        assert_eq!(assert_truthful(&[version("x", Value::Null), update, plane]), 3);
    }

    #[rstest]
    #[case::an_older_version_is_available("availableVersion", json!("0.9.9"))]
    #[case::the_same_version_is_available("availableVersion", json!("1.0.0"))]
    #[case::available_is_not_said("conditions", said(&[("Ready", "True")]))]
    #[case::nothing_is_deployed("deployedVersion", Value::Null)]
    #[case::an_update_runs("update", updating())]
    #[case::another_version_is_deployed("deployedVersion", json!("0.9.9"))]
    #[case::a_step_without_an_update("conditions", said(&[("MinorUpdateAvailable", "True"), ("MinorUpdateKeystone", "True")]))]
    #[should_panic(expected = "OpenStackVersionStatus")]
    fn what_is_false_is_seen(#[case] field: &str, #[case] value: Value) {
        assert_truthful(&[version(field, value)]);
    }

    #[rstest]
    #[case::ready_too_early(json!({"conditions": said(&[("Ready", "True")])}))]
    #[case::ovn_too_early(json!({"deployedOVNVersion": "1.0.1"}))]
    #[should_panic(expected = "yet")]
    fn a_control_plane_that_is_ahead_is_seen(#[case] status: Value) {
        let controller = frame("OVNController", json!({}));
        assert_truthful(&[controller, frame("OpenStackControlPlane", status)]);
    }

    #[test]
    #[should_panic(expected = "forgotten")]
    fn what_was_deployed_and_is_not_any_more_is_seen() {
        let told = said(&[("Ready", "False"), ("MinorUpdateAvailable", "False")]);
        let mut lost = version("conditions", told);
        lost.object["status"]["deployedVersion"] = Value::Null;
        assert_truthful(&[version("x", Value::Null), lost]);
    }
}
