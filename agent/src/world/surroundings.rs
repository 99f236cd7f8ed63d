//! Who is no pod that a rule names: nodes, the world, and pods that the ranges
//! of the cluster do not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use remora_api::cilium::NetworkPolicyHosts;
use remora_policy::{Labels, Prefix, UNKNOWN};

use super::people::{API_SERVER_HOST, API_SERVER_NODE, HOST, REMOTE_NODE};
use super::prefix::{Reserved, entry, world};
use super::{Scene, World};

/// What slices are told of besides pods that their rules name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Surroundings {
    /// The cluster's ranges and the world. Nothing, where a directory is all there is.
    pub(super) reserved: Reserved,
    /// The entries that a slice needs besides, if its rules look at the world:
    /// pods are no part of it, wherever they are.
    pub(super) strays: Vec<NetworkPolicyHosts>,
    pub(super) nodes: Nodes,
}

/// The nodes and the API server.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Nodes {
    by_name: BTreeMap<String, Vec<IpAddr>>,
    api_server: BTreeSet<IpAddr>,
}

impl Nodes {
    /// All their addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.by_name.values().flatten().copied()
    }

    /// The nodes, as a pod on one of them tells them apart.
    pub(super) fn entries(&self, own: Option<&str>) -> Vec<NetworkPolicyHosts> {
        let mut addresses: BTreeMap<u32, BTreeSet<IpAddr>> = BTreeMap::new();
        for (name, node) in &self.by_name {
            for address in node {
                let identity = match (own == Some(name), self.api_server.contains(address)) {
                    (true, false) => HOST,
                    (true, true) => API_SERVER_HOST,
                    (false, false) => REMOTE_NODE,
                    (false, true) => API_SERVER_NODE,
                };
                addresses.entry(identity).or_default().insert(*address);
            }
        }
        let hosts =
            |addresses: BTreeSet<IpAddr>| addresses.iter().map(ToString::to_string).collect();
        addresses.into_iter().map(|(identity, all)| entry(identity, hosts(all))).collect()
    }
}

impl World {
    /// The parts of the world that rules name, with their labels.
    pub(super) fn parts(&self) -> BTreeMap<Prefix, Arc<Labels>> {
        let references = &self.references;
        let named = self.policies.set().prefixes(&references.catalog).into_iter();
        let mut parts: BTreeMap<_, _> =
            named.map(|prefix| (prefix, Arc::new(Labels::of_prefix(prefix)))).collect();
        let nodes: BTreeSet<IpAddr> =
            self.nodes.good().flat_map(|(_, node)| node.addresses.iter().copied()).collect();
        for address in references.api_server.difference(&nodes) {
            let prefix = Prefix::host(*address);
            let labels = Labels::of_prefix(prefix).and_reserved("kube-apiserver");
            parts.insert(prefix, Arc::new(labels));
        }
        parts
    }

    pub(super) fn surroundings(&self) -> Arc<Surroundings> {
        let nodes = Nodes {
            by_name: self
                .nodes
                .good()
                .map(|(name, node)| (name.clone(), node.addresses.clone()))
                .collect(),
            api_server: self.references.api_server.clone(),
        };
        let reserved = match &self.scene {
            // A directory is all there is: nobody's address is still on its way.
            Scene::Directory => Reserved::default(),
            Scene::Cluster { ranges } => {
                let own = self.nodes.good().flat_map(|(_, node)| node.pod_ranges.iter().copied());
                Reserved::new(ranges.iter().copied().chain(own), nodes.addresses())
            }
        };
        let strays = self.strays(&reserved);
        Arc::new(Surroundings { reserved, strays, nodes })
    }

    /// Pods and services whose addresses no range of the cluster holds.
    fn strays(&self, reserved: &Reserved) -> Vec<NetworkPolicyHosts> {
        let is_stray = |address: &&IpAddr| !reserved.covers(&Prefix::host(**address));
        let mut recognised: BTreeSet<&IpAddr> = BTreeSet::new();
        let mut entries = Vec::new();
        for (number, addresses) in self.people.pods() {
            recognised.extend(addresses);
            let strays: Vec<_> =
                addresses.iter().filter(is_stray).map(ToString::to_string).collect();
            entries.extend((!strays.is_empty()).then(|| entry(number, strays)));
        }
        let pods = self.pods.good().filter(|(_, pod)| !pod.is_completed);
        let services = self.services.good();
        let unknown: BTreeSet<&IpAddr> = pods
            .flat_map(|(_, pod)| &pod.addresses)
            .chain(services.flat_map(|(_, service)| &service.addresses))
            .filter(|address| !recognised.contains(address))
            .filter(is_stray)
            .collect();
        if !unknown.is_empty() {
            entries.push(entry(UNKNOWN, unknown.iter().map(ToString::to_string).collect()));
        }
        if matches!(self.scene, Scene::Directory) {
            entries.push(world());
        }
        entries
    }
}
