//! What pods run as: the account and its role, what the templates say of it, and what comes of pods that had none.

use api::keystone::{Backup, Strategy};
use plan::{json, keystone::admission_rule};
use rstest::rstest;
use serde_json::{Value, json};

use super::sim::{NEW, OLD, Sim};

const ACCOUNT: &str = "keystone-pods";
const PARTS: [&str; 3] = ["ServiceAccount", "Role", "RoleBinding"];

/// The account of a template, and whether a token comes with it.
fn account<'a>(sim: &'a Sim, kind: &str, name: &str, pod: &str) -> (&'a Value, &'a Value) {
    let pod = json::get(&sim.find(kind, name).unwrap().data, pod).unwrap();
    (&pod["serviceAccountName"], &pod["automountServiceAccountToken"])
}

#[test]
fn every_pod_has_an_account_that_may_be_admitted() {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| {
        let backup: Backup = serde_json::from_value(json!({"claimName": "backups", "image": "mariadb:11"})).unwrap();
        spec.upgrade.backup = Some(backup);
    });
    sim.image(NEW).settle();
    sim.rotate("keystone-credential-keys");
    sim.settle();
    let none = (&json!(ACCOUNT), &json!(false));
    assert_eq!(account(&sim, "Deployment", "keystone", "spec.template.spec"), none);
    let jobs = sim.names("Job");
    assert_eq!(jobs.len(), 8, "of each step, and one that asks for keys: {jobs:?}");
    for job in jobs {
        assert_eq!(account(&sim, "Job", &job, "spec.template.spec"), none, "{job}");
    }
    for own in ["keystone-fernet-rotate", "keystone-credential-rotate"] {
        let rotation = account(&sim, "CronJob", own, "spec.jobTemplate.spec.template.spec");
        assert_eq!(rotation, (&json!(own), &json!(true)));
    }
    let admitted = json!({
        "apiGroups": ["security.openshift.io"],
        "resources": ["securitycontextconstraints"],
        "resourceNames": ["nonroot-v2"],
        "verbs": ["use"],
    });
    assert_eq!(sim.find("Role", ACCOUNT).unwrap().data["rules"], json!([admitted]));
    assert_eq!(sim.find("ServiceAccount", ACCOUNT).unwrap().data["automountServiceAccountToken"], false);
    let binding = &sim.find("RoleBinding", ACCOUNT).unwrap().data;
    assert_eq!(binding["subjects"], json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "openstack"}]));
    assert_eq!(binding["roleRef"]["name"], ACCOUNT);
    for kind in PARTS {
        let (of, service) = (&sim.find(kind, ACCOUNT).unwrap().metadata, sim.find("Service", "keystone").unwrap());
        assert_eq!(of.owner_references, service.metadata.owner_references, "{kind} goes with the Keystone");
        assert_eq!(of.labels.as_ref().unwrap()["app.kubernetes.io/instance"], "keystone");
    }
}

/// What deletes an account at the worst moment: its pods come when it is back.
#[test]
fn pods_that_wait_for_their_account_are_no_failure() {
    let mut sim = Sim::installed(OLD);
    sim.ran.clear();
    sim.image(NEW).until("Expanding");
    sim.pass();
    for kind in PARTS {
        sim.delete(kind, ACCOUNT);
    }
    sim.cluster();
    let job = sim.world.keystone.status.upgrade.as_ref().unwrap().job.clone().unwrap();
    assert_eq!(sim.pods_of(&job), Vec::<String>::new(), "the API server makes no pod without it");
    sim.settle();
    assert_eq!(sim.tasks(), ["check", "expand", "migrate", "verify", "contract", "bootstrap"]);
    assert!(!sim.notes.iter().any(|note| note.contains("Failed")), "{:?}", sim.notes);
}

/// As an operator left it that gave no account to its pods.
fn before_accounts(sim: &mut Sim) {
    for kind in PARTS {
        sim.delete(kind, ACCOUNT);
    }
    for (kind, pod) in [("Deployment", "spec.template.spec"), ("Job", "spec.template.spec"), ("Pod", "spec")] {
        for name in sim.names(kind) {
            sim.edit(kind, &name, |live| json::remove(live, &json::keys(&format!("{pod}.serviceAccountName"))));
        }
    }
    for role in sim.names("Role") {
        sim.edit("Role", &role, |live| {
            live["rules"].as_array_mut().unwrap().retain(|rule| *rule != admission_rule());
        });
    }
}

fn template(sim: &Sim) -> Value {
    account(sim, "Deployment", "keystone", "spec.template.spec").0.clone()
}

/// The operator is replaced at any step: what is under way goes on with the Jobs that it has, and the pods that serve get
/// the account once it is bound.
#[rstest]
fn pods_of_an_operator_before_get_it_in_the_middle_of_an_upgrade(
    #[values("Preparing", "Expanding", "Migrating", "RollingUpdate", "Verifying", "Contracting", "Bootstrapping")]
    step: &str,
    #[values(Strategy::Online, Strategy::Offline)] strategy: Strategy,
) {
    let mut sim = Sim::installed(OLD);
    sim.spec(|spec| spec.upgrade.strategy = strategy);
    sim.ran.clear();
    sim.image(NEW).until(step);
    sim.pass();
    before_accounts(&mut sim);
    let job = |sim: &Sim| sim.world.keystone.status.upgrade.as_ref().unwrap().job.clone();
    let (before, jobs) = (job(&sim), sim.names("Job"));
    sim.pass();
    assert_eq!((job(&sim), sim.names("Job")), (before, jobs), "their names are made of what they work on");
    sim.pass();
    assert_eq!(template(&sim), Value::Null, "it is bound with that pass");
    sim.settle();
    assert_eq!(template(&sim), ACCOUNT);
    let mut tasks = sim.tasks();
    // Other pods were asked when it began.
    tasks.dedup();
    let order: &[&str] = match strategy {
        Strategy::Online => &["check", "expand", "migrate", "verify", "contract", "bootstrap"],
        Strategy::Offline => &["check", "expand", "migrate", "contract", "verify", "bootstrap"],
    };
    assert_eq!(tasks, order);
    assert_eq!(sim.condition("Ready"), (true, format!("{NEW} is installed")));
    assert!(!sim.notes.iter().any(|note| note.contains("Failed")), "{:?}", sim.notes);
}

#[test]
fn pods_of_an_operator_before_get_it_at_rest_when_it_is_bound() {
    let mut sim = Sim::installed(OLD);
    before_accounts(&mut sim);
    let ran = sim.ran.clone();
    // Its own rights are as old as the pods.
    let old = sim.clone();
    for _ in 0..3 {
        sim.pass();
        for kind in ["Role", "RoleBinding"] {
            sim.objects(kind).retain(|live| live.metadata.name.as_deref() != Some(ACCOUNT));
        }
        sim.world.failures.insert(format!("Role/{ACCOUNT}"), "forbidden".into());
        sim.cluster();
    }
    assert_eq!((template(&sim), sim.servers()), (Value::Null, old.servers()), "they serve as they are");
    assert!(sim.condition("Degraded").1.contains("Role/keystone-pods cannot be written: forbidden"));
    sim.world.failures.clear();
    sim.settle();
    assert_eq!(template(&sim), ACCOUNT);
    assert_eq!((sim.condition("Ready"), sim.ran), ((true, format!("{OLD} is installed")), ran), "a rollout, no Job");
}
