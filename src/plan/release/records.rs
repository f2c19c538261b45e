//! Which versions are known, with which images. A respin of a version that is in use is held here.

use std::{cell::OnceCell, cmp::Reverse, collections::BTreeMap};

use api::{
    image::Images,
    release::{self, Version},
    version::{ContainerImages, OpenStackVersionStatus, ServiceDefaults},
};
use serde_json::json;

use super::{
    images::{Effective, ImageSet},
    world::World,
};
use crate::json;

/// How many versions stay recorded: those that are needed, and the newest others that may become the target, up to this
/// number. One version takes some 13 kB when its images have digests, the images in effect take as much again, and the
/// whole object has to stay below 64 kB. The API server's work for each write of the status is in proportion to it.
const KEPT: usize = 3;

/// The same, counting versions that are older than the deployed one, to which only development may go back.
const KEPT_OLD: usize = 2;

/// What is known of one version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) images: Images,
    pub(crate) switches: ServiceDefaults,
    pub(crate) release: Option<String>,
    /// Of the images, once somebody asked for it.
    hash: OnceCell<String>,
}

impl Record {
    /// The hash of the images.
    fn hash(&self) -> &str {
        self.hash.get_or_init(|| json::hash(&json!(self.images)))
    }
}

/// The bundle brings other images for a version that is in use than those recorded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Respin {
    pub(crate) version: String,
    /// The hash to confirm.
    pub(crate) hash: String,
    /// The image fields that differ.
    pub(crate) changed: Vec<String>,
}

/// The hash of the images of a version whose record is lost, where it is still known.
fn lost_hash<'a>(world: &'a World, before: &'a OpenStackVersionStatus, version: &str) -> Option<&'a str> {
    let running = before.update.as_ref().filter(|update| update.to == version);
    let running = running.map(|update| update.image_set_hash.as_str()).filter(|hash| !hash.is_empty());
    let deployed = || deployed_image_set(world, before).filter(|_| deployed_version(world, before) == Some(version));
    running.or_else(deployed)
}

/// Every known version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    pub(crate) versions: BTreeMap<String, Record>,
    /// Set while a respin waits for its confirmation.
    pub(crate) held: Option<Respin>,
    /// Whether a respin was confirmed in this pass.
    pub(crate) confirmed: bool,
}

impl Records {
    /// What the status recorded, with the bundle's version added, replaced or held.
    pub(crate) fn new(world: &World, before: &OpenStackVersionStatus) -> Self {
        let versions = before
            .container_image_version_defaults
            .iter()
            .map(|(version, images)| {
                let record = Record {
                    images: images.clone(),
                    switches: before.available_service_defaults.get(version).cloned().unwrap_or_default(),
                    release: before.available_releases.get(version).cloned(),
                    hash: OnceCell::new(),
                };
                (version.clone(), record)
            })
            .collect();
        let mut records = Self { versions, held: None, confirmed: false };
        if world.bundle.version.parse::<Version>().is_ok() {
            records.take_bundle(world, before);
        }
        records
    }

    fn take_bundle(&mut self, world: &World, before: &OpenStackVersionStatus) {
        let bundle = &world.bundle;
        let offered = Record {
            images: bundle.images.clone(),
            switches: bundle.service_defaults.clone(),
            release: (!bundle.release.is_empty()).then(|| bundle.release.clone()),
            hash: OnceCell::new(),
        };
        let recorded = self.versions.get(&bundle.version);
        let differs = match recorded {
            Some(recorded) => recorded.images != offered.images,
            // The record is lost (the object was created again), but not the hash.
            None => lost_hash(world, before, &bundle.version).is_some_and(|hash| hash != offered.hash()),
        };
        if !(differs && in_use(world, before, &bundle.version)) {
            // What is in use keeps its switches and its release: an operator upgrade alone starts nothing.
            let Some(recorded) = self.versions.get_mut(&bundle.version) else {
                self.versions.insert(bundle.version.clone(), offered);
                return;
            };
            if differs || !in_use(world, before, &bundle.version) {
                *recorded = offered;
            } else if recorded.release.is_none() {
                // A bundle that did not say it was corrected.
                recorded.release = offered.release;
            }
            return;
        }
        let confirm = world.version_spec().and_then(|spec| spec.update.confirm_image_set.as_deref());
        if confirm == Some(offered.hash()) {
            self.versions.insert(bundle.version.clone(), offered);
            self.confirmed = true;
        } else {
            let empty = Images::new();
            let old = recorded.map_or(&empty, |recorded| &recorded.images);
            let changed = changed_fields(old, &offered.images);
            self.held = Some(Respin { version: bundle.version.clone(), hash: offered.hash().to_owned(), changed });
        }
    }

    /// What the version gives to the services, with these custom images.
    pub(crate) fn image_set(&self, version: &str, custom: &ContainerImages) -> ImageSet {
        let record = self.versions.get(version);
        let empty = Record::default();
        let Record { images, switches, release, .. } = record.unwrap_or(&empty);
        // Without the release's images the custom ones would be the only ones known: nothing may move.
        let effective = if record.is_some() { Effective::new(images, custom) } else { Effective::default() };
        ImageSet {
            version: version.to_owned(),
            known: record.is_some(),
            effective,
            switches: switches.clone(),
            release: release.clone(),
        }
    }

    /// The versions that may be a target, newest first.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.versions.keys().map(String::as_str).collect();
        names.sort_by_key(|name| Reverse(name.parse::<Version>().ok()));
        names
    }

    /// Forgets all but the versions in `needed` and the newest few others: the object has to stay small. Those in `old`
    /// may not become the target.
    pub(crate) fn pruned(&self, needed: &[&str], old: impl Fn(&str) -> bool) -> BTreeMap<&str, &Record> {
        let (mut kept, others): (Vec<&str>, Vec<&str>) =
            self.names().into_iter().partition(|name| needed.contains(name));
        for name in others {
            if kept.len() < if old(name) { KEPT_OLD } else { KEPT } {
                kept.push(name);
            }
        }
        let keep = |(name, record)| kept.contains(&name).then_some((name, record));
        self.versions.iter().map(|(name, record)| (name.as_str(), record)).filter_map(keep).collect()
    }

    /// The hash of a version's images, if they are known: what `spec.update.confirmImageSet` takes.
    pub(crate) fn hash(&self, version: &str) -> Option<&str> {
        self.versions.get(version).map(Record::hash)
    }
}

/// The version that is deployed; the control plane remembers it when the `OpenStackVersion` is created again.
pub(crate) fn deployed_version<'a>(world: &'a World, before: &'a OpenStackVersionStatus) -> Option<&'a str> {
    let remembered = || world.control_plane.as_ref().and_then(|cp| cp.status.deployed_version.as_deref());
    before.deployed_version.as_deref().or_else(remembered).filter(|version| !version.is_empty())
}

/// The hash of the images of the deployed version, likewise.
pub(crate) fn deployed_image_set<'a>(world: &'a World, before: &'a OpenStackVersionStatus) -> Option<&'a str> {
    let remembered = || world.control_plane.as_ref().and_then(|cp| cp.status.deployed_image_set.as_deref());
    before.deployed_image_set.as_deref().or_else(remembered)
}

/// Deployed, or on its way: its images do not change by themselves.
fn in_use(world: &World, before: &OpenStackVersionStatus, version: &str) -> bool {
    let update = before.update.as_ref();
    deployed_version(world, before) == Some(version)
        || update.is_some_and(|update| update.to == version || update.from == version)
}

fn changed_fields(old: &Images, new: &Images) -> Vec<String> {
    let mut fields: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    fields.sort();
    fields.dedup();
    fields.retain(|field| old.get(field) != new.get(field));
    fields
}

/// Whether `left` is an older version than `right`; false when one of them is not a version.
pub(crate) fn older(left: &str, right: &str) -> bool {
    release::compare(left, right) == Some(std::cmp::Ordering::Less)
}
