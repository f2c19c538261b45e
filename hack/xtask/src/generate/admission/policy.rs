//! A policy as a value, and the two objects it becomes.

use api::{API_VERSION, MANAGED_BY, service::Kind};
use serde::Serialize;
use serde_json::{Value, json};

/// The plural of `OpenStackVersion`.
pub(super) const VERSIONS: &str = "openstackversions";
/// The plural of `OpenStackControlPlane`.
pub(super) const CONTROL_PLANES: &str = "openstackcontrolplanes";

/// What happens when a rule does not hold.
#[derive(Clone, Copy)]
pub(super) enum Action {
    /// The request is refused.
    Deny,
    /// The client gets a warning, and the audit log an annotation.
    Warn,
}

/// A set of rules on the same requests.
pub(super) struct Policy {
    /// The name, before the API group.
    pub name: &'static str,
    /// What it is for: the comment at the top of the file.
    pub about: &'static str,
    /// The API group that it belongs to: the suffix of its name.
    pub group: &'static str,
    /// The resources it speaks of.
    pub resources: Resources,
    /// `CREATE`, `UPDATE`.
    pub operations: &'static [&'static str],
    /// The kind whose objects in the same namespace the rules see as `params`, one after the other.
    pub siblings: Option<&'static str>,
    /// Which requests are looked at.
    pub conditions: Vec<Named>,
    /// Named values, evaluated when used.
    pub variables: Vec<Named>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// What a broken rule does.
    pub action: Action,
}

/// The resources that a policy speaks of.
pub(super) enum Resources {
    /// Of the policy's own group, by plural.
    Own(&'static [&'static str]),
    /// Of Kubernetes.
    Kinds(Vec<Kind>),
}

/// An expression with a name.
#[derive(Clone, Serialize)]
pub(super) struct Named {
    name: String,
    expression: String,
}

impl Named {
    /// Names an expression.
    pub(super) fn new(name: impl Into<String>, expression: impl Into<String>) -> Self {
        Self { name: name.into(), expression: expression.into() }
    }
}

/// One rule.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    /// What must be true.
    pub expression: String,
    /// `Forbidden` for what the state of the cloud forbids, `Invalid` for what is wrong in itself.
    pub reason: &'static str,
    /// An expression for the message: the field, its value, what is allowed, what to do next.
    pub message_expression: String,
    /// What is said when the message cannot be evaluated.
    #[serde(rename = "message")]
    pub fallback: &'static str,
}

/// A `ValidatingAdmissionPolicy` or its binding. Its own type, because the fields shall come in the order in which one
/// reads them: which requests, which values, which rules.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object<S> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Value,
    spec: S,
}

/// The spec of a `ValidatingAdmissionPolicy`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicySpec {
    failure_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param_kind: Option<Value>,
    match_constraints: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    match_conditions: Vec<Named>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variables: Vec<Named>,
    validations: Vec<Rule>,
}

/// The spec of a `ValidatingAdmissionPolicyBinding`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BindingSpec {
    policy_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    param_ref: Option<Value>,
    validation_actions: &'static [&'static str],
}

impl Policy {
    /// The `ValidatingAdmissionPolicy`.
    pub(super) fn object(&self) -> Object<PolicySpec> {
        let siblings = |kind| json!({"apiVersion": format!("{}/{API_VERSION}", self.group), "kind": kind});
        let spec = PolicySpec {
            failure_policy: "Fail",
            param_kind: self.siblings.map(siblings),
            match_constraints: json!({"resourceRules": self.resource_rules()}),
            match_conditions: self.conditions.clone(),
            variables: self.variables.clone(),
            validations: self.rules.clone(),
        };
        self.object_of("ValidatingAdmissionPolicy", spec)
    }

    /// The `ValidatingAdmissionPolicyBinding`: in every namespace, with every sibling there.
    pub(super) fn binding(&self) -> Object<BindingSpec> {
        let all_siblings = || json!({"selector": {}, "parameterNotFoundAction": "Allow"});
        let spec = BindingSpec {
            policy_name: self.full_name(),
            param_ref: self.siblings.map(|_| all_siblings()),
            validation_actions: match self.action {
                Action::Deny => &["Deny"],
                Action::Warn => &["Warn", "Audit"],
            },
        };
        self.object_of("ValidatingAdmissionPolicyBinding", spec)
    }

    fn resource_rules(&self) -> Vec<Value> {
        let rule = |group: &str, version: &str, resources: &[&str]| {
            json!({
                "apiGroups": [group],
                "apiVersions": [version],
                "operations": self.operations,
                "resources": resources,
            })
        };
        match &self.resources {
            Resources::Own(plurals) => vec![rule(self.group, API_VERSION, plurals)],
            Resources::Kinds(kinds) => {
                kinds.iter().map(|kind| rule(kind.group, kind.version, &[kind.plural])).collect()
            }
        }
    }

    /// The name of both objects.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.name, self.group)
    }

    fn object_of<S>(&self, kind: &'static str, spec: S) -> Object<S> {
        let metadata = json!({"name": self.full_name(), "labels": {"app.kubernetes.io/part-of": MANAGED_BY.1}});
        Object { api_version: "admissionregistration.k8s.io/v1", kind, metadata, spec }
    }
}
