//! The requests that are under way, by their streams.

use std::{collections::HashMap, sync::Arc};

use super::cql::Statement;

/// What a stream waits for.
#[derive(Debug)]
pub(super) enum Awaited {
    Supported,
    Started,
    Registered,
    Authenticated,
    /// A result or an error.
    Result,
    /// The id of a statement.
    Prepared(Arc<Statement>),
    /// That the keyspace is another now.
    Keyspace,
}

#[derive(Debug)]
struct Entry {
    awaited: Awaited,
    /// What it means depends on the connection's keyspace.
    unqualified: bool,
}

/// A stream carries one request at a time, so that there are never more than
/// 32,768.
#[derive(Debug, Default)]
pub(super) struct Streams {
    under_way: HashMap<i16, Entry>,
    unqualified: usize,
    preparing: usize,
}

impl Streams {
    pub(super) fn is_busy(&self, stream: i16) -> bool {
        self.under_way.contains_key(&stream)
    }

    /// Whether no request is under way.
    pub(super) fn are_free(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether the connection's keyspace matters to a request under way.
    pub(super) const fn depend_on_keyspace(&self) -> bool {
        self.unqualified > 0
    }

    /// How many statements are on their way to be prepared.
    pub(super) const fn preparing(&self) -> usize {
        self.preparing
    }

    pub(super) fn begin(&mut self, stream: i16, awaited: Awaited, unqualified: bool) {
        self.unqualified = self.unqualified.saturating_add(unqualified.into());
        let prepares = matches!(awaited, Awaited::Prepared(_));
        self.preparing = self.preparing.saturating_add(prepares.into());
        self.under_way.insert(stream, Entry { awaited, unqualified });
    }

    pub(super) fn awaited(&self, stream: i16) -> Option<&Awaited> {
        self.under_way.get(&stream).map(|entry| &entry.awaited)
    }

    pub(super) fn end(&mut self, stream: i16) -> Option<Awaited> {
        let entry = self.under_way.remove(&stream)?;
        self.unqualified = self.unqualified.saturating_sub(entry.unqualified.into());
        let prepared = matches!(entry.awaited, Awaited::Prepared(_));
        self.preparing = self.preparing.saturating_sub(prepared.into());
        if self.under_way.is_empty() {
            // A burst's table is not kept for an idle connection.
            self.under_way = HashMap::new();
        }
        Some(entry.awaited)
    }
}
