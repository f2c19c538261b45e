//! What services take from the control plane besides their images.

use api::{condition::Status, step::MINOR_UPDATE};
use serde_json::json;

use crate::support::{NEW, OLD, Sim};

#[test]
fn edits_reach_the_services_in_every_step() {
    for (index, step) in MINOR_UPDATE.iter().enumerate().filter(|(_, step)| step.scope == api::step::Scope::Services) {
        let mut sim = Sim::updating(None, OLD, NEW);
        sim.until(step.name);
        let replicas = 10 + index;
        sim.cloud("/rabbitmq/templates/rabbitmq/replicas", json!(replicas));
        sim.cloud("/horizon/template/replicas", json!(replicas));
        sim.pass();
        assert_eq!(sim.field("RabbitMq", "rabbitmq", "spec.replicas"), Some(json!(replicas)), "{}", step.name);
        assert_eq!(sim.field("Horizon", "horizon", "spec.replicas"), Some(json!(replicas)), "{}", step.name);
    }
}

#[test]
fn top_level_fields_are_inherited_unless_the_template_has_its_own() {
    let mut sim = Sim::installed(None, OLD);
    sim.cloud("/nodeSelector", json!({"zone": "a"}));
    sim.cloud("/galera/templates/openstack/storageClass", json!("local"));
    sim.cloud("/glance/template/storage", json!({"storageRequest": "10G"}));
    sim.settle();
    assert_eq!(sim.text("Galera", "openstack", "spec.storageClass"), "local");
    assert_eq!(sim.text("Galera", "openstack-cell1", "spec.storageClass"), "fast");
    assert_eq!(sim.text("Galera", "openstack-cell1", "spec.nodeSelector.zone"), "a");
    assert_eq!(sim.text("Galera", "openstack-cell1", "spec.secret"), "osp-secret");
    assert_eq!(sim.text("Glance", "glance", "spec.storage.storageClass"), "fast");
    assert_eq!(sim.field("ConfigMap", "test-operator-config", "data.secret"), None);
}

#[test]
fn a_switch_of_the_template_is_the_templates() {
    let mut sim = Sim::installed(None, OLD);
    assert_eq!(sim.text("RabbitMq", "rabbitmq", "spec.targetVersion"), "4.2");
    sim.cloud("/rabbitmq/templates/rabbitmq/targetVersion", json!("3.13"));
    sim.settle();
    assert_eq!(sim.text("RabbitMq", "rabbitmq", "spec.targetVersion"), "3.13");
}

#[test]
fn fields_that_nothing_acts_on_are_named() {
    let mut sim = Sim::installed(None, OLD);
    sim.cloud("/tls", json!({"ingress": {"enabled": true}}));
    sim.cloud("/glance/apiOverrides", json!({"x": {}}));
    // Alone, before the image of its step, it would be an upgrade to an image that is not there.
    sim.cloud("/keystone/template/release", json!("2026.1"));
    sim.settle();
    let (status, reason, message) = sim.cp_condition("SpecFullyManaged");
    assert_eq!((status, reason.as_str()), (Status::False, "NotSupported"));
    for field in ["spec.tls", "spec.glance.apiOverrides", "spec.keystone.template.release"] {
        assert!(message.contains(field), "{message}");
    }
    assert_eq!(sim.text("Keystone", "keystone", "spec.release"), "2025.2");
    assert_eq!(sim.cp_condition("Ready").0, Status::True, "for information only");
}

/// Peer: #1916: disabled services are shown as not started.
#[test]
fn every_enabled_row_shows_in_a_condition_of_the_control_plane() {
    let sim = Sim::installed(None, OLD);
    for row in api::service::SERVICES.iter().filter(|row| row.name != "keystone-api") {
        assert_eq!(sim.cp_condition(row.condition).0, Status::True, "{}", row.name);
    }
    let few = Sim::installed(Some(&["placement"]), OLD);
    let types: Vec<_> =
        few.world.control_plane.as_ref().unwrap().status.conditions.iter().map(|c| c.type_.clone()).collect();
    assert!(types.contains(&"OpenStackControlPlanePlacementAPIReady".to_owned()));
    assert!(!types.contains(&"OpenStackControlPlaneGlanceReady".to_owned()), "{types:?}");
}

#[test]
fn names_can_be_made_unique() {
    let mut sim = Sim::installed(None, OLD);
    sim.cloud("/glance/uniquePodNames", json!(true));
    sim.cloud("/cinder/serviceName", json!("cinder-blue"));
    sim.settle();
    assert!(sim.exists("Glance", "glance-cp-ui") && !sim.exists("Glance", "glance"));
    assert!(sim.exists("Cinder", "cinder-blue"));
}
