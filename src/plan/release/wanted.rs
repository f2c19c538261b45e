//! Which objects the control plane asks for, without the values that the release fills in.

mod body;
mod variants;

use std::sync::Arc;

use api::{
    DynamicObject, annotation,
    service::{Enabled, Kind, Objects, SERVICES, Service, Slot, Unique},
};
use serde_json::{Map, Value};

use super::world::World;
use crate::json;
use body::{body, spots};

/// A service, as the control plane asks for it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) service: &'static Service,
    pub(crate) wish: Wish,
}

/// Whether a service is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// No, for this reason; objects that are there are removed.
    No(String),
    /// It cannot be told, or cannot be made, for this reason; objects that are there stay as they are.
    Blocked(String),
    /// These objects.
    Objects(Vec<WantedObject>),
}

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct WantedObject {
    pub(crate) name: String,
    /// The object, if it is there.
    pub(crate) live: Option<Arc<DynamicObject>>,
    /// The body (`spec` or `data`) without slots.
    pub(crate) body: Value,
    /// Where the release's values go.
    pub(crate) spots: Vec<Spot>,
}

/// One place in one object that the release fills.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) slot: &'static Slot,
    /// The map entry it is in; empty outside of maps.
    pub(crate) entry: String,
    pub(crate) address: Address,
    /// Whether a release may lack the value: a `ConfigMap` without an image is still a `ConfigMap`.
    pub(crate) optional: bool,
}

/// Where exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Body(Vec<String>),
    Annotation(&'static str),
}

impl Wanted {
    /// The objects; none when the service is not asked for.
    pub(crate) fn objects(&self) -> &[WantedObject] {
        match &self.wish {
            Wish::Objects(objects) => objects,
            Wish::No(_) | Wish::Blocked(_) => &[],
        }
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        &self.service.kind
    }
}

/// Every row of the table, asked for or not.
pub(crate) fn all(world: &World) -> Vec<Wanted> {
    let spec = match &world.control_plane {
        None => Err("there is no OpenStackControlPlane".to_owned()),
        Some(cp) => match &cp.spec {
            Ok(spec) => Ok(Value::Object(spec.fields.clone())),
            Err(problem) => Err(format!("OpenStackControlPlane/{}: spec does not parse: {problem}", cp.meta.name)),
        },
    };
    SERVICES
        .iter()
        .map(|service| {
            let wish = match &spec {
                Ok(spec) => wish(world, service, spec),
                Err(problem) => Wish::Blocked(problem.clone()),
            };
            Wanted { service, wish }
        })
        .collect()
}

fn wish(world: &World, service: &'static Service, spec: &Value) -> Wish {
    if let Some(problem) = unreadable(service, spec) {
        return Wish::Blocked(problem);
    }
    if let Some(reason) = disabled(service, spec) {
        return Wish::No(reason);
    }
    let section = json::get(spec, service.section).unwrap_or(&Value::Null);
    if let Some(problem) = variants::in_the_way(world, service, section) {
        return Wish::Blocked(problem);
    }
    let templates = match templates(world, service, section) {
        Ok(templates) => templates,
        Err(wish) => return wish,
    };
    let objects: Result<Vec<_>, String> = templates
        .into_iter()
        .map(|(name, template)| {
            let body = body(service, spec, &template)?;
            let spots = spots(service, &body);
            let live = world.objects(&service.kind).find(&name).cloned();
            Ok(WantedObject { name, live, body, spots })
        })
        .collect();
    match objects {
        Ok(objects) if objects.is_empty() => Wish::No(format!("spec.{} has no template", service.section)),
        Ok(objects) => Wish::Objects(objects),
        Err(problem) => Wish::Blocked(problem),
    }
}

/// Whether the section of that name is enabled, by the rows that it belongs to.
pub(crate) fn section_enabled(spec: &Value, section: &str) -> bool {
    let default = SERVICES.iter().find_map(|row| match row.enabled {
        Enabled::BySection { default } if row.section == section => Some(default),
        _ => None,
    });
    match json::get(spec, section) {
        Some(section) => json::get(section, "enabled").and_then(Value::as_bool).or(default).unwrap_or(false),
        None => false,
    }
}

/// The first field of the section that is not of its type. Admission refuses such a control plane; one that slipped
/// through must not read as "not asked for", because that deletes objects.
fn unreadable(service: &Service, spec: &Value) -> Option<String> {
    let section = match service.enabled {
        Enabled::Always => return None,
        Enabled::BySection { .. } => service.section,
        Enabled::Follows(section) => section,
    };
    let wrong = |path: String, fits: fn(&Value) -> bool, type_: &str| {
        let found = json::get(spec, &path).filter(|value| !value.is_null() && !fits(value))?;
        Some(format!("spec.{path} should be {type_}, is {found}; correct the control plane"))
    };
    wrong(section.to_owned(), Value::is_object, "an object")
        .or_else(|| wrong(format!("{section}.enabled"), Value::is_boolean, "true or false"))
        .or_else(|| wrong(service.section.to_owned(), Value::is_object, "an object"))
        .or_else(|| variants::unknown(service, spec))
        .or_else(|| {
            let (Objects::One { template: path, .. } | Objects::Each { templates: path }) = service.objects;
            // Every parent, too: a path through something that is no object leads nowhere.
            let ends = path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
            ends.filter_map(|end| path.get(..end))
                .find_map(|parent| wrong(format!("{}.{parent}", service.section), Value::is_object, "an object"))
        })
}

/// Why the service is not asked for, if it is not.
fn disabled(service: &Service, spec: &Value) -> Option<String> {
    let section = match service.enabled {
        Enabled::Always => return None,
        Enabled::BySection { .. } => service.section,
        Enabled::Follows(section) => section,
    };
    if !section_enabled(spec, section) {
        return Some(format!("spec.{section} is not enabled"));
    }
    let variant = service.variant?;
    let path = format!("{}.{}", service.section, variant.field);
    let chosen = json::text(spec, &path);
    let ours = chosen.map_or(variant.default, |value| value == variant.value);
    (!ours).then(|| format!("spec.{path} is not {}", variant.value))
}

/// The names and templates of the objects.
fn templates(world: &World, service: &Service, section: &Value) -> Result<Vec<(String, Value)>, Wish> {
    let empty = || Value::Object(Map::new());
    match service.objects {
        Objects::One { name, unique, template, requires } => {
            // No template: the object has nothing but slots.
            let found = if template.is_empty() { None } else { json::get(section, template) };
            let body = found.filter(|body| body.is_object()).cloned().unwrap_or_else(empty);
            if let Some(field) = requires.filter(|field| !has_content(json::get(&body, field))) {
                return Err(Wish::No(format!("spec.{}.{template}.{field} is not set", service.section)));
            }
            Ok(vec![(unique_name(world, name, unique, section), body)])
        }
        Objects::Each { templates } => {
            let Some(Value::Object(all)) = json::get(section, templates) else { return Ok(Vec::new()) };
            let body = |template: &Value| if template.is_object() { template.clone() } else { empty() };
            Ok(all.iter().map(|(name, template)| (name.clone(), body(template))).collect())
        }
    }
}

fn has_content(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    }
}

fn unique_name(world: &World, name: &str, unique: Unique, section: &Value) -> String {
    if unique == Unique::No {
        return name.to_owned();
    }
    if let Some(chosen) = json::text(section, "serviceName") {
        return chosen.to_owned();
    }
    let uid = world.control_plane.as_ref().map(|cp| cp.meta.uid.as_str()).unwrap_or_default();
    match (json::get(section, "uniquePodNames").and_then(Value::as_bool), uid.get(..5)) {
        (Some(true), Some(prefix)) => format!("{name}-{prefix}"),
        _ => name.to_owned(),
    }
}

/// Whether the installation shall stop after the infrastructure services.
pub(crate) fn infrastructure_only(world: &World) -> bool {
    let stage = world.control_plane.as_ref().and_then(|cp| cp.meta.annotations.get(annotation::DEPLOYMENT_STAGE));
    stage.is_some_and(|stage| stage == "infrastructure-only")
}

/// Fields of the control plane that are accepted and not acted on: top-level fields that no row inherits, fields of
/// sections beside the switches and templates, and fields of templates that are dropped.
pub(crate) fn ignored_fields(spec: &Map<String, Value>) -> Vec<String> {
    let mut ignored = Vec::new();
    for (field, value) in spec {
        let rows: Vec<_> = SERVICES.iter().filter(|row| row.section == field).collect();
        if rows.is_empty() {
            let inherited = api::controlplane::INHERITED.contains(&field.as_str());
            if !inherited && has_content(Some(value)) {
                ignored.push(format!("spec.{field}"));
            }
            continue;
        }
        for inner in value.as_object().into_iter().flatten().map(|(inner, _)| inner.as_str()) {
            if !rows.iter().any(|row| row_reads(row, inner)) {
                ignored.push(format!("spec.{field}.{inner}"));
            }
        }
        for row in rows {
            if let Objects::One { template, .. } = row.objects {
                let dropped = row.drops.iter().map(|dropped| format!("{template}.{dropped}"));
                let set = dropped.filter(|path| json::get(value, path).is_some_and(|value| !value.is_null()));
                ignored.extend(set.map(|path| format!("spec.{field}.{path}")));
            }
        }
    }
    ignored
}

fn row_reads(row: &Service, field: &str) -> bool {
    let first = |path: &'static str| path.split('.').next().unwrap_or(path) == field;
    let named = match row.objects {
        Objects::One { template, unique, .. } => {
            first(template) || (unique == Unique::OnRequest && ["serviceName", "uniquePodNames"].contains(&field))
        }
        Objects::Each { templates } => first(templates),
    };
    named || field == "enabled" || row.variant.is_some_and(|variant| variant.field == field)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(service: &str, spec: &Value) -> Value {
        let service = api::service::find(service).unwrap();
        body(service, spec, json::get(spec, &format!("{}.template", service.section)).unwrap()).unwrap()
    }

    #[test]
    fn what_the_kind_insists_on_is_filled_in_where_the_template_has_nothing() {
        let glance = |template: Value| made("glance", &json!({"glance": {"template": template}}));
        let filled = json!({"databaseInstance": "openstack", "imageCache": {"size": ""}});
        assert_eq!(glance(json!({"databaseInstance": "", "imageCache": null})), filled);
        let own = json!({"databaseInstance": "mine", "imageCache": {"size": "1G"}});
        assert_eq!(glance(own.clone()), own);
        let ironic = made("ironic", &json!({"ironic": {"template": {"ironicAPI": {"replicas": 2}}}}));
        assert_eq!((&ironic["ironicAPI"], &ironic["ironicInspector"]), (&json!({"replicas": 2}), &json!({})));
    }

    #[test]
    fn fields_that_no_version_knows_any_more_are_dropped_and_named() {
        let spec = json!({"telemetry": {"template": {"logging": {"ipaddr": "192.0.2.1", "port": 10514}}}});
        assert_eq!(made("telemetry", &spec)["logging"], json!({"port": 10514}));
        assert_eq!(ignored_fields(spec.as_object().unwrap()), ["spec.telemetry.template.logging.ipaddr"]);
    }

    #[test]
    fn parts_that_have_an_image_inherit_although_the_template_lacks_them() {
        let spec = json!({"secret": "mine", "telemetry": {"template": {"ceilometer": {"secret": "own"}}}});
        let secrets = ["ceilometer", "autoscaling.aodh", "cloudkitty"].map(|part| format!("{part}.secret"));
        let made = made("telemetry", &spec);
        assert_eq!(secrets.map(|path| json::text(&made, &path).unwrap().to_owned()), ["own", "mine", "mine"]);
    }
}
