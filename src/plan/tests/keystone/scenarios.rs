//! Stories with one thread.

use api::keystone::{Autoscaling, Backup, Strategy, UpgradeResult};
use plan::json;
use rstest::rstest;
use serde_json::{Value, json};

use super::sim::{Behaviour, NEW, OLD, Sim};

#[test]
fn the_first_installation() {
    let mut sim = Sim::new(OLD);
    for step in ["Installing", "RollingUpdate"] {
        sim.until(step);
        let (available, message) = sim.condition("Available");
        assert!(!available && message.contains("no pod serves yet"), "no logs to look at: {message}");
    }
    sim.settle();
    assert_eq!(sim.tasks(), ["sync", "bootstrap"]);
    assert_eq!(sim.condition("Ready"), (true, format!("{OLD} is installed")));
    assert_eq!(sim.world.keystone.status.ready_replicas, 3);
    let keys = sim.find("Secret", "keystone-fernet-keys").unwrap();
    assert_eq!(keys.metadata.owner_references, None, "keys outlive the Keystone");
    assert_eq!(keys.data["data"].as_object().unwrap().len(), 3);
    assert!(sim.find("Service", "keystone").is_some());
}

#[test]
fn an_upgrade_from_the_first_to_the_last_step() {
    let mut sim = Sim::installed(OLD);
    sim.ran.clear();
    sim.notes.clear();
    sim.image(NEW).settle();
    assert_eq!(sim.tasks(), ["check", "expand", "migrate", "verify", "contract", "bootstrap"]);
    let status = &sim.world.keystone.status;
    assert_eq!(status.installed_image.as_deref(), Some(NEW));
    assert_eq!((&status.target_release, &status.upgrade, &status.upgrade_phase), (&None, &None, &None));
    assert!(sim.condition("Ready").0, "{:?}", sim.condition("Ready"));
    assert_eq!(sim.names("ConfigMap").len(), 2, "the old configuration is gone: {:?}", sim.names("ConfigMap"));
    assert_eq!(sim.names("Job").len(), 6, "the Jobs of the upgrade stay as evidence");
    let said: Vec<_> = sim.notes.iter().map(|note| note.split(':').next().unwrap()).collect();
    for reason in
        ["UpgradeInitiated", "ExpandComplete", "MigrateComplete", "DeploymentRolloutComplete", "UpgradeComplete"]
    {
        assert_eq!(said.iter().filter(|said| **said == reason).count(), 1, "{reason}: {said:?}");
    }
}

/// The API server does not give them back.
#[test]
fn empty_values_in_what_the_administrator_writes_stop_nothing() {
    let mut sim = Sim::new(OLD);
    sim.spec(|spec| {
        spec.tolerations = vec![json!({"key": "infra", "operator": "Exists", "value": "", "effect": ""})];
        spec.topology_spread_constraints = Some(vec![json!({
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {}}, "matchLabelKeys": [],
        })]);
    });
    sim.settle();
    let live = &sim.find("Deployment", "keystone").unwrap().data["spec"]["template"]["spec"];
    assert_eq!(live["tolerations"], json!([{"key": "infra", "operator": "Exists"}]));
    assert_eq!(sim.condition("Ready"), (true, format!("{OLD} is installed")));
    sim.image(NEW).settle();
    assert_eq!(sim.condition("Ready"), (true, format!("{NEW} is installed")));
}

#[test]
fn a_patch_whose_schema_is_current_runs_no_schema_job() {
    let mut sim = Sim::installed(OLD);
    sim.ran.clear();
    let report = json!({"check": 0, "version": "28.1.0", "ahead": false}).to_string();
    sim.jobs.insert("check", Behaviour::Succeeds(report));
    sim.image("quay.io/keystone:2025.2-p1").settle();
    assert_eq!(sim.tasks(), ["check", "verify"]);
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some("quay.io/keystone:2025.2-p1"));
}

#[rstest]
#[case::liar("27.0.0")]
#[case::unknown("")]
fn a_check_that_cannot_be_trusted_skips_nothing(#[case] version: &str) {
    let mut sim = Sim::installed(OLD);
    sim.ran.clear();
    let report = json!({"check": 0, "version": version, "ahead": false}).to_string();
    sim.jobs.insert("check", Behaviour::Succeeds(report));
    sim.image("quay.io/keystone:2025.2-p1").settle();
    assert_eq!(sim.tasks(), ["check", "expand", "migrate", "verify", "contract"]);
}

#[test]
fn offline_nobody_runs_while_the_schema_changes() {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| {
        spec.upgrade.strategy = Strategy::Offline;
        spec.upgrade.backup = Some(Backup { claim_name: "backups".into(), image: "mariadb:10.11".into(), keys: true });
    });
    sim.ran.clear();
    sim.image(NEW);
    for _ in 0..200 {
        sim.pass();
        sim.cluster();
        let writes = sim.names("Pod").iter().any(|pod| pod.contains("-expand-") || pod.contains("-contract-"));
        let done = sim.tasks().contains(&"contract".to_owned());
        assert!(!writes || done || !sim.names("Pod").iter().any(|pod| pod.starts_with("api-")));
    }
    assert_eq!(sim.tasks(), ["check", "backup", "expand", "migrate", "contract", "verify", "bootstrap"]);
    assert_eq!(sim.world.keystone.status.ready_replicas, 3);
    assert!(sim.condition("Ready").0);
}

#[rstest]
#[case::online("RollingUpdate", Strategy::Online, Strategy::Offline, &["verify", "contract"])]
#[case::online_late("Contracting", Strategy::Online, Strategy::Offline, &["verify", "contract"])]
#[case::offline("Contracting", Strategy::Offline, Strategy::Online, &["contract", "verify"])]
#[case::offline_early("Expanding", Strategy::Offline, Strategy::Online, &["contract", "verify"])]
fn a_strategy_that_changes_on_the_way_holds_for_the_next_upgrade(
    #[case] step: &str,
    #[case] began: Strategy,
    #[case] wanted: Strategy,
    #[case] order: &[&str],
    // Another build begins at the first step, in the same order.
    #[values(NEW, "quay.io/keystone:2026.1-p1")] then: &str,
) {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| spec.upgrade.strategy = began).image(NEW).until(step);
    sim.spec(|spec| spec.upgrade.strategy = wanted).pass();
    let said = format!("; spec.upgrade.strategy {wanted} holds for the next upgrade, this one began with {began}");
    assert!(sim.condition("Progressing").1.ends_with(&said), "{:?}", sim.condition("Progressing"));
    assert_eq!(sim.step().as_deref(), Some(step));
    sim.image(then).settle();
    let tasks = sim.tasks();
    assert_eq!(tasks[tasks.len() - 5..tasks.len() - 1], [&["expand", "migrate"], order].concat());
    assert_eq!(sim.condition("Ready"), (true, format!("{then} is installed")));
    for pod in sim.servers() {
        assert_eq!(sim.find("Pod", &pod).unwrap().data["spec"]["containers"][0]["image"], then, "{pod}");
    }
}

#[test]
fn an_upgrade_that_an_older_operator_began_keeps_its_order_from_the_next_step_on() {
    let mut sim = Sim::installed(OLD);
    sim.image(NEW).until("Migrating");
    sim.world.keystone.status.upgrade.as_mut().unwrap().strategy = None;
    sim.until("RollingUpdate");
    sim.spec(|spec| spec.upgrade.strategy = Strategy::Offline).settle();
    let tasks = sim.tasks();
    assert_eq!(tasks[tasks.len() - 4..], ["migrate", "verify", "contract", "bootstrap"]);
}

#[test]
fn a_backup_is_on_record_before_the_schema_changes() {
    let mut sim = Sim::installed(OLD);
    let backup = Backup { claim_name: "backups".into(), image: "mariadb:10.11".into(), keys: true };
    sim.spec(|spec| spec.upgrade.backup = Some(backup)).image(NEW);
    sim.until("Expanding");
    let reference = sim.world.keystone.status.upgrade.as_ref().unwrap().backup.clone().unwrap();
    assert_eq!((reference.claim_name.as_str(), reference.release.as_str()), ("backups", "2025.2"));
    let job = sim.names("Job").into_iter().find(|job| job.contains("-db-backup-")).unwrap();
    let container = &sim.find("Job", &job).unwrap().data["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "mariadb:10.11");
    let env = container["env"].as_array().unwrap().iter().find(|env| env["name"] == "BACKUP_PATH").unwrap();
    assert_eq!(env["value"], json!(reference.path));
    sim.settle();
    assert_eq!(sim.world.keystone.status.history.last().unwrap().backup.as_ref(), Some(&reference));
}

#[test]
fn a_backup_of_a_schema_that_has_grown_never_replaces_one_from_before() {
    let mut sim = Sim::installed(OLD);
    let backup = Backup { claim_name: "backups".into(), image: "mariadb:10.11".into(), keys: true };
    sim.spec(|spec| spec.upgrade.backup = Some(backup)).image(NEW).until("Migrating");
    let taken = sim.world.keystone.status.upgrade.as_ref().unwrap().backup.clone();
    assert_eq!(taken.as_ref().unwrap().release, "2025.2");
    sim.image("quay.io/keystone:2026.1-p1").settle();
    assert_eq!(sim.tasks().iter().filter(|task| *task == "backup").count(), 1, "{:?}", sim.tasks());
    let history = &sim.world.keystone.status.history;
    let ended: Vec<_> = history.iter().rev().take(2).map(|entry| (entry.result, &entry.backup)).collect();
    assert_eq!(ended, [(UpgradeResult::Completed, &taken), (UpgradeResult::Superseded, &taken)]);
}

#[rstest]
#[case::aborted("Expanding", "2026.1")]
#[case::aborted_before("BackingUp", "2025.2")]
fn a_backup_says_which_schema_it_has(#[case] step: &str, #[case] release: &str) {
    let mut sim = Sim::installed(OLD);
    let backup = Backup { claim_name: "backups".into(), image: "mariadb:10.11".into(), keys: true };
    sim.spec(|spec| spec.upgrade.backup = Some(backup)).image(NEW).until(step);
    sim.image(OLD).settle();
    sim.image(NEW).until("Expanding");
    let reference = sim.world.keystone.status.upgrade.as_ref().unwrap().backup.clone().unwrap();
    assert_eq!(reference.release, release);
}

/// Nobody asked for one before the schema grew.
#[test]
fn a_late_backup_says_which_schema_it_has() {
    let mut sim = Sim::installed(OLD);
    sim.image(NEW).until("Migrating");
    let backup = Backup { claim_name: "backups".into(), image: "mariadb:10.11".into(), keys: true };
    sim.spec(|spec| spec.upgrade.backup = Some(backup)).image("quay.io/keystone:2026.1-p1").settle();
    assert_eq!(sim.world.keystone.status.history.last().unwrap().backup.as_ref().unwrap().release, "2026.1");
}

#[rstest]
#[case::with_keys(true, Some("fernet-keys credential-keys"))]
#[case::without_keys(false, None)]
fn a_backup_sees_keys_only_where_it_copies_them(#[case] keys: bool, #[case] wanted: Option<&str>) {
    let mut sim = Sim::installed(OLD);
    let backup = Backup { claim_name: "backups".into(), image: "mariadb:10.11".into(), keys };
    sim.spec(|spec| spec.upgrade.backup = Some(backup)).image(NEW).until("Expanding");
    let job = sim.names("Job").into_iter().find(|job| job.contains("-db-backup-")).unwrap();
    let pod = &sim.find("Job", &job).unwrap().data["spec"]["template"]["spec"];
    let named = |list: &Value, name: &str| list.as_array().unwrap().iter().find(|item| item["name"] == name).cloned();
    let container = &pod["containers"][0];
    assert_eq!(named(&container["env"], "BACKUP_KEYS").map(|env| env["value"].clone()), wanted.map(|keys| json!(keys)));
    for volume in ["fernet-keys", "credential-keys"] {
        assert_eq!(named(&pod["volumes"], volume).is_some(), keys);
        assert_eq!(named(&container["volumeMounts"], volume).is_some(), keys);
    }
}

#[rstest]
fn an_upgrade_is_aborted_before_contract(
    #[values("Preparing", "Expanding", "Migrating", "RollingUpdate", "Verifying")] step: &str,
) {
    let mut sim = Sim::installed(OLD);
    sim.image(NEW).until(step);
    sim.image(OLD).settle();
    let status = &sim.world.keystone.status;
    assert_eq!(status.installed_image.as_deref(), Some(OLD));
    assert_eq!(status.history.last().unwrap().result, UpgradeResult::Aborted);
    assert_eq!(status.schema_release.is_some(), step != "Preparing");
    assert!(sim.condition("Ready").0, "{:?}", sim.condition("Ready"));
    assert!(!sim.tasks().contains(&"contract".to_owned()));
    // And it can be tried again; what ran before does not count.
    sim.ran.clear();
    sim.image(NEW).settle();
    assert_eq!(sim.tasks(), ["check", "expand", "migrate", "verify", "contract", "bootstrap"]);
    assert_eq!(sim.world.keystone.status.schema_release, None);
}

#[test]
fn a_patch_that_changed_the_schema_and_is_aborted_leaves_no_release_behind() {
    let mut sim = Sim::installed(OLD);
    sim.image("quay.io/keystone:2025.2-p1").until("Migrating");
    sim.image(OLD).settle();
    let status = &sim.world.keystone.status;
    assert_eq!(status.history.last().unwrap().result, UpgradeResult::Aborted);
    assert_eq!((status.installed_release.as_deref(), status.schema_release.as_deref()), (Some("2025.2"), None));
    assert!(sim.condition("Ready").0, "{:?}", sim.condition("Ready"));
}

#[test]
fn an_old_pod_that_is_still_going_keeps_the_schema_as_it_is() {
    let mut sim = Sim::installed(OLD);
    sim.lingering = true;
    sim.image(NEW).settle();
    assert_eq!(sim.step().as_deref(), Some("Verifying"));
    assert!(sim.condition("Progressing").1.contains("of another image is not gone yet"));
    assert!(!sim.tasks().contains(&"verify".to_owned()));
    sim.lingering = false;
    sim.settle();
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some(NEW));
}

#[test]
fn contract_is_never_taken_back() {
    let mut sim = Sim::installed(OLD);
    sim.image(NEW).until("Contracting");
    sim.image(OLD).settle();
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some(NEW));
    assert!(sim.condition("TargetReleaseValid").1.contains("the schema cannot go back"));
}

#[test]
fn a_schema_that_an_aborted_upgrade_left_ahead_does_not_stop_a_patch() {
    let mut sim = Sim::installed(OLD);
    sim.image(NEW).until("Migrating");
    sim.image(OLD).settle();
    sim.ran.clear();
    let report = json!({"check": 1, "version": "28.1.0", "ahead": true}).to_string();
    sim.jobs.insert("check", Behaviour::Succeeds(report));
    sim.image("quay.io/keystone:2025.2-p1").settle();
    assert_eq!(sim.tasks(), ["check", "verify"]);
    assert_eq!(sim.world.keystone.status.schema_release.as_deref(), Some("2026.1"), "it still is");
}

#[rstest]
fn the_return_after_a_restore_is_verified(#[values(Strategy::Online, Strategy::Offline)] strategy: Strategy) {
    let mut sim = Sim::installed(NEW);
    sim.ran.clear();
    sim.spec(|spec| {
        spec.upgrade.restored_release = Some("2025.2".into());
        spec.upgrade.strategy = strategy;
    });
    sim.jobs.insert("check", Behaviour::Succeeds(json!({"check": 1, "version": "28.1.0", "ahead": true}).to_string()));
    sim.image(OLD).settle();
    let (degraded, message) = sim.condition("Degraded");
    assert!(degraded && message.contains("restore the database from a backup of 2025.2, then set"), "{message}");
    let serving = if strategy == Strategy::Offline { 0 } else { 3 };
    assert_eq!(sim.world.keystone.status.ready_replicas, serving, "offline nobody uses what is being restored");
    sim.jobs.insert("check", Behaviour::Succeeds(json!({"check": 0, "version": "28.1.0", "ahead": false}).to_string()));
    sim.retry("1").until("RollingUpdate");
    // What was restored is no place for the newer one.
    sim.image(NEW).pass();
    assert!(sim.condition("TargetReleaseValid").1.contains("set spec.image to quay.io/keystone:2025.2, and upgrade"));
    sim.image(OLD).settle();
    assert_eq!(sim.tasks()[..3], ["check", "check", "verify"]);
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some(OLD));
    assert!(sim.condition("Available").0);
}

#[test]
fn another_build_takes_the_place_of_one_that_does_not_start() {
    let mut sim = Sim::installed(OLD);
    sim.broken.push(NEW.to_owned());
    sim.image(NEW).settle();
    assert!(sim.condition("Degraded").1.contains("cannot be pulled"), "{:?}", sim.condition("Degraded"));
    sim.image("quay.io/keystone:2026.1-p1").settle();
    assert_eq!(sim.world.keystone.status.installed_image.as_deref(), Some("quay.io/keystone:2026.1-p1"));
}

#[test]
fn the_autoscaler_takes_over_and_gives_back() {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| spec.replicas = 5).settle();
    let replicas = |sim: &Sim| json::get(&sim.find("Deployment", "keystone").unwrap().data, "spec.replicas").cloned();
    let limits = Autoscaling { min_replicas: Some(2), max_replicas: 9, ..Autoscaling::default() };
    sim.spec(|spec| spec.autoscaling = Some(limits)).settle();
    assert_eq!(replicas(&sim), Some(json!(5)), "never a jump to 1 or to the minimum");
    assert!(sim.find("HorizontalPodAutoscaler", "keystone").is_some());
    // The autoscaler writes: nobody writes against it, not even while the pods are replaced.
    sim.scale(7);
    sim.pass();
    // The Deployment controller answers: pods are being made.
    for _ in 0..4 {
        sim.cluster();
        sim.pass();
        assert!(sim.condition("Ready").0, "more pods than there were are no trouble: {:?}", sim.condition("Ready"));
    }
    sim.settle();
    sim.image(NEW).settle();
    assert_eq!(replicas(&sim), Some(json!(7)));
    sim.spec(|spec| spec.autoscaling = None).settle();
    assert_eq!(replicas(&sim), Some(json!(5)));
    assert!(sim.find("HorizontalPodAutoscaler", "keystone").is_none());
}

#[rstest]
#[case::one(1, None, json!(null), json!(1))]
#[case::two(2, None, json!(1), json!(null))]
#[case::scaled_from_one(3, Some(1), json!(null), json!(1))]
#[case::scaled(1, Some(2), json!(1), json!(null))]
fn the_budget_follows_the_fewest_pods(
    #[case] replicas: i32,
    #[case] fewest: Option<i32>,
    #[case] available: serde_json::Value,
    #[case] unavailable: serde_json::Value,
) {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| {
        spec.replicas = replicas;
        spec.autoscaling =
            fewest.map(|min| Autoscaling { min_replicas: Some(min), max_replicas: 9, ..Default::default() });
    });
    sim.settle();
    let budget = &sim.find("PodDisruptionBudget", "keystone").unwrap().data["spec"];
    assert_eq!((&budget["minAvailable"], &budget["maxUnavailable"]), (&available, &unavailable));
}

#[test]
fn an_edit_of_what_is_ours_is_undone_and_scaling_works_in_every_step() {
    let mut sim = Sim::installed(OLD);
    sim.edit("Deployment", "keystone", |live| {
        json::set(live, &json::keys("spec.template.spec.containers.0.image"), json!("other:1"));
    });
    sim.settle();
    let image = |sim: &Sim| {
        sim.find("Deployment", "keystone").unwrap().data["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    assert_eq!(image(&sim), json!(OLD));
    sim.jobs.insert("expand", Behaviour::Hangs);
    sim.image(NEW).until("Expanding");
    sim.spec(|spec| spec.replicas = 4);
    for _ in 0..20 {
        sim.pass();
        sim.cluster();
    }
    assert_eq!(sim.world.keystone.status.ready_replicas, 4);
    assert_eq!(image(&sim), json!(OLD));
}
