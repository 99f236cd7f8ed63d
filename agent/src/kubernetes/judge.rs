//! The thread that judges: changes in, slices out, once everything is in sync.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use remora_policy::PolicyKind;
use tokio::sync::{mpsc, watch};

use super::kinds::BUILT_IN;
use crate::notice::{Journal, Notice};
use crate::world::{Change, Kind, PolicyState, Served, Slices, World};

/// How many changes are taken before the slices are made, if they come that fast.
const BATCH: usize = 1024;

/// What there is to be told, each part only when it is another than before.
/// Nothing is, before every kind has been listed once.
#[derive(Debug, Clone)]
pub(super) struct Outlook {
    /// For the server.
    pub(super) slices: watch::Receiver<Option<Arc<Slices>>>,
    /// For whoever writes the policies' status.
    pub(super) policies: watch::Receiver<Option<Arc<[PolicyState]>>>,
    /// For whoever publishes the CA bundle: where it is needed.
    pub(super) namespaces: watch::Receiver<Option<BTreeSet<String>>>,
    /// What has not been listed yet.
    pub(super) pending: watch::Receiver<BTreeSet<Kind>>,
}

/// The world, and who hears of it.
#[derive(Debug)]
pub(super) struct Judge {
    world: World,
    journal: Journal,
    slices: watch::Sender<Option<Arc<Slices>>>,
    policies: watch::Sender<Option<Arc<[PolicyState]>>>,
    namespaces: watch::Sender<Option<BTreeSet<String>>>,
    pending: watch::Sender<BTreeSet<Kind>>,
}

impl Judge {
    pub(super) fn new(world: World) -> (Self, Outlook) {
        let policies = PolicyKind::ALL.map(Kind::Policy);
        let kinds = BUILT_IN.into_iter().chain([Kind::CidrGroup]).chain(policies).collect();
        let judge = Self {
            world,
            journal: Journal::default(),
            slices: watch::Sender::new(None),
            policies: watch::Sender::new(None),
            namespaces: watch::Sender::new(None),
            pending: watch::Sender::new(kinds),
        };
        let outlook = Outlook {
            slices: judge.slices.subscribe(),
            policies: judge.policies.subscribe(),
            namespaces: judge.namespaces.subscribe(),
            pending: judge.pending.subscribe(),
        };
        (judge, outlook)
    }

    /// Judges in a thread of its own until the changes end.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(
        mut self,
        mut changes: mpsc::Receiver<Change>,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name("world".to_owned()).spawn(move || {
            while let Some(change) = changes.blocking_recv() {
                self.take(change);
                // What has come meanwhile belongs to the same edit, more often than not.
                for _ in 0..BATCH {
                    let Ok(change) = changes.try_recv() else { break };
                    self.take(change);
                }
                self.judge();
            }
        })
    }

    fn take(&mut self, change: Change) {
        let listed = match &change {
            Change::Replaced(kind, _) => Some(*kind),
            // There is nothing to list.
            Change::Served(kind, Served::Gone | Served::Absent) => Some(Kind::Policy(*kind)),
            _ => None,
        };
        self.world.apply(change);
        if let Some(kind) = listed {
            self.pending.send_if_modified(|pending| pending.remove(&kind));
        }
    }

    fn judge(&mut self) {
        let is_first = self.slices.borrow().is_none();
        if !self.pending.borrow().is_empty() || !(is_first || self.world.is_unsettled()) {
            return;
        }
        let notices = self.world.settle();
        self.journal.news(notices).iter().for_each(Notice::log);
        let slices = self.world.slices();
        self.slices.send_if_modified(|told| {
            let is_news = !told.as_deref().is_some_and(|told| are_same(told, slices));
            if is_news {
                *told = Some(Arc::new(slices.clone()));
            }
            is_news
        });
        tell(&self.policies, Some(self.world.policy_states().into()));
        tell(&self.namespaces, Some(self.world.bundle_namespaces()));
    }
}

/// A slice that did not change is the same allocation.
fn are_same(one: &Slices, other: &Slices) -> bool {
    let is_same = |((one, slice), (other, again)): ((_, &Arc<_>), (_, _))| {
        one == other && Arc::ptr_eq(slice, again)
    };
    one.len() == other.len() && one.iter().zip(other).all(is_same)
}

fn tell<T: PartialEq>(sender: &watch::Sender<T>, now: T) {
    sender.send_if_modified(|told| {
        let is_news = *told != now;
        if is_news {
            *told = now;
        }
        is_news
    });
}
