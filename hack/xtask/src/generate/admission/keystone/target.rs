//! Where `spec.image` may go. The same verdicts, in the same words, as `src/plan/keystone/target.rs`.

use api::{keystone::GROUP, release::RELEASE_PATTERN};

use super::{
    super::{
        cel,
        policy::{Action, Named, Policy, Resources, Rule},
    },
    KEYSTONES, image_variables,
};

pub(in super::super) fn policy() -> Policy {
    let mut variables = image_variables();
    variables.extend(facts());
    Policy {
        name: "keystone-target",
        about: "Where spec.image may go: to the next release, over one with spec.upgrade.skipLevel SLURP, back only after\n\
                a restore; during an upgrade back while nothing is contracted, or to another build of its target.",
        group: GROUP,
        resources: Resources::Own(&[KEYSTONES]),
        operations: &["UPDATE"],
        siblings: None,
        conditions: vec![Named::new(
            "image-changes",
            "object.?spec.?image != oldObject.?spec.?image || object.?spec.?release != oldObject.?spec.?release",
        )],
        variables,
        rules: vec![not_lower(), legal_path(), not_contracted(), not_restored(), not_returning(), same_target()],
        action: Action::Deny,
    }
}

/// What is installed and under way. What cannot be read counts as absent, as in the plan.
fn facts() -> Vec<Named> {
    let status = |path: &str| format!("{}.orValue('')", cel::optional("oldObject", &format!("status.{path}")));
    let known = |variable: &str| format!("variables.{variable}.matches({})", cel::text(RELEASE_PATTERN));
    [
        ("installedRelease", status("installedRelease")),
        ("installedImage", status("installedImage")),
        ("installed", format!("variables.installedImage != '' && {}", known("installedRelease"))),
        ("toRelease", status("upgrade.to")),
        ("toImage", status("upgrade.toImage")),
        // Without anything installed the first installation starts over with whatever is wanted.
        ("running", format!("variables.installed && {}", known("toRelease"))),
        (
            "isInstalled",
            "variables.image == variables.installedImage && variables.release == variables.installedRelease".to_owned(),
        ),
        ("restored", "object.?spec.?upgrade.?restoredRelease.orValue('')".to_owned()),
        ("slurp", "object.?spec.?upgrade.?skipLevel.orValue('') == 'SLURP'".to_owned()),
        ("year", format!("{} ? int(variables.installedRelease.substring(0, 4)) : 0", known("installedRelease"))),
        ("isSlurp", "variables.installedRelease.endsWith('.1')".to_owned()),
        ("next", "variables.isSlurp ? string(variables.year) + '.2' : string(variables.year + 1) + '.1'".to_owned()),
        ("nextSlurp", "variables.isSlurp ? string(variables.year + 1) + '.1' : ''".to_owned()),
        // Nothing is decided about what is not a wish: the policy on the spec refuses it.
        ("atRest", "variables.installed && !variables.running && variables.release != ''".to_owned()),
        ("midway", "variables.running && variables.release != ''".to_owned()),
        ("aborting", "oldObject.?status.?upgrade.?aborting.orValue(false)".to_owned()),
        ("contracted", "oldObject.?status.?upgrade.?contracted.orValue(false)".to_owned()),
        (
            "isRestored",
            "variables.running && variables.toRelease < variables.installedRelease &&\n\
             oldObject.?status.?upgrade.?schema.orValue('') == 'Current'"
                .to_owned(),
        ),
    ]
    .map(|(name, expression)| Named::new(name, expression))
    .into()
}

fn rule(expression: &str, fallback: &'static str, message: &str) -> Rule {
    Rule { expression: expression.to_owned(), fallback, message_expression: message.to_owned(), reason: "Forbidden" }
}

fn not_lower() -> Rule {
    rule(
        "!variables.atRest || variables.isInstalled ||\n\
         variables.release >= variables.installedRelease || variables.release == variables.restored",
        "spec.image must not go below status.installedRelease",
        "'spec.image is ' + variables.release + ' and status.installedRelease is ' + variables.installedRelease\n\
         + ': the schema cannot go back; restore the database and the keys of ' + variables.release\n\
         + ' from a backup and set spec.upgrade.restoredRelease to ' + variables.release + ', or set the image back'",
    )
}

fn legal_path() -> Rule {
    rule(
        "!variables.atRest || variables.isInstalled || variables.release <= variables.installedRelease ||\n\
         variables.release == variables.next || (variables.slurp && variables.release == variables.nextSlurp)",
        "spec.image must go to the release after status.installedRelease",
        "'spec.image is ' + variables.release + ' and status.installedRelease is ' + variables.installedRelease\n\
         + ': go to ' + variables.next\n\
         + (variables.nextSlurp == '' ? '' : variables.slurp ? ' or ' + variables.nextSlurp :\n  \
           ', or ' + variables.nextSlurp + ' with spec.upgrade.skipLevel SLURP')\n\
         + ' first'",
    )
}

fn not_contracted() -> Rule {
    rule(
        "!variables.midway || !variables.isInstalled || !variables.contracted",
        "spec.image cannot go back after Contracting has begun",
        "'spec.image is ' + variables.image + ' again, and Contracting to ' + variables.toRelease\n\
         + ' has begun: the old release may not find its columns any more; set spec.image to ' + variables.toImage\n\
         + ', or restore a backup once the upgrade is complete'",
    )
}

fn not_restored() -> Rule {
    rule(
        "!variables.midway || !variables.isInstalled || variables.contracted || !variables.isRestored",
        "spec.image: the schema is that of the release before",
        "'spec.image is ' + variables.image + ' again, and the schema was found to be that of ' + variables.toRelease\n\
         + ': set spec.image to ' + variables.toImage + ', and upgrade once the return is complete'",
    )
}

fn not_returning() -> Rule {
    rule(
        "!variables.midway || variables.isInstalled || !variables.aborting",
        "spec.image: the return to the installed image is not complete",
        "'the return to ' + variables.installedImage + ' is not complete; spec.image ' + variables.image\n\
         + ' is gone to afterwards'",
    )
}

fn same_target() -> Rule {
    rule(
        "!variables.midway || variables.isInstalled || variables.aborting ||\n\
         variables.release == variables.toRelease",
        "spec.image: another upgrade is under way",
        "'the upgrade to ' + variables.toImage + ' is under way; spec.image ' + variables.image + ' ('\n\
         + variables.release + ') is looked at when it is complete'",
    )
}
