//! What the watches have seen, by kind and namespace: a pass reads its own namespace and nothing else.

mod kept;
mod kind;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use api::{DynamicObject, service::Kind};

use kept::Kept;
use kind::{KindCache, is_older, version};

/// What is known of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// Its watch has not answered yet.
    #[default]
    Pending,
    /// Its CRD is not installed.
    Absent,
    /// It cannot be read, for this reason, and was never read before.
    Unreadable(String),
    /// Its objects are known.
    Synced,
}

/// Whether both are the same state of the same object.
pub(super) fn is_same(one: &DynamicObject, other: &DynamicObject) -> bool {
    let state = |object: &DynamicObject| (object.metadata.uid.clone(), object.metadata.resource_version.clone());
    one.metadata.resource_version.is_some() && state(one) == state(other)
}

/// The objects of every watched kind.
#[derive(Clone, Default)]
pub struct Cache {
    kinds: Arc<RwLock<HashMap<Kind, KindCache>>>,
}

impl Cache {
    /// The state of a kind.
    pub fn seen(&self, kind: &Kind) -> Seen {
        self.read(|kinds| kinds.get(kind).map(|cache| cache.seen.clone()).unwrap_or_default())
    }

    /// How the watch of a kind fails, once it has failed for that long: what is known of its objects may be out of date.
    pub fn failing(&self, kind: &Kind, at_least: Duration) -> Option<String> {
        self.read(|kinds| kinds.get(kind)?.failing_for(at_least))
    }

    /// The same for every kind.
    pub fn all_failing(&self, at_least: Duration) -> Vec<(Kind, String)> {
        self.read(|kinds| {
            let failing = kinds.iter().filter_map(|(kind, cache)| Some((*kind, cache.failing_for(at_least)?)));
            failing.collect()
        })
    }

    /// Closes the objects that have not changed for that long.
    pub(super) fn settle(&self, unchanged: Duration) {
        let Some(before) = Instant::now().checked_sub(unchanged) else { return };
        self.write(|kinds| kinds.values_mut().for_each(|cache| cache.settle(before)));
    }

    /// Notes that the watch of a kind failed again.
    pub(super) fn fails(&self, kind: Kind, error: String) {
        self.write(|kinds| {
            let failing = &mut kinds.entry(kind).or_default().failing;
            let since = failing.as_ref().map_or_else(Instant::now, |(since, _)| *since);
            *failing = Some((since, error));
        });
    }

    /// Notes that the watch of a kind works; tells whether it had failed.
    pub(super) fn works(&self, kind: Kind) -> bool {
        self.write(|kinds| kinds.get_mut(&kind).and_then(|cache| cache.failing.take()).is_some())
    }

    /// The objects of a kind in a namespace, by name.
    pub fn objects(&self, kind: &Kind, namespace: &str) -> Vec<Arc<DynamicObject>> {
        self.read(|kinds| {
            let objects = kinds.get(kind).and_then(|cache| cache.namespaces.get(namespace));
            objects.map(|objects| objects.values().cloned().collect::<Vec<_>>()).unwrap_or_default()
        })
        .iter()
        .filter_map(Kept::object)
        .collect()
    }

    /// One object.
    pub fn object(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        self.read(|kinds| kinds.get(kind)?.namespaces.get(namespace)?.get(name).cloned())?.object()
    }

    /// The namespaces that have objects of a kind.
    pub fn namespaces(&self, kind: &Kind) -> Vec<String> {
        self.read(|kinds| kinds.get(kind).map(|cache| cache.namespaces.keys().cloned().collect()).unwrap_or_default())
    }

    /// Whether every kind has answered, one way or another.
    pub fn is_ready(&self, watched: impl IntoIterator<Item = Kind>) -> bool {
        self.read(|kinds| {
            watched.into_iter().all(|kind| kinds.get(&kind).is_some_and(|cache| cache.seen != Seen::Pending))
        })
    }

    /// Notes the state of a kind; tells whether it is news. A kind that is absent has no objects, and no
    /// watch that could fail.
    pub(super) fn mark(&self, kind: Kind, seen: Seen) -> bool {
        self.write(|kinds| {
            let cache = kinds.entry(kind).or_default();
            // What was read once stays valid while the watch recovers.
            if matches!(seen, Seen::Unreadable(_)) && cache.seen == Seen::Synced {
                return false;
            }
            if seen == Seen::Absent {
                cache.namespaces.clear();
                cache.ours.clear();
                cache.failing = None;
            }
            let news = cache.seen != seen;
            cache.seen = seen;
            news
        })
    }

    /// A new list begins.
    pub(super) fn begin(&self, kind: Kind) {
        self.write(|kinds| kinds.entry(kind).or_default().listing.clear());
    }

    /// An object of the list that is going on.
    pub(super) fn listed(&self, kind: Kind, object: DynamicObject) {
        let key = key(&object);
        self.write(|kinds| {
            let cache = kinds.entry(kind).or_default();
            let newest = cache.newest(&key, object);
            // Of a list, most objects will not change soon.
            cache.listing.entry(key.0).or_default().insert(key.1, Kept::close(newest));
        });
    }

    /// The list is complete: it is what there is.
    pub(super) fn complete(&self, kind: Kind) {
        self.write(|kinds| {
            let cache = kinds.entry(kind).or_default();
            let listed = std::mem::take(&mut cache.listing);
            cache.namespaces = listed;
            cache.seen = Seen::Synced;
            let KindCache { namespaces, ours, .. } = cache;
            // What is not in the list is gone, or is made again without harm.
            ours.retain(|(namespace, name), _| namespaces.get(namespace).is_some_and(|all| all.contains_key(name)));
            // What was written after its place in the list was passed.
            for ((namespace, name), ours) in ours {
                if let Some(listed) = namespaces.get_mut(namespace).and_then(|all| all.get_mut(name))
                    && is_older(listed.resource_version(), version(ours))
                {
                    *listed = Kept::close(Arc::clone(ours));
                }
            }
        });
    }

    /// An object was added or changed; tells its namespace, unless it only is what a write of our own answered already.
    pub(super) fn put(&self, kind: Kind, object: DynamicObject) -> Option<String> {
        let key = key(&object);
        let namespace = key.0.clone();
        self.write(|kinds| {
            let cache = kinds.entry(kind).or_default();
            let echo = cache.ours.get(&key).is_some_and(|ours| is_same(ours, &object));
            let newest = cache.newest(&key, object);
            cache.open(key, newest);
            (!echo).then_some(namespace)
        })
    }

    /// Takes what a write of our own answered, unless a watch has brought something newer: the next pass then does not
    /// write the same again, and does not base its status on an outdated object.
    pub(super) fn written(&self, kind: Kind, before: Option<&Arc<DynamicObject>>, object: DynamicObject) {
        let (namespace, name) = key(&object);
        self.write(|kinds| {
            let Some(cache) = kinds.get_mut(&kind).filter(|cache| cache.seen == Seen::Synced) else { return };
            let now = cache.namespaces.get(&namespace).and_then(|objects| objects.get(&name));
            let news = match (before, now) {
                // A list may have brought it anew in between, as it was before the write.
                (_, Some(now)) => is_older(now.resource_version(), version(&object)),
                (None, None) => true,
                // It is gone again.
                (Some(_), None) => false,
            };
            if news {
                let (key, object) = ((namespace, name), Arc::new(object));
                cache.open(key.clone(), Arc::clone(&object));
                cache.ours.insert(key, object);
            }
        });
    }

    /// An object is gone; tells its namespace.
    pub(super) fn remove(&self, kind: Kind, object: &DynamicObject) -> String {
        let (namespace, name) = key(object);
        self.write(|kinds| {
            let cache = kinds.entry(kind).or_default();
            cache.ours.remove(&(namespace.clone(), name.clone()));
            if let Some(objects) = cache.namespaces.get_mut(&namespace) {
                objects.remove(&name);
                if objects.is_empty() {
                    cache.namespaces.remove(&namespace);
                }
            }
        });
        namespace
    }

    fn read<T>(&self, read: impl FnOnce(&HashMap<Kind, KindCache>) -> T) -> T {
        read(&self.kinds.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut HashMap<Kind, KindCache>) -> T) -> T {
        write(&mut self.kinds.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    let metadata = &object.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use api::dataplane::NODE_SET;
    use serde_json::json;

    use super::*;

    fn object(namespace: &str, name: &str) -> DynamicObject {
        let metadata = json!({"namespace": namespace, "name": name});
        serde_json::from_value(json!({"apiVersion": "x/v1", "kind": "X", "metadata": metadata})).unwrap()
    }

    #[test]
    fn a_new_list_replaces_the_old_once_it_is_complete() {
        let cache = Cache::default();
        cache.put(NODE_SET, object("a", "one"));
        cache.begin(NODE_SET);
        cache.listed(NODE_SET, object("b", "two"));
        assert_eq!(cache.objects(&NODE_SET, "b").len(), 0, "nothing shows before the list is complete");
        cache.complete(NODE_SET);
        assert_eq!((cache.objects(&NODE_SET, "a").len(), cache.objects(&NODE_SET, "b").len()), (0, 1));
        assert!(cache.is_ready([NODE_SET]));
    }

    #[test]
    fn what_was_read_once_survives_a_failing_watch_but_not_the_crd() {
        let cache = Cache::default();
        cache.begin(NODE_SET);
        cache.listed(NODE_SET, object("a", "one"));
        cache.complete(NODE_SET);
        assert!(!cache.mark(NODE_SET, Seen::Unreadable("forbidden".to_owned())));
        assert_eq!(cache.objects(&NODE_SET, "a").len(), 1);
        assert!(cache.mark(NODE_SET, Seen::Absent));
        assert_eq!(cache.objects(&NODE_SET, "a").len(), 0);
    }

    #[test]
    fn a_list_that_began_before_a_write_does_not_undo_what_it_answered() {
        let at = |version: &str| {
            let mut object = object("a", "one");
            object.metadata.resource_version = Some(version.to_owned());
            object
        };
        let cache = Cache::default();
        cache.begin(NODE_SET);
        cache.listed(NODE_SET, at("9"));
        cache.complete(NODE_SET);
        let version = || cache.object(&NODE_SET, "a", "one").unwrap().metadata.resource_version.clone().unwrap();
        let before = cache.object(&NODE_SET, "a", "one");
        cache.begin(NODE_SET);
        cache.listed(NODE_SET, at("9"));
        cache.written(NODE_SET, before.as_ref(), at("10"));
        cache.complete(NODE_SET);
        assert_eq!(version(), "10", "written while the list was on its way");
        let before = cache.object(&NODE_SET, "a", "one");
        cache.begin(NODE_SET);
        cache.listed(NODE_SET, at("10"));
        cache.complete(NODE_SET);
        cache.written(NODE_SET, before.as_ref(), at("11"));
        assert_eq!(version(), "11", "the list brought the same object once more");
    }

    #[test]
    fn a_watch_that_lags_behind_does_not_undo_what_a_write_answered() {
        let at = |version: &str| {
            let mut object = object("a", "one");
            object.metadata.resource_version = Some(version.to_owned());
            object
        };
        let cache = Cache::default();
        let version = || cache.object(&NODE_SET, "a", "one").unwrap().metadata.resource_version.clone().unwrap();
        cache.begin(NODE_SET);
        cache.listed(NODE_SET, at("8"));
        cache.complete(NODE_SET);
        let before = cache.object(&NODE_SET, "a", "one");
        cache.written(NODE_SET, before.as_ref(), at("10"));
        cache.put(NODE_SET, at("9"));
        assert_eq!(version(), "10", "somebody else's write before ours");
        cache.begin(NODE_SET);
        cache.listed(NODE_SET, at("9"));
        cache.complete(NODE_SET);
        assert_eq!(version(), "10", "a list from before our write");
        cache.put(NODE_SET, at("10"));
        cache.put(NODE_SET, at("7"));
        assert_eq!(version(), "7", "once it was seen, the watch is right");
    }

    #[test]
    fn an_object_is_read_the_same_open_and_closed() {
        let cache = Cache::default();
        let mut changed = object("a", "one");
        changed.metadata.resource_version = Some("7".to_owned());
        let spec = r#"{"none":null,"ratio":0.9073038322028689,"replicas":3}"#;
        changed.data = json!({"status": {"text": "\u{1F600}"}});
        changed.data["spec"] = serde_json::from_str(spec).unwrap();
        cache.put(NODE_SET, changed.clone());
        let open = || cache.read(|kinds| matches!(kinds[&NODE_SET].namespaces["a"]["one"], Kept::Open { .. }));
        cache.settle(Duration::from_secs(3600));
        assert!(open(), "it has just changed");
        cache.settle(Duration::ZERO);
        assert!(!open());
        assert_eq!(*cache.object(&NODE_SET, "a", "one").unwrap(), changed);
        assert_eq!(*cache.objects(&NODE_SET, "a")[0], changed);
        assert_eq!(cache.object(&NODE_SET, "a", "one").unwrap().data["spec"].to_string(), spec, "to the last digit");
        cache.put(NODE_SET, changed.clone());
        assert!(open(), "it changes again");
    }

    #[test]
    fn empty_namespaces_are_forgotten() {
        let cache = Cache::default();
        cache.put(NODE_SET, object("a", "one"));
        cache.remove(NODE_SET, &object("a", "one"));
        assert_eq!(cache.namespaces(&NODE_SET), Vec::<String>::new());
    }
}
