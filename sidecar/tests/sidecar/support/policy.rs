//! Slices, as an agent would send them.

use remora_api::cilium::{
    L7NetworkPolicyRule, L7NetworkPolicyRules, NetworkPolicy, NetworkPolicyHosts,
    PortNetworkPolicy, PortNetworkPolicyRule, port_network_policy_rule::L7,
};

/// The identity of clients on 127.0.0.1.
pub(crate) const CLIENT: u32 = 1001;

/// The policy of the pod on 127.0.0.1.
pub(crate) fn policy(ports: Vec<PortNetworkPolicy>) -> NetworkPolicy {
    NetworkPolicy {
        endpoint_ips: vec!["127.0.0.1".into()],
        endpoint_id: 1,
        ingress_per_port_policies: ports,
        egress_per_port_policies: Vec::new(),
        audit: None,
    }
}

/// The same pod's, where what comes in is nobody's concern.
pub(crate) fn egress(ports: Vec<PortNetworkPolicy>) -> NetworkPolicy {
    NetworkPolicy {
        ingress_per_port_policies: vec![unrestricted()],
        egress_per_port_policies: ports,
        ..policy(Vec::new())
    }
}

/// All ports of a direction that no policy restricts.
pub(crate) fn unrestricted() -> PortNetworkPolicy {
    PortNetworkPolicy { port: 0, end_port: 0, protocol: 0, rules: Vec::new() }
}

/// One identity on 127.0.0.1.
pub(crate) fn hosts(identity: u32) -> [NetworkPolicyHosts; 1] {
    [NetworkPolicyHosts { policy: identity.into(), host_addresses: vec!["127.0.0.1/32".into()] }]
}

/// Everybody on loopback is of the cluster, and nobody is known.
pub(crate) fn unknown() -> NetworkPolicyHosts {
    NetworkPolicyHosts { policy: 0, host_addresses: vec!["127.0.0.0/8".into()] }
}

/// Anybody may connect to `port`.
pub(crate) fn anybody(port: u16) -> PortNetworkPolicy {
    port_policy(port, PortNetworkPolicyRule::default())
}

/// `peer` may connect to `port`.
pub(crate) fn l4(port: u16, peer: u32) -> PortNetworkPolicy {
    port_policy(port, rule(peer))
}

/// `peer` may send these words to `port`; no words at all means any.
pub(crate) fn l7(port: u16, peer: u32, words: &[&str]) -> PortNetworkPolicy {
    let word = |(index, word): (usize, &&str)| L7NetworkPolicyRule {
        name: format!("default/line ingress[0].toPorts[0].l7[{index}]"),
        rule: [("word".to_owned(), (*word).to_owned())].into(),
    };
    let mut l7_allow_rules: Vec<_> = words.iter().enumerate().map(word).collect();
    if words.is_empty() {
        l7_allow_rules.push(L7NetworkPolicyRule::default());
    }
    let rules = L7NetworkPolicyRules { l7_allow_rules, l7_deny_rules: Vec::new() };
    port_policy(
        port,
        PortNetworkPolicyRule {
            l7_proto: "line".into(),
            l7: Some(L7::L7Rules(rules)),
            ..rule(peer)
        },
    )
}

fn rule(peer: u32) -> PortNetworkPolicyRule {
    PortNetworkPolicyRule {
        name: "default/line ingress[0].toPorts[0]".into(),
        remote_policies: vec![peer],
        ..Default::default()
    }
}

fn port_policy(port: u16, rule: PortNetworkPolicyRule) -> PortNetworkPolicy {
    PortNetworkPolicy { port: port.into(), end_port: 0, protocol: 0, rules: vec![rule] }
}
