//! Which versions the images of an object are of. Read from the text of the object, not from the product's tables: the
//! judge must not share the judged one's mistakes.

use std::collections::BTreeSet;

use serde_json::Value;

/// Whether an image of that version is in the object.
pub fn carries(object: &Value, version: &str) -> bool {
    versions(object).contains(version)
}

/// Whether every image of the object is of that version.
pub fn moved_to(object: &Value, version: &str) -> bool {
    versions(object) == BTreeSet::from([version.to_owned()])
}

/// The kinds and names of the objects that carry an image of that version.
pub fn moved(objects: &[(String, String, Value)], version: &str) -> Vec<String> {
    let moved = objects.iter().filter(|(.., object)| carries(object, version));
    moved.map(|(kind, name, _)| format!("{kind}/{name}")).collect()
}

/// The versions of the images of an object.
pub fn versions(object: &Value) -> BTreeSet<String> {
    let mut tags = BTreeSet::new();
    for body in ["spec", "data"] {
        collect(&object[body], &mut tags);
    }
    tags
}

fn collect(value: &Value, tags: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            tags.extend(text.strip_prefix("registry.example.com/").and_then(|rest| rest.rsplit_once(':')).map(own));
        }
        // Keystone has an image in parts.
        Value::Object(fields) if fields.contains_key("repository") => {
            tags.extend(fields.get("tag").and_then(Value::as_str).map(str::to_owned));
        }
        Value::Object(fields) => fields.values().for_each(|value| collect(value, tags)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, tags)),
        _ => {}
    }
}

fn own((_, tag): (&str, &str)) -> String {
    tag.to_owned()
}
