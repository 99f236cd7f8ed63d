//! Who can be recognised, by which number, and by which addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use remora_policy::{Identity, Labels};

use super::identities::Identities;

/// The identities of all pods.
#[derive(Debug, Default)]
pub(super) struct People {
    identities: Identities,
    /// Those that somebody can be recognised by.
    known: BTreeMap<u32, Identity>,
    /// Their addresses, in order; none is empty.
    addresses: BTreeMap<u32, Vec<IpAddr>>,
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
    /// Makes these all that there are: labels, and the addresses of who has
    /// them. An identity without an address is left out: naming it would allow
    /// nobody.
    pub(super) fn settle<'a>(
        &mut self,
        pods: impl Iterator<Item = (&'a Arc<Labels>, &'a [IpAddr])> + Clone,
    ) -> Moves {
        self.identities.assign(pods.clone().map(|(labels, _)| labels));
        let before = mem::take(&mut self.addresses);
        let mut moves = Moves::default();
        for (labels, addresses) in pods.filter(|(_, addresses)| !addresses.is_empty()) {
            let Some(number) = self.identities.number(labels) else { continue };
            self.addresses.entry(number).or_default().extend(addresses);
            self.known.entry(number).or_insert_with(|| {
                moves.turned.push(labels.as_ref().clone());
                labels.as_ref().clone().into()
            });
        }
        self.addresses.values_mut().for_each(|addresses| addresses.sort_unstable());
        self.known.retain(|number, identity| {
            let stays = self.addresses.contains_key(number);
            if !stays {
                moves.turned.push(identity.labels.clone());
            }
            stays
        });
        let numbers = before.keys().chain(self.addresses.keys());
        let is_moved = |number: &&u32| before.get(number) != self.addresses.get(number);
        moves.moved = numbers.filter(is_moved).copied().collect();
        moves
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
