//! What of a request is not for the log: values that clients choose. In their
//! place stands a hash, the same for the same value while this sidecar runs, so
//! that records can be told to be about one thing without telling which.

use std::hash::{BuildHasher as _, RandomState};

use remora_parsers::{KeyKind, Registry};

/// Which values are hidden.
#[derive(Debug)]
pub(crate) struct Hidden {
    shown: Shown,
    /// Its secret is made anew by each process: nobody can try values out.
    secret: RandomState,
}

#[derive(Debug)]
enum Shown {
    Everything,
    Fields(Vec<String>),
}

impl Hidden {
    /// Shows these fields, and those whose values are the protocols' own words.
    pub(super) fn new(registry: Registry, shown: &[String]) -> Self {
        let shown = if shown.iter().any(|name| name == "*") {
            Shown::Everything
        } else {
            let protocols = registry.names().filter_map(|name| registry.find(name));
            let keys = protocols.flat_map(|protocol| protocol.keys);
            let words = keys.filter(|key| matches!(key.kind, KeyKind::Word(_)));
            let words = words.map(|key| key.field.to_owned());
            Shown::Fields(words.chain(shown.iter().cloned()).collect())
        };
        Self { shown, secret: RandomState::new() }
    }

    /// The hash to show for a value; none where the value may be shown.
    pub(super) fn hash(&self, field: &str, value: &[u8]) -> Option<u64> {
        match &self.shown {
            Shown::Everything => None,
            Shown::Fields(names) if names.iter().any(|name| name == field) => None,
            Shown::Fields(_) => Some(self.secret.hash_one(value)),
        }
    }
}
