//! No image inside a template of the control plane: images come from the `OpenStackVersion` alone.
//!
//! One rule for each section, from the slots of its rows.

use std::collections::BTreeSet;

use api::{
    GROUP,
    image::{DEFAULT_BACKEND, DERIVED},
    service::{self, Objects, Place, SERVICES, Service, Slot, Source},
};

use super::{
    cel,
    policy::{Action, CONTROL_PLANES, Named, Policy, Resources, Rule},
};

pub(super) fn policy() -> Policy {
    let sections: Vec<(&str, String)> = service::sections()
        .into_iter()
        .map(|section| (section, images_in(section)))
        .filter(|(_, expression)| !expression.is_empty())
        .collect();
    Policy {
        name: "openstackcontrolplane-images",
        about: "No image inside a template: images are set through the OpenStackVersion, which moves them in order.\n\
                A variable holds the image fields that a section sets.",
        group: GROUP,
        resources: Resources::Own(&[CONTROL_PLANES]),
        operations: &["CREATE", "UPDATE"],
        siblings: None,
        conditions: vec![Named::new("spec-changes", cel::spec_changes())],
        rules: sections.iter().map(|(section, _)| rule(section)).collect(),
        variables: sections.into_iter().map(|(section, expression)| Named::new(section, expression)).collect(),
        action: Action::Deny,
    }
}

fn rule(section: &str) -> Rule {
    Rule {
        expression: format!("size(variables.{section}) == 0"),
        fallback: "spec: images are set only through OpenStackVersion spec.customContainerImages",
        message_expression: format!(
            "variables.{section}.map(found, found.field\n  \
               + ': images are set only through OpenStackVersion spec.customContainerImages.'\n  \
               + found.image + '; remove the field').join('. ')"
        ),
        reason: "Invalid",
    }
}

/// A list of the image fields that the templates of the section set.
fn images_in(section: &str) -> String {
    let mut seen = BTreeSet::new();
    let mut parts = Vec::new();
    for row in SERVICES.iter().filter(|row| row.section == section) {
        for slot in row.slots.iter().filter(|slot| slot.source.is_image()) {
            if let Some(part) = image_in(row, slot)
                && seen.insert(part.clone())
            {
                parts.push(part);
            }
        }
    }
    parts.join(" +\n")
}

fn image_in(row: &Service, slot: &Slot) -> Option<String> {
    match (row.objects, slot.place) {
        (Objects::One { template, .. }, Place::Path(path)) => {
            Some(at_path(&format!("{}.{template}.{path}", row.section), slot.source))
        }
        (Objects::One { template, .. }, Place::EachEntry { map, leaf }) => {
            Some(in_each(&format!("{}.{template}.{map}", row.section), leaf, slot.source))
        }
        (Objects::Each { templates }, Place::Path(path)) => {
            Some(in_each(&format!("{}.{templates}", row.section), path, slot.source))
        }
        // An annotation is not part of a template; entries within each of several templates: no such row.
        (_, Place::Annotation(_)) | (Objects::Each { .. }, Place::EachEntry { .. }) => None,
    }
}

fn at_path(path: &str, source: Source) -> String {
    let found = found(&cel::text(&format!("spec.{path}")), &settable(source, "''"));
    format!("({} ?\n  [{found}] : [])", cel::is_set(&cel::optional("object", &format!("spec.{path}"))))
}

/// The leaf in each entry of a map or a list. A template is whatever its user wrote: anything else has no entries.
fn in_each(map: &str, leaf: &str, source: Source) -> String {
    let [before_key, before_index] = [".", "["].map(|bracket| cel::text(&format!("spec.{map}{bracket}")));
    let [after_key, after_index] = ["", "]"].map(|bracket| cel::text(&format!("{bracket}.{leaf}")));
    let default = cel::text(DEFAULT_BACKEND);
    format!(
        "[{}.orValue({{}})].map(entries,\n  \
           type(entries) == map ?\n    \
             entries.filter(key, {}).map(key,\n      \
               {}) :\n  \
           type(entries) == list ?\n    \
             entries.filter(entry, {}).map(entry,\n      \
               {}) :\n  \
           []\n\
         )[0]",
        cel::optional("object", &format!("spec.{map}")),
        cel::is_set(&cel::optional("entries[key]", leaf)),
        found(&format!("{before_key} + key + {after_key}"), &settable(source, "key")),
        cel::is_set(&cel::optional("entry", leaf)),
        found(&format!("{before_index} + string(entries.indexOf(entry)) + {after_index}"), &settable(source, &default)),
    )
}

/// A field of a template, and what to use in its stead; both are expressions.
fn found(field: &str, image: &str) -> String {
    format!("{{'field': {field}, 'image': {image}}}")
}

/// The field of `customContainerImages` that sets the image, as an expression; `key` names the backend.
fn settable(source: Source, key: &str) -> String {
    let base =
        |name: &'static str| DERIVED.iter().find(|derived| derived.name == name).map_or(name, |image| image.from);
    match source {
        Source::Image(name) | Source::ImageParts(name) => cel::text(base(name)),
        Source::Backend(map) => format!("{} + {key}", cel::text(&format!("{map}."))),
        Source::ByField { cases, .. } => {
            let names: Vec<&str> = cases.iter().map(|(_, name)| base(name)).collect();
            cel::text(&names.join(" or "))
        }
        Source::ServiceDefault { .. } | Source::Release => cel::text(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_slot_below_a_section_has_its_rule() {
        for row in SERVICES.iter().filter(|row| !row.section.is_empty()) {
            for slot in row.slots.iter().filter(|slot| slot.source.is_image()) {
                assert!(image_in(row, slot).is_some(), "{}: {:?}", row.name, slot.place);
            }
        }
    }
}
