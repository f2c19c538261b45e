//! Both statuses, as projections of what was decided. Nothing here is ever read back, but for the times and the memory
//! of the update.

mod conditions;
mod controlplane;
mod custom;

use std::collections::BTreeMap;

use api::{
    condition,
    version::{HISTORY_MAX, HistoryEntry, OpenStackVersionStatus, ServiceState, UpdateResult, UpdateStatus},
};

use super::{
    Scene,
    children::Children,
    records::{deployed_image_set, deployed_version, older},
    target::{Course, Errand},
    walk::Walk,
    world::{RootStatus, Surplus},
};

/// What is deployed after this pass.
pub(crate) struct Deployed {
    pub(crate) version: Option<String>,
    pub(crate) image_set: Option<String>,
    /// Whether an installation or an update ends with this pass.
    ends: bool,
}

/// Both statuses.
pub(crate) fn statuses(scene: &Scene<'_>, walk: &Walk, children: &Children) -> RootStatus {
    let deployed = deployed(scene, walk, children);
    let version = scene.world.version.as_ref().filter(|version| !version.meta.deleting);
    let version = version.map(|root| {
        let mut status = version_status(scene, walk, children, &deployed);
        status.observed_generation = Some(root.meta.generation);
        let verdicts = conditions::of_version(scene, walk, children, &deployed);
        status.conditions = condition::fold(verdicts, &root.status.conditions, scene.world.now);
        status
    });
    let control_plane = scene.world.control_plane.as_ref().map(|cp| {
        let mut status = controlplane::status(scene, cp, children, &deployed);
        let verdicts = conditions::of_control_plane(scene, cp, children, &deployed);
        status.conditions = condition::fold(verdicts, &cp.status.conditions, scene.world.now);
        status
    });
    let surplus = scene.world.surplus.iter().map(|root| surplus(scene, root)).collect();
    RootStatus { version, control_plane, surplus }
}

/// `deployedVersion` moves only here: at the end of an installation, and at the end of an update.
fn deployed(scene: &Scene<'_>, walk: &Walk, children: &Children) -> Deployed {
    let version = deployed_version(scene.world, scene.before).map(str::to_owned);
    let image_set = deployed_image_set(scene.world, scene.before).map(str::to_owned);
    let hash = |version: &str| scene.records.hash(version).map(str::to_owned);
    let annotated = scene.world.may_keep_custom_images();
    match &scene.decision.course {
        Course::Install { to } if children.lines.iter().all(|line| settled(line.state)) => {
            Deployed { version: Some(to.clone()), image_set: hash(to), ends: true }
        }
        Course::Update { to, .. } if walk.all_done && !annotated => {
            Deployed { version: Some(to.clone()), image_set: hash(to), ends: true }
        }
        // A cloud that another operator deployed has no hash yet: what is recorded is what is deployed.
        Course::Steady { at } if image_set.is_none() => Deployed { image_set: hash(at), version, ends: false },
        _ => Deployed { version, image_set, ends: false },
    }
}

/// Whether an installation need not wait for a service in that state.
fn settled(state: ServiceState) -> bool {
    matches!(state, ServiceState::Ready | ServiceState::Disabled)
}

fn version_status(scene: &Scene<'_>, walk: &Walk, children: &Children, deployed: &Deployed) -> OpenStackVersionStatus {
    let before = scene.before;
    let bundle = Some(scene.world.bundle.version.clone()).filter(|version| !version.is_empty());
    let available = bundle.or_else(|| before.available_version.clone());
    // Nothing is decided, so nothing is forgotten: a control plane or a spec that cannot be read now may be readable again
    // in a moment.
    let idle = scene.decision.course == Course::Idle;
    let unknown = idle && !scene.to.known;
    let update = match () {
        () if deployed.ends => None,
        () if idle => before.update.clone(),
        () => walk.update.clone(),
    };
    let to = scene.decision.course.to();
    let needed = needed(scene, [deployed.version.as_deref(), available.as_deref(), to], update.as_ref());
    let deployed_version = deployed.version.as_deref();
    let old = |name: &str| deployed_version.is_some_and(|deployed| older(name, deployed));
    let kept = scene.records.pruned(&needed, |name| old(name) && !scene.world.may_roll_back());
    OpenStackVersionStatus {
        conditions: Vec::new(),
        deployed_version: deployed.version.clone(),
        deployed_image_set: deployed.image_set.clone(),
        container_images: if unknown { before.container_images.clone() } else { scene.to.effective.container_images() },
        service_defaults: if unknown { before.service_defaults.clone() } else { scene.to.switches.clone() },
        tracked_custom_images: tracked(scene, to, |version| kept.contains_key(version)),
        container_image_version_defaults: map(&kept, |record| Some(record.images.clone())),
        available_service_defaults: map(&kept, |record| Some(record.switches.clone())),
        available_releases: map(&kept, |record| record.release.clone()),
        available_version: available,
        unconfirmed_image_set: scene.records.held.as_ref().map(|held| held.hash.clone()),
        observed_generation: None,
        update,
        services: children.lines.clone(),
        history: history(scene, walk, deployed),
    }
}

/// The versions whose images must not be forgotten: those, and all that the spec and the update name.
fn needed<'a>(scene: &'a Scene<'_>, versions: [Option<&'a str>; 3], update: Option<&'a UpdateStatus>) -> Vec<&'a str> {
    let target = scene.world.version_spec().map(|spec| spec.target_version.as_str());
    let ends = update.into_iter().flat_map(|update| [update.from.as_str(), update.to.as_str()]);
    let moved = update.into_iter().flat_map(|update| &update.steps).filter_map(|step| step.moved_to.as_deref());
    versions.into_iter().flatten().chain(target).chain(ends).chain(moved).collect()
}

fn map<T, R>(records: &BTreeMap<&str, &R>, value: impl Fn(&R) -> Option<T>) -> BTreeMap<String, T> {
    records.iter().filter_map(|(version, record)| Some(((*version).to_owned(), value(record)?))).collect()
}

/// The custom images of the version that is the target now; those of earlier ones as they were.
fn tracked(
    scene: &Scene<'_>,
    to: Option<&str>,
    keep: impl Fn(&str) -> bool,
) -> BTreeMap<String, api::version::ContainerImages> {
    let mut tracked = scene.before.tracked_custom_images.clone();
    if let Some(to) = to.filter(|_| !scene.decision.is_refused()) {
        tracked.insert(to.to_owned(), scene.world.custom_images());
    }
    tracked.retain(|version, _| keep(version));
    tracked
}

/// What ended in this pass: the running update when the target moved, and the course when it reached its end. A return
/// to the deployed version has no entry: the update that it takes back has one.
fn history(scene: &Scene<'_>, walk: &Walk, deployed: &Deployed) -> Vec<HistoryEntry> {
    let now = scene.world.now;
    let mut history = scene.before.history.clone();
    let running = scene.before.update.as_ref();
    if let (Some(old), Some(new)) = (running, &walk.update)
        && old.to != new.to
        && Errand::of(scene, old) != Errand::Return
    {
        let result = if new.to == old.from { UpdateResult::Aborted } else { UpdateResult::Superseded };
        history.push(HistoryEntry {
            from: old.from.clone(),
            to: old.to.clone(),
            started_at: old.started_at,
            finished_at: now,
            result,
        });
    }
    let returned = walk.update.as_ref().is_some_and(|update| Errand::of(scene, update) == Errand::Return);
    if deployed.ends && !returned {
        let to = deployed.version.clone().unwrap_or_default();
        let (from, started_at, result) = match &walk.update {
            Some(update) => (update.from.clone(), update.started_at, UpdateResult::Completed),
            None => (String::new(), now, UpdateResult::Installed),
        };
        history.push(HistoryEntry { from, to, started_at, finished_at: now, result });
    }
    let surplus = history.len().saturating_sub(HISTORY_MAX);
    history.drain(..surplus);
    history
}

/// A root object that should not be there is told so, and nothing else.
fn surplus(scene: &Scene<'_>, root: &Surplus) -> Surplus {
    let verdict = conditions::surplus(scene, root);
    let conditions = condition::fold(vec![(condition::READY.to_owned(), verdict)], &root.conditions, scene.world.now);
    Surplus { conditions, ..root.clone() }
}
