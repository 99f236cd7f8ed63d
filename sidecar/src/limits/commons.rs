//! What the pods of one process have together.
//!
//! None of them may have more than it leaves free: whatever one takes, as much
//! again is there for the others. One that floods gets half of it all, two get
//! a third each, and whoever comes then still finds room.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What of the connections a pod takes by being served: half its descriptors,
/// which are its listeners, its agent and who asks there.
const FOR_THE_POD: usize = 8;

/// Room for connections and their bytes.
#[derive(Debug)]
pub(crate) struct Commons {
    connections: Pool,
    held: Pool,
    /// Memory runs short: nobody new, and nobody large.
    short: AtomicBool,
}

/// So much of something; all there is, where nobody shares it.
#[derive(Debug)]
struct Pool {
    most: usize,
    used: AtomicUsize,
}

impl Commons {
    /// Of a pod that has its process to itself, and whose own room bounds it.
    pub(crate) fn alone() -> Self {
        Self::shared(usize::MAX, usize::MAX)
    }

    /// So many connections, and so many bytes held for them, for all pods.
    pub(crate) fn shared(connections: usize, held: usize) -> Self {
        let pool = |most| Pool { most, used: AtomicUsize::new(0) };
        Self { connections: pool(connections), held: pool(held), short: AtomicBool::new(false) }
    }

    /// One more pod is served.
    pub(super) fn enter(&self) {
        self.connections.take(FOR_THE_POD, 0);
    }

    /// One less.
    pub(super) fn leave(&self) {
        self.connections.give_back(FOR_THE_POD);
    }

    /// Counts a connection of a pod that has so many others; whether it may
    /// have this one. To be given back in either case, likewise below.
    pub(super) fn connect(&self, others: usize) -> bool {
        self.connections.take(1, others)
    }

    pub(super) fn disconnect(&self) {
        self.connections.give_back(1);
    }

    /// Counts bytes of a pod that holds `others` already.
    pub(super) fn hold(&self, bytes: usize, others: usize) -> bool {
        self.held.take(bytes, others)
    }

    pub(super) fn release(&self, bytes: usize) {
        self.held.give_back(bytes);
    }

    /// Says whether memory runs short.
    pub(crate) fn memory_is_short(&self, short: bool) {
        self.short.store(short, Ordering::Relaxed);
    }

    pub(super) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }
}

impl Pool {
    fn take(&self, more: usize, others: usize) -> bool {
        if self.most == usize::MAX {
            return true;
        }
        let used = self.used.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        let own = others.saturating_add(more);
        own <= self.most.saturating_sub(used)
    }

    fn give_back(&self, less: usize) {
        if self.most != usize::MAX {
            self.used.fetch_sub(less, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::{Full, Ledger, Room, Ticket, ledger::CONNECTION_BYTES},
        *,
    };

    const PLENTY: Room = Room { connections: 10_000, per_source: 10_000, held: 1 << 30 };

    /// A pod that takes all it can get.
    fn flood(ledger: &Arc<Ledger>) -> Vec<Ticket> {
        std::iter::from_fn(|| ledger.admit(None).ok()).collect()
    }

    #[test]
    fn one_that_floods_leaves_as_much_again_for_the_others() {
        let commons = Arc::new(Commons::shared(1000 + 3 * FOR_THE_POD, 1 << 30));
        let pods = [(); 3].map(|()| Ledger::new(PLENTY, Arc::clone(&commons)));
        let first = flood(&pods[0]);
        assert_eq!(first.len(), 500);
        assert_eq!(pods[0].admit(None).unwrap_err(), Full::Connections(500));
        let second = flood(&pods[1]);
        assert_eq!(second.len(), 250, "half of what was left");
        assert_eq!(flood(&pods[2]).len(), 125, "and there is always some");
        drop((first, second));
        assert_eq!(flood(&pods[2]).len(), 500, "what was taken is given back, also by the refused");
    }

    #[test]
    fn bytes_are_shared_likewise() {
        let commons = Arc::new(Commons::shared(1000, 64 * CONNECTION_BYTES));
        let [one, other] = [(); 2].map(|()| Ledger::new(PLENTY, Arc::clone(&commons)));
        let mut large = one.admit(None).unwrap();
        large.hold(31 * CONNECTION_BYTES).unwrap();
        assert_eq!(large.hold(32 * CONNECTION_BYTES), Err(Full::Held(33 * CONNECTION_BYTES)));
        let mut neighbour = other.admit(None).unwrap();
        neighbour.hold(14 * CONNECTION_BYTES).unwrap();
        drop((large, neighbour));
        assert_eq!(commons.held.used.load(Ordering::Relaxed), 0);
        drop((one, other));
        assert_eq!(commons.connections.used.load(Ordering::Relaxed), 0);
    }
}
