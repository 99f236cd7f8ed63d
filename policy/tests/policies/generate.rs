//! Random slices, small enough that their rules often meet.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};
use remora_api::cilium::{self, port_network_policy_rule as wire};

/// The peers that random policies name; others are known to no rule.
pub(crate) const PEERS: [Option<u32>; 4] = [Some(1), Some(2), Some(3), None];

/// Ports that random policies are about, and one beside them.
pub(crate) const PORTS: [u16; 4] = [80, 81, 82, 9000];

/// Requests as their commands and keys.
pub(crate) const REQUESTS: [(&str, &str); 7] = [
    ("get", "a"),
    ("get", "b"),
    ("get", "a b"),
    ("set", "a"),
    ("delete", "ab"),
    ("version", ""),
    ("get", ""),
];

/// The keys of one memcache rule.
pub(crate) fn memcache_keys() -> impl Strategy<Value = BTreeMap<String, String>> {
    select(vec![
        vec![],
        vec![("command", "")],
        vec![("command", "get")],
        vec![("command", "writeGroup")],
        vec![("command", "version")],
        vec![("command", "get"), ("keyPrefix", "a")],
        vec![("command", "set"), ("keyExact", "a")],
        vec![("command", "get"), ("keyRegex", "b|a")],
        vec![("command", "writeGroup"), ("keyPrefix", "a")],
    ])
    .prop_map(|keys| keys.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}

fn wire_l7() -> impl Strategy<Value = cilium::L7NetworkPolicyRule> {
    memcache_keys().prop_map(|keys| cilium::L7NetworkPolicyRule {
        name: format!("{keys:?}"),
        rule: keys.into_iter().collect(),
    })
}

/// A rule as a foreign server might send it: denies, filters with and without
/// either list, and no filter. `protocols` are those that it may name.
pub(crate) fn wire_rule(
    protocols: Vec<&'static str>,
) -> impl Strategy<Value = cilium::PortNetworkPolicyRule> {
    let lists = (vec(wire_l7(), 0..3), vec(wire_l7(), 0..2));
    (0..8, vec(1..4_u32, 0..3), select(protocols), lists).prop_map(
        |(shape, remote_policies, protocol, (allow, deny))| {
            let mut rule = cilium::PortNetworkPolicyRule {
                name: format!("rule {shape}"),
                remote_policies,
                ..Default::default()
            };
            match shape {
                0 => rule.verdict = Some(wire::Verdict::Deny(true)),
                1 => {}
                2 => rule.l7_proto = protocol.into(),
                _ => {
                    rule.verdict = (shape == 3).then_some(wire::Verdict::Deny(false));
                    rule.l7_proto = protocol.into();
                    // r2d2 knows none of these keys.
                    let none = protocol != "memcache";
                    rule.l7 = Some(wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
                        l7_allow_rules: if none { vec![Default::default()] } else { allow },
                        l7_deny_rules: if none { vec![] } else { deny },
                    }));
                }
            }
            rule
        },
    )
}

/// Ports, ranges and the wildcard, UDP among them.
pub(crate) fn wire_policy(
    protocols: Vec<&'static str>,
) -> impl Strategy<Value = cilium::NetworkPolicy> {
    let ports = select(vec![(80, 0), (81, 0), (80, 81), (81, 82), (0, 0)]);
    let port = (ports, vec(wire_rule(protocols), 0..4), 0..6).prop_map(
        |((port, end_port), rules, transport)| cilium::PortNetworkPolicy {
            port,
            end_port,
            protocol: i32::from(transport == 0),
            rules,
        },
    );
    vec(port, 0..4).prop_map(|ingress_per_port_policies| cilium::NetworkPolicy {
        ingress_per_port_policies,
        ..Default::default()
    })
}
