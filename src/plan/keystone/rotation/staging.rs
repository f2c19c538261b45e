//! What a rotation leaves: looked at, then published or put aside.

use api::{
    DynamicObject,
    keystone::{KeySetStatus, RejectedSet},
};
use serde_json::{Map, Value, json};

use super::{
    super::{
        Scene,
        keys::Repository,
        objects::{self, annotation, field, name},
        world::{Action, SECRET},
    },
    PUBLISHED, ROTATED_AT, ROTATED_FROM,
    check::{self, Published, Staged},
    parts,
    set::KeySet,
};

/// On a Secret with a rejected set: the resource version that it had when it was found.
const FOUND_AS: &str = "keystone.openstack.org/found-as";
/// And what is wrong with it.
const PROBLEM: &str = "keystone.openstack.org/problem";
/// What objects with a rejected set are.
const REJECTED: &str = "rejected-keys";

/// What the staging Secret has.
pub(super) enum Staging<'a> {
    /// Nothing new.
    Empty,
    /// What is published already.
    Done(&'a DynamicObject),
    /// A set to publish.
    Good(&'a DynamicObject),
    /// A set that is not published.
    Rejected { secret: &'a DynamicObject, why: RejectedSet },
}

/// The name of the Secret for rejected sets.
fn quarantine(scene: &Scene<'_>, row: &Repository) -> String {
    format!("{}-rejected", (row.secret)(scene.world))
}

/// Looks at it.
pub(super) fn judge<'a>(
    scene: &'a Scene<'_>,
    row: &Repository,
    published: &Published<'_>,
    before: Option<&KeySetStatus>,
) -> Staging<'a> {
    let Some(secret) = scene.world.object(&SECRET, &parts::staging(scene, row)) else { return Staging::Empty };
    let staged = Staged {
        set: KeySet::read(secret),
        at: annotation(secret, ROTATED_AT).and_then(|text| text.parse().ok()),
        from: annotation(secret, ROTATED_FROM).unwrap_or_default().to_owned(),
    };
    if staged.set.is_empty() {
        return Staging::Empty;
    }
    if staged.set == *published.set {
        return Staging::Done(secret);
    }
    let Some((problem, text)) = check::problem(published, &staged) else {
        return Staging::Good(secret);
    };
    let version = secret.metadata.resource_version.clone().unwrap_or_default();
    let known = before.and_then(|before| before.rejected.clone()).filter(|known| known.version == version);
    let why = known.unwrap_or_else(|| RejectedSet {
        at: scene.world.now,
        version,
        problem,
        message: format!(
            "the new keys are not published: {text} ({problem}); they are kept in Secret/{}, and the published ones stay",
            quarantine(scene, row)
        ),
    });
    Staging::Rejected { secret, why }
}

/// What to do with it.
pub(super) fn actions(
    scene: &Scene<'_>,
    row: &Repository,
    production: &DynamicObject,
    staging: &Staging<'_>,
    may_publish: bool,
) -> Vec<Action> {
    match staging {
        Staging::Empty => Vec::new(),
        Staging::Done(secret) => vec![clear(secret)],
        Staging::Good(secret) => may_publish.then(|| publish(scene, production, secret)).into_iter().collect(),
        Staging::Rejected { secret, why } => {
            let kept = scene.world.object(&SECRET, &quarantine(scene, row));
            if kept.and_then(|kept| annotation(kept, FOUND_AS)) == Some(why.version.as_str()) {
                vec![clear(secret)]
            } else {
                vec![put_aside(scene, row, secret, why)]
            }
        }
    }
}

/// The change of this very object.
fn merge(secret: &DynamicObject, annotations: &Value, data: &Value) -> Action {
    let object = json!({
        "metadata": {
            "name": name(secret),
            // Over nothing that somebody wrote meanwhile.
            "resourceVersion": secret.metadata.resource_version,
            "annotations": annotations,
        },
        "data": data,
    });
    Action::Merge { kind: SECRET.kind, object }
}

/// The new keys, and none of the old ones that they do not name.
fn publish(scene: &Scene<'_>, production: &DynamicObject, staged: &DynamicObject) -> Action {
    let all = |secret| field(secret, "data").and_then(Value::as_object).into_iter().flatten();
    let mut data: Map<String, Value> = all(production).map(|(key, _)| (key.clone(), Value::Null)).collect();
    data.extend(all(staged).map(|(key, value)| (key.clone(), value.clone())));
    let annotations = json!({
        PUBLISHED: KeySet::read(staged).name(),
        ROTATED_AT: scene.world.now.to_string(),
    });
    merge(production, &annotations, &Value::Object(data))
}

/// The next rotation finds it empty.
fn clear(secret: &DynamicObject) -> Action {
    merge(secret, &json!({ROTATED_AT: null, ROTATED_FROM: null}), &Value::Null)
}

/// Keeps what was rejected where a person can look at it.
fn put_aside(scene: &Scene<'_>, row: &Repository, secret: &DynamicObject, why: &RejectedSet) -> Action {
    let data = field(secret, "data").cloned().unwrap_or_default();
    let fields = Map::from_iter([("type".to_owned(), json!("Opaque")), ("data".to_owned(), data)]);
    let mut object = objects::object(scene, &SECRET, &quarantine(scene, row), REJECTED, fields);
    let annotations = json!({
        FOUND_AS: why.version,
        PROBLEM: why.message,
        ROTATED_AT: annotation(secret, ROTATED_AT).unwrap_or_default(),
        ROTATED_FROM: annotation(secret, ROTATED_FROM).unwrap_or_default(),
    });
    crate::json::set(&mut object, &["metadata".into(), "annotations".into()], annotations);
    Action::Apply { kind: SECRET.kind, object }
}
