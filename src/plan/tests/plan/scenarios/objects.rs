//! Which objects there are: switched on and off, added and removed, variants.

use api::{
    condition::Status,
    step::StepName,
    version::{ServiceState, StepState},
};
use plan::release::Objects;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{NEW, NEWER, OLD, Sim, bundle, image_of, kind_named, known_mut, nodeset};

/// Peer: 2.10j: images of disabled services stay in the status.
#[test]
fn a_service_that_is_disabled_in_the_middle_loses_its_object_and_the_update_goes_on() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    sim.cloud("/heat/enabled", json!(false));
    sim.pass();
    assert!(!sim.exists("Heat", "heat"));
    let line = sim.status().services.iter().find(|line| line.name == "heat").unwrap();
    assert_eq!(line.state, ServiceState::Disabled);
    assert!(line.message.contains("spec.heat is not enabled"));
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    let images = &sim.world.control_plane.as_ref().unwrap().status.container_images;
    assert!(!images.contains_key("heatAPIImage"), "upstream leaves the images of disabled services behind");
}

#[test]
fn an_instance_that_leaves_the_templates_is_deleted() {
    let mut sim = Sim::installed(None, OLD);
    sim.cloud("/galera/templates/openstack-cell1", Value::Null);
    sim.settle();
    assert!(sim.exists("Galera", "openstack") && !sim.exists("Galera", "openstack-cell1"));
}

#[test]
fn what_is_new_before_its_step_starts_with_the_old_images() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.cloud("/watcher/enabled", json!(false));
    sim.until(StepName::Rabbitmq);
    sim.cloud("/galera/templates/openstack-cell2", json!({"replicas": 3}));
    sim.cloud("/watcher/enabled", json!(true));
    sim.cloud("/cinder/template/cinderVolumes/netapp", json!({}));
    sim.pass();
    assert_eq!(sim.text("Galera", "openstack-cell2", "spec.containerImage"), image_of("mariadbImage", OLD));
    assert_eq!(sim.text("Watcher", "watcher", "spec.apiContainerImageURL"), image_of("watcherAPIImage", OLD));
    let netapp = sim.text("Cinder", "cinder", "spec.cinderVolumes.netapp.containerImage");
    assert_eq!(netapp, image_of("cinderVolumeImage", OLD));
    sim.finish();
    assert_eq!(sim.text("Galera", "openstack-cell2", "spec.containerImage"), image_of("mariadbImage", NEW));
}

#[test]
fn what_is_added_to_a_service_that_has_moved_starts_with_what_the_service_has() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.world.nodesets = Objects::Known(vec![nodeset("edpm", 1, Sim::deployed_with(OLD))]);
    for _ in 0..40 {
        sim.round();
        if sim.update().step == Some(StepName::OvnDataplane) {
            sim.administrator();
        }
    }
    assert_eq!(sim.update().step, Some(StepName::Dataplane));
    // The next version, while the nodesets still wait for this one.
    sim.world.bundle = bundle(NEWER).into();
    sim.settle();
    sim.target(NEWER);
    sim.spec().update.paused = true;
    sim.settle();
    sim.cloud("/cinder/template/cinderVolumes/netapp", json!({}));
    sim.settle();
    let netapp = sim.text("Cinder", "cinder", "spec.cinderVolumes.netapp.containerImage");
    assert_eq!(netapp, image_of("cinderVolumeImage", NEW));
}

/// The API server stores no empty `data`.
#[test]
fn a_config_map_without_images_is_written_once() {
    let mut sim = Sim::new(Some(&["placement"]), bundle(OLD));
    sim.bundle().images.retain(|name, _| !name.starts_with("test"));
    sim.settle();
    let config = sim.one("ConfigMap", "test-operator-config");
    assert_eq!(config.data.as_object_mut().unwrap().remove("data"), Some(json!({})));
    let writes = sim.writes;
    sim.pass();
    assert_eq!(sim.writes, writes);
}

#[test]
fn what_is_new_after_its_step_starts_with_the_new_images_and_does_not_rewind() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    sim.cloud("/galera/templates/openstack-cell2", json!({"replicas": 3}));
    sim.pass();
    assert_eq!(sim.update().step, Some(StepName::Keystone));
    assert_eq!(sim.text("Galera", "openstack-cell2", "spec.containerImage"), image_of("mariadbImage", NEW));
}

#[test]
fn an_image_that_the_old_version_lacks_is_kept_and_one_that_the_new_lacks_is_named() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.version().status.container_image_version_defaults.get_mut(OLD).unwrap().remove("glanceAPIImage");
    let defaults = &mut sim.version().status.container_image_version_defaults;
    defaults.get_mut(NEW).unwrap().remove("heatAPIImage");
    sim.bundle().images.remove("heatAPIImage");
    sim.until(StepName::Keystone);
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", OLD));
    sim.settle();
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", NEW), "others go on");
    assert_eq!(sim.text("Heat", "heat", "spec.heatAPI.containerImage"), image_of("heatAPIImage", OLD));
    assert_eq!(sim.text("Heat", "heat", "spec.heatEngine.containerImage"), image_of("heatEngineImage", NEW));
    let (_, reason, message) = sim.condition("MinorUpdateControlplane");
    assert_eq!(reason, "MissingImage");
    assert!(message.contains("heatAPIImage"), "{message}");
    assert!(sim.condition("ContainerImagesKnown").2.contains("heatAPIImage"));
}

#[test]
fn a_kind_that_is_not_installed_holds_its_step_and_nothing_else() {
    let mut sim = Sim::updating(None, OLD, NEW);
    let key = "Memcached.memcached.openstack.org";
    let objects = sim.world.kinds.insert(key.into(), Objects::Absent).unwrap();
    sim.settle();
    assert_eq!(sim.update().step, Some(StepName::Memcached));
    assert_eq!(sim.condition("MinorUpdateMemcached").1, "KindNotInstalled");
    sim.cloud("/glance/template/replicas", json!(7));
    sim.pass();
    assert_eq!(sim.field("Glance", "glance", "spec.replicas"), Some(json!(7)));
    sim.world.kinds.insert(key.into(), objects);
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
}

#[test]
fn a_service_that_disappears_is_made_again_with_the_images_of_its_step() {
    let mut sim = Sim::updating(None, OLD, NEW);
    sim.until(StepName::Keystone);
    for kind in ["Galera", "Glance"] {
        let key = sim.world.kinds.keys().find(|key| key.starts_with(&format!("{kind}."))).unwrap().clone();
        sim.world.kinds.insert(key, Objects::Known(Vec::new()));
    }
    sim.pass();
    assert_eq!(sim.text("Galera", "openstack", "spec.containerImage"), image_of("mariadbImage", NEW));
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", OLD));
    let mariadb = sim.update().steps.iter().find(|step| step.name == StepName::Mariadb).unwrap();
    assert_eq!(mariadb.state, StepState::Done);
}

#[test]
fn an_upstream_shaped_template_is_mapped_to_our_keystone() {
    let mut sim = Sim::installed(None, OLD);
    sim.cloud(
        "/keystone/template",
        json!({
            "databaseInstance": "openstack", "secret": "s", "memcachedInstance": "memcached", "replicas": 2,
            "containerImage": null,
        }),
    );
    sim.cloud("/keystone/template/containerImage", Value::Null);
    sim.settle();
    let spec = sim.field("Keystone", "keystone", "spec").unwrap();
    assert_eq!((&spec["database"]["instance"], &spec["cache"]["instance"]), (&json!("openstack"), &json!("memcached")));
    assert_eq!((&spec["secret"], &spec["replicas"], &spec["release"]), (&json!("s"), &json!(2), &json!("2025.2")));
    assert_eq!(spec["image"], json!({"repository": "quay.io/cloud/keystoneapiimage", "tag": "1.0.0"}));
}

/// As upstream's CRD has it: a cloud that says nothing of a cache would otherwise be a slow one.
#[rstest]
#[case::unsaid(json!({}), json!({"instance": "memcached"}))]
#[case::in_upstreams_words(json!({"memcachedInstance": "tokens"}), json!({"instance": "tokens"}))]
#[case::in_ours(json!({"cache": {"servers": ["a:1"]}}), json!({"servers": ["a:1"]}))]
#[case::none(json!({"cache": {}}), json!({}))]
fn keystone_under_a_control_plane_has_a_cache(#[case] template: Value, #[case] cache: Value) {
    let mut sim = Sim::installed(None, OLD);
    sim.cloud("/keystone/template", template);
    sim.settle();
    assert_eq!(sim.field("Keystone", "keystone", "spec.cache"), Some(cache));
}

#[test]
fn a_field_without_a_counterpart_blocks_keystone_naming_it_and_deletes_nothing() {
    let mut sim = Sim::installed(None, OLD);
    sim.cloud("/keystone/template/federation", json!({"x": 1}));
    sim.settle();
    assert!(sim.exists("Keystone", "keystone"));
    let line = sim.status().services.iter().find(|line| line.name == "keystone").unwrap();
    assert_eq!(line.state, ServiceState::Blocked);
    assert!(line.message.contains("spec.keystone.template.federation"), "{}", line.message);
    assert_eq!(sim.condition("Ready").0, Status::False);
}

/// Another variant is another identity service: one that serves does not go because a line did.
#[rstest]
#[case::lost("KeystoneAPI", Value::Null, "KeystoneAPI", "Keystone")]
#[case::changed("Keystone", json!("KeystoneAPI"), "Keystone", "KeystoneAPI")]
fn a_variant_that_serves_is_neither_replaced_nor_removed_by_itself(
    #[case] before: &str,
    #[case] after: Value,
    #[case] old: &str,
    #[case] new: &str,
) {
    let mut sim = Sim::new(None, crate::support::bundle(OLD));
    sim.cloud("/keystone/kind", json!(before));
    sim.settle();
    let kinds = sim.world.kinds.clone();
    sim.cloud("/keystone/kind", after);
    sim.settle();
    assert_eq!(sim.world.kinds, kinds);
    let (status, _, message) = sim.cp_condition("OpenStackControlPlaneKeystoneAPIReady");
    assert_eq!((status, sim.cp_condition("Ready").0, sim.condition("Ready").0), (Status::False, status, status));
    for named in [
        format!("spec.keystone.kind is not {old}"),
        format!("set it to {old} to keep {old}/keystone"),
        format!("delete {old}/keystone to get {new}/keystone in its place"),
    ] {
        assert!(message.contains(&named), "{message}");
    }
    // Either way out.
    let mut kept = sim.clone();
    kept.cloud("/keystone/kind", json!(before));
    kept.settle();
    assert_eq!((&kept.world.kinds, kept.condition("Ready").0), (&kinds, Status::True));
    sim.one(old, "keystone").metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-11-21T00:00:00Z")).unwrap());
    sim.settle();
    let message = sim.cp_condition("OpenStackControlPlaneKeystoneAPIReady").2;
    assert!(!sim.exists(new, "keystone") && message.contains(&format!("{old}/keystone is being deleted")), "{message}");
    sim.objects(&kind_named(old)).clear();
    sim.settle();
    assert!(sim.exists(new, "keystone") && !sim.exists(old, "keystone"));
    assert_eq!(sim.cp_condition("OpenStackControlPlaneKeystoneAPIReady").0, Status::True);
}

/// That no longer knows the kind that it lost: the update waits at Keystone, and everything before goes on.
#[test]
fn an_update_waits_for_a_person_where_the_variant_changed() {
    let mut sim = Sim::new(None, crate::support::bundle(OLD));
    sim.cloud("/keystone/kind", json!("KeystoneAPI"));
    sim.settle();
    sim.world.bundle = crate::support::bundle(NEW).into();
    sim.settle();
    sim.target(NEW);
    sim.cloud("/keystone/kind", Value::Null);
    sim.settle();
    sim.tick(86_400);
    sim.settle();
    assert_eq!(sim.update().step, Some(StepName::Keystone));
    let (_, reason, message) = sim.condition("MinorUpdateKeystone");
    assert_eq!(reason, "Waiting");
    assert!(message.contains("KeystoneAPI/keystone"), "{message}");
    assert_eq!(sim.text("KeystoneAPI", "keystone", "spec.containerImage"), image_of("keystoneAPIImage", OLD));
    sim.cloud("/keystone/kind", json!("KeystoneAPI"));
    sim.finish();
    assert_eq!(sim.deployed(), Some(NEW));
    assert_eq!(sim.text("KeystoneAPI", "keystone", "spec.containerImage"), image_of("keystoneAPIImage", NEW));
}

/// It cannot be told whether the other one serves.
#[test]
fn a_variant_is_not_made_while_the_other_kind_cannot_be_read() {
    let mut sim = Sim::new(None, crate::support::bundle(OLD));
    let key = "KeystoneAPI.keystone.openstack.org";
    sim.world.kinds.insert(key.into(), Objects::Unreadable("forbidden".into()));
    sim.settle();
    let message = sim.cp_condition("OpenStackControlPlaneKeystoneAPIReady").2;
    assert!(
        !sim.exists("Keystone", "keystone") && message.contains("KeystoneAPI cannot be read: forbidden"),
        "{message}"
    );
    sim.world.kinds.insert(key.into(), Objects::Absent);
    sim.settle();
    assert!(sim.exists("Keystone", "keystone"));
}

#[rstest]
#[case("/galera", json!("on"))]
#[case("/galera/enabled", json!("yes"))]
#[case("/galera/templates", json!(["openstack"]))]
#[case("/cinder/template", json!(7))]
#[case("/ovn/template", json!("?"))]
#[case("/keystone/kind", json!("Keystne"))]
#[case("/keystone/kind", json!(7))]
fn a_section_of_the_wrong_type_blocks_and_deletes_nothing(#[case] pointer: &str, #[case] value: Value) {
    let mut sim = Sim::installed(None, OLD);
    let kinds = sim.world.kinds.clone();
    sim.cloud(pointer, value);
    sim.settle();
    assert_eq!(sim.world.kinds, kinds);
    let (status, reason, message) = sim.condition("Ready");
    assert_eq!((status, reason.as_str()), (Status::False, "Error"));
    assert!(message.contains(&format!("spec{} should be", pointer.replace('/', "."))), "{message}");
}

#[test]
fn what_others_own_or_made_is_not_deleted() {
    let mut sim = Sim::installed(None, OLD);
    let mut foreign = sim.one("ConfigMap", "test-operator-config").clone();
    foreign.metadata.name = Some("made-by-someone-else".into());
    foreign.metadata.labels = None;
    let key = "ConfigMap.";
    known_mut(sim.world.kinds.get_mut(key).unwrap()).push(std::sync::Arc::new(foreign));
    sim.settle();
    assert!(sim.exists("ConfigMap", "made-by-someone-else"));
}

/// The applied hash tells a dropped field from a default of the API server.
#[test]
fn a_field_that_leaves_the_template_leaves_the_object() {
    let mut sim = Sim::installed(None, OLD);
    sim.cloud("/glance/template/customServiceConfig", json!("[DEFAULT]"));
    sim.settle();
    assert_eq!(sim.text("Glance", "glance", "spec.customServiceConfig"), "[DEFAULT]");
    sim.cloud("/glance/template/customServiceConfig", Value::Null);
    sim.settle();
    assert_eq!(sim.field("Glance", "glance", "spec.customServiceConfig"), None);
}

#[test]
fn drift_is_corrected() {
    let mut sim = Sim::installed(None, OLD);
    sim.one("Glance", "glance").data["spec"]["containerImage"] = json!("drift.io/glance:1");
    sim.settle();
    assert_eq!(sim.text("Glance", "glance", "spec.containerImage"), image_of("glanceAPIImage", OLD));
}
