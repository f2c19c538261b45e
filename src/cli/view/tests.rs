//! The view of every state: what it says, and what it says to do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

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

fn blocked(reason: &str) -> Value {
    let cloud = with(steady(), &json!({"spec": {"targetVersion": "9.9.9"}}));
    said(cloud, condition("TargetVersionValid", "False", "Error", reason))
}

#[rstest]
#[case::unknown(blocked("UnknownVersion"), State::Blocked, &["Retarget: kubectl openstack update 1.0.1 -n ns"])]
#[case::lower(blocked("RollbackNotSupported"), State::Blocked, &["Retarget: kubectl openstack update 1.0.0 -n ns"])]
#[case::begun(
    said(updating("keystone", "Running", &json!({})), condition("TargetVersionValid", "False", "Error", "NotRevertible")),
    State::Updating,
    &["Retarget: kubectl openstack update 1.0.1 -n ns"]
)]
#[case::custom_images(
    with(blocked("CustomImagesUnchanged"), &json!({"spec": {"customContainerImages": {"glanceAPIImage": "a/b:1"}}})),
    State::Blocked,
    &[
        "ClearCustomImages: kubectl openstack hotfix --clear glanceAPIImage -n ns",
        "KeepCustomImages: kubectl -n ns annotate openstackversion openstack \
         core.openstack.org/skip-custom-images-validation=",
    ]
)]
#[case::respin(
    said(
        with(steady(), &json!({"status": {"unconfirmedImageSet": "abc"}})),
        condition("ImageSetConfirmed", "False", "Warning", "ImageSetChanged")
    ),
    State::Ready,
    &[
        "ConfirmImages: kubectl -n ns patch openstackversion openstack --type merge -p \
         '{\"spec\":{\"update\":{\"confirmImageSet\":\"abc\"}}}'",
        "Update: kubectl openstack update 1.0.1 -n ns",
    ]
)]
#[case::spec(
    said(steady(), condition("Initialized", "False", "Error", "InvalidSpec")),
    State::Blocked,
    &["Correct: kubectl -n ns edit openstackversion openstack"]
)]
#[case::bundle(
    said(steady(), condition("BundleValid", "False", "Error", "InvalidBundle")),
    State::Blocked,
    &["Correct: -"]
)]
fn what_is_refused_is_said_with_the_way_out(#[case] version: Value, #[case] state: State, #[case] todo: &[&str]) {
    let view = view(&objects(&version));
    assert_eq!((view.state, next(&view).as_slice()), (state, todo.map_owned().as_slice()));
    assert_eq!(view.problems.len(), 1, "{:?}", view.problems);
    assert!(view.needs_a_person());
}

/// The update that runs is the way out, and no other target that would turn it round.
#[rstest]
#[case::unknown("UnknownVersion")]
#[case::lower("RollbackNotSupported")]
fn a_target_that_is_refused_during_an_update_leads_back_to_it(#[case] reason: &str) {
    let cloud = with(updating("keystone", "Running", &json!({})), &json!({"status": {"availableVersion": "1.0.2"}}));
    let view = view(&objects(&said(cloud, condition("TargetVersionValid", "False", "Error", reason))));
    assert_eq!(next(&view), ["Retarget: kubectl openstack update 1.0.1 -n ns"]);
}

/// A backend may come later than its image: it is shown, and nobody is called for it.
#[test]
fn an_image_of_a_backend_that_is_not_there_yet_is_not_urgent() {
    let cloud = said(steady(), condition("CustomImagesValid", "False", "Warning", "InvalidCustomImage"));
    let view = view(&objects(&cloud));
    let todo =
        ["Review: kubectl -n ns edit openstackversion openstack", "Update: kubectl openstack update 1.0.1 -n ns"];
    assert_eq!((next(&view).as_slice(), view.problems.len()), (todo.as_slice().map_owned().as_slice(), 1));
    assert!(!view.needs_a_person());
}

#[test]
fn a_service_that_cannot_be_written_waits_for_a_person() {
    let mut cloud = steady();
    cloud["status"]["conditions"][0] = condition("Ready", "False", "Warning", "Error");
    cloud["status"]["services"] = json!([{"name": "glance", "state": "Blocked", "message": "no such CRD"}]);
    let view = view(&objects(&cloud));
    assert_eq!((view.state, view.next[0].message.as_str()), (State::NotReady, "service glance: no such CRD"));
    assert_eq!((view.next[0].action, view.needs_a_person()), (Action::Correct, true));
    assert_eq!(view.problems[0].message, "about Ready");
}

/// What `Ready` alone says, with words as the operator finds them.
fn ready(severity: &str, reason: &str, message: &str) -> Value {
    with(condition("Ready", "False", severity, reason), &json!({"message": message}))
}

#[test]
fn what_only_ready_says_is_shown_once() {
    let mut cloud = said(steady(), condition("BundleValid", "False", "Error", "InvalidBundle"));
    cloud["status"]["conditions"][0] = ready("Error", "InvalidBundle", "BundleValid: about BundleValid");
    let view = view(&objects(&cloud));
    assert_eq!((view.problems.len(), view.problems[0].condition.as_str()), (1, "BundleValid"));
    assert_eq!(next(&view), ["Correct: -"]);
}

#[test]
fn objects_that_do_not_belong_together_are_named() {
    let mut cloud = steady();
    cloud["status"]["conditions"][0] = ready("Error", "Conflict", "metadata.name: must be that of another");
    let objects = objects(&cloud);
    let shown = view(&objects);
    assert_eq!((shown.state, shown.problems[0].reason.as_str()), (State::Blocked, "Conflict"));
    assert_eq!(shown.next[0].message, "OpenStackVersion/openstack: metadata.name: must be that of another");
    assert!(shown.needs_a_person());

    // One too many: it is told so itself.
    let status = json!({"observedGeneration": 2, "conditions": [ready("Error", "Conflict", "delete it")]});
    let surplus = json!({"metadata": {"creationTimestamp": "2026-11-21T11:00:00Z"}, "status": status});
    let mut objects = self::objects(&steady());
    objects.versions.push(object("OpenStackVersion", "second", &surplus));
    let shown = view(&objects);
    assert_eq!((shown.state, shown.problems[0].object.as_str()), (State::Ready, "OpenStackVersion/second"));
    assert_eq!(shown.next[0].message, "OpenStackVersion/second: delete it");
}

#[test]
fn a_cloud_that_cannot_go_says_what_holds_it_and_is_not_updated() {
    let held = "OpenStackControlPlane/openstack is being deleted and waits for its finalizers a/b";
    let status = json!({"observedGeneration": 2, "conditions": [ready("Warning", "Waiting", held)]});
    let going = json!({"metadata": {"deletionTimestamp": "2026-11-21T11:00:00Z"}, "status": status});
    let mut objects = objects(&steady());
    objects.control_planes = vec![object("OpenStackControlPlane", "openstack", &going)];
    let view = view(&objects);
    assert_eq!((next(&view), view.problems[0].message.as_str()), (vec!["Correct: -".to_owned()], held));
    assert!(view.needs_a_person());

    // The operator does not report on a version that goes; it is there all the same.
    let gone = with(steady(), &json!({"metadata": {"deletionTimestamp": "2026-11-21T11:00:00Z", "generation": 3}}));
    assert_eq!(next(&self::view(&self::objects(&gone))), Vec::<String>::new());
}

/// It was asked for, and is no trouble; but it waits for a person.
#[test]
fn a_hotfix_that_a_pause_holds_says_how_it_goes_on() {
    let view = view(&objects(&said(steady(), condition("CustomImagesValid", "False", "Info", "Held"))));
    let todo = ["Resume: kubectl openstack resume -n ns", "Update: kubectl openstack update 1.0.1 -n ns"];
    assert_eq!((view.state, next(&view).as_slice()), (State::Ready, todo.as_slice().map_owned().as_slice()));
    assert!(view.problems.is_empty(), "{:?}", view.problems);
    assert!(view.needs_a_person());
}

#[test]
fn the_deployment_is_complete_and_its_name_is_free() {
    let waiting = updating("ovn-dataplane", "Waiting", &json!({"nodeSets": ["a", "b"]}));
    let mut objects = objects(&waiting);
    let command = |objects: &Objects| view(objects).next[0].command.clone().unwrap();
    assert_eq!(
        command(&objects),
        "kubectl -n ns create -f - <<EOF\n\
         apiVersion: dataplane.openstack.org/v1beta1\n\
         kind: OpenStackDataPlaneDeployment\n\
         metadata:\n  name: ovn-dataplane-1-0-1\n\
         spec:\n  nodeSets: [a, b]\n  servicesOverride: [ovn]\n\
         EOF"
    );
    // One that failed; one that is under way, but not with every nodeset; one from before the update.
    let failed = json!({"spec": {"nodeSets": ["a", "b"], "servicesOverride": ["ovn"]},
                        "metadata": {"creationTimestamp": "2026-11-21T11:00:00Z"},
                        "status": {"conditions": [condition("Ready", "False", "Error", "Error")]}});
    let half = json!({"spec": {"nodeSets": ["a"], "servicesOverride": ["ovn"]},
                      "metadata": {"creationTimestamp": "2026-11-21T11:00:00Z"}});
    let old = json!({"spec": {"nodeSets": ["a", "b"]}});
    for (name, rest) in [("ovn-dataplane-1-0-1", failed), ("half", half), ("old", old)] {
        objects.deployments.push(object("OpenStackDataPlaneDeployment", name, &rest));
    }
    assert!(command(&objects).contains("name: ovn-dataplane-1-0-1-2\n"), "{}", command(&objects));

    let running = json!({"spec": {"nodeSets": ["b", "a"], "servicesOverride": ["ovn"]},
                         "metadata": {"creationTimestamp": "2026-11-21T11:00:00Z"}});
    objects.deployments.push(object("OpenStackDataPlaneDeployment", "mine", &running));
    let shown = view(&objects);
    assert_eq!(
        next(&shown),
        ["Wait: kubectl -n ns get openstackdataplanedeployments mine --watch"],
        "what is under way needs no second one"
    );
    assert!(!shown.needs_a_person());
}

/// Its nodesets, and then the step, say so a moment later.
#[rstest]
#[case::in_a_moment("ovn-dataplane", json!({}), "Wait: kubectl -n ns get openstackdataplanenodesets a")]
#[case::other_images(
    "ovn-dataplane",
    json!({"status": {"containerImages": {"OvnControllerImage": "r/ovn:old"}}}),
    "Deploy: kubectl -n ns create -f - <<EOF"
)]
#[case::before_the_step(
    "ovn-dataplane",
    json!({"metadata": {"creationTimestamp": "2026-11-21T10:00:45Z"}}),
    "Deploy: kubectl -n ns create -f - <<EOF"
)]
#[case::version("dataplane", json!({}), "Wait: kubectl -n ns get openstackdataplanenodesets a")]
#[case::other_version("dataplane", json!({"status": {"deployedVersion": "1.0.0"}}), "Deploy: kubectl -n ns create -f - <<EOF")]
#[case::stamps_nothing("dataplane", json!({"spec": {"servicesOverride": []}}), "Deploy: kubectl -n ns create -f - <<EOF")]
fn a_deployment_that_brought_the_images_needs_no_second_one(
    #[case] step: &str,
    #[case] change: Value,
    #[case] todo: &str,
) {
    let wanted = json!({"status": {"containerImages": {"ovnControllerImage": "r/ovn:new"}}});
    let mut objects = objects(&with(updating(step, "Waiting", &json!({"nodeSets": ["a"]})), &wanted));
    let recorded = json!({"deployed": true, "deployedVersion": "1.0.1",
                          "containerImages": {"OvnControllerImage": "r/ovn:new"}});
    let mut deployment = json!({"spec": {"nodeSets": ["a"], "servicesOverride": ["ovn", "update"]},
                                "metadata": {"creationTimestamp": "2026-11-21T10:01:00Z"}, "status": recorded});
    merge(&mut deployment, &change);
    objects.deployments = vec![object("OpenStackDataPlaneDeployment", "mine", &deployment)];
    assert_eq!(next(&view(&objects)), [todo]);
}

#[rstest]
#[case::image("TargetReleaseValid", "Warning", "UpgradePathInvalid", &["Correct: -"])]
#[case::keys("KeysReady", "Error", "KeysLost", &["Correct: -"])]
#[case::later("TargetReleaseValid", "Warning", "UpgradeTargetChanged", &[])]
#[case::on_the_way("KeysReady", "Info", "Requested", &[])]
fn a_keystone_that_needs_a_person_says_so(
    #[case] type_: &str,
    #[case] severity: &str,
    #[case] reason: &str,
    #[case] todo: &[&str],
) {
    let mut objects = objects(&updating("keystone", "Running", &json!({})));
    let status = json!({"observedGeneration": 2, "conditions": [condition(type_, "False", severity, reason)]});
    objects.keystones = vec![object("Keystone", "keystone", &json!({"status": status}))];
    let view = view(&objects);
    assert_eq!((next(&view).as_slice(), view.needs_a_person()), (todo.map_owned().as_slice(), !todo.is_empty()));
}

#[test]
fn every_command_leads_to_the_same_cluster() {
    let unreported = View::of("ns", &objects(&json!({"spec": {}})), " --context west").unwrap();
    let command = "CheckOperator: kubectl -n openstack-operators --context west get deployment,pods";
    assert_eq!(next(&unreported), [command]);
    let steady = View::of("ns", &objects(&steady()), " --context west").unwrap();
    assert_eq!(next(&steady), ["Update: kubectl openstack update 1.0.1 -n ns --context west"]);
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

/// The status of an update that is over has no steps: who watched it sees them finished.
#[test]
fn the_last_steps_stay_on_the_board() {
    let before = view(&objects(&updating("keystone", "Running", &json!({}))));
    let done = with(steady(), &json!({"spec": {"targetVersion": "1.0.1"}, "status": {"deployedVersion": "1.0.1"}}));
    let mut after = view(&objects(&done));
    after.remember(&before);
    let states: Vec<&str> = after.update.as_ref().unwrap().steps.iter().map(|step| step.state.as_str()).collect();
    assert_eq!((states, after.is_done()), (vec!["Done", "Done"], true));
    let lines = crate::cli::board::changes(&after, &before);
    assert!(lines[0].starts_with("step      keystone                 ✔ Done"), "{lines:?}");
    assert!(lines.last().unwrap().starts_with("cloud     ns/openstack: ✔ Ready (deployed 1.0.1"), "{lines:?}");

    // An update that was taken back was not completed.
    let mut aborted = view(&objects(&steady()));
    aborted.remember(&before);
    assert_eq!(aborted.update, None);
}

/// What matters most is on a small screen, too.
#[test]
fn a_small_screen_leaves_services_out_first() {
    let mut cloud = updating("ovn-dataplane", "Waiting", &json!({"nodeSets": ["a"]}));
    let service = |number: usize| json!({"name": format!("service-{number}"), "state": "Ready", "version": "1.0.0"});
    cloud["status"]["services"] = (0..30).map(service).collect();
    let (view, now) = (view(&objects(&cloud)), "2026-11-21T10:05:00Z".parse().unwrap());
    let lines = crate::cli::board::fitted(&view, now, 30, 100);
    assert_eq!(lines.len(), 30);
    assert_eq!(lines[1], "  update from 1.0.0 to 1.0.1, for 4m 30s, can be taken back");
    assert!(lines.iter().any(|line| line.contains("make the window larger")), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "EOF", "{lines:#?}");
    let wide = crate::cli::board::fitted(&view, now, 60, 200);
    assert!(wide.iter().any(|line| line.contains("service-0") && line.contains("service-20")), "{wide:#?}");
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

/// A here-document ends only at the beginning of a line.
#[test]
fn a_command_in_the_lines_can_be_pasted() {
    let (before, after) = (
        view(&objects(&updating("ovn-dataplane", "Pending", &json!({})))),
        view(&objects(&updating("ovn-dataplane", "Waiting", &json!({"nodeSets": ["a"]})))),
    );
    let lines = crate::cli::board::changes(&after, &before);
    let command = after.next[0].command.as_deref().unwrap();
    assert!(
        lines.iter().any(|line| line.starts_with("next  ") && line.ends_with(&format!("\n{command}"))),
        "{lines:?}"
    );
}
