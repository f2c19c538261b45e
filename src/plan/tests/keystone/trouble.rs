//! What goes wrong, and what is said about it.

use api::keystone::{Backup, DeletionPolicy, Strategy};
use plan::{json, keystone::Other};
use rstest::rstest;
use serde_json::json;

use super::{
    keys::{CREDENTIAL, FERNET, key},
    sim::{Behaviour, NEW, OLD, Sim, spec},
};

const DUPLICATE: &str = "(pymysql.err.OperationalError) (1061, \"Duplicate key name 'ix_revocation'\")";

#[rstest]
#[case::half("expand", Behaviour::Fails(DUPLICATE.into()), "cannot be repeated", "ExpandFailed")]
#[case::silent("migrate", Behaviour::Fails(String::new()), "look at its log", "MigrateFailed")]
#[case::password("check", Behaviour::Fails("(1045, \"Access denied\")".into()), "spec.database.secretRef", "PreparationFailed")]
#[case::pull("expand", Behaviour::Waits("ImagePullBackOff", "not found"), "cannot be pulled", "ExpandFailed")]
#[case::secret(
    "contract",
    Behaviour::Waits("CreateContainerConfigError", "secret \"db-secret\" not found"),
    "\"db-secret\" not found; create the Secret",
    "ContractFailed"
)]
#[case::token("verify", Behaviour::Fails("issuing a token at pod 10.0.0.1: 500 no".into()), "500 no", "VerificationFailed")]
fn a_failure_is_explained_and_tried_again_when_asked(
    #[case] task: &'static str,
    #[case] behaviour: Behaviour,
    #[case] text: &str,
    #[case] note: &str,
) {
    let mut sim = Sim::installed(OLD);
    sim.jobs.insert(task, behaviour);
    sim.image(NEW).settle();
    let (degraded, message) = sim.condition("Degraded");
    assert!(degraded && message.contains(text), "{message}");
    assert!(message.contains("Job/keystone-db-") || message.contains("Pod/keystone-db-"), "{message}");
    assert!(!sim.condition("Ready").0);
    assert!(sim.condition("Available").0, "users are served all the time");
    assert_eq!(sim.notes.iter().filter(|said| said.starts_with(&format!("{note}:"))).count(), 1, "{:?}", sim.notes);
    sim.jobs.clear();
    sim.retry("now").settle();
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some(NEW));
    assert!(!sim.condition("Degraded").0);
}

#[test]
fn what_waits_for_a_person_goes_on_by_itself_when_it_is_there() {
    let mut sim = Sim::installed(OLD);
    sim.jobs.insert("expand", Behaviour::Waits("ImagePullBackOff", "not found"));
    sim.image(NEW).settle();
    assert!(sim.condition("Degraded").0);
    sim.jobs.clear();
    sim.settle();
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some(NEW));
}

#[test]
fn a_field_that_was_corrected_is_used_at_once() {
    let mut sim = Sim::new(OLD);
    sim.jobs.insert("sync", Behaviour::Fails("(2003, \"Can't connect to MySQL server on 'db'\")".into()));
    sim.settle();
    assert!(sim.condition("Degraded").1.contains("spec.database.host"), "{:?}", sim.condition("Degraded"));
    sim.jobs.clear();
    sim.spec(|spec| spec.database.host = Some("mariadb".into())).settle();
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some(OLD));

    let backup = |claim: &str| Some(Backup { claim_name: claim.into(), image: "mariadb:10.11".into(), keys: true });
    sim.jobs.insert("backup", Behaviour::Hangs);
    sim.spec(|spec| spec.upgrade.backup = backup("bakcups")).image(NEW).settle();
    sim.jobs.clear();
    sim.spec(|spec| spec.upgrade.backup = backup("backups")).settle();
    let status = &sim.world.keystone.status;
    assert_eq!(status.installed_image.as_deref(), Some(NEW));
    assert_eq!(status.history.last().unwrap().backup.as_ref().unwrap().claim_name, "backups");
}

#[test]
fn a_backup_that_is_not_wanted_any_more_is_not_waited_for() {
    let mut sim = Sim::installed(OLD);
    sim.jobs.insert("backup", Behaviour::Waits("ImagePullBackOff", "not found"));
    let backup = Backup { claim_name: "backups".into(), image: "mariadb:nowhere".into(), keys: true };
    sim.spec(|spec| spec.upgrade.backup = Some(backup)).image(NEW).settle();
    assert_eq!(sim.step().as_deref(), Some("BackingUp"));
    // Nobody knows what a spec says that cannot be read.
    let spec = std::mem::replace(&mut sim.world.keystone.spec, Err("junk".into()));
    sim.settle();
    assert_eq!(sim.step().as_deref(), Some("BackingUp"));
    sim.world.keystone.spec = spec;
    sim.spec(|spec| spec.upgrade.backup = None).settle();
    assert_eq!(sim.condition("Ready"), (true, format!("{NEW} is installed")));
    assert_eq!(sim.world.keystone.status.history.last().unwrap().backup, None);
    assert_eq!(sim.noted("BackupComplete"), 0, "{:?}", sim.notes);
    assert!(!sim.names("Job").iter().any(|job| job.contains("-db-backup-")), "{:?}", sim.names("Job"));
}

#[test]
fn a_job_that_hangs_ends_at_its_deadline() {
    let mut sim = Sim::installed(OLD);
    sim.jobs.insert("migrate", Behaviour::Hangs);
    sim.image(NEW).settle();
    let upgrade = sim.world.keystone.status.upgrade.clone().unwrap();
    let job = upgrade.job.unwrap();
    // First its pods are asked to end; a change that has begun takes its time.
    let asked = json!([{"type": "FailureTarget", "status": "True", "message": "longer than its deadline"}]);
    sim.edit("Job", &job, |job| job["status"] = json!({"conditions": asked}));
    sim.pass();
    let message = sim.world.keystone.status.upgrade.as_ref().unwrap().message.clone();
    assert_eq!(message, format!("Job/{job} was asked to end: longer than its deadline"));
    sim.edit("Job", &job, |job| job["status"] = json!({}));
    sim.deadline(&job);
    sim.settle();
    assert!(sim.condition("Degraded").1.contains("spec.upgrade.jobDeadlineSeconds"), "{:?}", sim.condition("Degraded"));
}

#[test]
fn a_job_that_reached_its_end_too_late_was_too_late() {
    let mut sim = Sim::installed(OLD);
    sim.jobs.insert("check", Behaviour::Hangs);
    sim.image(NEW).settle();
    let job = sim.world.keystone.status.upgrade.as_ref().unwrap().job.clone().unwrap();
    let pod = sim.pods_of(&job).remove(0);
    let ended = json!({"exitCode": 0, "message": "{\"check\": 2}", "finishedAt": "2026-01-01T00:00:00Z"});
    let succeeded = json!({"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": ended}}]});
    sim.edit("Pod", &pod, |pod| pod["status"] = succeeded);
    let asked =
        json!([{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]);
    sim.edit("Job", &job, |job| job["status"] = json!({"conditions": asked}));
    sim.pass();
    let upgrade = sim.world.keystone.status.upgrade.clone().unwrap();
    assert_eq!((upgrade.message, upgrade.failure), (format!("Job/{job} was asked to end: too long"), None));
    let failed = json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]);
    sim.edit("Job", &job, |job| job["status"] = json!({"conditions": failed}));
    sim.settle();
    let message = sim.condition("Degraded").1;
    assert!(message.contains("spec.upgrade.jobDeadlineSeconds") && !message.contains("check\":"), "{message}");
}

#[rstest]
#[case::harmless("check", 1, "; it is tried again")]
#[case::not_begun("expand", 75, "; it is tried again")]
#[case::begun("expand", 1, "; then set the annotation")]
fn what_a_job_said_is_remembered_when_its_pods_are_gone(
    #[case] task: &'static str,
    #[case] code: i32,
    #[case] then: &str,
) {
    let mut sim = Sim::installed(OLD);
    sim.jobs.insert(task, Behaviour::Hangs);
    sim.image(NEW).settle();
    let job = sim.world.keystone.status.upgrade.as_ref().unwrap().job.clone().unwrap();
    let ended = json!({"exitCode": code, "message": "(2003, \"Can't connect\")", "finishedAt": "2026-01-01T00:00:00Z"});
    let failed = json!({"phase": "Failed", "containerStatuses": [{"state": {"terminated": ended}}]});
    let pod = sim.pods_of(&job).remove(0);
    sim.edit("Pod", &pod, |pod| pod["status"] = failed);
    sim.pass();
    assert!(sim.condition("Degraded").1.contains(then), "{:?}", sim.condition("Degraded"));
    sim.deadline(&job);
    sim.settle();
    assert_eq!(sim.pods_of(&job), Vec::<String>::new());
    let message = sim.condition("Degraded").1;
    assert!(message.contains("(2003,") && message.contains("; then set the annotation"), "{message}");
}

#[test]
fn an_abort_lets_a_schema_change_end_that_has_begun() {
    let mut sim = Sim::installed(OLD);
    sim.jobs.insert("expand", Behaviour::Hangs);
    sim.image(NEW).settle();
    sim.image(OLD).settle();
    assert!(sim.names("Job").iter().any(|job| job.contains("-db-expand-")), "half a change is never made");
    let message = &sim.world.keystone.status.upgrade.as_ref().unwrap().message;
    assert!(message.contains("still writes to the schema"), "{message}");
    sim.jobs.clear();
    sim.settle();
    assert_eq!(sim.world.keystone.status.upgrade, None);
    assert_eq!(sim.world.keystone.status.schema_release.as_deref(), Some("2026.1"));
}

#[test]
fn a_broken_image_never_reaches_contract_and_serves_nobody() {
    let mut sim = Sim::installed(OLD);
    sim.broken.push(NEW.to_owned());
    // The Jobs have the image on their node.
    sim.image(NEW);
    for _ in 0..60 {
        let broken = std::mem::take(&mut sim.broken);
        for pod in sim.names("Pod").into_iter().filter(|pod| pod.contains("-db-")) {
            sim.pod(&pod);
        }
        sim.broken = broken;
        sim.pass();
        sim.cluster();
    }
    let (degraded, message) = sim.condition("Degraded");
    assert!(degraded && message.contains("or back to quay.io/keystone:2025.2"), "{message}");
    assert_eq!(sim.world.keystone.status.ready_replicas, 3);
    sim.image(OLD).settle();
    assert!(sim.condition("Ready").0);
}

#[test]
fn keys_that_are_gone_are_never_made_again() {
    let mut sim = Sim::installed(OLD);
    let secret = sim.find("Secret", "keystone-credential-keys").unwrap().clone();
    sim.delete("Secret", "keystone-credential-keys");
    sim.settle();
    let (degraded, message) = sim.condition("Degraded");
    assert!(degraded && message.contains("Secret/keystone-credential-keys was made once and is gone"), "{message}");
    assert!(sim.find("Secret", "keystone-credential-keys").is_none());
    sim.objects("Secret").push(std::sync::Arc::new(secret));
    sim.settle();
    assert!(sim.condition("Ready").0);
}

/// `kubectl replace --force`: the new one comes before the garbage collector.
#[test]
fn keys_that_go_with_a_deleted_keystone_are_not_those_of_the_next_one() {
    let mut sim = Sim::new(OLD);
    sim.spec(|spec| spec.deletion_policy = DeletionPolicy::Delete).settle();
    let old = sim.keys(FERNET);
    sim.world.fresh_keys = (10..30).map(key).collect();
    sim.created_again("another").settle();
    let waits = format!("waits until Secret/{FERNET} of the deleted Keystone is gone");
    for condition in ["Ready", "KeysReady", "Progressing"] {
        assert!(sim.condition(condition).1.contains(&waits), "{:?}", sim.condition(condition));
    }
    assert!(!sim.condition("Degraded").0 && sim.tasks().len() == 2, "nothing runs with keys that are about to go");
    // They go one after the other.
    sim.delete("Secret", FERNET);
    sim.settle();
    assert!(sim.condition("KeysReady").1.contains(CREDENTIAL) && !sim.world.keystone.status.keys_created);
    sim.edit("Secret", CREDENTIAL, |live| live["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    sim.settle();
    assert!(sim.condition("KeysReady").1.contains(CREDENTIAL) && !sim.world.keystone.status.keys_created);
    sim.notes.clear();
    sim.delete("Secret", CREDENTIAL);
    sim.settle();
    assert_eq!(sim.condition("Ready"), (true, format!("{OLD} is installed")));
    assert!(sim.world.keystone.status.keys_created && sim.condition("KeysReady").0);
    assert_ne!(sim.keys(FERNET), old);
    assert_eq!((sim.noted("FernetKeysGenerated"), sim.noted("FernetKeysChanged")), (1, 0), "{:?}", sim.notes);
}

#[rstest]
#[case::retained(json!(null))]
#[case::kept_by_another(json!([{"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "x", "uid": "y"}]))]
fn keys_that_stay_are_those_of_the_next_one(#[case] owners: serde_json::Value) {
    let mut sim = Sim::installed(OLD);
    for secret in [FERNET, CREDENTIAL] {
        sim.edit("Secret", secret, |live| live["metadata"]["ownerReferences"] = owners.clone());
    }
    let old = sim.keys(FERNET);
    sim.created_again("another").settle();
    assert_eq!(sim.condition("Ready"), (true, format!("{OLD} is installed")));
    assert_eq!(sim.keys(FERNET), old);
}

#[rstest]
#[case::older("2025-01-01T00:00:00Z", "db.openstack.svc.cluster.local", true)]
#[case::younger("2026-06-01T00:00:00Z", "db", false)]
#[case::another("2025-01-01T00:00:00Z", "db2", false)]
fn a_database_belongs_to_the_older_one(#[case] created: &str, #[case] host: &str, #[case] refused: bool) {
    let mut sim = Sim::new(OLD);
    let mut other = spec(OLD);
    other["database"]["host"] = host.into();
    let spec = serde_json::from_value(other).unwrap();
    sim.world.others = vec![Other { name: "other".into(), created: Some(created.parse().unwrap()), spec }];
    sim.settle();
    assert_eq!(sim.condition("Degraded").0, refused);
    assert_eq!(sim.condition("Degraded").1.contains("Keystone/other is older"), refused);
    assert_eq!(sim.world.keystone.status.installed_image.is_none(), refused);
}

#[test]
fn nothing_is_decided_while_pods_cannot_be_read() {
    let mut sim = Sim::installed(OLD);
    sim.image(NEW);
    let unreadable = plan::release::Objects::Unreadable("forbidden".into());
    let pods = sim.world.kinds.insert("Pod.".into(), unreadable).unwrap();
    let planned = sim.pass();
    assert!(planned.actions.is_empty());
    assert!(sim.condition("Degraded").1.contains("Pod: the objects cannot be read: forbidden"));
    sim.world.kinds.insert("Pod.".into(), pods);
    sim.settle();
    assert!(sim.condition("Ready").0);
}

#[rstest]
fn a_pod_that_never_ends_is_said_after_its_grace(#[values(Strategy::Online, Strategy::Offline)] strategy: Strategy) {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| spec.upgrade.strategy = strategy);
    sim.lingering = true;
    sim.image(NEW).settle();
    let message = sim.world.keystone.status.upgrade.as_ref().unwrap().message.clone();
    assert!(message.starts_with("Pod/api-") && !sim.condition("Degraded").0, "{message}");
    let next = sim.pass().next.expect("nothing else will ask for a pass");
    assert!(next > sim.world.now);
    sim.world.now = next;
    sim.settle();
    let (degraded, message) = sim.condition("Degraded");
    assert!(degraded && message.contains("does not answer") && message.contains(" --force"), "{message}");
    assert!(!sim.tasks().iter().any(|task| task == "contract"), "somebody may still read");
    sim.lingering = false;
    sim.settle();
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some(NEW));
    assert!(!sim.condition("Degraded").0);
}

/// One that admission did not look at.
#[test]
fn a_name_that_is_too_long_for_a_cron_job_is_said() {
    let mut sim = Sim::installed(OLD);
    let error = "CronJob.batch is invalid: metadata.name: must be no more than 52 characters";
    sim.world.failures.insert("CronJob/keystone-credential-rotate".into(), error.into());
    sim.pass();
    let (degraded, message) = sim.condition("Degraded");
    assert!(degraded && message.contains("CronJob/keystone-credential-rotate cannot be written"), "{message}");
    assert!(message.contains("52 characters") && !sim.condition("Ready").0, "{message}");
}

#[rstest]
#[case::between_two_tries(json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}))]
#[case::at_the_next_one(json!({"running": {}}))]
fn a_pod_that_the_database_does_not_let_in_is_explained_before_the_deadline(#[case] state: serde_json::Value) {
    let mut sim = Sim::installed(OLD);
    sim.image(NEW).until("RollingUpdate");
    sim.pass();
    sim.cluster();
    let new = |sim: &Sim| {
        let image = |name: &String| sim.find("Pod", name).unwrap().data["spec"]["containers"][0]["image"] == NEW;
        sim.servers().into_iter().find(image)
    };
    let pod = new(&sim).unwrap();
    let ended = json!({"terminated": {"message": "(1045, \"Access denied for user 'keystone'\")"}});
    let status =
        json!({"phase": "Running", "containerStatuses": [{"state": state, "lastState": ended, "ready": false}]});
    sim.edit("Pod", &pod, |live| live["status"] = status.clone());
    sim.pass();
    let (degraded, message) = sim.condition("Degraded");
    assert!(degraded && message.contains(&format!("Pod/{pod}: (1045,")), "{message}");
    assert!(message.contains("spec.database.secretRef"), "{message}");
    // It gets in with the password that is right: nobody has to do more.
    let status = json!({"phase": "Running", "podIP": "10.0.0.9", "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"state": {"running": {}}, "lastState": ended, "ready": true}]});
    sim.edit("Pod", &pod, |live| live["status"] = status.clone());
    sim.settle();
    assert!(!sim.condition("Degraded").0 && sim.condition("Ready").0, "{:?}", sim.condition("Degraded"));
}

/// The operator cannot win against it, and must not wait for itself without a word of it.
#[test]
fn what_somebody_else_makes_of_the_deployment_is_named() {
    let mut sim = Sim::installed(OLD);
    sim.image(NEW).until("RollingUpdate");
    let webhook = |sim: &mut Sim| {
        sim.edit("Deployment", "keystone", |live| {
            json::set(live, &json::keys("spec.template.spec.containers.0.image"), json!("mirror/keystone:2026.1"));
        });
    };
    for _ in 0..3 {
        sim.pass();
        webhook(&mut sim);
        sim.cluster();
    }
    let message = &sim.world.keystone.status.upgrade.as_ref().unwrap().message;
    let named = "Deployment/keystone: spec.template.spec.containers.0.image should be quay.io/keystone:2026.1, is \
                 mirror/keystone:2026.1, although it was applied: look for a webhook";
    assert!(message.starts_with(named), "{message}");
    sim.settle();
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some(NEW), "when it is gone, it goes on");
}
