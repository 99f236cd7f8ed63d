//! What one pod is to know.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use remora_api::cilium;
use remora_api::services::Service;

use super::endpoint::OnNode;
use super::groups::Group;
use super::live::Live;
use super::pod::{Pod, PodKey};
use super::surroundings::Surroundings;
use super::{People, World};

/// The slices of all pods that carry a sidecar. One that is the same as before is
/// the same allocation.
pub type Slices = BTreeMap<PodKey, Arc<PodSlice>>;

/// What one pod needs: its own policy, and the addresses of the identities
/// that this policy names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodSlice {
    /// The pod's uid: a pod of the same name with another uid is another pod.
    pub uid: String,
    /// Its service account, whose token its sidecar shows.
    pub service_account: String,
    /// For NPDS.
    pub policy: cilium::NetworkPolicy,
    /// For NPHDS, by identity: first the cluster's ranges (`unknown`) and
    /// everything else (`world`), then whom the policy names. None is empty.
    pub hosts: Arc<Vec<cilium::NetworkPolicyHosts>>,
    /// The single addresses among them, and by which identity each is recognised.
    pub peers: Arc<BTreeMap<IpAddr, u32>>,
    /// The services that it may call, where its egress is restricted.
    pub services: Arc<Vec<Service>>,
    /// The pod's own addresses, and by which identity it is recognised by each;
    /// none where another claims it too. Empty as long as it has no address.
    pub addresses: BTreeMap<IpAddr, Option<u32>>,
    /// Its node's proxy serves it, and nobody in the pod has to be told anything.
    pub is_of_node: bool,
    /// What its node's proxy has to know, once there is something.
    pub on_node: Option<Arc<OnNode>>,
    /// What the authors of the policies should know.
    pub warnings: Vec<String>,
}

impl World {
    /// Makes the slices of pods that changed, or whose group did. `before` is
    /// how the pods were when the last slices were made.
    pub(super) fn slice(&mut self, before: &BTreeMap<PodKey, Live>, surroundings: &Surroundings) {
        let mut last = std::mem::take(&mut self.slices);
        for (key, live) in self.live.iter().filter(|(_, live)| live.is_injected) {
            let Some(pod) = self.pods.get(key) else { continue };
            let Some(group) = self.groups.get(&live.group()) else { continue };
            let last = last.remove(key);
            let is_same = !group.is_changed && before.get(key) == Some(live);
            let slice = match last {
                // Its number may have changed with others' labels, never without its group.
                Some(last) if is_same && last.is_about(pod, live, &self.people) => last,
                last => {
                    let slice = PodSlice::new(pod, live, group, &self.people, surroundings);
                    last.filter(|last| **last == slice).unwrap_or_else(|| Arc::new(slice))
                }
            };
            self.slices.insert(key.clone(), slice);
        }
    }
}

impl PodSlice {
    fn new(
        pod: &Pod,
        live: &Live,
        group: &Group,
        people: &People,
        surroundings: &Surroundings,
    ) -> Self {
        let mut policy = group.encoded.policy.clone();
        policy.endpoint_id = live.endpoint;
        policy.endpoint_ips = pod.addresses.iter().map(ToString::to_string).collect();
        Self {
            uid: pod.uid.clone(),
            service_account: pod.service_account.clone(),
            policy,
            hosts: hosts(live, group, surroundings),
            services: Arc::clone(&group.services),
            peers: Arc::clone(&group.peers),
            addresses: recognised(pod, live, people),
            is_of_node: pod.is_of_node,
            on_node: pod.on_node.clone(),
            warnings: group.encoded.warnings.clone(),
        }
    }

    /// Whether what it says of the pod itself is still so.
    fn is_about(&self, pod: &Pod, live: &Live, people: &People) -> bool {
        self.service_account == pod.service_account
            && self.on_node == pod.on_node
            && self.addresses == recognised(pod, live, people)
    }
}

/// The group's hosts; and the nodes, if its rules tell them apart.
fn hosts(
    live: &Live,
    group: &Group,
    surroundings: &Surroundings,
) -> Arc<Vec<cilium::NetworkPolicyHosts>> {
    if !group.tells_nodes_apart() {
        return Arc::clone(&group.hosts);
    }
    let nodes = surroundings.nodes.entries(live.node.as_deref());
    Arc::new(group.hosts.iter().cloned().chain(nodes).collect())
}

/// By which identity a pod is recognised by each of its addresses.
fn recognised(pod: &Pod, live: &Live, people: &People) -> BTreeMap<IpAddr, Option<u32>> {
    let number = people.number(&live.labels).filter(|_| live.is_known);
    let own = |address: &IpAddr| number.filter(|_| live.addresses.contains(address));
    pod.addresses.iter().map(|address| (*address, own(address))).collect()
}
