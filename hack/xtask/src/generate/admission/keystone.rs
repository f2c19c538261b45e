//! What a `Keystone` may ask for, whatever is installed.

use api::{
    keystone::{GROUP, names},
    release::RELEASE_PATTERN,
};

use super::{
    cel,
    policy::{Action, Named, Policy, Resources, Rule},
};

mod advice;
mod cron;
mod target;

pub(super) use advice::policy as advice;
pub(super) use target::policy as target;

/// The plural of `Keystone`.
const KEYSTONES: &str = "keystones";

/// What the OCI distribution specification allows.
const TAG_PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$";

/// The one that everybody uses.
const DIGEST_PATTERN: &str = "^sha256:[0-9a-f]{64}$";

pub(super) fn spec() -> Policy {
    let mut variables = image_variables();
    variables.extend(
        [
            ("autoscaling", "object.?spec.?autoscaling.orValue({})"),
            ("replicas", "object.?spec.?replicas.orValue(3)"),
            ("mostReplicas", "object.?spec.?autoscaling.?maxReplicas.orValue(0)"),
            ("fewestReplicas", "object.?spec.?autoscaling.?minReplicas.orValue(variables.replicas)"),
            ("sleep", "object.?spec.?preStopSleepSeconds.orValue(8)"),
            ("grace", "object.?spec.?terminationGracePeriodSeconds.orValue(60)"),
            ("fernetSchedule", "object.?spec.?fernet.?rotationSchedule.orValue('@weekly')"),
            ("credentialSchedule", "object.?spec.?credentialKeys.?rotationSchedule.orValue('@weekly')"),
        ]
        .map(|(name, expression)| Named::new(name, expression)),
    );
    Policy {
        name: "keystone-spec",
        about: "What a Keystone may ask for, whatever is installed.",
        group: GROUP,
        resources: Resources::Own(&[KEYSTONES]),
        operations: &["CREATE", "UPDATE"],
        siblings: None,
        conditions: vec![Named::new("spec-changes", cel::spec_changes())],
        variables,
        rules: [name_rules(), image_rules(), pod_rules(), vec![cron::rule("fernet"), cron::rule("credentialKeys")]]
            .concat(),
        action: Action::Deny,
    }
}

/// The image and the release that the spec asks for, as `plan` reads them.
fn image_variables() -> Vec<Named> {
    let release = cel::text(RELEASE_PATTERN);
    [
        ("repository", "object.?spec.?image.?repository.orValue('')".to_owned()),
        ("tag", "object.?spec.?image.?tag.orValue('')".to_owned()),
        ("digest", "object.?spec.?image.?digest.orValue('')".to_owned()),
        (
            "image",
            "variables.repository + (variables.digest != '' ? '@' + variables.digest :\n\
             variables.tag != '' ? ':' + variables.tag : '')"
                .to_owned(),
        ),
        ("saidRelease", "object.?spec.?release.orValue('')".to_owned()),
        ("tagRelease", format!("variables.tag.split('-')[0].matches({release}) ? variables.tag.split('-')[0] : ''")),
        ("release", "variables.saidRelease != '' ? variables.saidRelease : variables.tagRelease".to_owned()),
    ]
    .map(|(name, expression)| Named::new(name, expression))
    .into()
}

fn rule(expression: impl Into<String>, fallback: &'static str, message: impl Into<String>) -> Rule {
    Rule { expression: expression.into(), fallback, message_expression: message.into(), reason: "Invalid" }
}

/// Of new objects only: nobody can rename one.
fn name_rules() -> Vec<Rule> {
    let (name, tightest) = ("object.metadata.name", names::tightest());
    let (most, kind, suffix, max) = (tightest.room(), tightest.kind, tightest.suffix, tightest.max);
    vec![
        rule(
            format!("oldObject != null || size({name}) <= {most}"),
            "metadata.name: too long",
            format!(
                "'metadata.name: \"' + {name} + '\" has ' + string(size({name})) + ' characters and at most {most} are '\n\
                 + 'possible: {kind}/<name>{suffix} may have {max}; choose a shorter name'"
            ),
        ),
        rule(
            format!("oldObject != null || {name}.matches({})", cel::text(names::PATTERN)),
            "metadata.name: not the name of a Service",
            format!(
                "'metadata.name: \"' + {name} + '\" cannot be the name of its Service: only small letters, digits and -, '\n\
                 + 'beginning with a letter and ending with none of -'"
            ),
        ),
    ]
}

fn image_rules() -> Vec<Rule> {
    vec![
        rule(
            "variables.repository != '' && (variables.tag == '') != (variables.digest == '')",
            "spec.image: needs repository and exactly one of tag and digest",
            "'spec.image: needs repository and exactly one of tag and digest'",
        ),
        rule(
            format!("variables.tag == '' || variables.tag.matches({})", cel::text(TAG_PATTERN)),
            "spec.image.tag: not a tag",
            "'spec.image.tag: \"' + variables.tag + '\" is not a tag: it has at most 128 letters, digits, and . _ -, and '\n\
             + 'begins with none of . -'",
        ),
        rule(
            format!("variables.digest == '' || variables.digest.matches({})", cel::text(DIGEST_PATTERN)),
            "spec.image.digest: not a digest",
            "'spec.image.digest: \"' + variables.digest + '\" is not a digest: it is sha256: and 64 hexadecimal digits'",
        ),
        rule(
            "variables.saidRelease == '' || variables.tagRelease == '' ||\n\
             variables.saidRelease == variables.tagRelease",
            "spec.release and spec.image.tag name different releases",
            "'spec.release is ' + variables.saidRelease + ' and spec.image.tag names ' + variables.tagRelease\n\
             + '; make them agree'",
        ),
        rule(
            "variables.release != '' || (variables.tag == '') == (variables.digest == '')",
            "spec.image does not name an OpenStack release; set spec.release",
            "'spec.image ' + variables.image + ' does not name an OpenStack release; set spec.release'",
        ),
    ]
}

fn pod_rules() -> Vec<Rule> {
    vec![
        rule(
            "size(variables.autoscaling) == 0 || variables.fewestReplicas <= variables.mostReplicas",
            "spec.autoscaling.maxReplicas is less than minReplicas",
            "'spec.autoscaling.maxReplicas is ' + string(variables.mostReplicas) + ' and '\n\
             + (has(object.spec.autoscaling.minReplicas) ? 'spec.autoscaling.minReplicas' :\n  \
               'spec.replicas, the minimum where minReplicas is absent,')\n\
             + ' is ' + string(variables.fewestReplicas) + '; raise the one or lower the other'",
        ),
        rule(
            "size(variables.autoscaling) == 0 || 'targetCPUUtilization' in variables.autoscaling ||\n\
             'targetMemoryUtilization' in variables.autoscaling",
            "spec.autoscaling: needs targetCPUUtilization or targetMemoryUtilization",
            "'spec.autoscaling: needs targetCPUUtilization or targetMemoryUtilization, else nothing would scale'",
        ),
        rule(
            "object.?spec.?database.?host.orValue('') != '' || object.?spec.?database.?instance.orValue('') != ''",
            "spec.database: needs host or instance",
            "'spec.database: needs host (a Service or an address) or instance (a Galera of the control plane)'",
        ),
        rule(
            "variables.sleep < variables.grace",
            "spec.preStopSleepSeconds must be less than spec.terminationGracePeriodSeconds",
            "'spec.preStopSleepSeconds is ' + string(variables.sleep) + ' and spec.terminationGracePeriodSeconds is '\n\
             + string(variables.grace) + ': a pod would be killed before it ends what is in flight; raise the latter'",
        ),
    ]
}
