//! What goes wrong with the peer, and the tests that show that it does not here.
//!
//! Numbers with a `#` are issues of the peer's openstack-operator, or of the repository that is named. The others are places
//! in the study of the peer that this project began with: 2.7 to 2.9 are a target or an image that changes in between,
//! 2.10 a to l defects that were found by reading, 6.7 what the peer has no test for, and 9.1 to 9.32 what its users
//! miss. The comment on each test says which of them it is about, in words.

use std::collections::BTreeSet;

/// File, function, and what the peer gets wrong.
type Proof = (&'static str, &'static [(&'static str, &'static [&'static str])]);

const PROOFS: &[Proof] = &[
    (
        "tests/it/matrix/tour.rs",
        &[("whatever_is_done_at_a_step_the_update_goes_on_from_there", &["2.7", "2.8", "6.7", "9.2", "9.20"])],
    ),
    (
        "tests/it/matrix/recreated.rs",
        &[("deleted_at_any_step_the_version_comes_back_and_the_update_goes_on_from_there", &["6.7", "9.10"])],
    ),
    (
        "tests/it/matrix/retarget.rs",
        &[(
            "at_any_step_the_target_moves_on_and_the_walk_begins_again_with_it",
            &["2.7", "6.7", "9.10", "#1569", "#1582"],
        )],
    ),
    (
        "tests/it/matrix/abort.rs",
        &[(
            "the_target_goes_back_from_each_step_that_can_be_undone_and_from_no_other",
            &["2.7", "2.10d", "6.7", "9.9"],
        )],
    ),
    (
        "tests/it/matrix/first.rs",
        &[
            ("a_target_set_before_the_first_installation_is_finished_is_what_gets_installed", &["2.7", "#1128"]),
            (
                "a_service_whose_image_the_older_version_lacks_starts_with_the_newer_one_and_stops_nobody",
                &["2.10i", "6.7", "9.24", "#1056", "#1503"],
            ),
        ],
    ),
    ("tests/it/matrix/namespaces.rs", &[("a_cloud_that_is_stuck_holds_up_no_other_namespace", &["9.29"])]),
    (
        "tests/it/matrix/many.rs",
        &[("sixty_versions_leave_a_small_object_that_knows_the_versions_that_count", &["9.22", "infra-operator#40"])],
    ),
    (
        "tests/it/matrix/truth.rs",
        &[("every_state_of_an_installation_and_an_update_is_true", &["2.10e", "9.19", "9.21", "#1916"])],
    ),
    (
        "tests/it/gates.rs",
        &[
            ("a_ready_that_belongs_to_an_older_spec_opens_no_gate", &["6.7", "9.16"]),
            ("a_service_that_is_not_ready_keeps_its_gate_closed_and_its_own_words_are_shown", &["2.10l"]),
            ("nodesets_are_waited_for_by_name_with_the_deployment_to_create", &["2.10c", "6.7", "9.32"]),
            ("a_step_over_its_deadline_is_reported_as_stalled_and_goes_on_when_its_service_does", &["9.7"]),
        ],
    ),
    (
        "tests/it/restart.rs",
        &[("killed_while_a_step_waits_for_its_service_it_goes_on_where_it_was", &["2.10c", "6.7", "#1671", "#1607"])],
    ),
    (
        "tests/it/shapes.rs",
        &[
            ("every_instance_of_rabbitmq_and_galera_counts_also_the_one_that_lags", &["2.10g", "6.7"]),
            ("a_disabled_service_does_not_hang_its_step", &["6.7", "9.12", "#1744"]),
            ("without_nic_mappings_there_is_no_ovn_controller_to_wait_for", &["9.11", "#1212"]),
            (
                "an_ovn_image_that_stays_the_same_needs_no_deployment_of_nodesets",
                &["2.10a", "6.7", "9.11", "#1823", "#1864"],
            ),
            ("empty_nodesets_are_not_waited_for", &["9.11", "#1786"]),
            ("a_nodeset_that_was_never_deployed_does_not_block", &["9.11", "#1128"]),
        ],
    ),
    (
        "tests/it/midway.rs",
        &[
            ("a_template_edit_reaches_every_service_at_once_and_no_image_moves_with_it", &["9.20"]),
            ("a_pause_keeps_the_progress_and_stops_before_the_next_image", &["9.2"]),
            ("an_update_stops_after_the_step_it_is_told_to_and_goes_on_step_by_step", &["9.2", "#1913"]),
            ("a_hotfix_in_the_middle_reopens_the_step_it_belongs_to", &["2.8"]),
        ],
    ),
    (
        "tests/it/walk.rs",
        &[
            (
                "every_service_moves_in_the_tables_order_with_one_write_each",
                &["6.7", "#792", "#1421", "#1484", "#1681"],
            ),
            ("events_tell_the_start_each_step_and_the_end", &["9.8"]),
        ],
    ),
    ("tests/it/respin.rs", &[("changed_images_of_a_deployed_version_wait_for_their_confirmation", &["9.23"])]),
    ("tests/it/preview.rs", &[("it_prints_each_step_with_old_and_new_images_and_what_to_do_by_hand", &["9.1"])]),
    (
        "tests/it/seed.rs",
        &[
            (
                "a_cinder_backend_gets_its_own_image_and_the_others_the_default",
                &["2.9", "6.7", "9.13", "ci-framework#4100", "ci-framework#4162"],
            ),
            ("a_manila_backend_gets_its_own_image_and_the_others_the_default", &["2.9", "9.13"]),
            ("backends_keep_their_own_images_when_an_update_brings_new_defaults", &["2.9"]),
            ("hotfixes_outside_an_update_apply_at_once_in_parallel_and_nothing_is_deployed_by_them", &["2.8", "9.25"]),
        ],
    ),
    ("tests/it/lifecycle.rs", &[("a_version_goes_with_its_control_plane", &["9.22"])]),
    (
        "tests/it/bad_input.rs",
        &[
            ("an_unknown_target_is_refused_with_the_versions_to_choose_from", &["9.30"]),
            ("the_rules_hold_while_no_operator_runs", &["9.28", "#1746", "ci-framework#2249"]),
            ("an_older_target_is_refused_because_rollback_is_not_supported", &["9.6"]),
            ("a_misspelt_image_field_is_not_dropped_in_silence", &["9.14"]),
            (
                "an_unknown_backend_is_named_with_those_that_exist_and_the_other_images_apply",
                &["9.14", "ci-framework#4162"],
            ),
        ],
    ),
    (
        "tests/it/bad_input/bundle.rs",
        &[
            ("a_value_with_an_equals_sign_is_no_image_and_only_its_service_waits", &["6.7"]),
            ("an_image_that_the_new_version_lacks_stops_its_service_and_no_other", &["2.10i", "9.24"]),
        ],
    ),
    (
        "tests/it/admission/target.rs",
        &[
            ("custom_images_do_not_move_along_unnoticed", &["2.9", "#1569", "#1582"]),
            ("versions_compare_as_in_rust", &["#1217"]),
        ],
    ),
    ("tests/it/admission/singletons.rs", &[("version_and_control_plane_have_the_same_name", &["#1463"])]),
    ("tests/it/crash/replicas.rs", &[("a_leader_that_is_asked_to_end_hands_over_at_once", &["9.28"])]),
    ("tests/it/faults/idle.rs", &[("an_idle_operator_writes_nothing_but_its_lease", &["6.7", "#913", "#968"])]),
    (
        "src/plan/tests/plan/scenarios/nodesets.rs",
        &[("issue_1864_an_unchanged_ovn_image_needs_no_deployment_and_does_not_flap", &["2.10a", "#1864"])],
    ),
    (
        "src/plan/tests/plan/scenarios/peer.rs",
        &[
            ("an_unchanged_ovn_image_waits_for_no_deployment_where_nothing_runs_it", &["2.10b"]),
            ("a_custom_ovn_image_that_stays_needs_no_deployment_although_the_defaults_differ", &["2.10f"]),
            ("a_custom_ovn_image_that_comes_needs_a_deployment_although_the_defaults_are_the_same", &["2.10f"]),
            ("a_version_is_not_made_again_for_a_control_plane_that_goes", &["#1867"]),
        ],
    ),
    (
        "src/plan/tests/plan/scenarios/sequence.rs",
        &[
            ("a_disabled_service_does_not_stop_the_walk", &["2.10h"]),
            ("one_instance_that_lags_holds_its_step", &["2.10g"]),
            ("a_service_that_flaps_after_its_step_shows_and_does_not_rewind", &["9.10", "#1966"]),
        ],
    ),
    (
        "src/plan/tests/plan/scenarios/install.rs",
        &[
            ("a_stale_ready_is_not_ready", &["2.10g"]),
            ("an_older_operator_offers_no_update", &["9.6"]),
            ("an_operator_upgrade_alone_says_that_an_update_is_available_and_writes_nothing", &["#1429", "#1439"]),
        ],
    ),
    ("src/plan/tests/plan/scenarios/custom_images.rs", &[("the_annotation_permits_them_for_one_update", &["2.10k"])]),
    (
        "src/plan/tests/plan/scenarios/objects.rs",
        &[("a_service_that_is_disabled_in_the_middle_loses_its_object_and_the_update_goes_on", &["2.10j"])],
    ),
    (
        "src/plan/tests/plan/scenarios/memory.rs",
        &[
            ("the_control_plane_says_which_images_ready_services_carry", &["2.10e"]),
            ("every_line_has_a_version_while_services_are_ready", &["9.31"]),
        ],
    ),
    (
        "src/plan/tests/plan/scenarios/templates.rs",
        &[("every_enabled_row_shows_in_a_condition_of_the_control_plane", &["#1916"])],
    ),
    ("api/src/crd.rs", &[("every_crd_is_well_below_the_limits_of_etcd_and_kubectl", &["#55", "#56", "#1836"])]),
    ("api/src/release.rs", &[("the_epoch_scheme_is_upstreams", &["#1217"])]),
];

/// The identifiers in the comment above a function; empty when it names none.
fn named(source: &str, function: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {function}(");
    let at = lines.iter().position(|line| line.trim_start_matches("async ").starts_with(&head));
    let above = at.map_or(&lines[..0], |at| &lines[..at]);
    let mut comment = above.iter().rev().take_while(|line| !line.is_empty() && !line.ends_with('{'));
    let peer = comment.find_map(|line| line.strip_prefix("/// Peer: "));
    let identifiers = peer.and_then(|text| text.split_once(": ")).map_or("", |(identifiers, _)| identifiers);
    identifiers.split(", ").filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

fn source(file: &str) -> String {
    let path = testbed::root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn each_failure_of_the_peer_has_a_test_that_names_it() {
    for (file, tests) in PROOFS {
        let source = source(file);
        for (function, identifiers) in *tests {
            assert_eq!(named(&source, function), *identifiers, "{file}: {function}");
        }
        assert_eq!(source.matches("/// Peer: ").count(), tests.len(), "{file} names one that is not in the table");
    }
}

#[test]
fn no_defect_that_was_found_by_reading_is_left_out() {
    let proved: BTreeSet<&str> =
        PROOFS.iter().flat_map(|(_, tests)| *tests).flat_map(|(_, identifiers)| *identifiers).copied().collect();
    for letter in 'a'..='l' {
        let identifier = format!("2.10{letter}");
        assert!(proved.contains(identifier.as_str()), "{identifier}");
    }
}
