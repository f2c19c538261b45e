//! Rotations: what is published, and what is refused.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use plan::keystone::admission_rule;
use rstest::rstest;
use serde_json::json;

use super::{
    keys::{CREDENTIAL, FERNET, Keys, key},
    sim::{OLD, Sim},
};

#[rstest]
#[case::tokens(FERNET, "FernetKeysRotated", "keystone-fernet-confirm-")]
#[case::credentials(CREDENTIAL, "CredentialKeysRotated", "keystone-credential-confirm-")]
fn a_rotation_is_published_told_and_confirmed(#[case] secret: &str, #[case] note: &str, #[case] job: &str) {
    let mut sim = Sim::installed(OLD);
    assert!(sim.condition("KeysRotate").0 && sim.record(secret).everywhere, "{:?}", sim.condition("KeysRotate"));
    let pods = sim.servers();
    for round in 1..=10 {
        let new = sim.rotate(secret);
        sim.settle();
        assert_eq!(sim.keys(secret), new);
        assert_eq!(sim.keys(&format!("{secret}-rotation")), Keys::new(), "the next rotation finds it empty");
        assert_eq!(sim.noted(note), round);
        let record = sim.record(secret);
        assert_eq!((record.count, record.everywhere, record.rejected), (3, true, None));
        assert_eq!(u64::try_from(record.primary).unwrap(), *new.keys().max().unwrap());
        assert_eq!(sim.ran.iter().filter(|ran| ran.starts_with(job)).count(), round, "every pod was asked");
    }
    assert_eq!(sim.servers(), pods, "no rollout");
    assert!(sim.condition("Ready").0 && sim.condition("KeysRotate").0);
    assert_eq!(sim.tasks(), ["sync", "bootstrap"]);
}

/// What becomes of a key of a good rotation, which leaves 0, 2 and 3.
enum Hostile {
    /// A key that nobody had, with that number.
    Foreign(u64),
    /// The published key of that number.
    Old(u64),
    Text(&'static str),
    Gone,
}

use Hostile::{Foreign, Gone, Old, Text};

#[rstest]
#[case::every_key("Continuity", &[(0, Foreign(1)), (2, Foreign(2)), (3, Foreign(3))])]
#[case::another_primary("Continuity", &[(3, Foreign(1))])]
#[case::a_kept_key_changed("Continuity", &[(2, Foreign(1))])]
#[case::announced_not_new("Stale", &[(0, Old(1))])]
#[case::announced_twice("Duplicate", &[(0, Old(0))])]
#[case::too_few("Count", &[(2, Gone)])]
#[case::too_many("Count", &[(1, Old(1))])]
#[case::no_announced("Count", &[(0, Gone)])]
#[case::jumped("Count", &[(3, Gone), (9, Old(0))])]
#[case::nothing_rotated("Count", &[(0, Foreign(1)), (1, Old(1)), (3, Gone)])]
#[case::short("Format", &[(0, Text("c2hvcnQ="))])]
#[case::not_base64("Format", &[(0, Text("!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"))])]
#[case::empty("Format", &[(0, Text(""))])]
fn a_hostile_set_is_put_aside_and_nothing_changes(#[case] problem: &str, #[case] changes: &[(u64, Hostile)]) {
    let mut sim = Sim::installed(OLD);
    let before = sim.keys(FERNET);
    let mut bad = super::keys::rotated(&before, 3, key(77));
    for (number, change) in changes {
        bad.remove(number);
        bad.extend(match change {
            Foreign(n) => Some((*number, key(100 + n))),
            Old(n) => Some((*number, before[n].clone())),
            Text(text) => Some((*number, (*text).to_owned())),
            Gone => None,
        });
    }
    sim.stage(FERNET, &bad);
    sim.settle();
    assert_eq!(sim.keys(FERNET), before, "production is untouched");
    assert_eq!(sim.keys(&format!("{FERNET}-rejected")), bad, "it is kept");
    assert_eq!(sim.keys(&format!("{FERNET}-rotation")), Keys::new());
    assert_eq!(sim.record(FERNET).rejected.unwrap().problem.to_string(), problem);
    assert_eq!(sim.noted("RotationRejected"), 1, "{:?}", sim.notes);
    let (rotates, message) = sim.condition("KeysRotate");
    assert!(!rotates && message.contains(&format!("Secret/{FERNET}-rejected")), "{message}");
    assert!(sim.condition("Ready").0, "users notice nothing");
    let text = serde_json::to_string(&sim.world.keystone.status).unwrap() + &sim.notes.concat();
    for secret in before.values().chain(bad.values()).filter(|key| key.len() > 8) {
        assert!(!text.contains(secret.as_str()), "a key is shown");
    }
    // And the next rotation is as if nothing had been.
    sim.rotate(FERNET);
    sim.settle();
    assert_eq!(sim.noted("FernetKeysRotated"), 1);
    assert!(sim.condition("KeysRotate").0);
}

#[test]
fn a_set_that_was_made_of_other_keys_is_refused() {
    let mut sim = Sim::installed(OLD);
    let good = super::keys::rotated(&sim.keys(FERNET), 3, key(77));
    sim.stage_from(FERNET, &good, "0123456789abcdef", 0);
    sim.settle();
    assert_eq!(sim.record(FERNET).rejected.unwrap().problem.to_string(), "Outdated");
}

/// Of two machines, one has a clock that is hours off: rotations go on, and none is published twice.
#[rstest]
#[case::ours_is_behind(-30)]
#[case::ours_is_ahead(30)]
fn clocks_that_are_hours_apart_reject_nothing(#[case] hours: i64) {
    let mut sim = Sim::installed(OLD);
    for round in [1, 2] {
        let good = super::keys::rotated(&sim.keys(FERNET), 3, key(77 + round));
        let from = sim.record(FERNET).set;
        sim.stage_from(FERNET, &good, &from, 0);
        // It jumps there, and back.
        sim.world.now += SignedDuration::from_hours(if round == 1 { hours } else { -hours });
        sim.settle();
        assert_eq!(sim.keys(FERNET), good);
        assert_eq!(sim.record(FERNET).rejected, None);
    }
    assert_eq!(sim.noted("FernetKeysRotated"), 2);
}

/// An operator whose clock is behind makes what a rotation needs without waiting for that time.
#[test]
fn a_role_from_the_future_is_bound() {
    let mut sim = Sim::installed(OLD);
    sim.delete("RoleBinding", "keystone-fernet-rotate");
    let created = (sim.world.now + SignedDuration::from_hours(7)).to_string();
    sim.edit("Role", "keystone-fernet-rotate", |role| role["metadata"]["creationTimestamp"] = json!(created));
    sim.pass();
    assert!(sim.find("RoleBinding", "keystone-fernet-rotate").is_some());
}

#[test]
fn a_name_that_is_no_number_is_refused() {
    let mut sim = Sim::installed(OLD);
    sim.rotate(FERNET);
    sim.edit("Secret", "keystone-fernet-keys-rotation", |live| live["data"]["00"] = json!("AAAA"));
    sim.settle();
    assert_eq!(sim.record(FERNET).rejected.unwrap().problem.to_string(), "Name");
}

#[rstest]
#[case::nothing("Complete", "", "succeeded and no new keys came of it")]
#[case::lost("Complete", r#"{"staged": "0123456789abcdef"}"#, "succeeded and no new keys came of it")]
#[case::failed("Failed", "keystone-manage credential_rotate: not all credentials", "not all credentials")]
fn a_job_that_rotates_nothing_is_noticed(#[case] condition: &str, #[case] said: &str, #[case] text: &str) {
    let mut sim = Sim::installed(OLD);
    sim.rotation_job("by-hand", condition, said);
    for _ in 0..20 {
        sim.settle();
        sim.pass();
    }
    let (rotates, message) = sim.condition("KeysRotate");
    assert!(!rotates && message.contains("Job/by-hand") && message.contains(text), "{message}");
    assert_eq!(sim.noted("RotationFailed"), 1, "{:?}", sim.notes);
    assert_eq!(sim.record(FERNET).fruitless, ["by-hand"]);
    sim.rotate(FERNET);
    sim.settle();
    assert!(sim.condition("KeysRotate").0, "the next one answers it");
}

#[test]
fn a_job_that_rotated_is_no_trouble() {
    let mut sim = Sim::installed(OLD);
    sim.rotation_job("by-hand", "Complete", "");
    sim.rotate(FERNET);
    sim.settle();
    for _ in 0..20 {
        sim.pass();
    }
    assert_eq!(sim.noted("RotationFailed"), 0);
}

#[test]
fn keys_that_somebody_changed_are_told_and_asked_for_again() {
    let mut sim = Sim::installed(OLD);
    sim.edit("Secret", FERNET, |live| {
        live["data"]["0"] = live["data"]["2"].clone();
        live["metadata"]["resourceVersion"] = json!("by-hand");
    });
    sim.settle();
    assert_eq!((sim.noted("FernetKeysChanged"), sim.noted("FernetKeysRotated")), (1, 0));
    assert!(sim.record(FERNET).everywhere);
    assert!(sim.ran.iter().any(|job| job.contains("-fernet-confirm-")));
}

#[test]
fn lost_keys_stay_lost_and_nothing_rotates() {
    let mut sim = Sim::installed(OLD);
    let new = sim.rotate(FERNET);
    sim.delete("Secret", FERNET);
    sim.settle();
    assert!(sim.find("Secret", FERNET).is_none());
    assert_eq!(sim.keys("keystone-fernet-keys-rotation"), new, "what may help to restore them stays");
    assert!(sim.condition("Degraded").0);
}

#[rstest]
#[case::weekly("0 0 * * 0", 3, None)]
#[case::shorthand("@weekly", 3, None)]
#[case::daily("30 4 * * *", 5, None)]
#[case::any_day("30 4 ? * *", 5, None)]
#[case::daily_short("30 4 * * *", 4, Some(5))]
#[case::half_days("0 */12 * * *", 3, Some(7))]
#[case::hourly("@hourly", 3, Some(51))]
#[case::twice_a_week("0 1,2 * * sun", 3, Some(4))]
#[case::end_of_month("0 0 1,31 * *", 3, Some(4))]
#[case::either_day("0 0 13 * fri", 3, Some(4))]
#[case::not_a_schedule("whenever", 3, None)]
fn too_few_keys_for_the_schedule_are_told(#[case] cron: &str, #[case] most: i32, #[case] needed: Option<usize>) {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| {
        spec.fernet.rotation_schedule = cron.to_owned();
        spec.fernet.max_active_keys = most;
    });
    sim.settle();
    let (suffice, message) = sim.condition("KeysSuffice");
    assert_eq!(suffice, needed.is_none(), "{message}");
    assert_eq!(sim.noted("TooFewKeys"), usize::from(needed.is_some()));
    if let Some(needed) = needed {
        assert!(message.contains(&format!("set it to {needed} or")), "{message}");
    }
    assert!(sim.condition("Ready").0);
}

#[test]
fn shorter_tokens_need_fewer_keys() {
    let mut sim = Sim::installed(OLD);
    let token: BTreeMap<String, String> = [("allow_expired_window".to_owned(), "0".to_owned())].into();
    sim.spec(|spec| {
        spec.fernet.rotation_schedule = "@hourly".to_owned();
        spec.extra_config.insert("token".to_owned(), token);
    });
    sim.settle();
    assert!(sim.condition("KeysSuffice").0, "{:?}", sim.condition("KeysSuffice"));
}

#[test]
fn the_account_may_write_the_staging_secret_and_nothing_else() {
    let sim = Sim::installed(OLD);
    let role = &sim.find("Role", "keystone-credential-rotate").unwrap().data;
    let secret = "keystone-credential-keys-rotation";
    let wanted = json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["patch"]});
    assert_eq!(role["rules"], json!([wanted, admission_rule()]));
    let cron = &sim.find("CronJob", "keystone-credential-rotate").unwrap().data["spec"];
    assert_eq!(cron["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"], "keystone-credential-rotate");
    assert_eq!((&cron["schedule"], &cron["suspend"]), (&json!("0 0 * * 0"), &json!(false)));
    assert!(cron["jobTemplate"]["spec"]["ttlSecondsAfterFinished"].as_i64().unwrap() > 3600);
    let confirm: Vec<_> = sim.names("Job").into_iter().filter(|job| job.contains("-confirm-")).collect();
    assert_eq!(confirm, Vec::<String>::new(), "the first keys need no proof");
}
