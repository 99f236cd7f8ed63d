//! Addresses and whose they are.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, prelude::*, sample::select};

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

fn holder(hosts: &Hosts, address: &str) -> Holder {
    hosts.holder(address.parse().expect("address"))
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
fn an_address_in_no_prefix_is_nobodys() {
    let hosts = hosts(&[(1, &["10.0.0.1"])]).expect("hosts");
    assert_eq!(holder(&hosts, "10.0.0.2"), Holder::Nobody);
    assert_eq!(holder(&hosts, "fd00::1"), Holder::Nobody);
    assert_eq!(holder(&Hosts::default(), "10.0.0.1"), Holder::Nobody);
    assert_eq!(identity(&hosts, "10.0.0.2"), None);
}

#[test]
fn the_clusters_ranges_are_unknown_but_for_what_is_known_in_them() {
    let hosts = hosts(&[
        (u64::from(UNKNOWN), &["10.0.0.0/8", "fd00::/8"]),
        (u64::from(WORLD), &["0.0.0.0/0", "::/0"]),
        (256, &["10.0.0.1", "fd00::1"]),
    ])
    .expect("hosts");
    for (address, expected) in [
        ("10.0.0.1", Holder::Identity(256)),
        ("::ffff:10.0.0.1", Holder::Identity(256)),
        ("fd00::1", Holder::Identity(256)),
        ("10.0.0.2", Holder::Unknown),
        ("::ffff:10.0.0.2", Holder::Unknown),
        ("fd00::2", Holder::Unknown),
        ("11.0.0.1", Holder::Identity(WORLD)),
        ("2001:db8::1", Holder::Identity(WORLD)),
    ] {
        assert_eq!(holder(&hosts, address), expected, "{address}");
    }
    assert_eq!(identity(&hosts, "10.0.0.2"), None, "no rule can name who is unknown");
}

#[test]
fn a_cluster_that_is_the_whole_world_is_unknown() {
    let hosts =
        hosts(&[(u64::from(UNKNOWN), &["0.0.0.0/0"]), (u64::from(WORLD), &["0.0.0.0/0", "::/0"])])
            .expect("hosts");
    assert_eq!(holder(&hosts, "192.0.2.1"), Holder::Unknown);
    assert_eq!(holder(&hosts, "2001:db8::1"), Holder::Identity(WORLD));
}

#[test]
fn an_address_that_two_identities_claim_belongs_to_neither() {
    let hosts =
        hosts(&[(1, &["10.0.0.1"]), (2, &["10.0.0.1/32"]), (3, &["10.0.0.0/8"])]).expect("hosts");
    assert_eq!(identity(&hosts, "10.0.0.1"), None);
    assert_eq!(holder(&hosts, "10.0.0.1"), Holder::Unknown, "an update may tell which it is");
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

/// Addresses and lengths that often meet and nest, at the ends of the family
/// and in its middle.
fn prefix(bits: u32) -> impl Strategy<Value = (u128, u8)> {
    let low = select(vec![0_u128, 1, 2, 3, 4, 5, 8, 255]);
    let base = select(vec![0_u128, 10 << (bits - 8), u128::MAX >> (128 - bits)]);
    let length = select(vec![0_u8, 1, 8, 16, 24, 29, 30, 31, 32])
        .prop_map(move |length| if bits == 32 { length } else { length.saturating_mul(4) });
    (base, low, length).prop_map(move |(base, low, length)| {
        let kept = u128::MAX.checked_shl(bits - u32::from(length)).unwrap_or(0);
        ((base ^ low) & kept & (u128::MAX >> (128 - bits)), length)
    })
}

/// The longest prefix that holds an address, found by looking at all.
fn naive(prefixes: &[((u128, u8), u32)], bits: u32, address: u128) -> Holder {
    let holds = |(first, length): (u128, u8)| {
        let free = bits - u32::from(length);
        address.checked_shr(free).unwrap_or(0) == first.checked_shr(free).unwrap_or(0)
    };
    let holding = || prefixes.iter().filter(|(prefix, _)| holds(*prefix));
    let Some(longest) = holding().map(|((_, length), _)| *length).max() else {
        return Holder::Nobody;
    };
    let mut claims = holding().filter(|((_, length), _)| *length == longest).map(|(_, who)| *who);
    match claims.next() {
        Some(one) if one != UNKNOWN && claims.all(|other| other == one) => Holder::Identity(one),
        _ => Holder::Unknown,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn the_holder_is_that_of_the_longest_prefix(
        v4 in vec((prefix(32), 0..4_u32), 0..12),
        v6 in vec((prefix(128), 0..4_u32), 0..12),
        near in vec((any::<prop::sample::Index>(), -2..3_i128), 12),
    ) {
        let text = |v4: bool, (first, length): (u128, u8)| match v4 {
            true => format!("{}/{length}", Ipv4Addr::from_bits(u32::try_from(first).expect("v4"))),
            false => format!("{}/{length}", Ipv6Addr::from_bits(first)),
        };
        let of = |v4: bool, prefixes: &[((u128, u8), u32)]| -> Vec<_> {
            prefixes.iter().map(|(prefix, identity)| cilium::NetworkPolicyHosts {
                policy: u64::from(*identity),
                host_addresses: vec![text(v4, *prefix)],
            }).collect()
        };
        let hosts = Hosts::compile(&[of(true, &v4), of(false, &v6)].concat()).expect("hosts");
        for (which, offset) in near {
            for (prefixes, bits) in [(&v4, 32), (&v6, 128)] {
                let ends: Vec<_> = prefixes.iter().flat_map(|((first, length), _)| {
                    let free = bits - u32::from(*length);
                    [*first, first | 1_u128.checked_shl(free).unwrap_or(0).wrapping_sub(1)]
                }).chain([0]).collect();
                let all = u128::MAX >> (128 - bits);
                let address = which.get(&ends).wrapping_add_signed(offset) & all;
                let ip: IpAddr = match bits {
                    32 => Ipv4Addr::from_bits(u32::try_from(address).expect("v4")).into(),
                    _ => Ipv6Addr::from_bits(address).into(),
                };
                // A v4 address in v6 clothes is looked up as v4.
                if ip.to_canonical() == ip {
                    prop_assert_eq!(hosts.holder(ip), naive(prefixes, bits, address), "{}", ip);
                }
            }
        }
    }
}
