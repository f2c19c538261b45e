//! What the operator may do, from the table of kinds: `manifests/rbac/` for all namespaces, and the same for one.
//!
//! `tests/it/rbac.rs` compares the rules with what the operator asks for in all that it does.

use api::{
    GROUP, dataplane,
    keystone::KEYSTONE,
    service::{self, CONFIG_MAP, Kind, RBAC},
};
use plan::keystone::{
    ACCOUNT, CRON_JOB, DEPLOYMENT, HPA, JOB, KINDS, PDB, POD, ROLE, ROLE_BINDING, SECRET, SERVICE, admission_rule,
};
use serde_json::{Value, json};

use super::{Files, NAMESPACE, OPERATOR, yaml};

/// Where the rules for one namespace are.
const ONE_NAMESPACE: &str = "overlays/single-namespace/operator/rbac.yaml";

/// What is read is watched.
const READ: &[&str] = &["list", "watch"];
/// Server-side apply needs `create`, too, where the object may be new; and `delete` where it may be there without its
/// owner: an API server with the admission plugin `OwnerReferencesPermissionEnforcement` lets only those change the owner
/// of an object who may delete it.
const APPLY: &[&str] = &["list", "watch", "create", "patch", "delete"];

/// What is done with the objects that a `Keystone` is made of. Which of them may be written is said by the policy
/// `operator-objects`: a role knows no labels.
const PARTS: &[(Kind, &[&str])] = &[
    (CONFIG_MAP, APPLY),
    (CRON_JOB, APPLY),
    (DEPLOYMENT, APPLY),
    (HPA, APPLY),
    // Created, never changed. One of that name is looked at: it may be ours.
    (JOB, &["get", "list", "watch", "create", "delete"]),
    (PDB, APPLY),
    (POD, READ),
    // The roles that its pods need, and nothing else: the API server lets nobody make a role, or bind one, that allows
    // more than he may do himself, and neither `escalate` nor `bind` is given here.
    (ROLE, APPLY),
    (ROLE_BINDING, APPLY),
    // Keys are created, and looked at if they are there already. They are never deleted.
    (SECRET, &["get", "list", "watch", "create", "patch"]),
    (SERVICE, APPLY),
    (ACCOUNT, APPLY),
];

pub(super) fn files() -> anyhow::Result<Files> {
    let everywhere = [
        account(),
        role("ClusterRole", OPERATOR, &cluster_rules()?),
        binding("ClusterRole", OPERATOR),
        role("Role", OPERATOR, &lease_rules()),
        binding("Role", OPERATOR),
    ];
    // Each name ends with that of the namespace: several of them may be served by an operator each.
    let kinds = format!("{OPERATOR}:{NAMESPACE}");
    let one = [
        account(),
        role("ClusterRole", &kinds, &kinds_rules()),
        binding("ClusterRole", &kinds),
        role("Role", OPERATOR, &[rules()?, lease_rules()].concat()),
        binding("Role", OPERATOR),
    ];
    Ok(Files::from([
        ("rbac/rbac.yaml".to_owned(), yaml("What the operator may do.", &everywhere)?),
        (ONE_NAMESPACE.to_owned(), yaml("What the operator may do where it serves one namespace.", &one)?),
    ]))
}

/// The rules as a table: what may be done, and with which objects.
pub(super) fn table() -> anyhow::Result<String> {
    let texts = |rule: &Value, field: &str| -> anyhow::Result<Vec<String>> {
        Ok(serde_json::from_value(rule.get(field).cloned().unwrap_or_else(|| json!([])))?)
    };
    let mut rows: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for rule in [kinds_rules(), rules()?, lease_rules()].concat() {
        let (verbs, names) = (texts(&rule, "verbs")?, texts(&rule, "resourceNames")?);
        let mut resources = texts(&rule, "resources")?;
        if !names.is_empty() {
            let of = |resource: String| format!("{resource} ({})", names.join(", "));
            resources = resources.into_iter().map(of).collect();
        }
        match rows.iter_mut().find(|(known, _)| *known == verbs) {
            Some((_, all)) => all.extend(resources),
            None => rows.push((verbs, resources)),
        }
    }
    let mut lines = vec!["| it may | |\n|---|---|".to_owned()];
    lines.extend(rows.iter().map(|(verbs, resources)| format!("| {} | {} |", verbs.join(", "), resources.join(", "))));
    Ok(lines.join("\n") + "\n")
}

fn account() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
    })
}

/// What is done everywhere.
pub(super) fn cluster_rules() -> anyhow::Result<Vec<Value>> {
    Ok([kinds_rules(), rules()?].concat())
}

/// A kind is watched from the moment its CRD is established. CRDs belong to no namespace.
fn kinds_rules() -> Vec<Value> {
    vec![rule("apiextensions.k8s.io", &["customresourcedefinitions"], READ)]
}

/// What is done in the namespaces of clouds.
fn rules() -> anyhow::Result<Vec<Value>> {
    let mut rules = roots();
    rules.extend(children());
    rules.extend(parts()?);
    rules.extend([
        rule(dataplane::NODE_SET.group, &[dataplane::NODE_SET.plural], READ),
        rule("events.k8s.io", &["events"], &["create"]),
        // Passed on to the pods of a `Keystone`, in their roles.
        admission_rule(),
    ]);
    Ok(rules)
}

/// The root objects. The spec of a control plane belongs to its user alone; of an `OpenStackVersion` the operator
/// writes the owner and the one-time default of the target.
fn roots() -> Vec<Value> {
    vec![
        rule(GROUP, &["openstackcontrolplanes"], READ),
        rule(GROUP, &["openstackversions"], APPLY),
        rule(GROUP, &["openstackcontrolplanes/status", "openstackversions/status"], &["update"]),
        // `blockOwnerDeletion` in an owner reference needs this on the owner, where the admission plugin for that runs.
        rule(GROUP, &["openstackcontrolplanes/finalizers"], &["update"]),
        rule(KEYSTONE.group, &["keystones/status"], &["update"]),
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
    groups.iter().map(|(group, plurals)| rule(group, plurals, APPLY)).collect()
}

fn parts() -> anyhow::Result<Vec<Value>> {
    if let Some(kind) = KINDS.iter().find(|kind| PARTS.iter().all(|(known, _)| known != *kind)) {
        anyhow::bail!("a Keystone has objects of kind {}, and PARTS does not say what is done with them", kind.kind);
    }
    Ok(PARTS.iter().map(|(kind, verbs)| rule(kind.group, &[kind.plural], verbs)).collect())
}

/// A rule of a role.
pub(super) fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// The lease of the leader election lies in the operator's own namespace. A name cannot be asked of what is created.
pub(super) fn lease_rules() -> Vec<Value> {
    let mut known = rule("coordination.k8s.io", &["leases"], &["get", "list", "watch", "update"]);
    if let Some(rule) = known.as_object_mut() {
        rule.insert("resourceNames".to_owned(), json!([OPERATOR]));
    }
    vec![known, rule("coordination.k8s.io", &["leases"], &["create"])]
}

fn role(kind: &str, name: &str, rules: &[Value]) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": kind,
        "metadata": metadata(kind, name),
        "rules": rules,
    })
}

/// Binds a role of that kind and name to the account.
fn binding(kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": format!("{kind}Binding"),
        "metadata": metadata(kind, name),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}],
    })
}

fn metadata(kind: &str, name: &str) -> Value {
    if kind == "Role" { json!({"name": name, "namespace": NAMESPACE}) } else { json!({"name": name}) }
}
