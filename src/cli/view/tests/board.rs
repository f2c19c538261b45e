//! The view as lines: on a screen of any size, and as what changed.

use super::*;
use crate::cli::{
    board::{changes, fitted, fitted_summary, lines},
    screen::height,
};

fn now() -> Timestamp {
    "2026-11-21T10:05:00Z".parse().unwrap()
}

/// An update that waits for a deployment, with thirty services.
fn waiting(rest: &Value) -> View {
    let mut cloud = with(updating("ovn-dataplane", "Waiting", &json!({"nodeSets": ["a"]})), rest);
    let service = |number: usize| json!({"name": format!("service-{number}"), "state": "Ready", "version": "1.0.0"});
    cloud["status"]["services"] = (0..30).map(service).collect();
    view(&objects(&cloud))
}

fn rows(lines: &[String], columns: usize) -> usize {
    lines.iter().map(|line| height(line, columns)).sum()
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
    let lines = changes(&after, &before);
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
    let view = waiting(&json!({}));
    let lines = fitted(&view, now(), 30, 100);
    assert_eq!(lines.len(), 30);
    assert_eq!(lines[1], "  update from 1.0.0 to 1.0.1, for 4m 30s, can be taken back");
    assert!(lines.iter().any(|line| line.contains("make the window larger")), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "EOF", "{lines:#?}");
    let wide = fitted(&view, now(), 60, 200);
    assert!(wide.iter().any(|line| line.contains("service-0") && line.contains("service-20")), "{wide:#?}");
}

/// A here-document ends only at the beginning of a line.
#[test]
fn a_command_in_the_lines_can_be_pasted() {
    let (before, after) = (
        view(&objects(&updating("ovn-dataplane", "Pending", &json!({})))),
        view(&objects(&updating("ovn-dataplane", "Waiting", &json!({"nodeSets": ["a"]})))),
    );
    let lines = changes(&after, &before);
    let command = after.next[0].command.as_deref().unwrap();
    assert!(
        lines.iter().any(|line| line.starts_with("next  ") && line.ends_with(&format!("\n{command}"))),
        "{lines:?}"
    );
}

/// Two things to be done that have no command are two.
#[test]
fn what_else_is_to_be_done_is_a_line_of_its_own() {
    let wrong = |cloud, type_| said(cloud, condition(type_, "False", "Error", "InvalidBundle"));
    let before = wrong(steady(), "BundleValid");
    let after = wrong(before.clone(), "Moon");
    let lines = changes(&view(&objects(&after)), &view(&objects(&before)));
    let next: Vec<&String> = lines.iter().filter(|line| line.starts_with("next")).collect();
    assert_eq!(next, ["next      about Moon"]);
}

/// Half a command does something else, and half a here-document waits for its end.
#[test]
fn a_command_is_there_whole_or_not_at_all() {
    let view = waiting(&json!({}));
    let command = view.next[0].command.clone().unwrap();
    let hint = "# … make"; // the rest is cut where it is narrow
    for (room, columns) in (0..40).flat_map(|room| [20, 30, 100].map(|columns| (room, columns))) {
        let lines = fitted(&view, now(), room, columns);
        assert!(rows(&lines, columns) <= room.max(1), "{room}x{columns}: {lines:#?}");
        let text = lines.join("\n");
        let whole = text.ends_with(&command);
        assert!(whole || (!text.contains("<<EOF") && text.contains(hint)), "{room}x{columns}: {text}");
    }
    let wrapped = fitted(&view, now(), 30, 30);
    assert!(wrapped.join("\n").ends_with(&command), "what is too wide is wrapped: {wrapped:#?}");
    assert!(wrapped.iter().any(|line| line.ends_with('…')), "what is no command is cut: {wrapped:#?}");
}

#[test]
fn steps_that_are_over_go_before_what_is_to_be_done() {
    let view = waiting(&json!({}));
    let text = |rows| fitted(&view, now(), rows, 100).join("\n");
    assert!(text(19).contains("ovn-controlplane"));
    let small = text(18);
    assert!(!small.contains("ovn-controlplane") && small.contains("ovn-dataplane  ◆ Waiting"), "{small}");
    assert!(small.ends_with("EOF"), "{small}");
}

#[test]
fn many_clouds_end_with_how_many_more_there_are() {
    let views: Vec<View> = (0..20).map(|_| view(&objects(&steady()))).collect();
    let lines = fitted_summary(&views, now(), 10, 40);
    assert_eq!((lines.len(), lines[9].as_str()), (10, "… 12 more"));
    assert_eq!(rows(&lines, 40), 10);
    assert_eq!(fitted_summary(&views, now(), 21, 200).len(), 21);
}

/// A container may say anything, and its last lines become part of a message.
#[test]
fn a_message_of_several_lines_stays_one_that_is_no_command() {
    let foreign = "it failed\nrm -rf /\u{1b}[2J";
    let mut cloud = updating("keystone", "Held", &json!({"message": foreign}));
    cloud["status"]["services"] =
        json!([{"name": "glance", "kind": "Glance", "state": "NotReady", "message": foreign}]);
    let problem = with(condition("BundleValid", "False", "Warning", "Error"), &json!({"message": foreign}));
    cloud["status"]["conditions"].as_array_mut().unwrap().push(problem);
    let (before, after) = (view(&objects(&steady())), view(&objects(&cloud)));
    for lines in [lines(&after, now()), fitted(&after, now(), 40, 100), changes(&after, &before)] {
        let text = lines.join("\n");
        assert!(text.contains("it failed rm -rf / [2J"), "{text}");
        assert!(!text.contains('\u{1b}') && text.lines().all(|line| !line.starts_with("rm")), "{text}");
    }
}
