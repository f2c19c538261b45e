//! What the objects of a `Keystone` have in common: labels, owner, and the apply that is made only when it is needed.

use api::{DynamicObject, MANAGED_BY, annotation, keystone, service::Kind};
use serde_json::{Map, Value, json};

use super::{
    Scene,
    world::{Action, COMPONENT, INSTANCE, World},
};
use crate::{
    gate::{Unmet, plain},
    json,
};

/// The component of the pods that serve.
pub(super) const API: &str = "api";
/// The component of the Jobs of an installation or upgrade.
pub(super) const UPGRADE: &str = "upgrade";
/// The component of configurations.
pub(super) const CONFIG: &str = "config";
/// The component of the keys.
pub(super) const KEYS: &str = "keys";

/// The labels of an object.
pub(super) fn labels(scene: &Scene<'_>, component: &str) -> Map<String, Value> {
    [
        ("app.kubernetes.io/name", "keystone"),
        (INSTANCE, scene.world.name()),
        (COMPONENT, component),
        (MANAGED_BY.0, MANAGED_BY.1),
    ]
    .into_iter()
    .map(|(label, value)| (label.to_owned(), json!(value)))
    .collect()
}

/// The labels by which the pods that serve are found.
pub(super) fn selector(scene: &Scene<'_>) -> Value {
    json!({INSTANCE: scene.world.name(), COMPONENT: API, MANAGED_BY.0: MANAGED_BY.1})
}

/// The `Keystone` as the owner of an object.
pub(super) fn owner(scene: &Scene<'_>) -> Value {
    let kind = keystone::KEYSTONE;
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "name": scene.world.name(),
        "uid": scene.world.keystone.meta.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// An object with its metadata; `fields` are its `spec`, `data` and so on.
pub(super) fn object(scene: &Scene<'_>, kind: &Kind, name: &str, component: &str, fields: Map<String, Value>) -> Value {
    let mut object = fields;
    object.insert("apiVersion".to_owned(), json!(kind.api_version()));
    object.insert("kind".to_owned(), json!(kind.kind));
    object.insert(
        "metadata".to_owned(),
        json!({
            "name": name,
            "namespace": scene.world.namespace,
            "labels": labels(scene, component),
            "ownerReferences": [owner(scene)],
        }),
    );
    Value::Object(object)
}

/// The apply of an object of the API with a `spec`, when it is needed. `free` are the fields of the spec that others may
/// set, too: they are applied with the rest and compared, but are no reason to apply by their hash.
pub(super) fn apply(scene: &Scene<'_>, kind: &Kind, spec: Value, free: &[&str]) -> Option<Action> {
    let fields = Map::from_iter([("spec".to_owned(), spec)]);
    ensure(scene, kind, scene.world.name(), API, fields, &in_spec(free))
}

fn in_spec(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| format!("spec.{field}")).collect()
}

/// The apply of any object with these fields, when it is needed. An immutable one is to have a name of its own.
pub(super) fn ensure(
    scene: &Scene<'_>,
    kind: &Kind,
    name: &str,
    component: &str,
    fields: Map<String, Value>,
    free: &[String],
) -> Option<Action> {
    let labels = labels(scene, component);
    let hash = hash(&fields, free, &labels);
    if scene.world.object(kind, name).is_some_and(|live| is_applied(scene, live, &hash, &labels, &fields)) {
        return None;
    }
    let mut object = object(scene, kind, name, component, fields);
    json::set(&mut object, &["metadata".into(), "annotations".into()], json!({annotation::APPLIED: hash}));
    Some(Action::Apply { kind: kind.kind, object })
}

/// What an apply is known by.
fn hash(fields: &Map<String, Value>, free: &[String], labels: &Map<String, Value>) -> String {
    let mut hashed = Value::Object(fields.clone());
    for field in free {
        json::remove(&mut hashed, &json::keys(field));
    }
    json::hash_of(&hashed, labels)
}

fn is_applied(
    scene: &Scene<'_>,
    live: &DynamicObject,
    hash: &str,
    labels: &Map<String, Value>,
    fields: &Map<String, Value>,
) -> bool {
    let metadata = &live.metadata;
    let labelled = |label: &String, value: &Value| {
        metadata.labels.as_ref().and_then(|all| all.get(label)).map(String::as_str) == value.as_str()
    };
    self::annotation(live, annotation::APPLIED) == Some(hash)
        && labels.iter().all(|(label, value)| labelled(label, value))
        && is_owned(scene, live)
        && fields.iter().all(|(field, value)| first_difference(live, field, value).is_none())
}

/// The path of the first value below a field that the object does not have as wanted.
fn first_difference(live: &DynamicObject, field: &str, wanted: &Value) -> Option<Vec<String>> {
    json::difference(live.data.get(field).unwrap_or(&Value::Null), wanted, kept)
}

/// What is different in the spec of an object of the API although this very spec was applied: somebody changes it again.
/// The arguments are those of [`apply`].
pub(super) fn overruled(scene: &Scene<'_>, kind: &Kind, spec: &Value, free: &[&str]) -> Option<Unmet> {
    let live = scene.world.object(kind, scene.world.name())?;
    let fields = Map::from_iter([("spec".to_owned(), spec.clone())]);
    if self::annotation(live, annotation::APPLIED) != Some(&hash(&fields, &in_spec(free), &labels(scene, API))) {
        return None;
    }
    let path = first_difference(live, "spec", spec)?;
    let text = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), plain);
    Some(Unmet {
        object: format!("{}/{}", kind.kind, name(live)),
        field: format!("spec.{}", path.join(".")),
        expected: text(json::at(spec, &path)),
        found: text(live.data.get("spec").and_then(|live| json::at(live, &path))),
    })
}

/// Whether this very `Keystone` owns the object: one of the same name that was deleted does not count.
pub(super) fn is_owned(scene: &Scene<'_>, live: &DynamicObject) -> bool {
    live.metadata.owner_references.iter().flatten().any(|owner| owner.uid == scene.world.keystone.meta.uid)
}

/// Whether an object is about to go: it is being deleted, or nobody owns it but a deleted `Keystone` of the same name, with
/// which the garbage collector takes it. An owner of another kind keeps it.
pub(super) fn goes(world: &World, live: &DynamicObject) -> bool {
    let owners = live.metadata.owner_references.as_deref().unwrap_or_default();
    let mut deleted =
        owners.iter().map(|owner| owner.kind == keystone::KEYSTONE.kind && owner.uid != world.keystone.meta.uid);
    live.metadata.deletion_timestamp.is_some() || (!owners.is_empty() && deleted.all(|deleted| deleted))
}

/// The deletion of an object, unless it is on its way.
pub(super) fn delete(kind: &Kind, live: &DynamicObject) -> Option<Action> {
    let metadata = &live.metadata;
    let (name, uid) = (metadata.name.clone()?, metadata.uid.clone()?);
    metadata.deletion_timestamp.is_none().then_some(Action::Delete { kind: kind.kind, name, uid })
}

/// The name of an object, or nothing.
pub(super) fn name(live: &DynamicObject) -> &str {
    live.metadata.name.as_deref().unwrap_or_default()
}

/// An annotation of an object.
pub(super) fn annotation<'a>(live: &'a DynamicObject, name: &str) -> Option<&'a str> {
    live.metadata.annotations.as_ref().and_then(|all| all.get(name)).map(String::as_str)
}

/// Which part of a `Keystone` the object is of.
pub(super) fn component(live: &DynamicObject) -> Option<&str> {
    live.metadata.labels.as_ref()?.get(COMPONENT).map(String::as_str)
}

/// Whether a Job has ended, one way or the other.
pub(super) fn is_finished(job: &DynamicObject) -> bool {
    holds(job, "Complete").is_some() || holds(job, "Failed").is_some()
}

/// A value of an object at a dotted path.
pub(super) fn field<'a>(live: &'a DynamicObject, path: &str) -> Option<&'a Value> {
    json::get(&live.data, path)
}

/// The items of a list of an object at a dotted path.
pub(super) fn items<'a>(live: &'a DynamicObject, path: &str) -> impl Iterator<Item = &'a Value> {
    field(live, path).and_then(Value::as_array).into_iter().flatten()
}

/// A condition of an object that is True.
pub(super) fn holds<'a>(live: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    items(live, "status.conditions").find(|condition| {
        json::text(condition, "type") == Some(type_) && json::text(condition, "status") == Some("True")
    })
}

/// How the API server keeps its own kinds: what is empty may be dropped (`omitempty`), and quantities are written in
/// another form, `0.5` as `500m`.
fn kept(field: &str, live: Option<&Value>, wanted: &Value) -> Option<bool> {
    match live {
        None => is_empty(wanted).then_some(true),
        Some(live) => ["requests", "limits"].contains(&field).then(|| same_quantities(live, wanted)),
    }
}

fn is_empty(value: &Value) -> bool {
    [Value::Null, json!(""), json!([]), json!({})].contains(value)
}

fn same_quantities(live: &Value, wanted: &Value) -> bool {
    let (Some(live), Some(wanted)) = (live.as_object(), wanted.as_object()) else { return live == wanted };
    wanted.iter().all(|(key, value)| match live.get(key) {
        Some(found) => found == value || quantity(found).is_some_and(|found| Some(found) == quantity(value)),
        None => value.is_null(),
    })
}

/// The suffixes of quantities, with their factors in billionths.
const SUFFIXES: &[(&str, i128)] = &[
    ("Ki", 1_000_000_000 << 10),
    ("Mi", 1_000_000_000 << 20),
    ("Gi", 1_000_000_000 << 30),
    ("Ti", 1_000_000_000 << 40),
    ("Pi", 1_000_000_000 << 50),
    ("Ei", 1_000_000_000 << 60),
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("k", 1_000_000_000_000),
    ("M", 1_000_000_000_000_000),
    ("G", 1_000_000_000_000_000_000),
    ("T", 1_000_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000_000_000_000),
    ("", 1_000_000_000),
];

/// A Kubernetes quantity as a number; `None` when it is none.
fn quantity(value: &Value) -> Option<i128> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (number, factor) = match text.split_once(['e', 'E']) {
        // `1E` has a suffix, `1E3` an exponent.
        Some((number, exponent)) if !["", "i"].contains(&exponent) => {
            let billionths = exponent.parse::<i32>().ok()?.checked_add(9)?;
            (number, 10_i128.checked_pow(u32::try_from(billionths).ok()?)?)
        }
        _ => SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))?,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    // As the API server does it: what is smaller than its smallest unit is one of them.
    digits.checked_mul(factor)?.checked_add(scale - 1)?.checked_div(scale)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(json!("0.5"), json!("500m"), true)]
    #[case(json!(1), json!("1"), true)]
    #[case(json!("1024Mi"), json!("1Gi"), true)]
    #[case(json!("1.5Gi"), json!("1536Mi"), true)]
    #[case(json!("0.1Ki"), json!("102400m"), true)]
    #[case(json!("1e9"), json!("1G"), true)]
    #[case(json!("12E-1"), json!("1200m"), true)]
    #[case(json!(1e21), json!("1000E"), true)]
    #[case(json!("1Ei"), json!("1Ei"), true)]
    #[case(json!("0.0000000001"), json!("1n"), true)]
    #[case(json!("1G"), json!("1Gi"), false)]
    #[case(json!("1e"), json!("1"), false)]
    #[case(json!("lots"), json!("more"), false)]
    fn quantities_are_what_they_mean(#[case] wanted: Value, #[case] live: Value, #[case] same: bool) {
        let of = |value: &Value| json!({"resources": {"requests": {"cpu": value}}});
        assert_eq!(json::difference(&of(&live), &of(&wanted), kept).is_none(), same);
    }

    #[test]
    fn only_quantities_are_compared_so() {
        assert!(json::difference(&json!({"image": "1.0"}), &json!({"image": "1"}), kept).is_some());
    }

    #[rstest]
    #[case(json!({"image": "a", "text": "", "items": [], "map": {}, "list": [{"x": 1, "none": ""}]}), true)]
    #[case(json!({"image": ""}), false)]
    #[case(json!({"map": {"x": ""}}), false)]
    fn what_is_empty_may_be_dropped(#[case] wanted: Value, #[case] same: bool) {
        let live = json!({"image": "a", "list": [{"x": 1, "default": true}]});
        assert_eq!(json::difference(&live, &wanted, kept).is_none(), same);
    }
}
