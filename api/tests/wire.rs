//! Bytes that a decoder would take, losing part of their meaning, are refused.

use proptest::prelude::*;
use prost::Message;
use remora_api::{
    cilium::{
        AuditPolicy, L7NetworkPolicyRule, L7NetworkPolicyRules, NetworkPolicy, PortNetworkPolicy,
        PortNetworkPolicyRule, port_network_policy_rule,
    },
    endpoints::{Endpoint, Variable},
    services::{Backend, Service, ServicePort},
    wire::{Resource, WireError},
};

fn policy() -> NetworkPolicy {
    let rule = L7NetworkPolicyRule {
        name: "default/p ingress[0].toPorts[0].l7[0]".into(),
        rule: [("command".to_owned(), "get".to_owned())].into(),
    };
    NetworkPolicy {
        endpoint_ips: vec!["10.0.0.1".into(), "fd00::1".into()],
        endpoint_id: 7,
        ingress_per_port_policies: vec![PortNetworkPolicy {
            port: 11211,
            end_port: 0,
            protocol: 0,
            rules: vec![PortNetworkPolicyRule {
                remote_policies: vec![1, 300],
                l7_proto: "memcache".into(),
                l7: Some(port_network_policy_rule::L7::L7Rules(L7NetworkPolicyRules {
                    l7_allow_rules: vec![rule],
                    l7_deny_rules: vec![],
                })),
                ..Default::default()
            }],
        }],
        egress_per_port_policies: vec![],
        audit: Some(AuditPolicy {
            ingress_per_port_policies: vec![PortNetworkPolicy::default()],
            egress_per_port_policies: vec![],
        }),
    }
}

fn service() -> Service {
    Service {
        namespace: "shop".into(),
        name: "cache".into(),
        addresses: vec!["10.96.0.7".into()],
        ports: vec![ServicePort {
            port: 80,
            backends: vec![Backend { address: "10.0.0.1".into(), port: 8080 }],
        }],
        affinity_seconds: 0,
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        namespace: "shop".into(),
        name: "cache".into(),
        uid: "7a".into(),
        variables: vec![Variable { name: "REMORA_POD_NAME".into(), value: "cache".into() }],
    }
}

/// A length-delimited field: tag, length, bytes.
fn block(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut out);
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

#[test]
fn a_known_message_survives_the_walk() {
    assert_eq!(NetworkPolicy::from_wire(&policy().encode_to_vec()), Ok(policy()));
    assert_eq!(Service::from_wire(&service().encode_to_vec()), Ok(service()));
    assert_eq!(Endpoint::from_wire(&endpoint().encode_to_vec()), Ok(endpoint()));
}

#[test]
fn every_unknown_field_is_refused_wherever_it_stands() {
    // (path of field numbers to the message, unknown number, the message's name)
    let cases: [(&[u32], u32, &str); 7] = [
        (&[], 6, "NetworkPolicy"),
        (&[16006], 3, "AuditPolicy"),
        (&[16006, 1], 9, "PortNetworkPolicy"),
        (&[3], 9, "PortNetworkPolicy"),
        // http_rules: a condition that would be dropped, so an "allow" of everything.
        (&[3, 3], 100, "PortNetworkPolicyRule"),
        (&[3, 3, 102], 3, "L7NetworkPolicyRules"),
        (&[3, 3, 102, 1], 2, "L7NetworkPolicyRule"),
    ];
    for (path, number, message) in cases {
        let mut bytes = block(number, b"x");
        for outer in path.iter().rev() {
            bytes = block(*outer, &bytes);
        }
        let mut whole = policy().encode_to_vec();
        whole.extend_from_slice(&bytes);
        assert!(NetworkPolicy::decode(whole.as_slice()).is_ok(), "prost drops {message}.{number}");
        assert_eq!(
            NetworkPolicy::from_wire(&whole),
            Err(WireError::UnknownField { message, number })
        );
    }
}

#[test]
fn an_unknown_field_of_a_service_is_refused() {
    for (path, number, message) in
        [(&[][..], 6, "Service"), (&[4], 3, "ServicePort"), (&[4, 2], 3, "Backend")]
    {
        let bytes =
            path.iter().rev().fold(block(number, b"x"), |bytes, outer| block(*outer, &bytes));
        let whole = [service().encode_to_vec(), bytes].concat();
        assert_eq!(Service::from_wire(&whole), Err(WireError::UnknownField { message, number }));
    }
}

#[test]
fn an_unknown_field_of_an_endpoint_is_refused() {
    for (path, number, message) in [(&[][..], 5, "Endpoint"), (&[4], 3, "Variable")] {
        let bytes =
            path.iter().rev().fold(block(number, b"x"), |bytes, outer| block(*outer, &bytes));
        let whole = [endpoint().encode_to_vec(), bytes].concat();
        assert_eq!(Endpoint::from_wire(&whole), Err(WireError::UnknownField { message, number }));
    }
}

#[test]
fn wrong_wire_types_and_cut_bytes_are_refused() {
    // endpoint_id (a varint) as a block; endpoint_ips (a block) as a varint.
    assert!(matches!(
        NetworkPolicy::from_wire(&block(2, b"1")),
        Err(WireError::WireType { field: "endpoint_id", found: 2, .. })
    ));
    assert!(matches!(
        NetworkPolicy::from_wire(&[1 << 3, 1]),
        Err(WireError::WireType { field: "endpoint_ips", found: 0, .. })
    ));
    let whole = policy().encode_to_vec();
    let cut = &whole[..whole.len() - 1];
    assert!(matches!(NetworkPolicy::from_wire(cut), Err(WireError::Truncated { .. })));
    // A length of 2^63 points nowhere.
    let bomb = [3 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert!(matches!(NetworkPolicy::from_wire(&bomb), Err(WireError::Truncated { .. })));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert!(matches!(NetworkPolicy::from_wire(&block(1, b"\xff")), Err(WireError::Decode(_))));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_mean_what_they_say(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        // What the walk accepts, prost keeps whole: nothing is lost by encoding again.
        if let Ok(policy) = NetworkPolicy::from_wire(&bytes) {
            let again = NetworkPolicy::from_wire(&policy.encode_to_vec());
            prop_assert_eq!(again, Ok(policy));
        }
    }
}
