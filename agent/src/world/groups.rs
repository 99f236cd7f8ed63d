//! Pods with equal labels have equal slices but for their own addresses: each
//! slice is made once for all of them, and only when something that it depends
//! on has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use remora_api::cilium::NetworkPolicyHosts;
use remora_api::services::Service;
use remora_policy::{
    ClusterView, Encoded, Endpoint, Labels, NamedPorts, PolicySet, Selector, WORLD, encode,
};

use super::catalog::References;
use super::people::{API_SERVER_HOST, API_SERVER_NODE, HOST, Moves, People, REMOTE_NODE};
use super::policies::Subject;
use super::prefix::entry;
use super::surroundings::Surroundings;

/// What all slices are made from.
pub(super) struct Sources<'a> {
    pub(super) policies: &'a PolicySet,
    pub(super) people: &'a People,
    pub(super) references: &'a References,
    pub(super) surroundings: &'a Arc<Surroundings>,
}

/// What pods with equal slices have in common: labels, and the names of ports.
pub(super) type GroupKey = (Arc<Labels>, Arc<NamedPorts>);

/// The slices by what their pods have in common.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupKey, Group>,
}

/// What pods with equal labels share.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) encoded: Encoded,
    /// For NPHDS; the reserved entries come first.
    pub(super) hosts: Arc<Vec<NetworkPolicyHosts>>,
    /// The same by address.
    pub(super) peers: Arc<BTreeMap<IpAddr, u32>>,
    /// The services that its pods may call.
    pub(super) services: Arc<Vec<Service>>,
    /// Whether it became different with the last settling.
    pub(super) is_changed: bool,
    pub(super) members: usize,
    /// Whom the rules about it name as peers.
    selectors: Vec<Selector>,
    /// The parts of the world that they name.
    world: BTreeSet<u32>,
    /// What it was told of besides.
    surroundings: Arc<Surroundings>,
}

impl Groups {
    /// Makes these the groups that there are, each with the number of its pods.
    /// Gives how many slices had to be made.
    pub(super) fn settle(
        &mut self,
        wanted: BTreeMap<GroupKey, usize>,
        sources: &Sources<'_>,
        touched: &[Subject],
        moves: &Moves,
    ) -> usize {
        self.groups.retain(|key, _| wanted.contains_key(key));
        let mut made = 0_usize;
        for (key, members) in wanted {
            let is_touched = sources.references.is_catalog_changed
                || touched.iter().any(|subject| subject.covers(&key.0));
            match self.groups.get_mut(&key) {
                Some(group) if !is_touched && !group.names_one_of(&moves.turned) => {
                    group.members = members;
                    group.refresh(sources, &moves.moved);
                }
                _ => {
                    made = made.saturating_add(1);
                    let group = Group::new(&key, members, sources);
                    self.groups.insert(key, group);
                }
            }
        }
        made
    }

    pub(super) fn get(&self, key: &GroupKey) -> Option<&Group> {
        self.groups.get(key)
    }

    /// All labels, and how many pods have them.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&Labels, usize)> + Clone {
        self.groups.iter().map(|((labels, _), group)| (labels.as_ref(), group.members))
    }

    /// What the authors of policies should know.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &String> {
        self.groups.values().flat_map(|group| &group.encoded.warnings)
    }
}

impl Group {
    fn new((labels, ports): &GroupKey, members: usize, sources: &Sources<'_>) -> Self {
        let endpoint = Endpoint { id: 0, ips: &[], labels, ports };
        let catalog = &sources.references.catalog;
        let view = ClusterView { identities: sources.people.known(), catalog };
        let rules = sources.policies.in_force().flat_map(|policy| &policy.rules);
        let rules = rules.filter(|rule| rule.subject.matches(labels));
        let mut group = Self {
            encoded: encode(sources.policies, &endpoint, &view),
            hosts: Arc::default(),
            peers: Arc::default(),
            services: Arc::default(),
            is_changed: true,
            members,
            selectors: rules.flat_map(|rule| catalog.selectors(rule)).collect(),
            world: BTreeSet::new(),
            surroundings: Arc::clone(sources.surroundings),
        };
        group.tell(sources);
        group
    }

    fn names_one_of(&self, turned: &[Labels]) -> bool {
        let is_named = |labels| self.selectors.iter().any(|selector| selector.matches(labels));
        self.encoded.names_everybody && !turned.is_empty() || turned.iter().any(is_named)
    }

    /// Follows the addresses of those that the rules name.
    fn refresh(&mut self, sources: &Sources<'_>, moved: &BTreeSet<u32>) {
        let now = sources.surroundings;
        let was = &self.surroundings;
        self.is_changed = !self.encoded.identities.is_disjoint(moved)
            || was.reserved != now.reserved
            || self.looks_at_the_world() && was.strays != now.strays
            || self.tells_nodes_apart() && was.nodes != now.nodes
            || self.encoded.restricts_egress && sources.references.are_callables_changed;
        if self.is_changed {
            self.surroundings = Arc::clone(now);
            self.tell(sources);
        }
    }

    /// Whether some rule is about who is no pod and no node.
    fn looks_at_the_world(&self) -> bool {
        let is_part = |peer| peer == WORLD || self.world.contains(&peer);
        self.encoded.identities.iter().any(|peer| is_part(*peer))
    }

    /// Whether some rule is about nodes.
    pub(super) fn tells_nodes_apart(&self) -> bool {
        let nodes = [HOST, REMOTE_NODE, API_SERVER_NODE, API_SERVER_HOST];
        nodes.iter().any(|node| self.encoded.identities.contains(node))
    }

    fn tell(&mut self, sources: &Sources<'_>) {
        self.tell_hosts(sources);
        self.services = match self.encoded.restricts_egress {
            true => Arc::new(self.callable(sources)),
            false => Arc::default(),
        };
    }

    fn tell_hosts(&mut self, sources: &Sources<'_>) {
        let Sources { people, surroundings, references, .. } = sources;
        let reserved = &surroundings.reserved;
        let mut hosts = match self.tells_nodes_apart() {
            true => reserved.entries_without_nodes.clone(),
            false => reserved.entries.clone(),
        };
        self.world = self
            .encoded
            .identities
            .iter()
            .copied()
            .filter(|own| people.prefix(*own).is_some())
            .collect();
        let mut peers = BTreeMap::new();
        for number in &self.encoded.identities {
            if let Some(prefix) = people.prefix(*number) {
                // Who is within the cluster is no part of the world; but where
                // the API server is, it is known.
                let is_api_server = references.is_api_server(prefix);
                if is_api_server || !reserved.covers(prefix) {
                    hosts.push(entry(*number, vec![prefix.to_string()]));
                }
                continue;
            }
            let addresses = people.addresses(*number);
            if !addresses.is_empty() {
                peers.extend(addresses.iter().map(|address| (*address, *number)));
                hosts.push(entry(*number, addresses.iter().map(ToString::to_string).collect()));
            }
        }
        if self.looks_at_the_world() {
            let is_new = |entry: &&NetworkPolicyHosts| {
                !hosts.iter().any(|own| own.policy == entry.policy && own.policy > u64::from(WORLD))
            };
            let strays: Vec<_> = surroundings.strays.iter().filter(is_new).cloned().collect();
            hosts.extend(strays);
        }
        self.hosts = Arc::new(hosts);
        self.peers = Arc::new(peers);
    }

    /// The services with a backend that the egress policy might allow. Those
    /// that it surely does not allow are like any address of the cluster.
    fn callable(&self, sources: &Sources<'_>) -> Vec<Service> {
        let policy = &self.encoded.policy;
        let audit = policy.audit.iter().flat_map(|own| &own.egress_per_port_policies);
        let ports = policy.egress_per_port_policies.iter().chain(audit);
        let any =
            ports.clone().any(|port| port.rules.iter().any(|rule| rule.remote_policies.is_empty()));
        let world = !self.world.is_empty() || self.encoded.identities.contains(&WORLD);
        let mut told = Vec::new();
        for own in sources.references.callables.iter() {
            let is_named = |address| self.peers.contains_key(address);
            if !(any || world || own.backends.iter().any(is_named)) {
                continue;
            }
            if !own.service.addresses.is_empty() {
                told.push(own.service.clone());
            }
            if !own.node_ports.is_empty() && self.tells_nodes_apart() {
                let nodes = sources.surroundings.nodes.addresses();
                told.push(Service {
                    addresses: nodes.map(|address| address.to_string()).collect(),
                    ports: own.node_ports.clone(),
                    ..own.service.clone()
                });
            }
        }
        told
    }
}
