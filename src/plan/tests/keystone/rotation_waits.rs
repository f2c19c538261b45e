//! Rotations: what waits for what, and until when.

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

use super::{
    keys::{CREDENTIAL, FERNET},
    sim::{Behaviour, NEW, OLD, Sim},
};

#[test]
fn the_next_set_waits_until_every_pod_has_the_last_one() {
    let mut sim = Sim::installed(OLD);
    let lagging = sim.servers()[0].clone();
    sim.jobs.insert("fernet-confirm", Behaviour::Fails(json!({"lagging": [lagging]}).to_string()));
    let first = sim.rotate(FERNET);
    sim.settle();
    assert_eq!(sim.keys(FERNET), first);
    assert_eq!(sim.record(FERNET).lagging, [lagging.as_str()]);
    assert!(!sim.record(FERNET).everywhere);
    let second = sim.rotate(FERNET);
    sim.settle();
    assert_eq!(sim.keys(FERNET), first, "it waits");
    let (rotates, message) = sim.condition("KeysRotate");
    assert!(!rotates && message.contains(&format!("Pod/{lagging}")), "{message}");
    assert!(sim.condition("Ready").0);
    sim.jobs.clear();
    end_confirm_jobs(&mut sim);
    sim.settle();
    assert_eq!(sim.keys(FERNET), second, "and goes on by itself");
    assert!(sim.record(FERNET).everywhere && sim.record(FERNET).lagging.is_empty());
}

/// A pod that never gets the keys would keep them from rotating for ever, and nobody would know.
#[test]
fn a_pod_that_lags_for_too_long_is_trouble_with_a_way_out() {
    let mut sim = Sim::installed(OLD);
    let lagging = sim.servers()[0].clone();
    let says_so = Behaviour::Fails(json!({"lagging": [lagging]}).to_string());
    sim.jobs.insert("fernet-confirm", says_so.clone());
    sim.rotate(FERNET);
    sim.settle();
    let since = sim.record(FERNET).lagging_since.unwrap();
    assert_eq!(sim.reason("KeysRotate"), "Requested", "the kubelet takes its time");
    // The Job that said so is gone, and the next one has not answered: nothing is forgotten.
    sim.jobs.insert("fernet-confirm", Behaviour::Hangs);
    end_confirm_jobs(&mut sim);
    sim.settle();
    assert_eq!((sim.record(FERNET).lagging, sim.record(FERNET).lagging_since), (vec![lagging.clone()], Some(since)));
    let next = sim.pass().next.unwrap();
    assert!(next <= since + SignedDuration::from_mins(10), "{next} {since}");
    assert_eq!(sim.noted("KeysLagging"), 0);
    sim.world.now = since + SignedDuration::from_mins(10);
    for _ in 0..3 {
        sim.settle();
    }
    let (rotates, message) = sim.condition("KeysRotate");
    assert!(!rotates && message.contains(&format!("kubectl delete pod {lagging}")), "{message}");
    assert_eq!(sim.reason("KeysRotate"), "KeysLagging");
    assert_eq!(sim.noted("KeysLagging"), 1, "{:?}", sim.notes);
    assert!(sim.condition("Ready").0, "users notice nothing");
    // The way out.
    sim.jobs.clear();
    end_confirm_jobs(&mut sim);
    sim.terminate(&lagging);
    sim.settle();
    assert!(sim.condition("KeysRotate").0, "{:?}", sim.condition("KeysRotate"));
    let record = sim.record(FERNET);
    assert!(record.everywhere && record.lagging.is_empty() && record.lagging_since.is_none(), "{record:?}");
}

#[test]
fn a_pod_that_lagged_and_went_lags_no_more() {
    let mut sim = Sim::installed(OLD);
    let lagging = sim.servers()[0].clone();
    sim.jobs.insert("fernet-confirm", Behaviour::Fails(json!({"lagging": [lagging]}).to_string()));
    sim.rotate(FERNET);
    sim.settle();
    sim.jobs.insert("fernet-confirm", Behaviour::Hangs);
    end_confirm_jobs(&mut sim);
    sim.terminate(&lagging);
    sim.settle();
    let record = sim.record(FERNET);
    assert_eq!((record.lagging, record.lagging_since, record.everywhere), (Vec::new(), None, false));
}

/// Their time to live is over.
fn end_confirm_jobs(sim: &mut Sim) {
    for job in sim.names("Job").into_iter().filter(|job| job.contains("-confirm-")) {
        let pods = sim.pods_of(&job);
        sim.delete("Job", &job);
        for pod in &pods {
            sim.pod(pod);
        }
    }
}

#[test]
fn a_rotation_waits_for_an_upgrade_and_an_upgrade_for_a_rotation() {
    let mut sim = Sim::installed(OLD);
    let suspended = |sim: &Sim| sim.find("CronJob", "keystone-fernet-rotate").unwrap().data["spec"]["suspend"].clone();
    let before = sim.keys(FERNET);
    sim.image(NEW).until("Migrating");
    assert_eq!(suspended(&sim), true);
    let new = sim.rotate(FERNET);
    sim.until("Contracting");
    assert_eq!(sim.keys(FERNET), before);
    sim.settle();
    assert_eq!(sim.keys(FERNET), new, "published when it was over");
    assert_eq!(suspended(&sim), false);
    // The other way round.
    sim.jobs.insert("credential-confirm", Behaviour::Hangs);
    sim.rotate(CREDENTIAL);
    sim.settle();
    sim.image("quay.io/keystone:2026.2").settle();
    assert_eq!(sim.step(), None);
    assert!(
        sim.condition("Progressing").1.contains("of the key rotation ends first"),
        "{:?}",
        sim.condition("Progressing")
    );
    sim.jobs.clear();
    sim.settle();
    assert_eq!(sim.world.keystone.status.installed_release.as_deref(), Some("2026.2"));
    assert!(sim.condition("KeysRotate").0 && sim.condition("Ready").0);
}

/// Found by random histories: such a Job would ask until its deadline, and the upgrade wait as long.
#[test]
fn an_upgrade_waits_for_no_job_that_asks_a_pod_that_is_gone() {
    let mut sim = Sim::installed(OLD);
    sim.rotate(CREDENTIAL);
    for _ in 0..20 {
        sim.pass();
        if sim.names("Job").iter().any(|job| job.contains("-confirm-")) {
            break;
        }
    }
    // In one edit; the pod goes before the Job asks.
    sim.spec(|spec| spec.replicas = 1);
    sim.image(NEW).pass();
    sim.deployment();
    sim.settle();
    assert_eq!(sim.world.keystone.status.installed_release.as_deref(), Some("2026.1"));
    assert!(sim.condition("KeysRotate").0 && sim.condition("Ready").0, "{:?}", sim.condition("KeysRotate"));
}

#[test]
fn a_users_own_suspend_stays() {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| spec.credential_keys.suspend = true).settle();
    let suspended = |sim: &Sim, name: &str| sim.find("CronJob", name).unwrap().data["spec"]["suspend"].clone();
    assert_eq!(suspended(&sim, "keystone-credential-rotate"), true);
    assert_eq!(suspended(&sim, "keystone-fernet-rotate"), false);
    sim.image(NEW).settle();
    assert_eq!(suspended(&sim, "keystone-credential-rotate"), true);
    assert_eq!(suspended(&sim, "keystone-fernet-rotate"), false);
    let (rotates, message) = sim.condition("KeysRotate");
    assert!(rotates && message.contains("those for credential by hand only: spec.credentialKeys.suspend"), "{message}");
}

#[test]
fn who_suspends_the_cron_job_itself_is_heard_too() {
    let mut sim = Sim::installed(OLD);
    let suspend = |sim: &mut Sim, name: &str, value: bool| {
        sim.edit("CronJob", name, |live| live["spec"]["suspend"] = json!(value));
    };
    let suspended = |sim: &Sim, name: &str| sim.find("CronJob", name).unwrap().data["spec"]["suspend"].clone();
    sim.suspended.push("keystone-fernet-rotate".into());
    suspend(&mut sim, "keystone-fernet-rotate", true);
    sim.settle();
    assert_eq!(suspended(&sim, "keystone-fernet-rotate"), true);
    let (rotates, message) = sim.condition("KeysRotate");
    assert!(rotates && message.contains("CronJob/keystone-fernet-rotate, which somebody set"), "{message}");
    sim.image(NEW).settle();
    assert_eq!(suspended(&sim, "keystone-fernet-rotate"), true, "an upgrade is no reason to forget it");
    assert_eq!(suspended(&sim, "keystone-credential-rotate"), false);
    // What the spec says is not undone below it.
    sim.spec(|spec| spec.credential_keys.suspend = true).settle();
    suspend(&mut sim, "keystone-credential-rotate", false);
    sim.settle();
    assert_eq!(suspended(&sim, "keystone-credential-rotate"), true);
}

/// A `CronJob` that does nothing leaves no Job to look at.
#[rstest]
#[case::weekly("0 0 * * 0", 14 * 24)]
#[case::hourly("@hourly", 2)]
#[case::twice_a_day("0 1,2 * * *", 46)]
#[case::monthly("0 0 1 * *", 62 * 24)]
#[case::working_hours("0 8-16 * * mon-fri", 2 * 64)]
fn rotations_that_are_missing_are_told(#[case] cron: &str, #[case] hours: i64) {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| {
        spec.fernet.rotation_schedule = cron.to_owned();
        spec.credential_keys.rotation_schedule = cron.to_owned();
    });
    sim.settle();
    let overdue = sim.record(FERNET).since + SignedDuration::from_hours(hours + 2);
    assert_eq!(sim.record(FERNET).overdue_at, Some(overdue));
    sim.world.now = overdue - SignedDuration::from_mins(5);
    sim.settle();
    assert!(sim.condition("KeysRotate").0, "{:?}", sim.condition("KeysRotate"));
    assert_eq!(sim.pass().next, Some(overdue), "nothing else would bring it up");
    sim.world.now = overdue;
    sim.settle();
    let (rotates, message) = sim.condition("KeysRotate");
    assert!(!rotates && sim.reason("KeysRotate") == "KeysOverdue", "{message}");
    assert!(message.contains("CronJob/keystone-fernet-rotate began its last Job never"), "{message}");
    assert!(sim.condition("Ready").0, "users notice nothing");
    sim.rotate(FERNET);
    sim.rotate(CREDENTIAL);
    sim.settle();
    assert!(sim.condition("KeysRotate").0, "{:?}", sim.condition("KeysRotate"));
    assert_eq!(sim.record(FERNET).overdue_at, Some(sim.record(FERNET).since + SignedDuration::from_hours(hours + 2)));
}

#[test]
fn nothing_is_missing_where_nothing_is_to_rotate_by_itself() {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| spec.fernet.suspend = true);
    sim.edit("CronJob", "keystone-credential-rotate", |live| live["spec"]["suspend"] = json!(true));
    sim.suspended.push("keystone-credential-rotate".into());
    sim.settle();
    assert_eq!((sim.record(FERNET).overdue_at, sim.record(CREDENTIAL).overdue_at), (None, None));
    sim.world.now += SignedDuration::from_hours(24 * 365);
    sim.settle();
    assert!(sim.condition("KeysRotate").0, "{:?}", sim.condition("KeysRotate"));
}
