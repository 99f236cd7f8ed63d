//! Which identity an address has.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    net::IpAddr,
};

use remora_api::cilium;

/// How many addresses and prefixes there may be.
pub const MAX_HOSTS: usize = 1 << 20;

/// The reserved identity whose prefixes are the cluster's own ranges: who is
/// in them, and in no longer prefix, belongs to the cluster and is not known
/// yet. No rule names it.
pub const UNKNOWN: u32 = 0;

/// The reserved identity of everything outside the cluster: `0.0.0.0/0`, `::/0`.
pub const WORLD: u32 = 2;

/// Prefixes and their identities; the longest prefix that holds an address
/// wins. A prefix that two identities claim belongs to neither: what lies in
/// it, and in no longer one, is unknown.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    v4: Prefixes,
    v6: Prefixes,
}

/// By length of prefix, the masked addresses and whose they are.
#[derive(Debug, Clone, Default)]
struct Prefixes(BTreeMap<u8, HashMap<u128, Claim>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    One(u32),
    Several,
}

/// Who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This identity, be it [`WORLD`].
    Identity(u32),
    /// Somebody of the cluster of whom the next update may tell more, or one
    /// of several who claim the address.
    Unknown,
    /// Nobody: no prefix holds it, and waiting would not help.
    Nobody,
}

impl Holder {
    /// The identity that rules are asked about.
    #[must_use]
    pub fn identity(self) -> Option<u32> {
        match self {
            Self::Identity(identity) => Some(identity),
            Self::Unknown | Self::Nobody => None,
        }
    }
}

/// Why a discovery response of hosts is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// Not an address, nor a prefix.
    #[error("identity {identity}: `{address}` is neither an address nor a prefix")]
    Address {
        /// Whose it would be.
        identity: u64,
        /// What stands there.
        address: String,
    },
    /// A prefix with bits that it does not cover.
    #[error("identity {identity}: `{address}` has bits set beyond its length")]
    Unmasked {
        /// Whose it would be.
        identity: u64,
        /// What stands there.
        address: String,
    },
    /// A number that no rule could name.
    #[error("identity {0} has more than 32 bits")]
    Identity(u64),
    /// More than [`MAX_HOSTS`].
    #[error("more than {MAX_HOSTS} addresses")]
    TooMany,
}

impl Hosts {
    /// Compiles what a discovery response holds.
    ///
    /// # Errors
    /// A [`HostsError`] that names the identity and the address.
    pub fn compile(hosts: &[cilium::NetworkPolicyHosts]) -> Result<Self, HostsError> {
        let mut compiled = Self::default();
        let total: usize = hosts.iter().map(|host| host.host_addresses.len()).sum();
        if total > MAX_HOSTS {
            return Err(HostsError::TooMany);
        }
        for host in hosts {
            let identity =
                u32::try_from(host.policy).map_err(|_| HostsError::Identity(host.policy))?;
            for address in &host.host_addresses {
                compiled.add(identity, address)?;
            }
        }
        Ok(compiled)
    }

    /// The identity of an address; `None` where it is unknown or nobody's.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<u32> {
        self.holder(address).identity()
    }

    /// Who has an address, as far as is known.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Holder {
        // A v4 client of a v6 socket is the v4 host that it is.
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.holder(align(v4.to_bits())),
            IpAddr::V6(v6) => self.v6.holder(v6.to_bits()),
        }
    }

    fn add(&mut self, identity: u32, text: &str) -> Result<(), HostsError> {
        let wrong = || HostsError::Address { identity: identity.into(), address: text.to_owned() };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let (family, bits, longest) = match address.parse().map_err(|_| wrong())? {
            IpAddr::V4(v4) => (&mut self.v4, align(v4.to_bits()), 32),
            IpAddr::V6(v6) => (&mut self.v6, v6.to_bits(), 128),
        };
        let length: u8 = length.unwrap_or(longest);
        if length > longest {
            return Err(wrong());
        }
        if bits != mask(bits, length) {
            return Err(HostsError::Unmasked {
                identity: identity.into(),
                address: text.to_owned(),
            });
        }
        family.claim(length, bits, identity);
        Ok(())
    }
}

impl Prefixes {
    fn claim(&mut self, length: u8, bits: u128, identity: u32) {
        match self.0.entry(length).or_default().entry(bits) {
            Entry::Vacant(vacant) => {
                vacant.insert(Claim::One(identity));
            }
            Entry::Occupied(mut claimed) if *claimed.get() != Claim::One(identity) => {
                claimed.insert(Claim::Several);
            }
            Entry::Occupied(_) => {}
        }
    }

    fn holder(&self, bits: u128) -> Holder {
        let mut longest_first = self.0.iter().rev();
        match longest_first.find_map(|(length, claims)| claims.get(&mask(bits, *length))) {
            Some(Claim::One(UNKNOWN) | Claim::Several) => Holder::Unknown,
            Some(Claim::One(identity)) => Holder::Identity(*identity),
            None => Holder::Nobody,
        }
    }
}

/// The bits of a v4 address where those of a v6 one begin.
fn align(v4: u32) -> u128 {
    u128::from(v4) << 96
}

fn mask(bits: u128, length: u8) -> u128 {
    bits & u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0)
}

#[cfg(test)]
mod tests;
