//! One `OpenStackVersion` and one `OpenStackControlPlane` in a namespace, both of the same name.
//!
//! Each policy sees the existing objects of one kind. A new object of either kind must have their name: for the same
//! kind this means "there is only one" (an object of the same name would be an update), for the other "they belong
//! together".

use api::GROUP;

use super::policy::{Action, CONTROL_PLANES, Policy, Resources, Rule, VERSIONS};

pub(super) fn version() -> Policy {
    siblings_of(
        "one-openstackversion",
        "One OpenStackVersion in a namespace, of the name of its OpenStackControlPlane.",
        "OpenStackVersion",
    )
}

pub(super) fn control_plane() -> Policy {
    siblings_of(
        "one-openstackcontrolplane",
        "One OpenStackControlPlane in a namespace, of the name of its OpenStackVersion.",
        "OpenStackControlPlane",
    )
}

fn siblings_of(name: &'static str, about: &'static str, kind: &'static str) -> Policy {
    let message = format!(
        "request.kind.kind == '{kind}' ?\n  \
           'metadata.name: ' + object.metadata.name + ': namespace ' + object.metadata.namespace\n    \
           + ' already has the {kind} \"' + params.metadata.name + '\", and only one is allowed; '\n    \
           + 'change that one, or delete it first' :\n  \
           'metadata.name: ' + object.metadata.name + ': the ' + request.kind.kind\n    \
           + ' must have the name of the {kind} of namespace ' + object.metadata.namespace\n    \
           + '; name it \"' + params.metadata.name + '\"'"
    );
    Policy {
        name,
        about,
        group: GROUP,
        resources: Resources::Own(&[VERSIONS, CONTROL_PLANES]),
        operations: &["CREATE"],
        siblings: Some(kind),
        conditions: Vec::new(),
        variables: Vec::new(),
        rules: vec![Rule {
            expression: "object.metadata.name == params.metadata.name".to_owned(),
            fallback: "metadata.name: a namespace has one OpenStackVersion and one OpenStackControlPlane, of the same name",
            message_expression: message,
            reason: "Forbidden",
        }],
        action: Action::Deny,
    }
}
