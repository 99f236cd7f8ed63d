//! The two identities that consist of ranges of addresses: the cluster's own,
//! and everything.

use std::net::IpAddr;

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

/// Who may be of the cluster, and everybody else.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reserved {
    /// The entries that slices have.
    pub(super) entries: Vec<NetworkPolicyHosts>,
    /// The same for a slice that tells nodes apart.
    pub(super) entries_without_nodes: Vec<NetworkPolicyHosts>,
    /// The cluster's ranges, its nodes among them.
    ranges: Vec<Prefix>,
}

impl Reserved {
    /// `pod_ranges` are those of nodes and of the command line. Without any, all
    /// private ranges count: somebody may wait in vain then, and nobody is allowed
    /// who should not be.
    pub(super) fn new(
        pod_ranges: impl Iterator<Item = Prefix>,
        node_addresses: impl Iterator<Item = IpAddr>,
    ) -> Self {
        let mut ranges: Vec<Prefix> = pod_ranges.collect();
        if ranges.is_empty() {
            ranges.extend(PRIVATE.map(|(address, length)| Prefix::masked(address, length)));
        }
        ranges.sort_unstable();
        ranges.dedup();
        let entries_without_nodes = entries(&ranges);
        ranges.extend(node_addresses.map(Prefix::host));
        ranges.sort_unstable();
        ranges.dedup();
        Self { entries: entries(&ranges), entries_without_nodes, ranges }
    }

    /// Whether a part of the world is none, for it lies within the cluster.
    pub(super) fn covers(&self, prefix: &Prefix) -> bool {
        self.ranges.iter().any(|range| range.contains(prefix))
    }
}

fn entries(ranges: &[Prefix]) -> Vec<NetworkPolicyHosts> {
    let ranges = ranges.iter().map(ToString::to_string).collect();
    vec![entry(UNKNOWN, ranges), world()]
}

/// Everything that is in no longer prefix.
pub(super) fn world() -> NetworkPolicyHosts {
    entry(WORLD, EVERYTHING.map(str::to_owned).to_vec())
}

pub(super) fn entry(identity: u32, host_addresses: Vec<String>) -> NetworkPolicyHosts {
    NetworkPolicyHosts { policy: u64::from(identity), host_addresses }
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
        let reserved = Reserved::new([].into_iter(), [node].into_iter());
        let [unknown, world] = &*reserved.entries else { panic!("two entries") };
        assert!(reserved.covers(&prefix("10.1.0.0/16")) && !reserved.covers(&prefix("8.0.0.0/8")));
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
        let reserved = Reserved::new([range(), range()].into_iter(), [].into_iter());
        assert_eq!(reserved.entries[0].host_addresses, ["10.244.1.0/24"]);
    }
}
