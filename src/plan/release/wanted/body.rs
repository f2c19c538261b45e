//! What an object asks for, and where the release's values go in it.

use api::service::{Body, Fill, Filler, Inherit, Place, Service, Variant};
use serde_json::{Map, Value};

use super::{Address, Spot, has_content};
use crate::json::{self, keys};

/// The template, mapped to the kind, with what it inherits, without images.
pub(super) fn body(service: &'static Service, spec: &Value, template: &Value) -> Result<Value, String> {
    let mut body = match service.variant {
        Some(variant) if !variant.accepts.is_empty() => mapped(service, &variant, template)?,
        _ => template.clone(),
    };
    // In a template, null is a field that nobody filled in; the kinds' schemas would refuse it.
    json::remove_nulls(&mut body);
    for field in service.drops {
        json::remove(&mut body, &keys(field));
    }
    // Images come from OpenStackVersion alone; admission refuses them in templates, and here they go.
    for spot in spots(service, &body).into_iter().filter(|spot| spot.slot.source.is_image()) {
        if let Address::Body(path) = &spot.address {
            json::remove(&mut body, path);
        }
    }
    for Inherit { from, to } in service.inherits {
        let value = json::get(spec, from).filter(|value| has_content(Some(value)));
        let unset = is_unset(&body, to);
        // A template that has no such part does not get one only to inherit.
        let parent =
            to.rsplit_once('.').is_none_or(|(parent, _)| json::get(&body, parent).is_some() || makes(service, parent));
        if let (Some(value), true, true) = (value, unset, parent) {
            json::set(&mut body, &keys(to), value.clone());
        }
    }
    for Fill { path, value } in service.fills {
        if is_unset(&body, path) {
            let value = match value {
                Filler::Text(text) => Value::from(*text),
                Filler::Object(fields) => {
                    fields.iter().map(|(field, text)| ((*field).to_owned(), Value::from(*text))).collect()
                }
            };
            json::set(&mut body, &keys(path), value);
        }
    }
    Ok(body)
}

/// Whether the template says nothing there: for Kubernetes an empty text is no value.
fn is_unset(body: &Value, path: &str) -> bool {
    json::get(body, path).is_none_or(|own| own.is_null() || own == "")
}

/// Whether an image of the row is in that part, so that every object has it.
fn makes(service: &Service, part: &str) -> bool {
    let inside = |path: &str| path.strip_prefix(part).is_some_and(|rest| rest.starts_with('.'));
    service.slots.iter().any(|slot| matches!(slot.place, Place::Path(path) if inside(path)))
}

/// An upstream-shaped template under a kind of another shape: mapped where it can be, else refused by name.
fn mapped(service: &Service, variant: &Variant, template: &Value) -> Result<Value, String> {
    let mut body = Value::Object(Map::new());
    for (field, value) in template.as_object().into_iter().flatten() {
        if variant.accepts.contains(&field.as_str()) {
            json::set(&mut body, &keys(field), value.clone());
        } else if let Some((_, to)) = variant.maps.iter().find(|(from, _)| from == field) {
            json::set(&mut body, &keys(to), value.clone());
        } else if !is_slot(service, field) {
            return Err(format!(
                "spec.{}.template.{field} has no counterpart in kind {}; remove it, or set spec.{}.{} to another kind",
                service.section, variant.value, service.section, variant.field
            ));
        }
    }
    Ok(body)
}

fn is_slot(service: &Service, field: &str) -> bool {
    service.slots.iter().any(|slot| matches!(slot.place, Place::Path(path) if path == field))
}

/// Where the release's values go in this body.
pub(super) fn spots(service: &'static Service, body: &Value) -> Vec<Spot> {
    let mut spots = Vec::new();
    for slot in service.slots {
        let optional = service.body == Body::Data;
        let mut add = |entry: &str, address| spots.push(Spot { slot, entry: entry.to_owned(), address, optional });
        match slot.place {
            // A switch that the template sets is the template's.
            Place::Path(path) if !slot.source.is_image() && json::get(body, path).is_some() => {}
            Place::Path(path) => add("", Address::Body(keys(path))),
            Place::EachEntry { map, leaf } => {
                for entry in entries(json::get(body, map)) {
                    let mut path = keys(map);
                    path.extend([entry.clone(), leaf.to_owned()]);
                    add(&entry, Address::Body(path));
                }
            }
            Place::Annotation(name) => add("", Address::Annotation(name)),
        }
    }
    spots
}

/// The keys of a map, or the positions of a list.
fn entries(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Object(map)) => map.keys().cloned().collect(),
        Some(Value::Array(items)) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    }
}
