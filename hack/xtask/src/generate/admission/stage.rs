//! The annotation `update-target-stage`: upstream's name for "stop after this step".

use api::{GROUP, annotation::TARGET_STAGE, step::MINOR_UPDATE};

use super::{
    cel,
    policy::{Action, Named, Policy, Resources, Rule, VERSIONS},
};

pub(super) fn policy() -> Policy {
    let (new, old) = (cel::annotation("object", TARGET_STAGE), cel::annotation("oldObject", TARGET_STAGE));
    Policy {
        name: "openstackversion-target-stage",
        about: "The annotation core.openstack.org/update-target-stage: a step of the update that is not behind it.\n\
                Removing the annotation is always allowed.",
        group: GROUP,
        resources: Resources::Own(&[VERSIONS]),
        operations: &["CREATE", "UPDATE"],
        siblings: None,
        conditions: vec![Named::new(
            "stage-changes",
            format!("{new}.hasValue() &&\n(request.operation == 'CREATE' || {new} !=\n  {old})"),
        )],
        variables: variables(&new, &old),
        rules: vec![a_step(), not_backward(), not_finished()],
        action: Action::Deny,
    }
}

fn variables(new: &str, old: &str) -> Vec<Named> {
    let order: Vec<String> = MINOR_UPDATE.iter().map(|step| step.name.to_string()).collect();
    [
        ("order", cel::texts(order.iter().map(String::as_str))),
        ("stage", format!("{new}.orValue('')")),
        ("position", "variables.order.indexOf(variables.stage)".to_owned()),
        (
            "updating",
            "request.operation == 'UPDATE' && has(oldObject.status) && has(oldObject.status.update)".to_owned(),
        ),
        ("before", format!("variables.updating ? {old}.orValue('') : ''")),
        ("steps", "variables.updating ? oldObject.status.update.?steps.orValue([]) : []".to_owned()),
        (
            "open",
            "variables.steps.filter(step, !(step.state in ['Done', 'NotNeeded']))\n\
                  .map(step, variables.order.indexOf(step.name))"
                .to_owned(),
        ),
        // A step that is not needed may say so before its turn: only what no open step precedes is behind.
        (
            "behind",
            "variables.steps.map(step, variables.order.indexOf(step.name))\n\
                    .filter(position, variables.open.all(other, other > position))"
                .to_owned(),
        ),
    ]
    .map(|(name, expression)| Named::new(name, expression))
    .into()
}

fn a_step() -> Rule {
    Rule {
        expression: "variables.stage in variables.order".to_owned(),
        fallback: "metadata.annotations: update-target-stage must be the name of a step",
        message_expression: message(
            "'\"' + variables.stage + '\" is not a step of the update; use one of '\n\
             + variables.order.join(', ') + ', or remove the annotation'",
        ),
        reason: "Invalid",
    }
}

fn not_backward() -> Rule {
    Rule {
        expression: "!(variables.before in variables.order) ||\n\
                     variables.position >= variables.order.indexOf(variables.before)"
            .to_owned(),
        fallback: "metadata.annotations: update-target-stage must not move backward while an update runs",
        message_expression: message(
            "variables.stage + ' is before ' + variables.before\n\
             + ', and the stage cannot move backward while an update runs; use '\n\
             + variables.before + ' or a later step, or remove the annotation'",
        ),
        reason: "Forbidden",
    }
}

fn not_finished() -> Rule {
    Rule {
        expression: "variables.behind.all(position, variables.position >= position)".to_owned(),
        fallback: "metadata.annotations: update-target-stage must not name a step before one that is finished",
        message_expression: message(
            "variables.stage + ' is behind the running update, which has finished '\n\
             + variables.order[variables.behind.max()]\n\
             + '; use that or a later step, or remove the annotation'",
        ),
        reason: "Forbidden",
    }
}

fn message(rest: &str) -> String {
    format!("'metadata.annotations[{TARGET_STAGE}]: '\n+ {rest}")
}
