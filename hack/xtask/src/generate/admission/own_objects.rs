//! The operator writes only what carries its label: its role must name whole kinds, Secrets among them.

use api::{GROUP, MANAGED_BY, service::CONFIG_MAP};
use plan::keystone::{KINDS, POD};

use super::{
    super::OPERATOR,
    cel,
    policy::{Action, Named, Policy, Resources, Rule},
};

pub(super) fn policy() -> Policy {
    let label = |object: &str| format!("{object}.metadata.?labels[?{}].orValue('')", cel::text(MANAGED_BY.0));
    Policy {
        name: "operator-objects",
        about: "A role cannot say which Secrets, Jobs or ConfigMaps: this policy does. Those that the operator writes must\n\
                carry its label, before and after. It may give it to a ConfigMap of a control plane that has none: upstream's\n\
                operator has made it.",
        group: GROUP,
        resources: Resources::Kinds(KINDS.iter().filter(|kind| **kind != POD).copied().collect()),
        operations: &["CREATE", "UPDATE", "DELETE"],
        siblings: None,
        conditions: vec![Named::new(
            "by-the-operator",
            // The account has this name in whatever namespace it is installed.
            format!("request.userInfo.username.endsWith({})", cel::text(&format!(":{OPERATOR}"))),
        )],
        variables: vec![
            Named::new("before", format!("oldObject == null ? '' : {}", label("oldObject"))),
            Named::new("after", format!("object == null ? '' : {}", label("object"))),
            Named::new("adopts", adopts()),
        ],
        rules: vec![Rule {
            expression: format!(
                "(request.operation == 'CREATE' || variables.before == {ours} || variables.adopts) &&\n\
                 (request.operation == 'DELETE' || variables.after == {ours})",
                ours = cel::text(MANAGED_BY.1)
            ),
            fallback: "metadata.labels: the operator writes only objects that carry its label",
            message_expression: format!(
                "'metadata.labels: ' + request.name + ' is not the operator\\'s: it has no label '\n+ {}",
                cel::text(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1))
            ),
            reason: "Forbidden",
        }],
        action: Action::Deny,
    }
}

/// Whether the operator takes over what belongs to a control plane, in a kind that services have of their own.
fn adopts() -> String {
    let owner = format!("owner.kind == {} && owner.?controller.orValue(false)", cel::text("OpenStackControlPlane"));
    format!(
        "request.operation == 'UPDATE' &&\n\
         request.resource.resource == {} &&\n\
         variables.before == '' &&\n\
         oldObject.metadata.?ownerReferences.orValue([]).exists(owner, {owner})",
        cel::text(CONFIG_MAP.plural),
    )
}
