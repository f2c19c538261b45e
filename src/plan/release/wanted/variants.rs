//! Rows of which a section has one: the choice between them.

use api::service::{SERVICES, Service, Variant};
use serde_json::Value;

use super::templates;
use crate::{
    json,
    release::world::{Objects, World},
};

/// The rows that exclude this one: its section's other variants.
fn others(service: &Service) -> impl Iterator<Item = (&'static Service, Variant)> {
    let (section, name) = (service.section, service.name);
    let others = SERVICES.iter().filter(move |other| other.section == section && other.name != name);
    others.filter_map(|other| Some((other, other.variant?)))
}

/// The choice between variants, when it is no choice.
pub(super) fn unknown(service: &Service, spec: &Value) -> Option<String> {
    let variant = service.variant?;
    let path = format!("{}.{}", service.section, variant.field);
    let found = json::get(spec, &path).filter(|value| !value.is_null() && *value != "")?;
    let mut values = vec![variant.value];
    values.extend(others(service).map(|(_, other)| other.value));
    values.sort_unstable();
    (!values.iter().any(|value| found == value))
        .then(|| format!("spec.{path} should be one of {}, is {found}; correct the control plane", values.join(", ")))
}

/// An object of another variant that is in the way. Two would claim the same names and data, and one that serves does
/// not go because a line of the control plane did: which of them stays is a person's decision.
pub(super) fn in_the_way(world: &World, service: &Service, section: &Value) -> Option<String> {
    let new = service.kind.kind;
    others(service).find_map(|(other, variant)| {
        let old = other.kind.kind;
        if let Objects::Unreadable(error) = world.objects(&other.kind) {
            return Some(format!(
                "kind {old} cannot be read: {error}; check the RBAC rules of the operator. {new} is made once it is known \
                 that there is none"
            ));
        }
        let names = templates(world, other, section).unwrap_or_default();
        let (name, live) = names.iter().find_map(|(name, _)| Some((name, world.object(&other.kind, name)?)))?;
        if live.metadata.deletion_timestamp.is_some() {
            return Some(format!("{old}/{name} is being deleted; {new}/{name} is made when it is gone"));
        }
        Some(format!(
            "spec.{}.{} is not {}, and {old}/{name} stays as it is: set it to {} to keep {old}/{name}, or delete \
             {old}/{name} to get {new}/{name} in its place",
            service.section, variant.field, variant.value, variant.value
        ))
    })
}
