//! What is known of one kind.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use api::DynamicObject;

use super::{Seen, kept::Kept};

/// The objects of a namespace, by name.
pub(super) type Objects = BTreeMap<String, Kept>;

/// A kind and its objects.
#[derive(Default)]
pub(super) struct KindCache {
    pub(super) seen: Seen,
    pub(super) namespaces: HashMap<String, Objects>,
    /// The objects of a list that is still going on.
    pub(super) listing: HashMap<String, Objects>,
    /// What our own writes answered and no watch has brought yet, by namespace and name.
    pub(super) ours: HashMap<(String, String), Arc<DynamicObject>>,
    /// Since when its watch fails, and how; what was read before is still there.
    pub(super) failing: Option<(Instant, String)>,
    /// When objects were opened, with namespace and name, the oldest first.
    opened: VecDeque<(Instant, (String, String))>,
}

impl KindCache {
    /// How its watch fails, once it has failed for that long.
    pub(super) fn failing_for(&self, at_least: Duration) -> Option<String> {
        let (since, error) = self.failing.as_ref()?;
        (since.elapsed() >= at_least).then(|| error.clone())
    }

    /// What is newest: the object that a watch or a list brings, or what a write of ours answered. Both are on their way
    /// at the same time, and the slower one may be the older one.
    pub(super) fn newest(&mut self, key: &(String, String), object: DynamicObject) -> Arc<DynamicObject> {
        match self.ours.get(key) {
            Some(ours) if is_older(version(&object), version(ours)) => Arc::clone(ours),
            _ => {
                self.ours.remove(key);
                Arc::new(object)
            }
        }
    }

    /// Takes an object that has changed.
    pub(super) fn open(&mut self, (namespace, name): (String, String), object: Arc<DynamicObject>) {
        let since = Instant::now();
        self.opened.push_back((since, (namespace.clone(), name.clone())));
        self.namespaces.entry(namespace).or_default().insert(name, Kept::Open { object, since });
    }

    /// Closes what was opened before that instant.
    pub(super) fn settle(&mut self, before: Instant) {
        while self.opened.front().is_some_and(|(opened, _)| *opened < before) {
            let Some((_, (namespace, name))) = self.opened.pop_front() else { return };
            // One that was opened again since has its turn later.
            if let Some(kept) = self.namespaces.get_mut(&namespace).and_then(|all| all.get_mut(&name))
                && let Kept::Open { object, since } = kept
                && *since < before
            {
                *kept = Kept::close(Arc::clone(object));
            }
        }
    }
}

pub(super) fn version(object: &DynamicObject) -> Option<&str> {
    object.metadata.resource_version.as_deref()
}

/// Resource versions are numbers in every API server there is; where they are not, what arrives counts. Those of two
/// objects that had the same name one after the other cannot be mixed up: the later one has the greater number.
pub(super) fn is_older(version: Option<&str>, than: Option<&str>) -> bool {
    let number = |version: Option<&str>| version?.parse::<u64>().ok();
    number(version).zip(number(than)).is_some_and(|(version, than)| version < than)
}
