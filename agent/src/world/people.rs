//! Who can be recognised, by which number, and by which addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use remora_policy::{Identity, Labels, NamedPorts, Prefix, WORLD};

use super::identities::{FIRST, Identities};

/// The identities of all pods, of parts of the world, and of what is reserved.
#[derive(Debug)]
pub(super) struct People {
    identities: Identities,
    /// Those that somebody can be recognised by.
    known: BTreeMap<u32, Identity>,
    /// The addresses of pods, in order; none is empty.
    addresses: BTreeMap<u32, Vec<IpAddr>>,
    /// The parts of the world.
    prefixes: BTreeMap<u32, Prefix>,
}

/// The node that a pod runs on.
pub(super) const HOST: u32 = 1;
/// Other nodes.
pub(super) const REMOTE_NODE: u32 = 6;
/// One of these where the API server is.
pub(super) const API_SERVER_NODE: u32 = 7;
/// The node that a pod runs on, where the API server is.
pub(super) const API_SERVER_HOST: u32 = 200;

/// A pod that can be recognised.
pub(super) type Person<'a> = (&'a Arc<Labels>, &'a [IpAddr], &'a NamedPorts);

impl Default for People {
    fn default() -> Self {
        let reserved: [(u32, &[&str]); 5] = [
            (HOST, &["host"]),
            (WORLD, &["world"]),
            (REMOTE_NODE, &["remote-node"]),
            (API_SERVER_NODE, &["remote-node", "kube-apiserver"]),
            (API_SERVER_HOST, &["host", "kube-apiserver"]),
        ];
        Self {
            identities: Identities::default(),
            known: reserved.map(|(number, names)| (number, Labels::reserved(names).into())).into(),
            addresses: BTreeMap::new(),
            prefixes: BTreeMap::new(),
        }
    }
}

/// What became different.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// The labels of identities that somebody can be recognised by now, or no longer.
    pub(super) turned: Vec<Labels>,
    /// The identities whose addresses are others now.
    pub(super) moved: BTreeSet<u32>,
}

impl People {
    /// Makes these all that there are: pods with their addresses, and parts of
    /// the world. An identity without an address is left out: naming it would
    /// allow nobody.
    pub(super) fn settle<'a>(
        &mut self,
        pods: impl Iterator<Item = Person<'a>> + Clone,
        parts: &BTreeMap<Prefix, Arc<Labels>>,
    ) -> Moves {
        let all = pods.clone().map(|(labels, ..)| labels);
        self.identities.assign(all.chain(parts.values()));
        let before = mem::take(&mut self.addresses);
        let mut moves = Moves::default();
        let mut ports: BTreeMap<u32, NamedPorts> = BTreeMap::new();
        for (labels, addresses, own) in pods.filter(|(_, addresses, _)| !addresses.is_empty()) {
            let Some(number) = self.identities.number(labels) else { continue };
            self.addresses.entry(number).or_default().extend(addresses);
            let merged = ports.entry(number);
            merged.and_modify(|all| all.merge(own)).or_insert_with(|| own.clone());
            self.known.entry(number).or_insert_with(|| {
                moves.turned.push(labels.as_ref().clone());
                labels.as_ref().clone().into()
            });
        }
        self.addresses.values_mut().for_each(|addresses| addresses.sort_unstable());
        self.take_parts(parts);
        self.known.retain(|number, identity| {
            let stays = *number < FIRST
                || self.addresses.contains_key(number)
                || self.prefixes.contains_key(number);
            let ports = ports.remove(number).unwrap_or_default();
            if !stays || identity.ports != ports {
                moves.turned.push(identity.labels.clone());
            }
            identity.ports = ports;
            stays
        });
        let numbers = before.keys().chain(self.addresses.keys());
        let is_moved = |number: &&u32| before.get(number) != self.addresses.get(number);
        moves.moved = numbers.filter(is_moved).copied().collect();
        moves
    }

    fn take_parts(&mut self, parts: &BTreeMap<Prefix, Arc<Labels>>) {
        self.prefixes.clear();
        for (prefix, labels) in parts {
            let Some(number) = self.identities.number(labels) else { continue };
            self.prefixes.insert(number, *prefix);
            self.known.entry(number).or_insert_with(|| labels.as_ref().clone().into());
        }
    }

    /// The part of the world that an identity is.
    pub(super) fn prefix(&self, number: u32) -> Option<&Prefix> {
        self.prefixes.get(&number)
    }

    /// Every identity of pods, with its addresses.
    pub(super) fn pods(&self) -> impl Iterator<Item = (u32, &[IpAddr])> {
        self.addresses.iter().map(|(number, addresses)| (*number, addresses.as_slice()))
    }

    /// The number of these labels, whether or not somebody is recognised by it.
    pub(super) fn number(&self, labels: &Labels) -> Option<u32> {
        self.identities.number(labels)
    }

    /// Every identity that somebody can be recognised by.
    pub(super) fn known(&self) -> &BTreeMap<u32, Identity> {
        &self.known
    }

    /// The addresses of an identity.
    pub(super) fn addresses(&self, number: u32) -> &[IpAddr] {
        self.addresses.get(&number).map_or(&[], Vec::as_slice)
    }
}
