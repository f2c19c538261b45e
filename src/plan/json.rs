//! Reading, writing and comparing JSON values by path.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The value at a dotted path.
pub fn get<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() { Some(value) } else { path.split('.').try_fold(value, |at, key| child(at, key)) }
}

/// The text at a dotted path; an empty text counts as absent, as it does for every Kubernetes string field.
pub fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    get(value, path).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The value at a path of keys; list positions are keys, too.
pub fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |at, key| child(at, key))
}

fn child<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Sets the value at a path; parents that are missing or are not objects become objects.
pub fn set(value: &mut Value, path: &[String], new: Value) {
    let Some((key, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    if let Value::Array(items) = value {
        if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
            set(item, rest, new);
        }
        return;
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Value::Object(map) = value {
        set(map.entry(key.clone()).or_insert(Value::Null), rest, new);
    }
}

/// Removes the value at a path, if it is there.
pub fn remove(value: &mut Value, path: &[String]) {
    let Some((key, rest)) = path.split_first() else { return };
    match value {
        Value::Object(map) if rest.is_empty() => {
            map.remove(key);
        }
        Value::Object(map) => {
            if let Some(inner) = map.get_mut(key) {
                remove(inner, rest);
            }
        }
        Value::Array(items) => {
            if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                remove(item, rest);
            }
        }
        _ => {}
    }
}

/// Removes every field that is null.
pub fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// A dotted path as keys.
pub fn keys(path: &str) -> Vec<String> {
    path.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// Whether `live` has everything that `wanted` says. What `live` has beyond it (defaults of the API server, fields of
/// other managers) does not count; lists have to match item by item.
pub fn covers(live: &Value, wanted: &Value) -> bool {
    difference(live, wanted, |_, _, _| None).is_none()
}

/// Whether a field of that name, as it is, if it is there, and as it is wanted, means the same; `None` where only equality
/// tells.
pub type Meaning = fn(&str, Option<&Value>, &Value) -> Option<bool>;

/// The path of the first value of `wanted` that `live` does not have, as [`covers`] has it.
pub fn difference(live: &Value, wanted: &Value, meaning: Meaning) -> Option<Vec<String>> {
    let mut path = inside_out(live, wanted, meaning)?;
    path.reverse();
    Some(path)
}

fn inside_out(live: &Value, wanted: &Value, meaning: Meaning) -> Option<Vec<String>> {
    let mut path = Vec::new();
    let key = match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().find_map(|(key, wanted)| {
            let live = live.get(key);
            match (meaning(key, live, wanted), live) {
                (Some(true), _) => return None,
                (None, Some(live)) => path = inside_out(live, wanted, meaning)?,
                // The API server drops explicit nulls.
                (None, None) if wanted.is_null() => return None,
                (Some(false), _) | (None, None) => {}
            }
            Some(key.clone())
        })?,
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            live.iter().zip(wanted).enumerate().find_map(|(position, (live, wanted))| {
                path = inside_out(live, wanted, meaning)?;
                Some(position.to_string())
            })?
        }
        (live, wanted) => return (live != wanted).then_some(path),
    };
    path.push(key);
    Some(path)
}

/// A hash of the value that does not depend on the order of keys: 16 hexadecimal digits.
pub fn hash(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    digits(hasher)
}

/// The same of a list of a value and an object, without copies of them.
pub fn hash_of(value: &Value, object: &Map<String, Value>) -> String {
    let mut hasher = Sha256::new();
    hasher.update([b'[']);
    feed(&mut hasher, value);
    feed_object(&mut hasher, object);
    hasher.update([b']']);
    digits(hasher)
}

fn digits(hasher: Sha256) -> String {
    let digest = hasher.finalize();
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{first:016x}")
}

fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => feed_object(hasher, map),
        Value::Array(items) => {
            hasher.update([b'[']);
            for item in items {
                feed(hasher, item);
            }
            hasher.update([b']']);
        }
        Value::String(text) => feed_text(hasher, text),
        other => {
            hasher.update([b'=']);
            hasher.update(other.to_string());
        }
    }
}

fn feed_object(hasher: &mut Sha256, map: &Map<String, Value>) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    hasher.update([b'{']);
    for (key, value) in entries {
        feed_text(hasher, key);
        feed(hasher, value);
    }
    hasher.update([b'}']);
}

/// A length in front keeps neighbouring texts apart.
fn feed_text(hasher: &mut Sha256, text: &str) {
    hasher.update([b'"']);
    hasher.update(text.len().to_le_bytes());
    hasher.update(text);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_reach_into_objects_and_lists() {
        let mut value = json!({"a": {"b": [{"c": 1}]}});
        assert_eq!(get(&value, "a.b.0.c"), Some(&json!(1)));
        set(&mut value, &keys("a.b.0.d"), json!(2));
        set(&mut value, &keys("x.y"), json!(3));
        assert_eq!(value, json!({"a": {"b": [{"c": 1, "d": 2}]}, "x": {"y": 3}}));
        remove(&mut value, &keys("a.b.0.c"));
        remove(&mut value, &keys("nothing.here"));
        assert_eq!(get(&value, "a.b"), Some(&json!([{"d": 2}])));
        set(&mut value, &keys("a.b.7.d"), json!(2));
        assert_eq!(get(&value, "a.b.7"), None, "a list is never extended");
    }

    #[test]
    fn nulls_go_wherever_they_are_but_lists_keep_their_length() {
        let mut value = json!({"a": null, "b": {"c": null}, "d": [null, {"e": null, "f": 1}]});
        remove_nulls(&mut value);
        assert_eq!(value, json!({"b": {}, "d": [null, {"f": 1}]}));
    }

    #[test]
    fn covering_ignores_defaults_and_notices_differences() {
        let live = json!({"image": "a", "replicas": 1, "list": [{"x": 1, "default": true}]});
        assert!(covers(&live, &json!({"image": "a", "list": [{"x": 1}], "gone": null})));
        assert!(!covers(&live, &json!({"image": "b"})));
        assert!(!covers(&live, &json!({"list": []})));
        assert!(!covers(&live, &json!({"more": {}})));
        let path = |wanted: Value, meaning| difference(&live, &wanted, meaning).map(|path| path.join("."));
        assert_eq!(path(json!({"image": "a", "list": [{"x": 2}]}), |_, _, _| None).unwrap(), "list.0.x");
        assert_eq!(path(json!({"list": []}), |_, _, _| None).unwrap(), "list");
        let only_of_images = |key: &str, _: Option<&Value>, _: &Value| Some(key != "image");
        assert_eq!(path(json!({"replicas": 2}), only_of_images), None);
        assert_eq!(path(json!({"image": "a"}), only_of_images).unwrap(), "image");
    }

    #[test]
    fn hashes_do_not_depend_on_key_order_and_keep_neighbours_apart() {
        assert_eq!(hash(&json!({"a": 1, "b": "x"})), hash(&json!({"b": "x", "a": 1})));
        assert_ne!(hash(&json!(["ab", "c"])), hash(&json!(["a", "bc"])));
        assert_ne!(hash(&json!("1")), hash(&json!(1)));
        assert_eq!(hash(&json!({})).len(), 16);
        let map = json!({"b": 1, "a": [2]});
        assert_eq!(hash_of(&json!("x"), map.as_object().unwrap()), hash(&json!(["x", map])));
    }
}
