//! Who must not start yet: a pod whose address still means another pod to somebody.
//!
//! An address may come back with another pod soon after its last one is gone.
//! Until every connected sidecar that knew the old one has heard of it, the new
//! pod's first slice is held back: without a slice its startup probe fails, so
//! its app does not run, and nothing of it is judged as the old pod.
//!
//! What the server does (all of it cheap, nothing of it waits):
//!
//! - a hosts stream is opened: [`HoldBack::subscribe`], with whether the first
//!   request names a version. One that does has hosts of an earlier stream in
//!   force: nobody knows which, so it counts as knowing every address, and its
//!   own pod is no newcomer. Keep the [`Subscription`] as long as the stream;
//! - before a hosts response is handed to the stream: [`Subscription::sent`];
//!   with its answer: [`Subscription::accepted`] or [`Subscription::refused`];
//! - the stream ends when [`Subscription::expelled`] does: its sidecar kept
//!   somebody waiting for [`PATIENCE`], or left too many responses unanswered;
//! - whenever a pod's slice is published and it never had one before:
//!   [`HoldBack::may_serve`]. Refused, the slice stays unpublished, and the
//!   question is asked again after [`HoldBack::changed`] or with the next slice;
//! - a pod is gone: [`HoldBack::forget`].
//!
//! Two pods with equal labels have one identity: to every policy they are the
//! same, and neither waits for the other. What this does not reach: sidecars
//! that are cut off, and those that another replica of the agent serves.

mod ledger;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use self::ledger::Ledger;
use super::PodSlice;

/// How long a newcomer waits for a sidecar before that one is disconnected.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What all connected sidecars know of addresses, and who waits for them.
#[derive(Debug)]
pub struct HoldBack {
    ledger: Mutex<Ledger>,
    /// Something might let somebody in. It is remembered until somebody asks.
    changes: Notify,
}

/// One open hosts stream. Dropped with it: a sidecar that is not connected does not count.
#[derive(Debug)]
pub struct Subscription {
    id: u64,
    holdback: Arc<HoldBack>,
    expelled: watch::Receiver<bool>,
}

/// Why a pod is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nobody can have unlearnt an address that is not known yet.
    NoAddress,
    /// So many sidecars know one of its addresses as another pod's.
    Known(usize),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("the pod has no address yet"),
            Self::Known(sidecars) => write!(
                f,
                "its address was another pod's, which {sidecars} sidecars have not been told yet"
            ),
        }
    }
}

impl HoldBack {
    /// Nobody is connected, nobody waits.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { ledger: Mutex::default(), changes: Notify::new() })
    }

    /// Whether the first slice of this pod may go out. Once it may, it always may.
    pub fn may_serve(&self, slice: &PodSlice) -> Result<(), Held> {
        self.lock().may_serve(slice, Instant::now())
    }

    /// The pod's sidecar opened a hosts stream. `has_hosts`: its first request named a version.
    pub fn subscribe(self: &Arc<Self>, uid: &str, has_hosts: bool) -> Subscription {
        let (id, expelled) = self.lock().subscribe(uid, has_hosts);
        if has_hosts {
            self.changes.notify_one();
        }
        Subscription { id, holdback: Arc::clone(self), expelled }
    }

    /// The pod is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().forget(uid);
    }

    /// Ends when a pod that was held back might no longer be: for one who waits,
    /// who misses nothing that happens between two calls.
    pub async fn changed(&self) {
        loop {
            let due = self.lock().due();
            let overdue = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changes.notified() => return,
                () = overdue => {
                    if self.lock().expel_overdue(Instant::now()) {
                        return;
                    }
                }
            }
        }
    }

    /// Does something with the ledger that may let somebody in.
    fn change(&self, change: impl FnOnce(&mut Ledger)) {
        let is_awaited = {
            let mut ledger = self.lock();
            change(&mut ledger);
            ledger.is_awaited()
        };
        if is_awaited {
            self.changes.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// This version, with the hosts of `slice`, is about to be handed to the stream.
    pub fn sent(&self, version: u64, slice: &Arc<PodSlice>) {
        self.holdback.lock().sent(self.id, version, slice);
    }

    /// The sidecar has put this version in force.
    pub fn accepted(&self, version: u64) {
        self.holdback.change(|ledger| ledger.accepted(self.id, version));
    }

    /// The sidecar has not, and keeps what it had.
    pub fn refused(&self, version: u64) {
        self.holdback.change(|ledger| ledger.refused(self.id, version));
    }

    /// Ends when the stream must. Nothing is lost when this is dropped before its end.
    pub async fn expelled(&mut self) {
        // Its sender goes only together with its place in the ledger.
        let _ = self.expelled.wait_for(|expelled| *expelled).await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.holdback.change(|ledger| ledger.unsubscribe(self.id));
    }
}
