//! The last good version of every object of one kind.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::notice::{Notice, Severity};

/// An object with its name, or why it cannot be read.
#[derive(Clone, Debug)]
pub(super) struct Named<K, V> {
    pub(super) key: K,
    pub(super) value: Result<V, String>,
    /// The reading of the file that this came from; 0 if it came from none.
    pub(super) revision: u64,
}

/// Objects by name. One that cannot be read stays what it was.
#[derive(Debug)]
pub(super) struct Shelf<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    /// Whose entries have changed since this was last asked.
    changed: BTreeSet<K>,
}

#[derive(Debug, PartialEq)]
struct Entry<V> {
    good: Option<V>,
    /// Why the version that came after it cannot be read, and the reading.
    error: Option<(String, u64)>,
}

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), changed: BTreeSet::new() }
    }
}

impl<K: Clone + Ord, V: Clone + PartialEq> Shelf<K, V> {
    /// Puts an object in the place of its last version.
    pub(super) fn put(&mut self, object: Named<K, V>) {
        let Named { key, value, revision } = object;
        let before = self.entries.remove(&key);
        let next = match value {
            Ok(value) => Entry { good: Some(value), error: None },
            Err(error) => Entry {
                good: before.as_ref().and_then(|before| before.good.clone()),
                error: Some((error, revision)),
            },
        };
        if before.as_ref() != Some(&next) {
            self.changed.insert(key.clone());
        }
        self.entries.insert(key, next);
    }

    pub(super) fn remove(&mut self, key: &K) {
        if self.entries.remove(key).is_some() {
            self.changed.insert(key.clone());
        }
    }

    /// Makes these all objects that there are.
    pub(super) fn replace(&mut self, objects: Vec<Named<K, V>>) {
        let named: BTreeSet<&K> = objects.iter().map(|object| &object.key).collect();
        let gone: Vec<K> =
            self.entries.keys().filter(|key| !named.contains(key)).cloned().collect();
        gone.iter().for_each(|key| self.remove(key));
        objects.into_iter().for_each(|object| self.put(object));
    }

    /// The last good version of each object that has one.
    pub(super) fn good(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.entries.iter().filter_map(|(key, entry)| Some((key, entry.good.as_ref()?)))
    }

    /// Every object, with the last good version of those that have one.
    pub(super) fn all(&self) -> impl Iterator<Item = (&K, Option<&V>)> {
        self.entries.iter().map(|(key, entry)| (key, entry.good.as_ref()))
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)?.good.as_ref()
    }

    /// Whether it is there and never could be read.
    pub(super) fn is_unreadable(&self, key: &K) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.good.is_none())
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(super) fn take_changed(&mut self) -> BTreeSet<K> {
        mem::take(&mut self.changed)
    }

    /// What is wrong now. `otherwise` says what becomes of an object that never was good.
    pub(super) fn notices(&self, otherwise: &str) -> impl Iterator<Item = Notice> {
        self.entries.values().filter_map(move |entry| {
            let (error, revision) = entry.error.as_ref()?;
            let consequence = match entry.good {
                Some(_) => "its last good version stays in force",
                None => otherwise,
            };
            Some(Notice::new(Severity::Error, *revision, format!("{error}: {consequence}")))
        })
    }
}
