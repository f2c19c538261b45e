//! What clouds are made of.

use std::{collections::BTreeMap, sync::Arc};

use api::{DynamicObject, dataplane::NODE_SET, image, service, version::ContainerImages};
use plan::release::Bundle;
use serde_json::{Value, json};

/// The reference of an image in a version.
pub fn image_of(name: &str, version: &str) -> String {
    format!("quay.io/cloud/{}:{version}", name.to_lowercase())
}

/// A complete bundle.
pub fn bundle(version: &str) -> Bundle {
    let images = image::release_images()
        .filter(|field| field.env().is_some())
        .map(|field| (field.name.to_owned(), image_of(field.name, version)))
        .collect();
    Bundle {
        version: version.to_owned(),
        release: "2025.2".to_owned(),
        images,
        service_defaults: service::release_defaults(),
        problems: Vec::new(),
    }
}

/// Custom images.
pub fn custom(value: Value) -> ContainerImages {
    serde_json::from_value(value).unwrap()
}

/// The spec of a control plane: all sections, or only the named ones.
pub fn control_plane(sections: Option<&[&str]>) -> Value {
    let mut spec = everything();
    if let (Some(sections), Some(fields)) = (sections, spec.as_object_mut()) {
        fields.retain(|field, value| !value.is_object() || sections.contains(&field.as_str()));
    }
    spec
}

fn everything() -> Value {
    let mut spec = json!({
        "secret": "osp-secret",
        "storageClass": "fast",
        "ovn": {"template": {
            "ovnController": {"nicMappings": {"datacentre": "eth1"}},
            "ovnDBCluster": {
                "ovndbcluster-nb": {"dbType": "NB", "storageRequest": "10G"},
                "ovndbcluster-sb": {"dbType": "SB", "storageRequest": "10G"},
            },
            "ovnNorthd": {"replicas": 1},
        }},
        "rabbitmq": {"templates": {"rabbitmq": {"replicas": 3}, "rabbitmq-cell1": {"replicas": 3}}},
        "galera": {"templates": {"openstack": {"replicas": 3}, "openstack-cell1": {"replicas": 3}}},
        "memcached": {"templates": {"memcached": {"replicas": 3}}},
        "keystone": {"template": {"databaseInstance": "openstack", "replicas": 3}},
        "redis": {"templates": {"redis": {"replicas": 1}}},
        "cinder": {"template": {
            "cinderAPI": {"replicas": 3}, "cinderScheduler": {"replicas": 1}, "cinderBackup": {"replicas": 0},
            "cinderVolumes": {"ceph": {"replicas": 1}, "pure": {"replicas": 1}},
        }},
        "manila": {"template": {"manilaAPI": {}, "manilaScheduler": {}, "manilaShares": {"share1": {}}}},
        "telemetry": {"template": {
            "ceilometer": {"enabled": true}, "autoscaling": {"aodh": {}},
            "cloudkitty": {"cloudKittyAPI": {}, "cloudKittyProc": {}},
        }},
        "octavia": {"template": {
            "octaviaAPI": {}, "octaviaWorker": {}, "octaviaHealthManager": {}, "octaviaHousekeeping": {},
            "octaviaRsyslog": {},
        }},
        "designate": {"template": {"designateUnbound": {}}},
    });
    for section in service::sections() {
        let entry = &mut spec[section];
        if entry.is_null() {
            *entry = json!({"template": {"replicas": 1}});
        }
        entry["enabled"] = json!(true);
    }
    spec
}

/// A nodeset with one node (or none), as `OpenStackDataPlaneNodeSet`.
pub fn nodeset(name: &str, nodes: usize, status: Value) -> Arc<DynamicObject> {
    let nodes: BTreeMap<String, Value> = (0..nodes).map(|node| (format!("compute-{node}"), json!({}))).collect();
    let value = json!({
        "apiVersion": NODE_SET.api_version(), "kind": NODE_SET.kind,
        "metadata": {"name": name, "generation": 1},
        "spec": {"nodes": nodes, "services": ["ovn", "nova"]},
        "status": status,
    });
    object(value)
}

/// Any object.
fn object(value: Value) -> Arc<DynamicObject> {
    Arc::new(serde_json::from_value(value).unwrap())
}
