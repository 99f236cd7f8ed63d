//! What holds back whom, without a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Held, PATIENCE};
use crate::world::PodSlice;

/// How many responses a sidecar may leave unanswered.
pub(super) const MAX_PENDING: usize = 64;

/// All streams, and all pods that were let in or wait.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    last_id: u64,
    listeners: BTreeMap<u64, Listener>,
    /// Uids of the pods that have been let in.
    admitted: BTreeSet<String>,
    /// Since when the others have been waiting for somebody, by uid.
    waiting: BTreeMap<String, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    blockers: BTreeSet<u64>,
}

/// What the sidecar at the other end of one stream may have in force.
#[derive(Debug)]
struct Listener {
    uid: String,
    accepted: Accepted,
    /// Sent since, and not answered.
    pending: Vec<(u64, Arc<PodSlice>)>,
    expelled: watch::Sender<bool>,
}

#[derive(Debug)]
enum Accepted {
    Nothing,
    /// Something of an earlier stream.
    Unknown,
    Slice(Arc<PodSlice>),
}

impl Ledger {
    pub(super) fn subscribe(&mut self, uid: &str, has_hosts: bool) -> (u64, watch::Receiver<bool>) {
        self.last_id = self.last_id.wrapping_add(1);
        let (expelled, receiver) = watch::channel(false);
        let accepted = if has_hosts { Accepted::Unknown } else { Accepted::Nothing };
        if has_hosts {
            self.admit(uid);
        }
        let listener = Listener { uid: uid.to_owned(), accepted, pending: Vec::new(), expelled };
        self.listeners.insert(self.last_id, listener);
        (self.last_id, receiver)
    }

    pub(super) fn may_serve(&mut self, slice: &PodSlice, now: Instant) -> Result<(), Held> {
        if self.admitted.contains(&slice.uid) {
            return Ok(());
        }
        if slice.addresses.is_empty() {
            self.waiting.remove(&slice.uid);
            return Err(Held::NoAddress);
        }
        let blocks = |listener: &Listener| listener.uid != slice.uid && listener.mistakes(slice);
        let blockers: BTreeSet<u64> = self
            .listeners
            .iter()
            .filter(|(_, listener)| blocks(listener))
            .map(|(id, _)| *id)
            .collect();
        if blockers.is_empty() {
            self.admit(&slice.uid);
            return Ok(());
        }
        let held = Held::Known(blockers.len());
        let waiting = Waiting { since: now, blockers: BTreeSet::new() };
        self.waiting.entry(slice.uid.clone()).or_insert(waiting).blockers = blockers;
        Err(held)
    }

    fn admit(&mut self, uid: &str) {
        self.waiting.remove(uid);
        self.admitted.insert(uid.to_owned());
    }

    pub(super) fn forget(&mut self, uid: &str) {
        self.waiting.remove(uid);
        self.admitted.remove(uid);
    }

    pub(super) fn unsubscribe(&mut self, id: u64) {
        self.listeners.remove(&id);
    }

    /// Whether somebody waits.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn sent(&mut self, id: u64, version: u64, slice: &Arc<PodSlice>) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        listener.pending.push((version, Arc::clone(slice)));
        if listener.pending.len() > MAX_PENDING {
            self.expel(id);
        }
    }

    /// A sidecar takes responses in order, so that earlier ones are past, answered or not.
    pub(super) fn accepted(&mut self, id: u64, version: u64) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        let Some(at) = listener.pending.iter().position(|(sent, _)| *sent == version) else {
            return;
        };
        if let Some((_, slice)) = listener.pending.drain(..=at).next_back() {
            listener.accepted = Accepted::Slice(slice);
        }
    }

    pub(super) fn refused(&mut self, id: u64, version: u64) {
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.pending.retain(|(sent, _)| *sent != version);
        }
    }

    /// When somebody will have waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.since + PATIENCE).min()
    }

    /// Disconnects whoever kept somebody waiting too long; says whether anybody was.
    pub(super) fn expel_overdue(&mut self, now: Instant) -> bool {
        let (overdue, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, waiting)| waiting.since + PATIENCE <= now);
        self.waiting = waiting;
        let overdue: BTreeMap<String, Waiting> = overdue;
        for id in overdue.values().flat_map(|waiting| &waiting.blockers) {
            self.expel(*id);
        }
        !overdue.is_empty()
    }

    fn expel(&mut self, id: u64) {
        if let Some(listener) = self.listeners.remove(&id) {
            // A stream that has ended by itself needs no telling.
            let _ = listener.expelled.send(true);
        }
    }
}

impl Listener {
    /// Whether an address of this pod means somebody else here.
    fn mistakes(&self, newcomer: &PodSlice) -> bool {
        let slices = self.pending.iter().map(|(_, slice)| slice);
        let mistakes = |slice: &Arc<PodSlice>| mistakes(slice, &newcomer.addresses);
        match &self.accepted {
            Accepted::Unknown => true,
            Accepted::Nothing => slices.into_iter().any(mistakes),
            Accepted::Slice(accepted) => mistakes(accepted) || slices.into_iter().any(mistakes),
        }
    }
}

/// Whether one of these addresses has another identity in a slice's hosts.
fn mistakes(slice: &PodSlice, addresses: &BTreeMap<IpAddr, Option<u32>>) -> bool {
    addresses
        .iter()
        .any(|(address, own)| slice.peers.get(address).is_some_and(|known| Some(*known) != *own))
}
