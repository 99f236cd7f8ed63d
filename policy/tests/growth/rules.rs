//! Slices of any number of rules.

use remora_api::cilium::{self, port_network_policy_rule as wire};
use remora_parsers::Registry;
use remora_policy::{CompileError, MAX_REGEXES, MAX_RULES, Slice};

/// The port that they are about.
pub(crate) const PORT: u16 = 11211;

/// Few rules.
pub(crate) const FEW: usize = 10;

/// As many as a slice may hold: its port and its filter count among them.
pub(crate) const MANY: usize = MAX_RULES - 2;

/// What rules ask for.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    key: &'static str,
    /// The value of the nth rule's key.
    value: fn(usize) -> String,
    /// How many different values there are at most.
    different: usize,
}

pub(crate) const KINDS: [Kind; 4] = [
    Kind {
        name: "literals",
        key: "keyExact",
        value: |n| format!("team-{n:05}-/k"),
        different: MANY,
    },
    Kind {
        name: "prefixes",
        key: "keyPrefix",
        value: |n| format!("team-{n:05}-/"),
        different: MANY,
    },
    Kind {
        name: "expressions that are prefixes",
        key: "keyRegex",
        value: |n| format!("^team-{n:05}-/.*"),
        different: MANY,
    },
    Kind {
        name: "expressions",
        key: "keyRegex",
        value: |n| format!("team-{n:05}-/[a-z]+"),
        different: MAX_REGEXES,
    },
];

impl Kind {
    /// A key that the nth rule allows.
    pub(crate) fn key(&self, n: usize) -> String {
        format!("team-{:05}-/k", n.min(self.different - 1))
    }

    /// So many keys that the nth rule allows, different ones if it can.
    pub(crate) fn keys(&self, n: usize, count: usize) -> String {
        let different = self.key != "keyExact";
        let letters = |n: usize| if different { "k".repeat(n % 10) } else { String::new() };
        let keys: Vec<_> = (0..count).map(|key| self.key(n) + &letters(key)).collect();
        keys.join(" ")
    }

    /// So many rules, in one filter for everybody.
    pub(crate) fn slice(&self, count: usize) -> Slice {
        compile(vec![port(PORT, vec![self.filter(count)])])
    }

    /// So many rules over many filters, for the peers that `peers` tells.
    fn filter(&self, count: usize) -> cilium::PortNetworkPolicyRule {
        filter(&[], (0..count).map(|n| self.rule(n % self.different)).collect())
    }

    fn rule(&self, n: usize) -> cilium::L7NetworkPolicyRule {
        cilium::L7NetworkPolicyRule {
            name: format!("shop/cache ingress[0].toPorts[0].l7[{n}]"),
            rule: [("command", "get".to_owned()), (self.key, (self.value)(n))]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
        }
    }
}

/// A rule for each expression, if they are taken.
pub(crate) fn expressions(expressions: Vec<String>) -> Result<Slice, CompileError> {
    let rule = |expression: String| cilium::L7NetworkPolicyRule {
        rule: [("command", "get".to_owned()), ("keyRegex", expression)]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        ..Default::default()
    };
    let filter = filter(&[], expressions.into_iter().map(rule).collect());
    try_compile(vec![port(PORT, vec![filter])])
}

/// So many filters, each of one rule and for one peer.
pub(crate) fn one_peer_each(count: usize) -> Slice {
    let filters = (0..count).map(|n| filter(&[peer(n)], vec![KINDS[1].rule(n)]));
    compile(vec![port(PORT, filters.collect())])
}

/// So many filters, each of one rule and for one peer and peer 1.
pub(crate) fn shared_peer(count: usize) -> Slice {
    let filters = (0..count).map(|n| filter(&[1, peer(n)], vec![KINDS[1].rule(n)]));
    compile(vec![port(PORT, filters.collect())])
}

/// One rule for so many peers.
pub(crate) fn peers_of_one_rule(count: usize) -> Slice {
    let peers: Vec<_> = (0..count).map(peer).collect();
    compile(vec![port(PORT, vec![filter(&peers, vec![Default::default()])])])
}

/// So many ports, from 1 on, each with a filter of one rule.
pub(crate) fn ports(count: usize) -> Slice {
    let port = |n: usize| {
        let filter = filter(&[], vec![KINDS[1].rule(n)]);
        port(u16::try_from(n + 1).expect("a port"), vec![filter])
    };
    compile((0..count).map(port).collect())
}

fn peer(n: usize) -> u32 {
    u32::try_from(n + 1).expect("small")
}

fn filter(
    peers: &[u32],
    l7_allow_rules: Vec<cilium::L7NetworkPolicyRule>,
) -> cilium::PortNetworkPolicyRule {
    cilium::PortNetworkPolicyRule {
        remote_policies: peers.to_vec(),
        l7_proto: "memcache".into(),
        l7: Some(wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
            l7_allow_rules,
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn port(port: u16, rules: Vec<cilium::PortNetworkPolicyRule>) -> cilium::PortNetworkPolicy {
    cilium::PortNetworkPolicy { port: port.into(), rules, ..Default::default() }
}

fn compile(ports: Vec<cilium::PortNetworkPolicy>) -> Slice {
    try_compile(ports).expect("compiles")
}

fn try_compile(ports: Vec<cilium::PortNetworkPolicy>) -> Result<Slice, CompileError> {
    let policy = cilium::NetworkPolicy { ingress_per_port_policies: ports, ..Default::default() };
    Slice::compile(&policy, Registry::BUILT_IN)
}
