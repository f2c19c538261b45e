//! The administrator and the endpoint: what the Jobs are told of them, and what is said when they change.

use plan::json;
use rstest::rstest;
use serde_json::{Value, json};

use super::sim::{Behaviour, NEW, OLD, Sim};

/// The variable of the only Job of that task.
fn variable(sim: &Sim, task: &str, name: &str) -> Value {
    let mut jobs: Vec<_> = sim.names("Job").into_iter().filter(|job| job.contains(&format!("-db-{task}-"))).collect();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let env = &sim.find("Job", &jobs.remove(0)).unwrap().data["spec"]["template"]["spec"]["containers"][0]["env"];
    env.as_array().unwrap().iter().find(|env| env["name"] == name).unwrap().clone()
}

#[rstest]
#[case::bootstrap("bootstrap", "Bootstrapping")]
#[case::verify("verify", "Verifying")]
fn a_corrected_password_of_the_administrator_is_used_at_once(#[case] task: &'static str, #[case] step: &str) {
    let mut sim = Sim::installed(OLD);
    sim.jobs.insert(task, Behaviour::Waits("CreateContainerConfigError", "secret \"amdin\" not found"));
    let named = |sim: &mut Sim, name: &str| {
        let secret = serde_json::from_value(json!({"name": name})).unwrap();
        sim.spec(|spec| spec.bootstrap.admin_password_secret_ref = Some(secret));
    };
    named(&mut sim, "amdin");
    sim.image(NEW).settle();
    assert!(sim.condition("Degraded").1.contains("\"amdin\" not found"), "{:?}", sim.condition("Degraded"));
    assert_eq!(sim.step().as_deref(), Some(step));
    sim.jobs.clear();
    named(&mut sim, "admin");
    sim.settle();
    assert_eq!(sim.condition("Ready"), (true, format!("{NEW} is installed")));
    let secret = variable(&sim, task, "OS_BOOTSTRAP_PASSWORD");
    assert_eq!(json::text(&secret, "valueFrom.secretKeyRef.name"), Some("admin"));
}

#[test]
fn a_corrected_secret_of_the_control_plane_is_used_at_once() {
    let mut sim = Sim::new(OLD);
    sim.jobs.insert("bootstrap", Behaviour::Waits("CreateContainerConfigError", "no key AdminPassword"));
    sim.spec(|spec| {
        spec.bootstrap.admin_password_secret_ref = None;
        spec.secret = Some("osp-sercet".into());
    });
    sim.settle();
    assert!(sim.condition("Degraded").1.contains("no key AdminPassword"), "{:?}", sim.condition("Degraded"));
    sim.jobs.clear();
    sim.spec(|spec| spec.secret = Some("osp-secret".into())).settle();
    assert!(sim.condition("Ready").0, "{:?}", sim.condition("Ready"));
    let secret = variable(&sim, "bootstrap", "OS_BOOTSTRAP_PASSWORD");
    assert_eq!(json::text(&secret, "valueFrom.secretKeyRef.name"), Some("osp-secret"));
}

/// Nothing at rest has a name that is made of these fields.
#[test]
fn at_rest_no_job_follows_the_administrator() {
    let mut sim = Sim::installed(OLD);
    let (jobs, ran) = (sim.names("Job"), sim.ran.len());
    sim.spec(|spec| spec.bootstrap.admin_user = "root".into()).settle();
    assert_eq!((sim.names("Job"), sim.ran.len()), (jobs, ran));
}

/// The catalog has what bootstrap wrote, not what the spec says meanwhile.
#[test]
fn the_endpoint_is_the_one_that_bootstrap_wrote() {
    const SERVICE: &str = "http://keystone.openstack.svc:5000/v3";
    let endpoint = |sim: &Sim| sim.world.keystone.status.endpoint.clone();
    let mut sim = Sim::new(OLD);
    sim.until("Bootstrapping");
    assert_eq!(endpoint(&sim), None, "there is no catalog yet");
    sim.until("RollingUpdate");
    assert_eq!(endpoint(&sim).as_deref(), Some(SERVICE));
    sim.settle();
    let public = "https://identity.example.com/v3";
    sim.spec(|spec| spec.bootstrap.public_endpoint = Some(public.into())).settle();
    assert_eq!(endpoint(&sim).as_deref(), Some(SERVICE));
    let said =
        format!("; the catalog has {SERVICE}: spec.bootstrap.publicEndpoint {public} takes effect when bootstrap");
    let (ready, message) = sim.condition("Ready");
    assert!(ready && message.starts_with(&format!("{OLD} is installed{said}")), "{message}");
    // Another build of the release runs no bootstrap.
    sim.image("quay.io/keystone:2025.2-p1").settle();
    assert!(sim.condition("Ready").1.contains(&said), "{:?}", sim.condition("Ready"));
    sim.image(NEW).settle();
    assert_eq!(endpoint(&sim).as_deref(), Some(public));
    assert_eq!(sim.condition("Ready"), (true, format!("{NEW} is installed")));
}

#[test]
fn an_endpoint_that_changes_while_bootstrap_runs_is_written() {
    let mut sim = Sim::new(OLD);
    sim.until("Bootstrapping");
    sim.pass();
    sim.cluster();
    sim.spec(|spec| spec.bootstrap.public_endpoint = Some("https://identity.example.com/v3".into())).settle();
    let url = json!({"name": "PUBLIC_URL", "value": "https://identity.example.com/v3"});
    let mut jobs = sim.names("Job").into_iter().filter(|job| sim.ran.contains(job) && job.contains("-db-bootstrap-"));
    let said = |job: &String| {
        let env = &sim.find("Job", job).unwrap().data["spec"]["template"]["spec"]["containers"][0]["env"];
        env.as_array().unwrap().contains(&url)
    };
    assert!(jobs.next_back().is_some_and(|job| said(&job)), "{:?}", sim.ran);
    assert_eq!(sim.world.keystone.status.endpoint.as_deref(), Some("https://identity.example.com/v3"));
}
