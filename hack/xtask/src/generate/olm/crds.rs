//! The kinds that a bundle brings, as consoles show them: from the schemas and `manifests/samples/`.

use anyhow::Context;
use api::{keystone::KEYSTONE, service, service::Kind};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use plan::keystone;
use serde_json::{Value, json};

/// What the operator makes for an object of a kind.
struct Made {
    of: &'static str,
    kinds: fn() -> Vec<Kind>,
}

const MADE: &[Made] = &[
    Made { of: "OpenStackVersion", kinds: service::kinds },
    Made { of: "OpenStackControlPlane", kinds: service::kinds },
    Made { of: KEYSTONE.kind, kinds: || keystone::KINDS.to_vec() },
];

/// An object of each kind.
const SAMPLES: &[&str] = &[
    include_str!("../../../../../manifests/samples/openstackversion.yaml"),
    include_str!("../../../../../manifests/samples/openstackcontrolplane.yaml"),
    include_str!("../../../../../manifests/samples/keystone.yaml"),
];

pub(super) fn samples() -> anyhow::Result<Vec<Value>> {
    SAMPLES.iter().map(|text| serde_yaml::from_str(text).context("manifests/samples")).collect()
}

/// The kinds with their fields.
pub(super) fn owned() -> Vec<Value> {
    api::crd::all().iter().flat_map(kinds).collect()
}

fn kinds(crd: &CustomResourceDefinition) -> impl Iterator<Item = Value> + '_ {
    crd.spec.versions.iter().map(|version| {
        let root = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let property = |name: &str| root.and_then(|root| root.properties.as_ref()?.get(name));
        json!({
            "name": format!("{}.{}", crd.spec.names.plural, crd.spec.group),
            "kind": crd.spec.names.kind,
            "version": version.name,
            "displayName": crd.spec.names.kind,
            "description": root.and_then(|root| root.description.as_deref()).unwrap_or(&crd.spec.names.kind),
            "resources": resources(&crd.spec.names.kind),
            "specDescriptors": descriptors(property("spec")),
            "statusDescriptors": descriptors(property("status")),
        })
    })
}

/// What a console shows below an object of that kind.
fn resources(kind: &str) -> Vec<Value> {
    let made = MADE.iter().filter(|made| made.of == kind).flat_map(|made| (made.kinds)());
    made.map(|kind| json!({"kind": kind.kind, "name": "", "version": kind.version})).collect()
}

/// The fields right below the spec or the status.
fn descriptors(schema: Option<&JSONSchemaProps>) -> Vec<Value> {
    let fields = schema.and_then(|schema| schema.properties.as_ref()).into_iter().flatten();
    fields
        .map(|(name, field)| {
            let title = title(name);
            json!({
                "path": name,
                "displayName": title,
                "description": field.description.as_deref().unwrap_or(&title),
                "x-descriptors": [format!("urn:alm:descriptor:{}", widget(name, field))],
            })
        })
        .collect()
}

/// How a console shows a field.
fn widget(name: &str, field: &JSONSchemaProps) -> &'static str {
    match (name, field.type_.as_deref()) {
        ("conditions", _) => "io.kubernetes.conditions",
        ("replicas", _) => "com.tectonic.ui:podCount",
        (_, Some("boolean")) => "com.tectonic.ui:booleanSwitch",
        (_, Some("integer" | "number")) => "com.tectonic.ui:number",
        _ => "text",
    }
}

/// `targetVersion` as words.
fn title(name: &str) -> String {
    let mut title = String::new();
    let mut lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && lower {
            title.push(' ');
        }
        lower = !letter.is_uppercase();
        if title.is_empty() { title.extend(letter.to_uppercase()) } else { title.push(letter) }
    }
    title
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_sample_and_its_fields() {
        let samples = samples().unwrap();
        let owned = owned();
        assert_eq!(samples.len(), owned.len());
        for (kind, sample) in owned.iter().zip(&samples) {
            assert_eq!(kind["kind"], sample["kind"]);
            // What operator-sdk's scorecard insists on.
            assert!(!kind["resources"].as_array().unwrap().is_empty(), "{kind}");
            assert!(!kind["description"].as_str().unwrap().contains("derived type"), "{kind}");
            let paths: Vec<_> = kind["specDescriptors"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
            for field in sample["spec"].as_object().unwrap().keys() {
                assert!(paths.contains(&&json!(field)), "{field} of {}", kind["kind"]);
            }
        }
        assert_eq!(title("availableVersion"), "Available Version");
    }
}
