//! What a person does by hand during an update: deploying the nodesets that a step waits for.

use std::collections::BTreeSet;

use api::{
    step::{self, MINOR_UPDATE, Scope},
    version::{OpenStackVersionStatus, StepState},
};
use serde_json::Value;
use testbed::fixtures;

/// Remembers what was done: a step that still waits while its deployment runs needs no second one.
#[derive(Debug, Default)]
pub(super) struct Administrator {
    done: BTreeSet<usize>,
}

/// A deployment, and the words for it.
#[derive(Debug)]
pub(super) struct Deed {
    pub(super) words: String,
    pub(super) object: Value,
}

impl Administrator {
    /// The deployment that a waiting step asks for, once for each step.
    pub(super) fn next(
        &mut self,
        status: &OpenStackVersionStatus,
        namespace: &str,
        node_sets: &[&str],
    ) -> Option<Deed> {
        let steps = status.update.as_ref().map(|update| update.steps.as_slice()).unwrap_or_default();
        let waiting = steps.iter().find(|step| step.state == StepState::Waiting)?;
        let position = step::position(waiting.name);
        let (Scope::NodeSetsRunning { deploy, .. } | Scope::NodeSets { deploy }) = MINOR_UPDATE.get(position)?.scope
        else {
            return None;
        };
        self.done.insert(position).then(|| {
            let name = format!("edpm-{deploy}");
            Deed {
                words: format!(
                    "{} waits for a person. The administrator creates the OpenStackDataPlaneDeployment {name} \
                     (nodeSets {node_sets:?}, servicesOverride [{deploy}])",
                    waiting.name
                ),
                object: fixtures::deployment(namespace, &name, node_sets, &[deploy]),
            }
        })
    }
}
