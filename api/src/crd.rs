//! CRDs as values, with the parts of their schemas that come from the tables.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use kube::{CustomResourceExt, Resource};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::{
    controlplane::OpenStackControlPlane,
    dataplane,
    image::{self, REFERENCE_MAX, REFERENCE_PATTERN},
    keystone::{KEYSTONE, Keystone},
    release::{VERSION_MAX, VERSION_PATTERN},
    service::{self, Enabled, Kind, Objects, SERVICES},
    version::OpenStackVersion,
};

/// The CRDs that the operator serves.
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![OpenStackVersion::crd(), OpenStackControlPlane::crd(), Keystone::crd()];
    for crd in &mut crds {
        // The status has one writer, who writes it whole: what another tool left in a map does not linger.
        if let Some(status) = property(crd, "status") {
            status.x_kubernetes_map_type = Some("atomic".to_owned());
        }
        if crd.spec.names.kind == OpenStackControlPlane::kind(&())
            && let Some(spec) = property(crd, "spec")
            && let Ok(schema) = serde_json::from_value(control_plane_spec())
        {
            *spec = schema;
        }
        if crd.spec.names.kind == Keystone::kind(&())
            && let Some(spec) = property(crd, "spec")
        {
            without_null(spec);
            if let Some(image) = spec.properties.as_mut().and_then(|spec| spec.get_mut("image")) {
                // There is no image that anybody could mean by leaving it out; the plan says so.
                image.default = None;
            }
        }
    }
    crds
}

/// An explicit null is absent: the API server drops it, and no rule has to think of it.
fn without_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        without_null(property);
    }
}

/// A top-level property in the schema of a CRD.
fn property<'a>(crd: &'a mut CustomResourceDefinition, name: &str) -> Option<&'a mut JSONSchemaProps> {
    let validation = crd.spec.versions.first_mut()?.schema.as_mut()?;
    validation.open_api_v3_schema.as_mut()?.properties.as_mut()?.get_mut(name)
}

/// Permissive CRDs for the kinds that other operators own: for the demo and the tests only.
pub fn foreign() -> Vec<CustomResourceDefinition> {
    let kinds = service::kinds().into_iter().filter(|kind| !kind.is_builtin() && *kind != KEYSTONE);
    kinds.chain([dataplane::NODE_SET, dataplane::DEPLOYMENT]).filter_map(|kind| permissive(&kind)).collect()
}

fn permissive(kind: &Kind) -> Option<CustomResourceDefinition> {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name()},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.to_lowercase()},
            "versions": [{
                "name": kind.version,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": anything, "status": anything},
                }},
            }],
        },
    }))
    .ok()
}

fn control_plane_spec() -> Value {
    let text = |max: usize| json!({"type": "string", "maxLength": max});
    let mut properties = Map::new();
    properties.insert("secret".into(), text(253));
    properties.insert("storageClass".into(), text(253));
    properties.insert(
        "nodeSelector".into(),
        json!({"type": "object", "additionalProperties": text(63), "maxProperties": 64}),
    );
    properties.insert(
        "topologyRef".into(),
        json!({"type": "object", "properties": {"name": text(253), "namespace": text(63)}}),
    );
    for name in service::sections() {
        properties.insert(name.into(), section(name));
    }
    // Everything else that upstream has at the top (TLS, extra mounts, message buses) is accepted and named in a
    // condition, because an existing control plane must be accepted as it is.
    json!({
        "type": "object",
        // A control plane without a spec asks for nothing: upstream's own empty sample is one.
        "default": {},
        "properties": properties,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

fn section(name: &str) -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut properties = Map::new();
    for row in SERVICES.iter().filter(|row| row.section == name) {
        if let Enabled::BySection { default } = row.enabled {
            properties.insert("enabled".into(), json!({"type": "boolean", "default": default}));
        }
        if let Some(variant) = row.variant {
            let values: Vec<_> = SERVICES
                .iter()
                .filter(|row| row.section == name)
                .filter_map(|row| row.variant.map(|variant| variant.value))
                .collect();
            properties.insert(variant.field.into(), json!({"type": "string", "enum": values}));
        }
        let (field, schema) = match row.objects {
            Objects::Each { templates } if !templates.contains('.') => {
                (templates, json!({"type": "object", "additionalProperties": open, "maxProperties": 64}))
            }
            Objects::Each { templates: path } | Objects::One { template: path, .. } => {
                (path.split('.').next().unwrap_or(path), open.clone())
            }
        };
        properties.insert(field.into(), schema);
    }
    json!({"type": "object", "properties": properties, "x-kubernetes-preserve-unknown-fields": true})
}

/// A version.
pub(crate) fn version_schema(_: &mut SchemaGenerator) -> Schema {
    // Empty counts as absent: upstream's webhook takes it for "the available version", too.
    let pattern = format!("^$|{VERSION_PATTERN}");
    json_schema!({"type": "string", "maxLength": VERSION_MAX, "pattern": pattern})
}

/// A duration of hours, minutes and seconds.
pub(crate) fn duration_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 16, "pattern": "^([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$"})
}

fn checked_reference() -> Value {
    json!({"type": "string", "maxLength": REFERENCE_MAX, "pattern": REFERENCE_PATTERN})
}

/// `customContainerImages`: every settable image and the per-backend maps; anything else is reported by the server.
pub(crate) fn custom_images_schema(_: &mut SchemaGenerator) -> Schema {
    let mut properties: Map<String, Value> =
        image::fields().iter().map(|field| (field.name.to_owned(), checked_reference())).collect();
    for map in image::BACKEND_MAPS {
        let backends = json!({"type": "object", "maxProperties": 64, "additionalProperties": checked_reference()});
        properties.insert(map.name.to_owned(), backends);
    }
    json_schema!({"type": "object", "properties": properties})
}

/// Images by name, in a status. Open: the API server walks and checks each part of a schema with each status write, these
/// maps are most of what it walks, and only the operator writes them.
fn open_map() -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// `containerImages`: names and per-backend maps.
pub(crate) fn container_images_schema(_: &mut SchemaGenerator) -> Schema {
    open_map()
}

/// `containerImageVersionDefaults`: version, then image name. Bounded where admission rules look, so that their cost is.
pub(crate) fn image_defaults_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 64, "additionalProperties": open_map()})
}

/// `trackedCustomImages`: version, then what `customContainerImages` held.
pub(crate) fn tracked_images_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": open_map()})
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Peer: #55, #56, #1836: CRDs too large for kubectl apply.
    #[test]
    fn every_crd_is_well_below_the_limits_of_etcd_and_kubectl() {
        for crd in all().iter().chain(&foreign()) {
            let size = serde_json::to_vec(crd).unwrap().len();
            assert!(size < 100_000, "{}: {size} bytes", crd.spec.names.kind);
        }
    }

    #[test]
    fn the_spec_of_the_control_plane_has_every_section() {
        let crds = all();
        let crd = crds.iter().find(|crd| crd.spec.names.kind == "OpenStackControlPlane");
        let crd = serde_json::to_value(crd).unwrap();
        let spec = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties").unwrap();
        for name in service::sections() {
            assert!(spec.get(name).is_some(), "{name}");
        }
        assert_eq!(spec.pointer("/keystone/properties/kind/enum"), Some(&json!(["Keystone", "KeystoneAPI"])));
    }

    /// What a control plane hands to our own kind is what that kind knows.
    #[test]
    fn the_row_of_keystone_names_only_fields_of_its_crd() {
        let crd = serde_json::to_value(Keystone::crd()).unwrap();
        let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties").unwrap();
        let known = |path: &str| {
            let mut parts = path.split('.');
            parts.try_fold(schema.get("spec").unwrap(), |schema, part| schema.get("properties")?.get(part)).is_some()
        };
        let row = service::find("keystone").unwrap();
        let variant = row.variant.unwrap();
        for field in variant.accepts.iter().chain(variant.maps.iter().map(|(_, field)| field)) {
            assert!(known(field), "spec.{field}");
        }
    }

    #[test]
    fn every_kind_of_the_table_gets_a_permissive_crd() {
        assert_eq!(
            foreign().len(),
            service::kinds().len(),
            "every kind but ConfigMap and Keystone, and two of the dataplane"
        );
    }
}
