//! Warnings about `spec.customContainerImages`: allowed, and probably not meant.

use api::{
    GROUP,
    annotation::SKIP_CUSTOM_IMAGES,
    image::{BACKEND_MAPS, BackendMap, DEFAULT_BACKEND},
};

use super::{
    cel,
    policy::{Action, Named, Policy, Resources, Rule, VERSIONS},
};

/// Single images that stay as they were while the target moves and other images change.
pub(super) fn unchanged() -> Policy {
    Policy {
        name: "openstackversion-unchanged-images",
        about: "Names each custom image that stays the same while spec.targetVersion moves and other custom images change.\n\
                (All of them the same: refused by openstackversion-target.)",
        group: GROUP,
        resources: Resources::Own(&[VERSIONS]),
        operations: &["UPDATE"],
        siblings: None,
        conditions: vec![
            Named::new("target-changes", cel::target_changes()),
            Named::new(
                "update-begins",
                "object.spec.targetVersion != oldObject.?status.?deployedVersion.orValue(object.spec.targetVersion)",
            ),
            Named::new("not-skipped", format!("!{}.hasValue()", cel::annotation("object", SKIP_CUSTOM_IMAGES))),
            Named::new("images-change", images_change()),
        ],
        variables: unchanged_variables(),
        rules: vec![Rule {
            expression: "size(variables.unchanged) == 0".to_owned(),
            fallback: "spec.customContainerImages: some images stay as they were while spec.targetVersion moves",
            message_expression: "'spec.customContainerImages: ' + variables.inOrder.join(', ')\n\
                      + (size(variables.unchanged) == 1 ? ' stays as it was' : ' stay as they were')\n\
                      + ' while spec.targetVersion moves to ' + object.spec.targetVersion\n\
                      + '; check that this is meant'"
                .to_owned(),
            reason: "Invalid",
        }],
        action: Action::Warn,
    }
}

fn images_change() -> String {
    "object.?spec.?customContainerImages.orValue({}) != oldObject.?spec.?customContainerImages.orValue({})".to_owned()
}

fn unchanged_variables() -> Vec<Named> {
    let maps = cel::texts(BACKEND_MAPS.iter().map(|map| map.name));
    let fields = format!(
        "variables.images.filter(name,\n  \
           !(name in {maps}) && variables.images[name] == variables.before[?name].orValue('')\n\
         )"
    );
    let backends = BACKEND_MAPS.iter().map(|BackendMap { name, .. }| {
        format!(
            "variables.images.?{name}.orValue({{}}).filter(backend,\n  \
               variables.images.{name}[backend] == variables.before.?{name}[?backend].orValue('')\n\
             ).map(backend, '{name}.' + backend)"
        )
    });
    let unchanged = std::iter::once(fields).chain(backends).collect::<Vec<_>>().join(" +\n");
    vec![
        Named::new("images", "object.?spec.?customContainerImages.orValue({})".to_owned()),
        Named::new("before", "oldObject.?spec.?customContainerImages.orValue({})".to_owned()),
        Named::new("unchanged", unchanged),
        Named::new("inOrder", cel::sorted("variables.unchanged")),
    ]
}

/// Images for backends that the control plane does not have: they change nothing.
pub(super) fn backends() -> Policy {
    let unknown = BACKEND_MAPS.iter().map(unknown_backends);
    let known = BACKEND_MAPS.iter().map(known_backends);
    Policy {
        name: "openstackversion-backends",
        about: "Names each custom image of a backend that the OpenStackControlPlane of the namespace does not have.",
        group: GROUP,
        resources: Resources::Own(&[VERSIONS]),
        operations: &["CREATE", "UPDATE"],
        siblings: Some("OpenStackControlPlane"),
        conditions: vec![Named::new("images-change", format!("request.operation == 'CREATE' ||\n{}", images_change()))],
        variables: known.chain(unknown).collect(),
        rules: BACKEND_MAPS.iter().map(backends_exist).collect(),
        action: Action::Warn,
    }
}

fn known_backends(map: &BackendMap) -> Named {
    let path = cel::optional("params", &format!("spec.{}.{}", map.section, map.backends));
    Named::new(format!("{}Known", map.section), format!("{path}.orValue({{}}).map(backend, backend)"))
}

fn unknown_backends(map: &BackendMap) -> Named {
    let unknown = format!(
        "object.?spec.?customContainerImages.?{}.orValue({{}}).filter(backend,\n  \
           backend != '{DEFAULT_BACKEND}' && !(backend in variables.{}Known)\n\
         )",
        map.name, map.section
    );
    Named::new(format!("{}Unknown", map.section), unknown)
}

fn backends_exist(map: &BackendMap) -> Rule {
    let BackendMap { name, section, backends, .. } = map;
    Rule {
        expression: format!("size(variables.{section}Unknown) == 0"),
        fallback: "spec.customContainerImages: names a backend that the OpenStackControlPlane does not have",
        message_expression: format!(
            "'spec.customContainerImages.{name}: ' + ({}).join(', ')\n\
             + ': no such backend under spec.{section}.{backends} of OpenStackControlPlane '\n\
             + params.metadata.name + ', which has '\n\
             + (size(variables.{section}Known) == 0 ? 'none' : ({}).join(', '))\n\
             + '; correct the name or add the backend (\"{DEFAULT_BACKEND}\" is for every backend without an entry)'",
            cel::sorted(&format!("variables.{section}Unknown")),
            cel::sorted(&format!("variables.{section}Known")),
        ),
        reason: "Invalid",
    }
}
