//! What is to be done, from what is refused, held or missing.

use super::*;

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
