//! Pods with equal labels have equal slices but for their own addresses: each
//! slice is made once for all of them, and only when something that it depends
//! on has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use remora_api::cilium::NetworkPolicyHosts;
use remora_policy::{
    Catalog, ClusterView, Encoded, Endpoint, Labels, NamedPorts, Peer, Peers, PolicySet, Selector,
    encode,
};

use super::people::{Moves, People};
use super::policies::Subject;

/// What all slices are made from.
pub(super) struct Sources<'a> {
    pub(super) policies: &'a PolicySet,
    pub(super) people: &'a People,
    /// The entries that every slice has.
    pub(super) reserved: &'a Arc<[NetworkPolicyHosts]>,
}

/// The slices by labels.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Arc<Labels>, Group>,
}

/// What pods with equal labels share.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) encoded: Encoded,
    /// For NPHDS; the reserved entries come first.
    pub(super) hosts: Arc<Vec<NetworkPolicyHosts>>,
    /// The same by address.
    pub(super) peers: Arc<BTreeMap<IpAddr, u32>>,
    /// Whether it became different with the last settling.
    pub(super) is_changed: bool,
    pub(super) members: usize,
    /// Whom the rules about it name as peers.
    selectors: Vec<Selector>,
    reserved: Arc<[NetworkPolicyHosts]>,
}

impl Groups {
    /// Makes these the labels that there are, each with the number of its pods.
    /// Gives how many slices had to be made.
    pub(super) fn settle(
        &mut self,
        wanted: BTreeMap<Arc<Labels>, usize>,
        sources: &Sources<'_>,
        touched: &[Subject],
        moves: &Moves,
    ) -> usize {
        self.groups.retain(|labels, _| wanted.contains_key(labels));
        let mut made = 0_usize;
        for (labels, members) in wanted {
            let is_touched = touched.iter().any(|subject| subject.covers(&labels));
            match self.groups.get_mut(&labels) {
                Some(group) if !is_touched && !group.names_one_of(&moves.turned) => {
                    group.members = members;
                    group.refresh_hosts(sources, &moves.moved);
                }
                _ => {
                    made = made.saturating_add(1);
                    let group = Group::new(&labels, members, sources);
                    self.groups.insert(labels, group);
                }
            }
        }
        made
    }

    pub(super) fn get(&self, labels: &Labels) -> Option<&Group> {
        self.groups.get(labels)
    }

    /// All labels, and how many pods have them.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&Labels, usize)> + Clone {
        self.groups.iter().map(|(labels, group)| (labels.as_ref(), group.members))
    }

    /// What the authors of policies should know.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &String> {
        self.groups.values().flat_map(|group| &group.encoded.warnings)
    }
}

impl Group {
    fn new(labels: &Labels, members: usize, sources: &Sources<'_>) -> Self {
        let endpoint = Endpoint { id: 0, ips: &[], labels, ports: &NamedPorts::default() };
        let view = ClusterView { identities: sources.people.known(), catalog: &Catalog::default() };
        let encoded = encode(sources.policies, &endpoint, &view);
        let mut group = Self {
            encoded,
            hosts: Arc::default(),
            peers: Arc::default(),
            is_changed: true,
            members,
            selectors: peers(sources.policies, labels),
            reserved: Arc::clone(sources.reserved),
        };
        group.tell_hosts(sources);
        group
    }

    fn names_one_of(&self, turned: &[Labels]) -> bool {
        let is_named = |labels| self.selectors.iter().any(|selector| selector.matches(labels));
        turned.iter().any(is_named)
    }

    /// Follows the addresses of those that the rules name.
    fn refresh_hosts(&mut self, sources: &Sources<'_>, moved: &BTreeSet<u32>) {
        self.is_changed = !self.encoded.identities.is_disjoint(moved)
            || self.reserved.as_ref() != sources.reserved.as_ref();
        if self.is_changed {
            self.reserved = Arc::clone(sources.reserved);
            self.tell_hosts(sources);
        }
    }

    fn tell_hosts(&mut self, sources: &Sources<'_>) {
        let mut hosts = self.reserved.to_vec();
        let mut peers = BTreeMap::new();
        for number in &self.encoded.identities {
            let addresses = sources.people.addresses(*number);
            peers.extend(addresses.iter().map(|address| (*address, *number)));
            hosts.push(NetworkPolicyHosts {
                policy: u64::from(*number),
                host_addresses: addresses.iter().map(ToString::to_string).collect(),
            });
        }
        self.hosts = Arc::new(hosts);
        self.peers = Arc::new(peers);
    }
}

/// The selectors of all peers in rules about these labels.
fn peers(policies: &PolicySet, labels: &Labels) -> Vec<Selector> {
    let rules = policies.in_force().flat_map(|policy| &policy.rules);
    let sections = rules
        .filter(|rule| rule.subject.matches(labels))
        .flat_map(|rule| rule.ingress.iter().chain(&rule.egress));
    let mut selectors = Vec::new();
    for rule in sections.flat_map(|section| section.allow.iter().chain(&section.deny)) {
        let Peers::These(peers) = &rule.peers else { continue };
        for peer in peers {
            if let Peer::Endpoints(selector) = peer {
                selectors.push(selector.clone());
            }
        }
    }
    selectors
}
