//! The pods that proxies on their nodes serve: for whoever finds their networks
//! there, and to know whose slices a node may ask for. What a node is not told
//! of, it does not get.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

use super::pods::{self, Directory};
use crate::notice::{Journal, Notice, Severity};
use crate::server::feed::{Feed, MAX_RESOURCES_BYTES, Publisher, Subject, endpoint_bytes};
use crate::server::{Counters, Slices};
use crate::world::{OnNode, PodKey};

/// All nodes with such pods, or with somebody who listens.
#[derive(Debug)]
pub(super) struct Nodes {
    counters: Arc<Counters>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    nodes: BTreeMap<String, Node>,
    journal: Journal,
}

#[derive(Debug, Default)]
struct Node {
    /// All that there are.
    all: Vec<Arc<OnNode>>,
    /// Those that fit into a message, which are those that count.
    told: Vec<Arc<OnNode>>,
    /// Dropped, it ends all streams.
    feed: Option<(Publisher, Arc<Feed>)>,
}

impl Nodes {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, book: Mutex::default() }
    }

    /// Makes these the pods that there are. To be called after the pods are
    /// known: who hears of one may ask for it.
    pub(super) fn serve(&self, slices: &Slices) {
        let mut now: BTreeMap<&str, Vec<Arc<OnNode>>> = BTreeMap::new();
        for own in slices.values().filter_map(|slice| slice.on_node.as_ref()) {
            now.entry(&own.node).or_default().push(Arc::clone(own));
        }
        let mut book = self.lock();
        let Book { nodes, journal } = &mut *book;
        for (name, node) in nodes.iter_mut() {
            node.set(now.remove(name.as_str()).unwrap_or_default());
        }
        for (name, all) in now {
            nodes.entry(name.to_owned()).or_default().set(all);
        }
        nodes.retain(|_, node| !node.all.is_empty() || node.has_listeners());
        let left_out = nodes.iter().flat_map(|(name, node)| node.left_out(name));
        journal.news(left_out).iter().for_each(Notice::log);
    }

    /// What this node is told.
    pub(super) fn feed(&self, name: &str) -> Arc<Feed> {
        let mut book = self.lock();
        let node = book.nodes.entry(name.to_owned()).or_default();
        let (_, feed) = node.feed.get_or_insert_with(|| {
            let (publisher, feed) = Publisher::of_node(name, &self.counters);
            publisher.publish_endpoints(&node.told);
            (publisher, Arc::new(feed))
        });
        Arc::clone(feed)
    }

    /// The pod that this node's proxy asks for, if that is where it is served.
    pub(super) fn pod(
        &self,
        node: &str,
        (key, uid): (PodKey, &str),
        directory: &Directory,
    ) -> Result<Arc<Feed>, Status> {
        let is_told = |own: &Arc<OnNode>| {
            let endpoint = &own.endpoint;
            (endpoint.namespace.as_str(), endpoint.name.as_str(), endpoint.uid.as_str())
                == (&key.namespace, &key.name, uid)
        };
        let is_served =
            self.lock().nodes.get(node).is_some_and(|node| node.told.iter().any(is_told));
        let feed = pods::get(directory, &key).filter(|_| is_served);
        feed.filter(|feed| feed.subject == Subject::Pod(key.clone(), uid.to_owned())).ok_or_else(
            || {
                Status::permission_denied(format!(
                    "pod {key}: it is not known here as a running pod of that uid that the proxy of node {node} serves; if it is new, try again"
                ))
            },
        )
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.lock().nodes.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    fn set(&mut self, all: Vec<Arc<OnNode>>) {
        if are_same(&self.all, &all) {
            return;
        }
        let told = fitting(&all);
        self.all = all;
        if !are_same(&self.told, &told) {
            self.told = told;
            if let Some((publisher, _)) = &self.feed {
                publisher.publish_endpoints(&self.told);
            }
        }
    }

    fn has_listeners(&self) -> bool {
        self.feed.as_ref().is_some_and(|(_, feed)| Arc::strong_count(feed) > 1)
    }

    /// Who is closed for being too large.
    fn left_out(&self, name: &str) -> impl Iterator<Item = Notice> {
        let count = self.all.len().saturating_sub(self.told.len());
        let text = format!(
            "node {name}: the {count} pods with the largest variables are not served, since no message holds all; shorten their REMORA_PROBES"
        );
        (count > 0).then(|| Notice::new(Severity::Error, 0, text)).into_iter()
    }
}

/// As many as a message holds. Those with the largest variables are left out
/// first: nobody pays for another's.
fn fitting(all: &[Arc<OnNode>]) -> Vec<Arc<OnNode>> {
    let mut sizes: Vec<(usize, usize)> =
        all.iter().enumerate().map(|(place, own)| (endpoint_bytes(own), place)).collect();
    sizes.sort_unstable();
    let mut total = 0_usize;
    let fits = |(size, _): &(usize, usize)| {
        total = total.saturating_add(*size);
        total <= MAX_RESOURCES_BYTES
    };
    let kept: BTreeSet<usize> =
        sizes.into_iter().take_while(fits).map(|(_, place)| place).collect();
    let is_kept =
        |(place, own): (usize, &Arc<OnNode>)| kept.contains(&place).then(|| Arc::clone(own));
    all.iter().enumerate().filter_map(is_kept).collect()
}

fn are_same(one: &[Arc<OnNode>], other: &[Arc<OnNode>]) -> bool {
    let is_same =
        |(one, other): (&Arc<OnNode>, &Arc<OnNode>)| Arc::ptr_eq(one, other) || one == other;
    one.len() == other.len() && one.iter().zip(other).all(is_same)
}
