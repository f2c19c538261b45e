//! The values that the release fills into objects: what they should be, what they are.

use std::collections::BTreeSet;

use api::{
    DynamicObject,
    service::{Body, Check, Service},
};
use serde_json::{Value, json};

use super::{
    images::{ImageSet, SlotValue},
    wanted::{Address, Spot, Wanted, WantedObject},
};
use crate::{
    gate::{Unmet, plain},
    json,
};

/// The field of an object that the body goes to.
pub(crate) fn body_field(service: &Service) -> &'static str {
    match service.body {
        Body::Spec => "spec",
        Body::Data => "data",
    }
}

/// The value that an object has at an address.
pub(crate) fn live_value(service: &Service, live: &DynamicObject, address: &Address) -> Option<Value> {
    match address {
        Address::Body(path) => live.data.get(body_field(service)).and_then(|body| json::at(body, path)).cloned(),
        Address::Annotation(name) => live.metadata.annotations.as_ref()?.get(*name).map(|value| json!(value)),
    }
}

/// The value that a set gives to a spot.
pub(crate) fn set_value(set: &ImageSet, object: &WantedObject, spot: &Spot) -> SlotValue {
    match set.value(spot.slot, &spot.entry, &object.body) {
        SlotValue::Missing(_) if spot.optional => SlotValue::Nothing,
        value => value,
    }
}

/// What a spot of an object should have and has not.
struct Gap {
    /// Never `Nothing`.
    expected: SlotValue,
    found: Option<Value>,
}

fn gap(set: &ImageSet, wanted: &Wanted, object: &WantedObject, live: &DynamicObject, spot: &Spot) -> Option<Gap> {
    let expected = set_value(set, object, spot);
    let found = live_value(wanted.service, live, &spot.address);
    let met = match &expected {
        SlotValue::Nothing => true,
        SlotValue::Missing(_) => false,
        SlotValue::Value(expected) => found.as_ref().is_some_and(|found| json::covers(found, expected)),
    };
    (!met).then_some(Gap { expected, found })
}

/// Whether the object carries every value of the set.
pub(crate) fn carries(set: &ImageSet, wanted: &Wanted, object: &WantedObject, live: &DynamicObject) -> bool {
    object.spots.iter().all(|spot| gap(set, wanted, object, live, spot).is_none())
}

/// The first value of the set that the object does not carry.
pub(crate) fn first_difference(
    set: &ImageSet,
    wanted: &Wanted,
    object: &WantedObject,
    live: &DynamicObject,
) -> Option<Unmet> {
    object.spots.iter().find_map(|spot| {
        let Gap { expected, found } = gap(set, wanted, object, live, spot)?;
        let expected = match expected {
            SlotValue::Value(expected) => plain(&expected),
            SlotValue::Nothing => return None,
            SlotValue::Missing(image) => format!("{image} of {}, which has no value", set.version),
        };
        Some(Unmet {
            object: format!("{}/{}", wanted.kind().kind, object.name),
            field: address_text(wanted.service, &spot.address),
            expected,
            found: found.as_ref().map_or_else(|| "absent".to_owned(), plain),
        })
    })
}

/// Whether writing the values of the set would change the object, and its status would have to follow.
pub(crate) fn is_to_be_written(set: &ImageSet, wanted: &Wanted, object: &WantedObject, live: &DynamicObject) -> bool {
    // An annotation does not change the generation.
    let in_body = |spot: &&Spot| matches!(spot.address, Address::Body(_));
    let changes = |spot: &Spot| {
        gap(set, wanted, object, live, spot).is_some_and(|gap| matches!(gap.expected, SlotValue::Value(_)))
    };
    wanted.service.ready.contains(&Check::Observed) && object.spots.iter().filter(in_body).any(changes)
}

/// The address as a person writes it.
pub(crate) fn address_text(service: &Service, address: &Address) -> String {
    match address {
        Address::Body(path) => format!("{}.{}", body_field(service), path.join(".")),
        Address::Annotation(name) => format!("annotation {name}"),
    }
}

/// Whether every object of the service that exists carries the images of the set, and at least one exists.
pub(crate) fn all_carry(wanted: &Wanted, set: &ImageSet) -> bool {
    let mut any = false;
    for object in wanted.objects() {
        match object.live.as_deref() {
            Some(live) if carries(set, wanted, object, live) => any = true,
            Some(_) => return false,
            None => {}
        }
    }
    any && set.known
}

/// The images that the set gives to the services of a step, each once whatever the number of instances: the identity
/// of the step. Two steps with the same fingerprint have nothing to do for each other.
pub(crate) fn fingerprint<'a>(set: &ImageSet, step: impl Iterator<Item = &'a Wanted>) -> Vec<String> {
    let mut values = BTreeSet::new();
    for wanted in step {
        for object in wanted.objects() {
            for spot in &object.spots {
                let value = match set_value(set, object, spot) {
                    SlotValue::Value(value) => plain(&value),
                    SlotValue::Nothing | SlotValue::Missing(_) => String::new(),
                };
                values.insert(format!(
                    "{} {}={value}",
                    wanted.service.name,
                    address_text(wanted.service, &spot.address)
                ));
            }
        }
    }
    values.into_iter().collect()
}
