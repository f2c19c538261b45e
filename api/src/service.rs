//! The service table: which objects make up a cloud, where their images go, and when they count as ready.
//!
//! Nothing else in the project knows a service by name. The columns are documented at [`Service`]; where a value comes
//! from upstream's behaviour the row says so.

mod row;
mod table;

pub use row::{
    Body, CONFIG_MAP, Check, Enabled, Fill, Filler, Inherit, Kind, Objects, Place, RBAC, Service, Slot, Source, Unique,
    Variant,
};
pub use table::SERVICES;

use crate::version::ServiceDefaults;

/// The row of that name.
pub fn find(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

/// The kinds of the table, each once: what is watched, and what the RBAC rules cover.
pub fn kinds() -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for service in SERVICES {
        if !kinds.contains(&service.kind) {
            kinds.push(service.kind);
        }
    }
    kinds
}

/// The sections of the control plane, each once, in the table's order.
pub fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&'static str> = Vec::new();
    for service in SERVICES {
        if !service.section.is_empty() && !sections.contains(&service.section) {
            sections.push(service.section);
        }
    }
    sections
}

/// The feature switches that this operator's own release sets (upstream compiles the same in). A version that was
/// recorded before a switch existed has no value for it; then a slot's `legacy` value holds.
pub fn release_defaults() -> ServiceDefaults {
    [("glanceWsgi", "true"), ("rabbitmqVersion", "4.2"), ("glanceLocationAPI", "false"), ("manilaSharev1", "true")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{image, step::MINOR_UPDATE};

    #[test]
    fn names_are_unique_and_labels() {
        let mut names: Vec<_> = SERVICES.iter().map(|service| service.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SERVICES.len());
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        }
    }

    #[test]
    fn every_row_refers_to_things_that_exist() {
        for service in SERVICES {
            assert!(MINOR_UPDATE.iter().any(|step| step.name == service.step), "{}", service.name);
            assert!(!service.slots.is_empty(), "{} carries no image", service.name);
            for slot in service.slots {
                for name in slot.source.images() {
                    let known = image::is_custom_image(name) || image::DERIVED.iter().any(|d| d.name == name);
                    assert!(known, "{}: unknown image {name}", service.name);
                }
                if let Source::Backend(map) = slot.source {
                    assert!(image::backend_map(map).is_some(), "{}: unknown map {map}", service.name);
                    assert!(matches!(slot.place, Place::EachEntry { .. }), "{}: {map}", service.name);
                }
                if let Source::ServiceDefault { field, .. } = slot.source {
                    assert!(release_defaults().contains_key(field), "{}: {field}", service.name);
                }
            }
            match service.enabled {
                Enabled::Follows(section) => assert!(sections().contains(&section), "{}", service.name),
                Enabled::BySection { .. } => assert!(!service.section.is_empty(), "{}", service.name),
                Enabled::Always => {}
            }
            // What is dropped is named by its place in the one template.
            assert!(service.drops.is_empty() || matches!(service.objects, Objects::One { .. }), "{}", service.name);
            assert!(!service.condition.is_empty());
            assert!(service.kind == CONFIG_MAP || service.ready.contains(&Check::Observed), "{}", service.name);
        }
    }

    #[test]
    fn every_image_of_the_control_plane_is_used() {
        // Images of the dataplane and of bare metal are read elsewhere; everything else must have a slot, or an
        // administrator could set an image that changes nothing.
        const ELSEWHERE: &[&str] = &["agentImage", "ansibleeeImage", "osContainerImage", "telemetryNodeExporterImage"];
        let used: Vec<_> = SERVICES.iter().flat_map(|s| s.slots).flat_map(|slot| slot.source.images()).collect();
        for field in image::fields() {
            let derived = image::DERIVED.iter().any(|d| d.from == field.name && used.contains(&d.name));
            let elsewhere = field.name.starts_with("edpm") || ELSEWHERE.contains(&field.name);
            assert!(used.contains(&field.name) || derived || elsewhere, "{} is used by no service", field.name);
        }
        for map in image::BACKEND_MAPS {
            assert!(SERVICES.iter().flat_map(|s| s.slots).any(|slot| slot.source == Source::Backend(map.name)));
            assert!(sections().contains(&map.section));
        }
    }

    #[test]
    fn variants_of_a_section_exclude_each_other() {
        for service in SERVICES.iter().filter(|service| service.variant.is_some()) {
            let siblings: Vec<_> = SERVICES.iter().filter(|other| other.section == service.section).collect();
            let mut values: Vec<_> = siblings.iter().filter_map(|row| row.variant).map(|v| v.value).collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), siblings.len(), "{}", service.section);
            let defaults = siblings.iter().filter_map(|row| row.variant).filter(|variant| variant.default).count();
            assert_eq!(defaults, 1, "{}", service.section);
        }
    }
}
