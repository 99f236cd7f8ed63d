//! Which identity an address has.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    net::IpAddr,
};

use remora_api::cilium;

/// How many addresses and prefixes there may be.
pub const MAX_HOSTS: usize = 1 << 20;

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

    /// The identity of an address; `None` where it is unknown.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<u32> {
        // A v4 client of a v6 socket is the v4 host that it is.
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.lookup(align(v4.to_bits())),
            IpAddr::V6(v6) => self.v6.lookup(v6.to_bits()),
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

    fn lookup(&self, bits: u128) -> Option<u32> {
        let longest_first = self.0.iter().rev();
        let claim =
            longest_first.filter_map(|(length, claims)| claims.get(&mask(bits, *length))).next()?;
        match claim {
            Claim::One(identity) => Some(*identity),
            Claim::Several => None,
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
mod tests {
    use super::*;

    fn hosts(entries: &[(u64, &[&str])]) -> Result<Hosts, HostsError> {
        let entries: Vec<_> = entries
            .iter()
            .map(|(policy, addresses)| cilium::NetworkPolicyHosts {
                policy: *policy,
                host_addresses: addresses.iter().map(ToString::to_string).collect(),
            })
            .collect();
        Hosts::compile(&entries)
    }

    fn identity(hosts: &Hosts, address: &str) -> Option<u32> {
        hosts.lookup(address.parse().expect("address"))
    }

    #[test]
    fn the_longest_prefix_wins_in_either_family() {
        let hosts = hosts(&[
            (1, &["10.0.0.1", "fd00::1"]),
            (2, &["10.0.0.0/24", "fd00::/64"]),
            (3, &["0.0.0.0/0", "::/0"]),
        ])
        .expect("hosts");
        for (address, expected) in [
            ("10.0.0.1", 1),
            ("::ffff:10.0.0.1", 1),
            ("10.0.0.2", 2),
            ("10.0.1.1", 3),
            ("fd00::1", 1),
            ("fd00::2", 2),
            ("fd01::1", 3),
        ] {
            assert_eq!(identity(&hosts, address), Some(expected), "{address}");
        }
    }

    #[test]
    fn an_address_that_nobody_has_is_unknown() {
        let hosts = hosts(&[(1, &["10.0.0.1"])]).expect("hosts");
        assert_eq!(identity(&hosts, "10.0.0.2"), None);
        assert_eq!(identity(&hosts, "fd00::1"), None);
        assert_eq!(identity(&Hosts::default(), "10.0.0.1"), None);
    }

    #[test]
    fn an_address_that_two_identities_claim_belongs_to_neither() {
        let hosts = hosts(&[(1, &["10.0.0.1"]), (2, &["10.0.0.1/32"]), (3, &["10.0.0.0/8"])])
            .expect("hosts");
        assert_eq!(identity(&hosts, "10.0.0.1"), None);
        assert_eq!(identity(&hosts, "10.0.0.2"), Some(3));
    }

    #[test]
    fn the_same_address_twice_for_one_identity_is_fine() {
        let hosts = hosts(&[(1, &["10.0.0.1", "10.0.0.1/32"]), (1, &["10.0.0.1"])]).expect("hosts");
        assert_eq!(identity(&hosts, "10.0.0.1"), Some(1));
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for (address, expected) in [
            ("db", "identity 7: `db` is neither an address nor a prefix"),
            ("10.0.0.1/33", "identity 7: `10.0.0.1/33` is neither an address nor a prefix"),
            ("fd00::/129", "identity 7: `fd00::/129` is neither an address nor a prefix"),
            ("10.0.0.1/-1", "identity 7: `10.0.0.1/-1` is neither an address nor a prefix"),
            ("10.0.0.1/24", "identity 7: `10.0.0.1/24` has bits set beyond its length"),
        ] {
            assert_eq!(hosts(&[(7, &[address])]).expect_err(address).to_string(), expected);
        }
        assert_eq!(hosts(&[(1 << 32, &[])]).expect_err("too wide"), HostsError::Identity(1 << 32));
    }

    #[test]
    fn the_number_of_addresses_has_a_cap() {
        let many = |count| {
            let host_addresses = vec!["10.0.0.1".to_owned(); count];
            Hosts::compile(&[cilium::NetworkPolicyHosts { policy: 1, host_addresses }])
        };
        assert!(many(MAX_HOSTS).is_ok());
        assert_eq!(many(MAX_HOSTS + 1).expect_err("one too many"), HostsError::TooMany);
    }
}
