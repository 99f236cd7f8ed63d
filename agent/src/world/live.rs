//! The pods that there are: who is who, and by which addresses.

use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use remora_policy::{Labels, NamedPorts};

use super::addresses::{self, Claims};
use super::groups::GroupKey;
use super::pod::{Namespace, Pod, PodKey};
use super::{Scene, World};
use crate::notice::Notice;

/// A pod that has neither completed nor gone.
#[derive(Debug, PartialEq)]
pub(super) struct Live {
    pub(super) uid: String,
    pub(super) endpoint: u64,
    pub(super) labels: Arc<Labels>,
    /// Whether the labels are all that it has: those of its namespace are known.
    pub(super) is_known: bool,
    pub(super) is_injected: bool,
    /// The node that it runs on.
    pub(super) node: Option<String>,
    /// The names of its ports.
    pub(super) ports: Arc<NamedPorts>,
    /// Its addresses that are no other's.
    pub(super) addresses: Vec<IpAddr>,
}

impl Live {
    /// Whose slice it shares.
    pub(super) fn group(&self) -> GroupKey {
        (Arc::clone(&self.labels), Arc::clone(&self.ports))
    }
}

impl World {
    /// Every pod that has neither completed nor gone. Gives what was there before.
    pub(super) fn take_pods(&mut self, notices: &mut Vec<Notice>) -> BTreeMap<PodKey, Live> {
        let changed_pods = self.pods.take_changed();
        let changed_namespaces = self.namespaces.take_changed();
        self.nodes.take_changed();
        let mut last_endpoint = self.last_endpoint;
        let before = mem::take(&mut self.live);
        let live = || self.pods.good().filter(|(_, pod)| !pod.is_completed);
        let nodes = self.nodes.good().flat_map(|(_, node)| node.addresses.iter().copied());
        let claims = Claims::new(live().map(|(_, pod)| pod), nodes);
        notices.extend(claims.notices());
        if matches!(self.scene, Scene::Directory) {
            notices.extend(live().filter_map(|(_, pod)| addresses::unaddressed(pod)));
        }
        let mut now = BTreeMap::new();
        for (key, pod) in live() {
            let last = before.get(key).filter(|live| live.uid == pod.uid);
            let is_stale =
                changed_pods.contains(key) || changed_namespaces.contains(&key.namespace);
            let labels = last.filter(|_| !is_stale).map(|live| &live.labels);
            let addresses = claims.owned(key, pod);
            let endpoint = last.map_or_else(
                || {
                    last_endpoint = last_endpoint.saturating_add(1);
                    last_endpoint
                },
                |live| live.endpoint,
            );
            now.insert(key.clone(), self.live(pod, endpoint, labels, addresses));
        }
        self.last_endpoint = last_endpoint;
        self.live = now;
        before
    }

    /// A pod; `labels` are those that it had, if it still has them.
    fn live(
        &self,
        pod: &Pod,
        endpoint: u64,
        labels: Option<&Arc<Labels>>,
        addresses: Vec<IpAddr>,
    ) -> Live {
        let (is_known, namespace) = self.namespace(&pod.key.namespace);
        Live {
            uid: pod.uid.clone(),
            endpoint,
            labels: labels.map_or_else(|| Arc::new(pod.labels_in(namespace)), Arc::clone),
            is_known,
            is_injected: pod.is_injected,
            node: pod.node.clone(),
            ports: Arc::new(pod.ports.clone()),
            addresses,
        }
    }

    /// Whether a namespace's labels are known, and what they are.
    fn namespace(&self, name: &str) -> (bool, Option<&Namespace>) {
        let found = self.namespaces.get(&name.to_owned());
        let is_known = match self.scene {
            Scene::Directory => !self.namespaces.is_unreadable(&name.to_owned()),
            Scene::Cluster { .. } => found.is_some(),
        };
        (is_known, found)
    }
}
