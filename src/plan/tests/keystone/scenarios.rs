//! Stories with one thread.

use super::sim::{NEW, OLD, Sim};

fn tasks(sim: &Sim) -> Vec<String> {
    sim.ran.iter().map(|job| job.split("-db-").nth(1).unwrap().rsplit_once('-').unwrap().0.to_owned()).collect()
}

#[test]
fn the_first_installation() {
    let sim = Sim::installed(OLD);
    assert_eq!(tasks(&sim), ["sync", "bootstrap"]);
    assert_eq!(sim.condition("Ready"), (true, format!("{OLD} is installed")));
    assert_eq!(sim.world.keystone.status.ready_replicas, 3);
    assert!(sim.find("Secret", "keystone-fernet-keys").is_some());
    assert!(sim.find("PodDisruptionBudget", "keystone").is_some());
    assert!(sim.find("Service", "keystone").is_some());
}

#[test]
fn an_upgrade_from_the_first_to_the_last_step() {
    let mut sim = Sim::installed(OLD);
    sim.ran.clear();
    sim.image(NEW).settle();
    assert_eq!(tasks(&sim), ["check", "expand", "migrate", "verify", "contract"]);
    let status = &sim.world.keystone.status;
    assert_eq!(status.installed_image.as_deref(), Some(NEW));
    assert_eq!((&status.target_release, &status.upgrade, &status.upgrade_phase), (&None, &None, &None));
    assert!(sim.condition("Ready").0, "{:?}", sim.condition("Ready"));
    assert_eq!(sim.names("ConfigMap").len(), 2, "the old configuration is gone: {:?}", sim.names("ConfigMap"));
}
