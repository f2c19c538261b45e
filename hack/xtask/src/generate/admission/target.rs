//! When `spec.targetVersion` may move, and where to.

use api::{
    GROUP,
    annotation::{ALLOW_ROLLBACK, SKIP_CUSTOM_IMAGES},
    manager::DEFAULT_TARGET,
};

use super::{
    cel,
    policy::{Action, Named, Policy, Resources, Rule, VERSIONS},
};

pub(super) fn policy() -> Policy {
    Policy {
        name: "openstackversion-target",
        about: "Where spec.targetVersion may move: to a known version, forward, and during an update back only while\n\
                everything can be taken back. What the operator itself sets back (recognised by its field manager) was\n\
                accepted before; should somebody borrow that name, the operator refuses to act on the target.",
        group: GROUP,
        resources: Resources::Own(&[VERSIONS]),
        operations: &["UPDATE"],
        siblings: None,
        conditions: vec![
            Named::new("target-changes", cel::target_changes()),
            // An object that was created again does not show what the control plane remembers of it.
            Named::new(
                "not-set-back",
                format!("request.options.?fieldManager.orValue('') != {}", cel::text(DEFAULT_TARGET)),
            ),
        ],
        variables: variables(),
        rules: vec![known(), not_lower(), during_an_update(), custom_images_too()],
        action: Action::Deny,
    }
}

fn variables() -> Vec<Named> {
    let status = |path: &str| format!("{}.orValue('')", cel::optional("oldObject", &format!("status.{path}")));
    [
        ("target", "object.spec.targetVersion".to_owned()),
        ("before", cel::target_of("oldObject")),
        ("available", status("availableVersion")),
        ("deployed", status("deployedVersion")),
        ("updatingTo", status("update.to")),
        ("revertible", "oldObject.?status.?update.?revertible.orValue(false)".to_owned()),
        ("rollbackAllowed", cel::rollback_allowed()),
        ("images", "oldObject.?status.?containerImageVersionDefaults.orValue({})".to_owned()),
        (
            "known",
            "(variables.available in variables.images ? [] : [variables.available])\n\
             + variables.images.map(version, version)"
                .to_owned(),
        ),
        ("knownInOrder", cel::sorted("variables.known")),
        ("customImages", "object.?spec.?customContainerImages.orValue({})".to_owned()),
        ("trackedImages", "oldObject.?status.?trackedCustomImages[?variables.before].orValue({})".to_owned()),
        ("targetKey", cel::sort_key("variables.target")),
        ("deployedKey", cel::sort_key("variables.deployed")),
        ("updatingToKey", cel::sort_key("variables.updatingTo")),
    ]
    .map(|(name, expression)| Named::new(name, expression))
    .into()
}

/// The images of the target must be known, else nothing could be rolled out.
fn known() -> Rule {
    Rule {
        expression: "variables.available == '' || variables.target in variables.known ||\n\
                     variables.target == variables.deployed || variables.target == variables.updatingTo"
            .to_owned(),
        fallback: "spec.targetVersion: must be status.availableVersion or one of status.containerImageVersionDefaults",
        message_expression:
            "'spec.targetVersion: ' + variables.target + ': the images of this version are not known; allowed: '\n\
                  + variables.knownInOrder.join(', ') + '; choose one of these, or first upgrade the operator to '\n\
                  + 'the bundle that brings ' + variables.target"
                .to_owned(),
        reason: "Forbidden",
    }
}

fn not_lower() -> Rule {
    Rule {
        expression: "variables.rollbackAllowed || variables.deployed == '' ||\n\
                     variables.targetKey >= variables.deployedKey"
            .to_owned(),
        fallback: "spec.targetVersion: must not be lower than status.deployedVersion. Rollback is not supported",
        message_expression: format!(
            "'spec.targetVersion: ' + variables.target + ' is lower than the deployed version '\n\
             + variables.deployed + '. Rollback is not supported; keep ' + variables.deployed\n\
             + ' or choose a newer version (for development only, the annotation {ALLOW_ROLLBACK}: \"true\" allows it)'"
        ),
        reason: "Forbidden",
    }
}

/// While an update runs the target may stay with it, move on to something newer, or return to what is deployed.
fn during_an_update() -> Rule {
    Rule {
        expression: "variables.rollbackAllowed || variables.updatingTo == '' ||\n\
                     variables.target == variables.updatingTo ||\n\
                     variables.targetKey > variables.updatingToKey ||\n\
                     (variables.target == variables.deployed && variables.revertible)"
            .to_owned(),
        fallback: "spec.targetVersion: while an update runs, only a newer version is allowed, or the deployed one while \
                   status.update.revertible is true",
        message_expression: "'spec.targetVersion: ' + variables.target + ': the update from '\n\
                  + oldObject.?status.?update.?from.orValue(variables.deployed) + ' to ' + variables.updatingTo + (\n  \
                    variables.target == variables.deployed ?\n    \
                      ' can no longer be taken back: '\n      \
                      + oldObject.?status.?update.?notRevertibleReason.orValue('status.update.revertible is not true')\n      \
                      + '; keep ' + variables.updatingTo + ' and let it finish, or choose a version newer than it' :\n    \
                      ' is running; keep ' + variables.updatingTo + ' and let it finish, choose a version newer than it'\n      \
                      + (variables.revertible ? ', or go back to ' + variables.deployed : '')\n\
                  )"
            .to_owned(),
        reason: "Forbidden",
    }
}

/// Custom images were chosen for one version; nobody should carry them into the next by accident.
fn custom_images_too() -> Rule {
    Rule {
        expression: format!(
            "variables.deployed == '' || variables.target == variables.deployed ||\n\
             {}.hasValue() ||\n\
             size(variables.customImages) == 0 || variables.customImages != variables.trackedImages",
            cel::annotation("object", SKIP_CUSTOM_IMAGES)
        ),
        fallback: "spec.customContainerImages: must be changed or removed together with spec.targetVersion",
        message_expression: format!(
            "'spec.customContainerImages: still the images that were chosen for ' + variables.before\n\
             + ', while spec.targetVersion moves to ' + variables.target\n\
             + '; change or remove them in the same request, or keep them on purpose with the annotation '\n\
             + '{SKIP_CUSTOM_IMAGES}'"
        ),
        reason: "Forbidden",
    }
}

/// `Automatic` is reserved for a later version of the operator.
pub(super) fn dataplane_mode() -> Policy {
    Policy {
        name: "openstackversion-dataplane-mode",
        about: "spec.update.dataplane: only Manual is supported so far.",
        group: GROUP,
        resources: Resources::Own(&[VERSIONS]),
        operations: &["CREATE", "UPDATE"],
        siblings: None,
        conditions: vec![Named::new("spec-changes", cel::spec_changes())],
        variables: Vec::new(),
        rules: vec![Rule {
            expression: "object.?spec.?update.?dataplane.orValue('Manual') != 'Automatic'".to_owned(),
            fallback: "spec.update.dataplane: Automatic is not supported yet; use Manual",
            message_expression: "'spec.update.dataplane: Automatic is not supported yet; use Manual and create an '\n\
                      + 'OpenStackDataPlaneDeployment when a dataplane step waits for it'"
                .to_owned(),
            reason: "Invalid",
        }],
        action: Action::Deny,
    }
}
