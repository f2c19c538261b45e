//! The accounts that pods have: each with a role, and with what binds it.
//!
//! OpenShift admits a pod that names its user only where the pod's account may `use` a `SecurityContextConstraints` that
//! takes this user; without that right a user of the namespace's range is asked for. Elsewhere nobody asks for it.

use api::{
    DynamicObject,
    keystone::names::PODS,
    service::{Kind, RBAC},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    Scene, objects, server,
    target::Course,
    world::{ACCOUNT, Action, ROLE, ROLE_BINDING},
};

/// What the objects of the account of most pods are.
const COMPONENT: &str = "pods";
/// How long after it was written the API server knows a role for sure.
const KNOWN: SignedDuration = SignedDuration::from_secs(2);

/// The right to be admitted by OpenShift: any user but root, and otherwise what [`super::pod`] asks for anyway. The operator
/// has it, too: nobody may give what he has not.
pub fn admission_rule() -> Value {
    json!({
        "apiGroups": ["security.openshift.io"],
        "resources": ["securitycontextconstraints"],
        "resourceNames": ["nonroot-v2"],
        "verbs": ["use"],
    })
}

/// The account of the pods that serve and of those of Jobs. A rotation has one of its own.
pub(super) fn of_pods(scene: &Scene<'_>) -> String {
    PODS.of(scene.world.name())
}

/// Whether the pods that serve have it. Those that an operator before this one made get it when it is bound: a pod that is
/// not admitted would be told as a failure.
pub(super) fn serves(scene: &Scene<'_>) -> bool {
    let has = |live: &DynamicObject| objects::field(live, "spec.template.spec.serviceAccountName").is_some();
    server::live(scene).is_none_or(has) || scene.world.object(&ROLE_BINDING, &of_pods(scene)).is_some()
}

/// What of it has to be written, and when to look again although nothing changed.
pub(crate) fn actions(scene: &Scene<'_>) -> (Vec<Action>, Option<Timestamp>) {
    if scene.spec.is_none() || scene.target.course == Course::Idle {
        return (Vec::new(), None);
    }
    write(scene, &of_pods(scene), COMPONENT, Vec::new())
}

/// What has to be written of an account that may be admitted, and do what these rules say beside; and when to look again.
pub(super) fn write(
    scene: &Scene<'_>,
    name: &str,
    component: &str,
    mut rules: Vec<Value>,
) -> (Vec<Action>, Option<Timestamp>) {
    rules.push(admission_rule());
    let mut parts: Vec<(&Kind, Map<String, Value>)> = vec![
        (&ACCOUNT, Map::from_iter([("automountServiceAccountToken".to_owned(), json!(false))])),
        (&ROLE, Map::from_iter([("rules".to_owned(), json!(rules))])),
    ];
    let due = bindable(scene, name);
    if due.is_some_and(|due| due <= scene.world.now) {
        parts.push((&ROLE_BINDING, binding(scene, name)));
    }
    let written =
        parts.into_iter().filter_map(|(kind, fields)| objects::ensure(scene, kind, name, component, fields, &[]));
    (written.collect(), due.filter(|due| *due > scene.world.now))
}

/// From when on the role may be bound; never before it is there. The API server lets nobody bind a role that allows more
/// than he may himself, and looks at the roles that it knows: it learns of a new one a moment after it was written.
fn bindable(scene: &Scene<'_>, name: &str) -> Option<Timestamp> {
    let role = scene.world.object(&ROLE, name)?;
    let made = role.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
    // Made in the future: our clock is behind the API server's, and the wait would be as long as it is.
    let apart = made.duration_since(scene.world.now) > KNOWN;
    Some(if apart { Timestamp::MIN } else { made.saturating_add(KNOWN).unwrap_or(made) })
}

fn binding(scene: &Scene<'_>, name: &str) -> Map<String, Value> {
    Map::from_iter([
        ("roleRef".to_owned(), json!({"apiGroup": RBAC, "kind": ROLE.kind, "name": name})),
        ("subjects".to_owned(), json!([{"kind": ACCOUNT.kind, "name": name, "namespace": scene.world.namespace}])),
    ])
}
