//! Prefixes of addresses, and the two identities that consist of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use remora_api::cilium::NetworkPolicyHosts;
use remora_policy::{UNKNOWN, WORLD};

/// Addresses that begin with the same bits: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text is no range of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// It is none at all.
    #[error("`{0}` is no range of addresses; write one such as 10.244.0.0/16")]
    Malformed(String),
    /// It begins inside itself.
    #[error("`{0}` has bits set beyond its length; write {1}")]
    Unmasked(String, Prefix),
    /// It is everything.
    #[error("`{0}` is the whole world, and not a cluster's own range")]
    World(String),
}

/// What may be inside a cluster when nobody says more: RFC 1918, RFC 6598 and RFC 4193.
const PRIVATE: [(IpAddr, u8); 5] = [
    (IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(std::net::Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(std::net::Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V6(std::net::Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

/// What lies in no longer prefix, in either family.
const EVERYTHING: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// The entries that every slice has: who may be of the cluster, and everybody else.
///
/// `pod_ranges` are those of nodes and of the command line. Without any, all
/// private ranges count: somebody may wait in vain then, and nobody is allowed
/// who should not be.
pub(super) fn reserved(
    pod_ranges: impl Iterator<Item = Prefix>,
    node_addresses: impl Iterator<Item = IpAddr>,
) -> Arc<[NetworkPolicyHosts]> {
    let mut ranges: Vec<Prefix> = pod_ranges.collect();
    if ranges.is_empty() {
        ranges.extend(PRIVATE.map(|(address, length)| Prefix { address, length }));
    }
    ranges.extend(node_addresses.map(Prefix::host));
    ranges.sort_unstable();
    ranges.dedup();
    let entry = |identity: u32, host_addresses| NetworkPolicyHosts {
        policy: u64::from(identity),
        host_addresses,
    };
    let unknown = entry(UNKNOWN, ranges.iter().map(ToString::to_string).collect());
    let world = entry(WORLD, EVERYTHING.map(str::to_owned).to_vec());
    Arc::new([unknown, world])
}

impl Prefix {
    fn host(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    fn masked(address: IpAddr, length: u8) -> Self {
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask =
                    u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        };
        Self { address, length }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let malformed = || PrefixError::Malformed(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(malformed)?;
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        let length: u8 = length.parse().map_err(|_| malformed())?;
        let prefix = Self { address, length };
        if length > Self::host(address).length {
            return Err(malformed());
        }
        if length == 0 {
            return Err(PrefixError::World(text.to_owned()));
        }
        let masked = Self::masked(address, length);
        if masked != prefix {
            return Err(PrefixError::Unmasked(text.to_owned(), masked));
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Result<Prefix, PrefixError> {
        text.parse()
    }

    #[test]
    fn a_range_is_read_or_refused_with_the_remedy() {
        for good in ["10.0.0.0/8", "10.1.2.3/32", "fd00::/8", "fd00::1/128"] {
            assert_eq!(prefix(good).expect(good).to_string(), good);
        }
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/-1"] {
            assert_eq!(prefix(bad), Err(PrefixError::Malformed(bad.to_owned())));
        }
        let error = prefix("10.1.2.3/16").expect_err("unmasked").to_string();
        assert_eq!(error, "`10.1.2.3/16` has bits set beyond its length; write 10.1.0.0/16");
        assert!(matches!(prefix("0.0.0.0/0"), Err(PrefixError::World(_))));
    }

    #[test]
    fn without_ranges_everything_private_may_be_of_the_cluster() {
        let node = "192.0.2.7".parse().expect("an address");
        let [unknown, world] = &*reserved([].into_iter(), [node].into_iter()) else {
            panic!("two entries")
        };
        assert_eq!((unknown.policy, world.policy), (0, 2));
        assert_eq!(world.host_addresses, ["0.0.0.0/0", "::/0"]);
        let expected =
            ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.2.7/32", "192.168.0.0/16"];
        assert_eq!(unknown.host_addresses[..5], expected);
        assert_eq!(unknown.host_addresses[5..], ["fc00::/7"]);
    }

    #[test]
    fn ranges_that_are_known_count_alone_and_once() {
        let range = || prefix("10.244.1.0/24").expect("a range");
        let entries = reserved([range(), range()].into_iter(), [].into_iter());
        assert_eq!(entries[0].host_addresses, ["10.244.1.0/24"]);
    }
}
