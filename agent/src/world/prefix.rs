//! The two identities that consist of ranges of addresses: the cluster's own,
//! and everything.

use std::net::IpAddr;
use std::sync::Arc;

use remora_api::cilium::NetworkPolicyHosts;
use remora_policy::{Prefix, UNKNOWN, WORLD};

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
        ranges.extend(PRIVATE.map(|(address, length)| Prefix::masked(address, length)));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a range")
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
        let range = || prefix("10.244.1.0/24");
        let entries = reserved([range(), range()].into_iter(), [].into_iter());
        assert_eq!(entries[0].host_addresses, ["10.244.1.0/24"]);
    }
}
