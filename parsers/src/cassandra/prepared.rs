//! The statements that were prepared on a connection, by the ids that the
//! server gave them. Bounded: those that were used longest ago go first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{MAX_PREPARED, MAX_PREPARED_BYTES, cql::Statement};

#[derive(Debug, Default)]
pub(super) struct Prepared {
    by_id: HashMap<Arc<[u8]>, Entry>,
    /// Ids by when they were used last.
    by_use: BTreeMap<u64, Arc<[u8]>>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    statement: Arc<Statement>,
    used: u64,
}

impl Prepared {
    /// Remembers what an id stands for from now on.
    pub(super) fn learn(&mut self, id: &[u8], statement: Arc<Statement>) {
        self.forget(id);
        let id: Arc<[u8]> = id.into();
        let used = self.tick();
        self.bytes = self.bytes.saturating_add(weight(&id, &statement));
        self.by_use.insert(used, Arc::clone(&id));
        self.by_id.insert(id, Entry { statement, used });
        while self.by_id.len() > MAX_PREPARED || self.bytes > MAX_PREPARED_BYTES {
            let Some((_, oldest)) = self.by_use.first_key_value() else { return };
            self.forget(&Arc::clone(oldest));
        }
    }

    /// What an id stands for.
    pub(super) fn find(&mut self, id: &[u8]) -> Option<Arc<Statement>> {
        let used = self.tick();
        let entry = self.by_id.get_mut(id)?;
        if let Some(id) = self.by_use.remove(&entry.used) {
            self.by_use.insert(used, id);
        }
        entry.used = used;
        Some(Arc::clone(&entry.statement))
    }

    fn forget(&mut self, id: &[u8]) {
        if let Some((id, entry)) = self.by_id.remove_entry(id) {
            self.by_use.remove(&entry.used);
            self.bytes = self.bytes.saturating_sub(weight(&id, &entry.statement));
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock = self.clock.saturating_add(1);
        self.clock
    }
}

/// What an entry takes, in bytes: about.
fn weight(id: &[u8], statement: &Statement) -> usize {
    const ENTRY: usize = 96;
    let parts = statement.parts.iter().map(|part| part.tables.len().saturating_add(ENTRY));
    parts.fold(id.len().saturating_add(ENTRY), usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cassandra::cql;

    fn statement(table: &str) -> Arc<Statement> {
        Arc::new(cql::read(&format!("SELECT * FROM k.{table}"), None).expect("a statement"))
    }

    #[test]
    fn the_one_used_longest_ago_is_forgotten_at_the_cap() {
        let mut prepared = Prepared::default();
        let id = |n: usize| u32::try_from(n).expect("small").to_be_bytes();
        for n in 0..MAX_PREPARED {
            prepared.learn(&id(n), statement("t"));
        }
        assert!(prepared.find(&id(0)).is_some());
        prepared.learn(&id(MAX_PREPARED), statement("t"));
        assert!(prepared.find(&id(0)).is_some(), "it has been used since");
        assert!(prepared.find(&id(1)).is_none());
        assert_eq!((prepared.by_id.len(), prepared.by_use.len()), (MAX_PREPARED, MAX_PREPARED));
    }

    #[test]
    fn all_of_them_have_a_cap_in_bytes() {
        let mut prepared = Prepared::default();
        let long = "t".repeat(200);
        for n in 0..MAX_PREPARED {
            let id = [n.to_be_bytes().as_slice(), &[0; 200]].concat();
            prepared.learn(&id, statement(&long));
            assert!(prepared.bytes <= MAX_PREPARED_BYTES);
        }
        assert!(prepared.by_id.len() < MAX_PREPARED);
        // What an id stood for is forgotten with it.
        let before = prepared.bytes;
        prepared.learn(&[9], statement("t"));
        prepared.learn(&[9], statement("t"));
        assert!(prepared.bytes <= before.saturating_add(400));
    }
}
