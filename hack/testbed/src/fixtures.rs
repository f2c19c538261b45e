//! Objects for the tests and the demo, as JSON.
//!
//! The full control plane starts from the service table, so that a new row is in it at once; what a service needs
//! beyond `{}` to have every one of its images is written below.

use std::path::PathBuf;

use api::{
    dataplane,
    service::{Enabled, Objects, SERVICES},
};
use serde_json::{Map, Value, json};

/// The name of every fixture's control plane and version.
pub const NAME: &str = "openstack";

/// A control plane with every service of the table enabled.
pub fn full_control_plane(namespace: &str) -> Value {
    let mut spec = json!({"secret": "osp-secret", "storageClass": "local-storage"});
    merge(&mut spec, Value::Object(sections()));
    merge(&mut spec, particulars());
    object("core.openstack.org/v1beta1", "OpenStackControlPlane", namespace, NAME, &spec)
}

/// The same with a Keystone that can really run: see [`keystone`].
pub fn control_plane_with_keystone(namespace: &str, replicas: i32) -> Value {
    let mut plane = full_control_plane(namespace);
    if let Some(section) = plane.pointer_mut("/spec/keystone") {
        *section = json!({"enabled": true, "template": keystone(replicas)});
    }
    plane
}

/// A template of a control plane, and all of the spec of a `Keystone` but its image: it finds what it needs in
/// [`backing`].
pub fn keystone(replicas: i32) -> Value {
    json!({
        "replicas": replicas,
        "database": {"host": "mariadb", "secretRef": {"name": "keystone-db"}},
        "cache": {"servers": ["memcached:11211"]},
        "bootstrap": {"adminPasswordSecretRef": {"name": "keystone-admin"}},
        // A password costs 36 ms and not 240.
        "extraConfig": {"identity": {"password_hash_rounds": "4"}},
    })
}

/// The password of the administrator in [`backing`].
pub const KEYSTONE_PASSWORD: &str = "admin-password";

/// The manifest of a database, a cache and the passwords.
pub fn backing() -> PathBuf {
    crate::root().join("tests/e2e/backing.yaml")
}

/// A control plane with few services: quick tests need no more.
pub fn small_control_plane(namespace: &str) -> Value {
    let spec = json!({
        "secret": "osp-secret",
        "storageClass": "local-storage",
        "galera": {"enabled": true, "templates": {"openstack": {"replicas": 1, "storageRequest": "5G"}}},
        "rabbitmq": {"enabled": true, "templates": {"rabbitmq": {"replicas": 1}}},
        "memcached": {"enabled": true, "templates": {"memcached": {"replicas": 1}}},
        "keystone": {"enabled": true, "template": {"database": {"instance": "openstack"}}},
        "ovn": {"enabled": true, "template": {"ovnController": {"nicMappings": {"datacentre": "ospbr"}}}},
        "glance": {"enabled": true, "template": {"databaseInstance": "openstack"}},
    });
    object("core.openstack.org/v1beta1", "OpenStackControlPlane", namespace, NAME, &spec)
}

/// An `OpenStackVersion` that asks for a version.
pub fn version(namespace: &str, target: &str) -> Value {
    object("core.openstack.org/v1beta1", "OpenStackVersion", namespace, NAME, &json!({"targetVersion": target}))
}

/// A nodeset with one node.
pub fn node_set(namespace: &str, name: &str) -> Value {
    let node = json!({"hostName": format!("{name}-0"), "ansible": {"ansibleHost": "192.0.2.10"}});
    node_set_of(namespace, name, &json!({format!("{name}-0"): node}))
}

/// A nodeset without nodes.
pub fn empty_node_set(namespace: &str, name: &str) -> Value {
    node_set_of(namespace, name, &json!({}))
}

/// A deployment of nodesets; with no services it is a full one.
pub fn deployment(namespace: &str, name: &str, node_sets: &[&str], services: &[&str]) -> Value {
    let mut spec = json!({"nodeSets": node_sets});
    if !services.is_empty() {
        merge(&mut spec, json!({"servicesOverride": services}));
    }
    object(&dataplane::DEPLOYMENT.api_version(), dataplane::DEPLOYMENT.kind, namespace, name, &spec)
}

fn node_set_of(namespace: &str, name: &str, nodes: &Value) -> Value {
    let spec = json!({
        "preProvisioned": true,
        "nodes": nodes,
        "nodeTemplate": {"ansibleSSHPrivateKeySecret": "dataplane-ansible-ssh-private-key-secret"},
        "services": ["bootstrap", "configure-network", "run-os", "ovn", "neutron-metadata", "libvirt", "nova"],
    });
    object(&dataplane::NODE_SET.api_version(), dataplane::NODE_SET.kind, namespace, name, &spec)
}

fn object(api_version: &str, kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    })
}

/// Every section, enabled, with an empty template.
fn sections() -> Map<String, Value> {
    let mut sections = Map::new();
    for row in SERVICES.iter().filter(|row| !row.section.is_empty()) {
        if row.variant.is_some_and(|variant| !variant.default) {
            continue;
        }
        let mut section = json!({});
        if matches!(row.enabled, Enabled::BySection { .. }) {
            merge(&mut section, json!({"enabled": true}));
        }
        if let Objects::One { template, requires, .. } = row.objects {
            let mut body = json!({});
            if let Some(required) = requires {
                merge(&mut body, nested(required, json!({"datacentre": "ospbr"})));
            }
            merge(&mut section, nested(template, body));
        }
        merge(sections.entry(row.section).or_insert_with(|| json!({})), section);
    }
    sections
}

/// What a table cannot know: instances, backends, the few fields that services insist on.
fn particulars() -> Value {
    let database = json!({"replicas": 1, "storageRequest": "5G"});
    let network_database = |kind: &str| json!({"dbType": kind, "storageRequest": "10G"});
    json!({
        "galera": {"templates": {"openstack": database, "openstack-cell1": database}},
        "rabbitmq": {"templates": {"rabbitmq": {"replicas": 1}, "rabbitmq-cell1": {"replicas": 1}}},
        "memcached": {"templates": {"memcached": {"replicas": 1}}},
        "redis": {"templates": {"redis": {"replicas": 1}}},
        "keystone": {"template": {"replicas": 1, "database": {"instance": "openstack"}, "cache": {"instance": "memcached"}}},
        "ovn": {"template": {"ovnDBCluster": {
            "ovndbcluster-nb": network_database("NB"),
            "ovndbcluster-sb": network_database("SB"),
        }}},
        "glance": {"template": {"databaseInstance": "openstack", "storage": {"storageRequest": "10G"}}},
        "cinder": {"template": {
            "databaseInstance": "openstack",
            "cinderAPI": {"replicas": 1},
            "cinderVolumes": {"pure": {"replicas": 1}, "ceph": {"replicas": 1}},
        }},
        "manila": {"template": {"databaseInstance": "openstack", "manilaShares": {"share1": {"replicas": 1}}}},
        "watcher": {"template": {"databaseInstance": "openstack"}},
    })
}

fn nested(path: &str, value: Value) -> Value {
    path.rsplit('.').filter(|field| !field.is_empty()).fold(value, |value, field| json!({field: value}))
}

/// Adds fields to an object, and to the objects in it; what is there already gets the new value.
pub fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (field, value) in from {
                merge(into.entry(field).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use api::service;

    use super::*;

    #[test]
    fn the_full_control_plane_has_every_section_and_every_instance() {
        let spec = &full_control_plane("ns")["spec"];
        for name in service::sections() {
            assert!(spec[name].get("enabled").is_none_or(|enabled| enabled == true), "{name}");
            assert!(spec[name].is_object(), "{name}");
        }
        for row in SERVICES.iter().filter(|row| row.variant.is_none_or(|variant| variant.default)) {
            match row.objects {
                Objects::Each { templates } => {
                    let pointer = format!("/{}/{}", row.section, templates.replace('.', "/"));
                    assert!(!spec.pointer(&pointer).unwrap().as_object().unwrap().is_empty(), "{}", row.name);
                }
                Objects::One { template, requires: Some(required), .. } => {
                    let pointer = format!("/{}/{}/{required}", row.section, template.replace('.', "/"));
                    assert!(spec.pointer(&pointer).is_some(), "{}", row.name);
                }
                Objects::One { .. } => {}
            }
        }
        assert_eq!(spec["galera"]["templates"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn templates_of_our_own_kind_carry_only_what_it_accepts() {
        for control_plane in [full_control_plane("ns"), small_control_plane("ns")] {
            for row in SERVICES {
                let Some(variant) = row.variant.filter(|variant| variant.default && !variant.accepts.is_empty()) else {
                    continue;
                };
                let template = control_plane["spec"][row.section]["template"].as_object().unwrap();
                for field in template.keys() {
                    let mapped = variant.maps.iter().any(|(from, _)| from == field);
                    assert!(mapped || variant.accepts.contains(&field.as_str()), "{}: {field}", row.name);
                }
            }
        }
    }
}
