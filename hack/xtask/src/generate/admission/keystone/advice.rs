//! What is allowed and likely not meant.

use api::keystone::GROUP;

use super::{
    super::{
        cel,
        policy::{Action, Named, Policy, Resources},
    },
    KEYSTONES, rule,
};

/// Seconds that a token lives by default, and that services may go on using one that has expired.
const EXPIRATION: u32 = 3600;
const EXPIRED_WINDOW: u32 = 172_800;

pub(in super::super) fn policy() -> Policy {
    Policy {
        name: "keystone-advice",
        about: "What is allowed and likely not meant: the client gets a warning.",
        group: GROUP,
        resources: Resources::Own(&[KEYSTONES]),
        operations: &["CREATE", "UPDATE"],
        siblings: None,
        conditions: vec![Named::new("spec-changes", cel::spec_changes())],
        variables: variables(),
        rules: vec![
            rule(
                "variables.pods > 1",
                "spec.replicas: one pod",
                "'spec.replicas: with one pod a node that fails or is drained interrupts the API; 2 or more serve through it'",
            ),
            rule(
                "variables.kept >= variables.lifetime",
                "spec.fernet: keys are dropped before the tokens that they encrypt expire",
                "'spec.fernet: a key is dropped about ' + string(variables.kept)\n\
                 + ' s after it was last used, and a token can be used for ' + string(variables.lifetime)\n\
                 + ' s (extraConfig.token expiration and allow_expired_window): tokens would end early; '\n\
                 + 'raise maxActiveKeys or rotate less often'",
            ),
        ],
        action: Action::Warn,
    }
}

fn variables() -> Vec<Named> {
    let seconds = |option: &str, default: u32| {
        let text = format!("object.?spec.?extraConfig[?'token'][?'{option}'].orValue('')");
        format!("{text}.matches('^[0-9]{{1,9}}$') ? int({text}) : {default}")
    };
    [
        ("pods", "object.?spec.?autoscaling.?minReplicas.orValue(object.?spec.?replicas.orValue(3))".to_owned()),
        ("schedule", "object.?spec.?fernet.?rotationSchedule.orValue('@weekly')".to_owned()),
        // Minute, hour, day of the month, month, day of the week; shorthands have their own row.
        ("fields", "variables.schedule.split(' ').filter(field, field != '')".to_owned()),
        ("single", "'^[0-9a-zA-Z]+$'".to_owned()),
        ("never", "1000000000".to_owned()),
        // The shortest time between two rotations, from below. Of lists, ranges and steps `KeysSuffice` will tell.
        (
            "period",
            "variables.schedule in ['@yearly', '@annually', '@monthly'] ? 2419200 :\n\
             variables.schedule == '@weekly' ? 604800 :\n\
             variables.schedule in ['@daily', '@midnight'] ? 86400 :\n\
             variables.schedule == '@hourly' ? 3600 :\n\
             size(variables.fields) != 5 ? variables.never :\n\
             variables.fields[0] == '*' ? 60 :\n\
             !variables.fields[0].matches(variables.single) ? variables.never :\n\
             variables.fields[1] == '*' ? 3600 :\n\
             !variables.fields[1].matches(variables.single) ? variables.never :\n\
             variables.fields[2] == '*' && variables.fields[4] == '*' ? 86400 :\n\
             variables.fields[2] == '*' && variables.fields[4].matches(variables.single) ? 604800 :\n\
             variables.fields[2].matches(variables.single) && variables.fields[4] == '*' ? 2419200 : variables.never"
                .to_owned(),
        ),
        ("suspended", "object.?spec.?fernet.?suspend.orValue(false)".to_owned()),
        // Of the keys one is not used yet, and one is used now.
        (
            "kept",
            "variables.suspended ? variables.never :\n\
             (object.?spec.?fernet.?maxActiveKeys.orValue(3) - 2) * variables.period"
                .to_owned(),
        ),
        (
            "lifetime",
            format!("({}) + ({})", seconds("expiration", EXPIRATION), seconds("allow_expired_window", EXPIRED_WINDOW)),
        ),
    ]
    .map(|(name, expression)| Named::new(name, expression))
    .into()
}
