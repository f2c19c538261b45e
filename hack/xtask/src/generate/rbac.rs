//! `manifests/rbac/`: what the operator may do, from the table of kinds.

use api::{
    GROUP, dataplane,
    keystone::KEYSTONE,
    service::{self, CONFIG_MAP, Kind},
};
use plan::keystone::{KINDS, POD};
use serde_json::{Value, json};

use super::{Files, NAMESPACE, OPERATOR, yaml};

const READ: &[&str] = &["get", "list", "watch"];

pub(super) fn files() -> anyhow::Result<Files> {
    let about = "What the operator may do. Server-side apply needs `patch`, and `create` where the object may be new.";
    let objects = [account(), cluster_role(), cluster_binding(), role(), binding()];
    Ok(Files::from([("rbac/rbac.yaml".to_owned(), yaml(about, &objects)?)]))
}

fn account() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
    })
}

/// What the operator may do in every namespace.
pub(super) fn cluster_rules() -> Vec<Value> {
    let mut rules = roots();
    rules.extend(children());
    rules.extend(parts());
    rules.extend([
        rule(dataplane::NODE_SET.group, &[dataplane::NODE_SET.plural, dataplane::DEPLOYMENT.plural], READ),
        // A kind is watched from the moment its CRD is established.
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], READ),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]);
    rules
}

fn cluster_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": OPERATOR},
        "rules": cluster_rules(),
    })
}

/// The root objects. The spec of a control plane belongs to its user alone; of an `OpenStackVersion` the operator
/// writes the owner, the finalizer and the one-time default of the target.
fn roots() -> Vec<Value> {
    vec![
        rule(GROUP, &["openstackcontrolplanes"], READ),
        rule(GROUP, &["openstackversions"], &["get", "list", "watch", "create", "patch"]),
        rule(GROUP, &["openstackcontrolplanes/status", "openstackversions/status"], &["get", "patch", "update"]),
        // `blockOwnerDeletion` in an owner reference needs this on the owner.
        rule(GROUP, &["openstackcontrolplanes/finalizers", "openstackversions/finalizers"], &["update"]),
        rule(KEYSTONE.group, &["keystones/status"], &["get", "patch", "update"]),
        rule(KEYSTONE.group, &["keystones/finalizers"], &["update"]),
    ]
}

/// The objects of the services: one rule for each API group.
fn children() -> Vec<Value> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for kind in service::kinds().into_iter().filter(|kind| *kind != CONFIG_MAP) {
        match groups.iter_mut().find(|(group, _)| *group == kind.group) {
            Some((_, plurals)) => plurals.push(kind.plural),
            None => groups.push((kind.group, vec![kind.plural])),
        }
    }
    let write = &["get", "list", "watch", "create", "patch", "delete"];
    groups.iter().map(|(group, plurals)| rule(group, plurals, write)).collect()
}

/// What a `Keystone` is made of. Which of these objects may be written is said by the policy `operator-objects`: a role
/// knows no labels.
fn parts() -> Vec<Value> {
    let write = &["get", "list", "watch", "create", "patch", "delete"];
    let verbs = |kind: &Kind| if *kind == POD { READ } else { write };
    KINDS.iter().map(|kind| rule(kind.group, &[kind.plural], verbs(kind))).collect()
}

/// A rule of a role.
pub(super) fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// What it may do in its own: the lease of the leader election lies there.
pub(super) fn own_rules() -> Vec<Value> {
    vec![rule("coordination.k8s.io", &["leases"], &["get", "list", "watch", "create", "patch", "update", "delete"])]
}

fn role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
        "rules": own_rules(),
    })
}

fn cluster_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": OPERATOR},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": OPERATOR},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}],
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": OPERATOR},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}],
    })
}
