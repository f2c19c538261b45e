//! The sequence table: the order of a minor update.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a step; also the values of `spec.update.holdAfter` and of the annotation `update-target-stage`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum StepName {
    /// OVN on the control plane.
    #[serde(rename = "ovn-controlplane")]
    #[strum(serialize = "ovn-controlplane")]
    OvnControlplane,
    /// OVN on the nodesets.
    #[serde(rename = "ovn-dataplane")]
    #[strum(serialize = "ovn-dataplane")]
    OvnDataplane,
    /// Every `RabbitMQ` instance.
    Rabbitmq,
    /// Every Galera instance.
    Mariadb,
    /// Every Memcached instance.
    Memcached,
    /// Keystone.
    Keystone,
    /// Every other enabled service, in parallel.
    Controlplane,
    /// Every nodeset with nodes.
    Dataplane,
}

/// What a step moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The services whose row names the step; the operator moves them itself.
    Services,
    /// The nodesets that run a service, recognised by the image that they record; an administrator deploys them.
    NodeSetsRunning {
        /// The section of the control plane that must be enabled.
        section: &'static str,
        /// The image field.
        image: &'static str,
        /// The key of that image in the nodeset's `status.containerImages` (upstream writes Go field names there).
        recorded_as: &'static str,
        /// The dataplane service that carries the image, for `servicesOverride` of the deployment.
        deploy: &'static str,
    },
    /// Every nodeset with nodes; an administrator deploys them.
    NodeSets {
        /// The dataplane service to name in `servicesOverride` of the deployment.
        deploy: &'static str,
    },
}

/// Whether a step that has begun can be taken back, so that the target may return to the deployed version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revert {
    /// Always: the service keeps no state that an older image cannot read.
    Always,
    /// Only when the images of the step are the same in both versions (stateful services do not go back).
    SameImages,
    /// Also while every touched object still shows one of these values at the path: the phases before the point of no
    /// return.
    WhilePhase {
        /// Below the object.
        path: &'static str,
        /// The revertible values.
        phases: &'static [&'static str],
        /// Where the object says which image it has: it has not got so far while there is no phase and this is not the
        /// image that it was given last.
        installed: &'static str,
        /// Where it was given that one, in parts.
        given: &'static str,
        /// Where it says that it is past the point of no return, whatever the phase.
        never: &'static str,
    },
}

/// One step of the minor update.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The name.
    pub name: StepName,
    /// The condition type on `OpenStackVersion` (upstream's names; scripts wait on them).
    pub condition: &'static str,
    /// What it moves.
    pub scope: Scope,
    /// Whether it can be taken back once begun.
    pub revert: Revert,
}

/// The minor update, in order.
pub const MINOR_UPDATE: &[Step] = &[
    Step {
        name: StepName::OvnControlplane,
        condition: "MinorUpdateOVNControlplane",
        scope: Scope::Services,
        revert: Revert::Always,
    },
    Step {
        name: StepName::OvnDataplane,
        condition: "MinorUpdateOVNDataplane",
        scope: Scope::NodeSetsRunning {
            section: "ovn",
            image: "ovnControllerImage",
            recorded_as: "OvnControllerImage",
            deploy: "ovn",
        },
        revert: Revert::Always,
    },
    Step {
        name: StepName::Rabbitmq,
        condition: "MinorUpdateRabbitMQ",
        scope: Scope::Services,
        revert: Revert::SameImages,
    },
    Step {
        name: StepName::Mariadb,
        condition: "MinorUpdateMariaDB",
        scope: Scope::Services,
        revert: Revert::SameImages,
    },
    Step {
        name: StepName::Memcached,
        condition: "MinorUpdateMemcached",
        scope: Scope::Services,
        revert: Revert::Always,
    },
    Step {
        name: StepName::Keystone,
        condition: "MinorUpdateKeystone",
        scope: Scope::Services,
        revert: Revert::WhilePhase {
            path: "status.upgradePhase",
            phases: &["Expanding", "Migrating", "RollingUpdate"],
            installed: "status.installedImage",
            given: "spec.image",
            never: "status.upgrade.contracted",
        },
    },
    Step {
        name: StepName::Controlplane,
        condition: "MinorUpdateControlplane",
        scope: Scope::Services,
        revert: Revert::SameImages,
    },
    Step {
        name: StepName::Dataplane,
        condition: "MinorUpdateDataplane",
        scope: Scope::NodeSets { deploy: "update" },
        revert: Revert::SameImages,
    },
];

/// The position of a step in [`MINOR_UPDATE`].
pub fn position(name: StepName) -> usize {
    MINOR_UPDATE.iter().position(|step| step.name == name).unwrap_or(MINOR_UPDATE.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::str::FromStr;

    use super::*;
    use crate::{image, service::SERVICES};

    #[test]
    fn the_order_is_the_enums_and_every_name_is_upstreams() {
        let names: Vec<String> = MINOR_UPDATE.iter().map(|step| step.name.to_string()).collect();
        assert_eq!(
            names,
            [
                "ovn-controlplane",
                "ovn-dataplane",
                "rabbitmq",
                "mariadb",
                "memcached",
                "keystone",
                "controlplane",
                "dataplane"
            ]
        );
        for (index, step) in MINOR_UPDATE.iter().enumerate() {
            assert_eq!(position(step.name), index);
            assert_eq!(StepName::from_str(&names[index]).unwrap(), step.name);
            assert_eq!(serde_json::to_value(step.name).unwrap(), names[index]);
            assert!(step.condition.starts_with("MinorUpdate"));
        }
    }

    #[test]
    fn every_row_has_work_and_names_things_that_exist() {
        for step in MINOR_UPDATE {
            match step.scope {
                Scope::Services => assert!(SERVICES.iter().any(|row| row.step == step.name), "{} is empty", step.name),
                Scope::NodeSetsRunning { section, image, .. } => {
                    assert!(SERVICES.iter().any(|row| row.section == section));
                    assert!(image::is_custom_image(image));
                }
                Scope::NodeSets { .. } => {}
            }
        }
    }
}
