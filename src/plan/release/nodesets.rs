//! What the nodesets say about an update. They are only read here; an administrator deploys them.

use api::{DynamicObject, condition::Reason, dataplane::NODE_SET, service::Check, step::Scope};
use serde_json::Value;

use super::{Scene, walk::Judgement, wanted, world::Objects};
use crate::{gate, json};

/// Judges a step whose scope is nodesets.
pub(crate) fn judge(scene: &Scene<'_>, scope: Scope) -> Judgement {
    if let Objects::Unreadable(error) = &scene.world.nodesets {
        // As if there were none would be the worst answer: the update would end without them.
        let text = format!("kind {} cannot be read: {error}; check the RBAC rules of the operator", NODE_SET.kind);
        return Judgement::unmet(Reason::Error, text);
    }
    match scope {
        Scope::NodeSetsRunning { section, image, recorded_as, deploy } => {
            judge_image(scene, section, image, recorded_as, deploy)
        }
        Scope::NodeSets { deploy } => judge_version(scene, deploy),
        Scope::Services => Judgement::not_needed("no nodesets in scope"),
    }
}

/// Whether a nodeset took part in the update already: it must be taken back, too, if the target returns.
pub(crate) fn touched(scene: &Scene<'_>, scope: Scope) -> bool {
    let reached = |nodeset: &Nodeset<'_>| match scope {
        Scope::NodeSetsRunning { image, recorded_as, .. } => {
            let reference = |set: &super::ImageSet| set.effective.image(image).map(|found| found.reference.clone());
            let recorded = nodeset.recorded(recorded_as).map(str::to_owned);
            recorded.is_some() && recorded == reference(&scene.to) && recorded != reference(&scene.from)
        }
        Scope::NodeSets { .. } => {
            scene.from.version != scene.to.version && nodeset.deployed_version() == Some(scene.to.version.as_str())
        }
        Scope::Services => false,
    };
    nodesets(scene).iter().any(reached)
}

/// The values that identify the step.
pub(crate) fn fingerprint(scene: &Scene<'_>, scope: Scope) -> Vec<String> {
    match scope {
        Scope::NodeSetsRunning { image, .. } => {
            scene.to.effective.image(image).map(|found| found.reference.clone()).into_iter().collect()
        }
        Scope::NodeSets { .. } => vec![scene.to.version.clone()],
        Scope::Services => Vec::new(),
    }
}

fn judge_image(scene: &Scene<'_>, section: &str, image: &str, recorded_as: &str, deploy: &str) -> Judgement {
    let fields = scene.world.control_plane.as_ref().and_then(|cp| cp.spec.as_ref().ok()).map(|spec| &spec.fields);
    let enabled = fields.is_some_and(|fields| wanted::section_enabled(&Value::Object(fields.clone()), section));
    if !enabled {
        return Judgement::not_needed(format!("spec.{section} of the control plane is not enabled"));
    }
    let running: Vec<_> = nodesets(scene)
        .into_iter()
        .filter(|nodeset| nodeset.has_nodes() && nodeset.recorded(recorded_as).is_some())
        .collect();
    if running.is_empty() {
        return Judgement::not_needed(format!("no nodeset with nodes runs {image}"));
    }
    let Some(wanted) = scene.to.effective.image(image) else {
        return Judgement::unmet(Reason::MissingImage, format!("{image} has no value in {}", scene.to.version));
    };
    let before = scene.from.effective.image(image);
    // What the nodesets run need not be what either version says: a hotfix may have been left out, or come back.
    let everywhere = running.iter().all(|nodeset| nodeset.recorded(recorded_as) == Some(wanted.reference.as_str()));
    let same = before.is_some_and(|old| old.reference == wanted.reference) && everywhere;
    if scene.from.version != scene.to.version && same {
        return Judgement::not_needed(format!(
            "{image} is the same in {} and {}",
            scene.from.version, scene.to.version
        ));
    }
    let waiting = running
        .iter()
        .filter_map(|nodeset| {
            let recorded = nodeset.recorded(recorded_as).unwrap_or("nothing");
            let field = format!("status.containerImages.{recorded_as}");
            let why = || nodeset.differs(&field, &wanted.reference, recorded);
            Some((nodeset, nodeset.unmet(Check::Observed).or_else(why)?))
        })
        .collect();
    verdict(waiting, deploy)
}

fn judge_version(scene: &Scene<'_>, deploy: &str) -> Judgement {
    let target = scene.to.version.as_str();
    if scene.from.version == scene.to.version {
        return Judgement::not_needed(format!("the version of the nodesets stays {target}"));
    }
    let populated: Vec<_> = nodesets(scene).into_iter().filter(Nodeset::has_nodes).collect();
    let (deployed, never): (Vec<_>, Vec<_>) = populated.into_iter().partition(Nodeset::was_deployed);
    if deployed.is_empty() {
        let names: Vec<String> = never.iter().map(Nodeset::label).collect();
        return Judgement::not_needed(if names.is_empty() {
            "there is no nodeset with nodes".to_owned()
        } else {
            format!("{} never deployed: the first deployment brings {target}", names.join(", "))
        });
    }
    let waiting = deployed
        .iter()
        .filter_map(|nodeset| {
            let recorded = nodeset.deployed_version().unwrap_or("absent");
            let version = || nodeset.differs("status.deployedVersion", target, recorded);
            let ready = || nodeset.unmet(Check::Condition("Ready"));
            Some((nodeset, nodeset.unmet(Check::Observed).or_else(version).or_else(ready)?))
        })
        .collect();
    verdict(waiting, deploy)
}

/// What the nodesets wait for that are not there yet.
fn verdict(waiting: Vec<(&Nodeset<'_>, String)>, deploy: &str) -> Judgement {
    if waiting.is_empty() {
        return Judgement::Met;
    }
    let (node_sets, texts): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|(nodeset, text)| (nodeset.name().to_owned(), text)).unzip();
    let message = format!(
        "{}; create an OpenStackDataPlaneDeployment for the nodesets with servicesOverride [{deploy}]",
        texts.join("; ")
    );
    Judgement::Unmet { reason: Reason::Waiting, message, node_sets }
}

fn nodesets<'a>(scene: &'a Scene<'_>) -> Vec<Nodeset<'a>> {
    scene.world.nodesets.known().iter().map(|object| Nodeset { object }).collect()
}

/// The fields of a nodeset that the gates read.
struct Nodeset<'a> {
    object: &'a DynamicObject,
}

impl Nodeset<'_> {
    fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    fn label(&self) -> String {
        format!("OpenStackDataPlaneNodeSet/{}", self.name())
    }

    fn has_nodes(&self) -> bool {
        json::get(&self.object.data, "spec.nodes").and_then(Value::as_object).is_some_and(|nodes| !nodes.is_empty())
    }

    fn recorded(&self, key: &str) -> Option<&str> {
        json::text(&self.object.data, &format!("status.containerImages.{key}"))
    }

    fn deployed_version(&self) -> Option<&str> {
        json::text(&self.object.data, "status.deployedVersion")
    }

    /// Whether any deployment ever reached it. Upstream blocks the update on nodesets that none did (#1128).
    fn was_deployed(&self) -> bool {
        let has = |path: &str| {
            json::get(&self.object.data, path).and_then(Value::as_object).is_some_and(|entries| !entries.is_empty())
        };
        self.deployed_version().is_some()
            || has("status.containerImages")
            || has("status.deploymentStatuses")
            || self.unmet(Check::Condition("DeploymentReady")).is_none()
    }

    /// What the check misses, for a person.
    fn unmet(&self, check: Check) -> Option<String> {
        gate::first_unmet(NODE_SET.kind, self.object, &[check]).map(|unmet| unmet.to_string())
    }

    /// The same for a field of the status.
    fn differs(&self, field: &str, expected: &str, found: &str) -> Option<String> {
        (found != expected).then(|| format!("{}: {field} should be {expected}, is {found}", self.label()))
    }
}
