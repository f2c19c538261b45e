//! The view of every state: what it says, and what it says to do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod board;
mod to_do;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn object(kind: &str, name: &str, rest: &Value) -> Arc<DynamicObject> {
    let mut object = json!({
        "apiVersion": "core.openstack.org/v1beta1",
        "kind": kind,
        "metadata": {"namespace": "ns", "name": name, "generation": 2, "creationTimestamp": "2026-11-21T10:00:00Z"},
    });
    merge(&mut object, rest);
    Arc::new(serde_json::from_value(object).unwrap())
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (field, value) in from {
                merge(into.entry(field).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn condition(type_: &str, status: &str, severity: &str, reason: &str) -> Value {
    let message = format!("about {type_}");
    json!({"type": type_, "status": status, "severity": severity, "reason": reason, "message": message,
           "lastTransitionTime": "2026-11-21T10:00:00Z"})
}

/// A cloud that has 1.0.0 and is offered 1.0.1.
fn steady() -> Value {
    json!({
        "spec": {"targetVersion": "1.0.0"},
        "status": {
            "observedGeneration": 2,
            "deployedVersion": "1.0.0",
            "availableVersion": "1.0.1",
            "conditions": [
                condition("Ready", "True", "", "Ready"),
                condition("MinorUpdateAvailable", "True", "", "Ready"),
            ],
        },
    })
}

/// An update to 1.0.1 whose step is in that state.
fn updating(step: &str, state: &str, rest: &Value) -> Value {
    let mut at = json!({"name": step, "state": state, "startedAt": "2026-11-21T10:01:00Z", "message": "for something"});
    merge(&mut at, rest);
    let mut cloud = steady();
    let update = json!({
        "from": "1.0.0", "to": "1.0.1", "imageSetHash": "h", "startedAt": "2026-11-21T10:00:30Z", "step": step,
        "revertible": true,
        "steps": [{"name": "ovn-controlplane", "state": "Done", "finishedAt": "2026-11-21T10:01:00Z"}, at],
    });
    merge(&mut cloud, &json!({"spec": {"targetVersion": "1.0.1"}, "status": {"update": update}}));
    cloud["status"]["conditions"][0] = condition("Ready", "False", "Info", "Requested");
    cloud
}

fn objects(version: &Value) -> Objects {
    Objects {
        versions: vec![object("OpenStackVersion", "openstack", version)],
        control_planes: vec![object("OpenStackControlPlane", "openstack", &json!({}))],
        ..Objects::default()
    }
}

fn view(objects: &Objects) -> View {
    View::of("ns", objects, "").unwrap()
}

fn with(mut version: Value, change: &Value) -> Value {
    merge(&mut version, change);
    version
}

/// What is to be done, with the first lines of the commands.
fn next(view: &View) -> Vec<String> {
    let first = |next: &Next| {
        let command = next.command.as_deref().unwrap_or("-").lines().next().unwrap_or_default().to_owned();
        format!("{}: {command}", next.action)
    };
    view.next.iter().map(first).collect()
}

#[rstest]
#[case::ready(steady(), State::Ready, &["Update: kubectl openstack update 1.0.1 -n ns"])]
#[case::running(updating("keystone", "Running", &json!({})), State::Updating, &[])]
#[case::pending(updating("keystone", "Pending", &json!({})), State::Updating, &[])]
#[case::stalled(updating("keystone", "Stalled", &json!({})), State::Stalled, &[])]
#[case::held(
    with(updating("keystone", "Held", &json!({})), &json!({"spec": {"update": {"holdAfter": "memcached"}}})),
    State::Held,
    &["Resume: kubectl openstack resume -n ns"]
)]
#[case::paused(
    with(updating("keystone", "Held", &json!({})), &json!({"spec": {"update": {"paused": true}}})),
    State::Paused,
    &["Resume: kubectl openstack resume -n ns"]
)]
#[case::missing_image(updating("controlplane", "Waiting", &json!({})), State::Waiting, &["Correct: -"])]
#[case::nodesets(
    updating("ovn-dataplane", "Waiting", &json!({"nodeSets": ["a", "b"]})),
    State::Waiting,
    &["Deploy: kubectl -n ns create -f - <<EOF"]
)]
#[case::all_steps_done(updating("dataplane", "Done", &json!({})), State::Updating, &[])]
#[case::not_observed(
    with(steady(), &json!({"metadata": {"generation": 3}, "spec": {"targetVersion": "1.0.1"}})),
    State::Unreported,
    &["CheckOperator: kubectl -n openstack-operators get deployment,pods"]
)]
#[case::no_status(
    json!({"spec": {}}),
    State::Unreported,
    &["CheckOperator: kubectl -n openstack-operators get deployment,pods"]
)]
#[case::installing(
    json!({"status": {"observedGeneration": 2, "availableVersion": "1.0.0",
                      "conditions": [condition("Ready", "False", "Info", "Requested")]}}),
    State::Installing,
    &[]
)]
#[case::no_control_plane(
    json!({"status": {"observedGeneration": 2, "availableVersion": "1.0.0",
                      "conditions": [condition("Ready", "False", "Info", "NotFound")]}}),
    State::Empty,
    &["CreateControlPlane: -"]
)]
fn every_state_is_told_with_what_to_do(#[case] version: Value, #[case] state: State, #[case] todo: &[&str]) {
    let view = view(&objects(&version));
    assert_eq!((view.state, next(&view).as_slice()), (state, todo.map_owned().as_slice()));
    assert_eq!(view.is_done(), state == State::Ready);
    let urgent = matches!(state, State::Waiting | State::Held | State::Paused | State::Empty);
    assert_eq!(view.needs_a_person(), urgent);
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

/// A cloud with another condition.
fn said(mut version: Value, said: Value) -> Value {
    version["status"]["conditions"].as_array_mut().unwrap().push(said);
    version
}

#[test]
fn a_keystone_shows_its_phase_its_keys_and_how_to_go_on() {
    let mut objects = objects(&updating("keystone", "Running", &json!({})));
    let status = json!({
        "installedRelease": "2025.2", "targetRelease": "2026.1", "upgradePhase": "RollingUpdate",
        "conditions": [condition("Available", "True", "", "Ready"), condition("Ready", "False", "Info", "Requested")],
        "upgrade": {"step": "Verifying", "attempt": 2, "startedAt": "2026-11-21T10:02:00Z",
                    "stepStartedAt": "2026-11-21T10:03:00Z", "message": "a token"},
        "keys": [{"name": "fernet", "set": "s", "count": 3, "primary": 2, "since": "2026-11-21T10:00:00Z", "lagging": ["p"]}],
    });
    objects.keystones = vec![object("Keystone", "keystone", &json!({"status": status}))];
    let shown = view(&objects);
    let keystone = &shown.keystone[0];
    assert_eq!((keystone.phase.as_deref(), keystone.step.as_deref()), (Some("RollingUpdate"), Some("Verifying")));
    assert_eq!((keystone.releases().as_str(), keystone.attempt), ("2025.2 -> 2026.1", Some(2)));
    assert_eq!((keystone.available, keystone.ready), (true, false));
    assert_eq!(keystone.keys[0].lagging, ["p"]);
    assert_eq!(next(&shown), Vec::<String>::new());

    let failure = json!({"reason": "JobFailed", "message": "Job/x: why", "at": "2026-11-21T10:03:00Z"});
    let rejected =
        json!({"at": "2026-11-21T10:03:00Z", "version": "1", "problem": "Name", "message": "not a rotation"});
    let mut failed = status;
    merge(&mut failed, &json!({"upgrade": {"failure": failure}}));
    failed["keys"][0]["rejected"] = rejected;
    failed["conditions"][1] = condition("Degraded", "True", "Warning", "JobFailed");
    let annotated = json!({"metadata": {"annotations": {"keystone.openstack.org/retry": "4"}}, "status": failed});
    objects.keystones = vec![object("Keystone", "keystone", &annotated)];
    let shown = view(&objects);
    assert_eq!(
        next(&shown),
        [
            "RetryKeystone: kubectl -n ns annotate keystone keystone --overwrite keystone.openstack.org/retry=5",
            "RotateKeys: kubectl -n ns create job --from=cronjob/keystone-fernet-rotate keystone-fernet-rotate-$(date +%s)",
        ]
    );
    assert_eq!(shown.problems[0].object, "Keystone/keystone");
}

/// Another operator wrote it: what can be read is shown.
#[test]
fn what_is_not_known_does_not_hide_the_rest() {
    let mut cloud = updating("keystone", "Rewinding", &json!({"moons": 3}));
    cloud["status"]["update"]["steps"].as_array_mut().unwrap().push(json!({"name": "moon-phase", "state": 7}));
    cloud["status"]["services"] = json!([{"name": "glance", "state": "Molten", "version": "1.0.0"}, 5]);
    cloud["status"]["conditions"].as_array_mut().unwrap().push(condition("Moon", "False", "Error", "NoReasonWeKnow"));
    cloud["status"]["history"] = json!([{"from": "0.9.0", "to": "1.0.0", "result": "Teleported"}]);
    let objects = objects(&cloud);
    let view = view(&objects);
    assert_eq!(view.state, State::Updating);
    let steps = &view.update.as_ref().unwrap().steps;
    assert_eq!((steps[1].state.as_str(), steps[2].name.as_str()), ("Rewinding", "moon-phase"));
    assert_eq!(view.services[0].state, "Molten");
    assert_eq!((view.problems[0].condition.as_str(), view.problems[0].reason.as_str()), ("Moon", "NoReasonWeKnow"));
    assert_eq!(History::of("ns", &objects).unwrap().updates[0].result, "Teleported");
    let lines = crate::cli::board::lines(&view, "2026-11-21T10:05:00Z".parse().unwrap()).join("\n");
    assert!(lines.contains("keystone          ? Rewinding"), "{lines}");

    let text = json!({"spec": {"targetVersion": 5}, "status": "all is well"});
    assert_eq!(super::View::of("ns", &self::objects(&text), "").unwrap().state, State::Unreported);
    assert_eq!(View::of("ns", &Objects::default(), ""), None);
}

/// The operator acts on the oldest, unless another one belongs to the control plane.
#[test]
fn of_two_clouds_in_a_namespace_the_one_in_charge_is_shown() {
    let at = |hour: u8| json!({"metadata": {"creationTimestamp": format!("2026-11-21T{hour:02}:00:00Z")}});
    let plane = |name, hour| object("OpenStackControlPlane", name, &at(hour));
    let version = |name, hour| object("OpenStackVersion", name, &at(hour));
    let mut objects = Objects { versions: vec![version("a", 12), version("b", 11)], ..Objects::default() };
    assert_eq!(view(&objects).name, "b");
    objects.control_planes = vec![plane("a", 12)];
    assert_eq!(view(&objects).name, "a");
    objects.control_planes.push(plane("b", 11));
    assert_eq!(view(&objects).name, "b");
}

#[test]
fn a_kind_that_cannot_be_read_is_named() {
    let mut objects = objects(&steady());
    objects.unreadable.insert("Keystone".to_owned(), "forbidden".to_owned());
    let problem = &view(&objects).problems[0];
    assert_eq!((problem.object.as_str(), problem.message.as_str()), ("Keystone", "forbidden"));
}

/// Scripts read it: fields may be added, never renamed.
#[test]
fn the_document_is_stable() {
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let document = serde_json::to_value(view(&objects(&updating("keystone", "Running", &json!({}))))).unwrap();
    let mut fields = keys(&document);
    fields.sort();
    assert_eq!(
        fields,
        [
            "availableVersion",
            "deployedVersion",
            "keystone",
            "name",
            "namespace",
            "next",
            "observed",
            "problems",
            "services",
            "state",
            "targetVersion",
            "update"
        ]
    );
    let mut fields = keys(&document["update"]["steps"][0]);
    fields.sort();
    assert_eq!(fields, ["finishedAt", "message", "name", "nodeSets", "startedAt", "state"]);
}
