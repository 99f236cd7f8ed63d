//! Addresses and whose they are.

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
