//! The pods that are served, for the side that publishes and the side that asks.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use tonic::Status;

use super::identity::Identity;
use crate::notice::{Journal, Notice, Severity};
use crate::server::feed::{Feed, Publisher, Subject};
use crate::server::{Counters, Slices};
use crate::world::{HoldBack, PodKey, PodSlice};

/// Who can be asked for, by key.
pub(super) type Directory = Arc<RwLock<BTreeMap<PodKey, Arc<Feed>>>>;

/// The side that publishes. Dropped, it ends all streams.
#[derive(Debug)]
pub(super) struct Pods {
    served: BTreeMap<PodKey, Served>,
    directory: Directory,
    holdback: Arc<HoldBack>,
    counters: Arc<Counters>,
    journal: Journal,
}

/// A pod, whether it has been let in or not.
#[derive(Debug)]
struct Served {
    uid: String,
    publisher: Publisher,
    /// It has been given a slice.
    is_admitted: bool,
}

impl Pods {
    pub(super) fn new(holdback: Arc<HoldBack>, counters: Arc<Counters>) -> (Self, Directory) {
        let directory = Directory::default();
        let pods = Self {
            served: BTreeMap::new(),
            directory: Arc::clone(&directory),
            holdback,
            counters,
            journal: Journal::default(),
        };
        (pods, directory)
    }

    /// Serves these pods with these slices, and no others. Who is held back can
    /// connect, but has no slice yet; the same call may let it in later.
    pub(super) fn serve(&mut self, slices: &Slices) {
        self.withdraw(slices);
        let mut held = Vec::new();
        for (key, slice) in slices {
            if !self.served.contains_key(key) {
                let served = self.start(key, slice);
                self.served.insert(key.clone(), served);
            }
            let Some(served) = self.served.get_mut(key) else { continue };
            if !served.is_admitted {
                if let Err(reason) = self.holdback.may_serve(slice) {
                    let text = format!("{key}: its first slice is held back: {reason}");
                    held.push(Notice::new(Severity::Info, 0, text));
                    continue;
                }
                served.is_admitted = true;
            }
            served.publisher.publish(slice);
        }
        self.journal.news(held).iter().for_each(Notice::log);
    }

    fn start(&self, key: &PodKey, slice: &PodSlice) -> Served {
        let (publisher, feed) =
            Publisher::new(key.clone(), slice, Some(&self.holdback), &self.counters);
        self.directory().insert(key.clone(), Arc::new(feed));
        Served { uid: slice.uid.clone(), publisher, is_admitted: false }
    }

    /// Ends the service of who is gone, or is another by now.
    fn withdraw(&mut self, slices: &Slices) {
        let is_there = |key: &PodKey, served: &Served| {
            slices.get(key).is_some_and(|slice| slice.uid == served.uid)
        };
        let gone: Vec<PodKey> = self
            .served
            .iter()
            .filter(|(key, served)| !is_there(key, served))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            // First, so that nobody finds a pod whose streams have ended.
            self.directory().remove(&key);
            if let Some(served) = self.served.remove(&key) {
                self.holdback.forget(&served.uid);
                tracing::info!("{key}: no longer served");
            }
        }
    }

    fn directory(&self) -> RwLockWriteGuard<'_, BTreeMap<PodKey, Arc<Feed>>> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pod of this name, if it is served.
pub(super) fn get(directory: &Directory, key: &PodKey) -> Option<Arc<Feed>> {
    let directory = directory.read().unwrap_or_else(PoisonError::into_inner);
    directory.get(key).map(Arc::clone)
}

/// The pod that this is, if it is served.
pub(super) fn find(directory: &Directory, identity: &Identity) -> Result<Arc<Feed>, Status> {
    let pod = &identity.pod;
    let refused = |problem: &str| Status::permission_denied(format!("pod {pod}: {problem}"));
    let feed = get(directory, pod).ok_or_else(|| {
        refused("it is not known here as a running pod with a sidecar; if it is new, try again")
    })?;
    if feed.subject != Subject::Pod(pod.clone(), identity.uid.clone()) {
        return Err(refused("the token was made for an earlier or later pod of that name"));
    }
    if feed.service_account != identity.service_account {
        return Err(refused("the token is of another service account than the pod's"));
    }
    // A program of the pod could have its node's proxy miss a policy by refusing it first.
    if feed.is_of_node {
        return Err(refused("its node's proxy serves it, and asks by its own token"));
    }
    Ok(feed)
}
