//! Random policies with everything in them, and the small cluster that they
//! are about.

use std::collections::BTreeMap;

use proptest::{collection::vec, option::weighted, prelude::*, sample::select};
use remora_policy::{
    Catalog, Cidr, CidrGroup, Identity, Key, L7Filter, L7Rule, Labels, Mode, NamedPorts,
    ObjectSelector, Operator, Peer, PeerRule, Peers, Policy, PolicyKind, PolicyName, Port,
    PortRange, PortRule, Prefix, Requirement, Rule, Section, Selector, ServiceBackends, Source,
    WORLD,
};

use crate::{common::labels, generate::memcache_keys};

/// The pod whose slice is made.
pub(crate) const POD: &str = "role=a";

/// Whom questions are about: pods, nodes, addresses of the world, and somebody unknown.
pub(crate) const PEOPLE: [Who; 8] = [
    Who::Known(301),
    Who::Known(302),
    Who::Known(303),
    Who::Known(1),
    Who::At("10.2.0.1"),
    Who::At("10.1.2.3"),
    Who::At("192.0.2.9"),
    Who::Unknown,
];

/// Somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    /// An identity that is no part of the world.
    Known(u32),
    /// Who has an address of the world.
    At(&'static str),
    Unknown,
}

const PREFIXES: [(u32, &str); 5] = [
    (401, "10.0.0.0/8"),
    (402, "10.1.0.0/16"),
    (403, "10.1.2.0/24"),
    (404, "0.0.0.0/1"),
    (405, "128.0.0.0/1"),
];

fn prefix(text: &str) -> Prefix {
    Prefix::read(text).expect("a prefix")
}

/// Three pods, whose ports have names, a node, and the world.
pub(crate) fn identities() -> BTreeMap<u32, Identity> {
    let pod = |role: &str, port| Identity {
        labels: labels(&format!("role={role}")),
        ports: NamedPorts::of_pod([("web".to_owned(), port)]),
    };
    let mut identities: BTreeMap<u32, Identity> = [
        (301, pod("a", 80)),
        (302, pod("b", 81)),
        (303, labels("role=c").into()),
        (1, Labels::reserved(&["host"]).into()),
        (WORLD, Labels::reserved(&["world"]).into()),
    ]
    .into();
    let parts = PREFIXES.map(|(number, text)| (number, Labels::of_prefix(prefix(text)).into()));
    identities.extend(parts);
    identities
}

/// The pod's own ports.
pub(crate) fn ports() -> NamedPorts {
    NamedPorts::of_pod([("web".to_owned(), 82)])
}

/// A group, a service of pods and one of addresses.
pub(crate) fn catalog() -> Catalog {
    let group = CidrGroup { labels: Labels::default(), prefixes: vec![prefix("10.0.0.0/8")] };
    let selector = BTreeMap::from([("role".to_owned(), "b".to_owned())]);
    let of_pods = ServiceBackends { selector: Some(selector), ..Default::default() };
    let name = |name: &str| ("shop".to_owned(), name.to_owned());
    Catalog {
        groups: BTreeMap::from([("ten".to_owned(), Some(group))]),
        services: BTreeMap::from([(name("b"), Some(of_pods))]),
    }
}

fn role(role: &str) -> Selector {
    let key = Key { source: Source::Any, name: "role".into() };
    Selector { requirements: vec![Requirement { key, operator: Operator::In(vec![role.into()]) }] }
}

fn reserved(name: &str) -> Selector {
    let key = Key { source: Source::Reserved, name: name.into() };
    Selector { requirements: vec![Requirement { key, operator: Operator::Exists }] }
}

fn peer() -> impl Strategy<Value = Peer> {
    let cidr = |text: &str, except: &[&str]| {
        Peer::Cidr(Cidr {
            prefix: prefix(text),
            except: except.iter().map(|text| prefix(text)).collect(),
        })
    };
    let anything = Selector::default().within_the_cluster();
    select(vec![
        Peer::Endpoints(anything),
        Peer::Endpoints(role("a")),
        Peer::Endpoints(role("b")),
        Peer::Endpoints(role("nobody")),
        Peer::Endpoints(reserved("world")),
        Peer::Endpoints(reserved("host")),
        cidr("10.0.0.0/8", &[]),
        cidr("10.0.0.0/8", &["10.1.0.0/16"]),
        cidr("10.1.0.0/16", &["10.1.2.0/24"]),
        cidr("0.0.0.0/1", &[]),
        Peer::CidrGroups {
            groups: ObjectSelector::Named("ten".into()),
            except: vec![prefix("10.1.2.0/24")],
        },
        Peer::CidrGroups { groups: ObjectSelector::Named("none".into()), except: vec![] },
        Peer::Services { namespace: None, services: ObjectSelector::Named("b".into()) },
    ])
}

fn filter(protocols: Vec<&'static str>) -> impl Strategy<Value = L7Filter> {
    (select(protocols), vec(memcache_keys(), 1..3)).prop_map(|(protocol, rules)| {
        let rule = |keys| L7Rule { path: format!("{keys:?}"), keys };
        let rules = match protocol {
            "memcache" => rules.into_iter().map(rule).collect(),
            _ => vec![rule(BTreeMap::new())],
        };
        L7Filter { protocol, rules }
    })
}

/// A filter, or none; without protocols, always none.
fn filtered(protocols: Vec<&'static str>) -> BoxedStrategy<Option<L7Filter>> {
    match protocols.is_empty() {
        true => Just(None).boxed(),
        false => weighted(0.7, filter(protocols)).boxed(),
    }
}

fn port() -> impl Strategy<Value = Port> {
    let range = |first, last| Port::Numbers(PortRange { first, last });
    select(vec![
        range(80, 80),
        range(80, 80),
        range(81, 81),
        range(80, 82),
        range(81, 9000),
        Port::Numbers(PortRange::ALL),
    ])
}

/// What a peer calls its port is another test's matter.
fn own_port() -> impl Strategy<Value = Port> {
    prop_oneof![
        6 => port(),
        1 => select(vec![Port::Named("web".into()), Port::Named("none".into())]),
    ]
}

fn rule(
    port: impl Strategy<Value = Port>,
    protocols: Vec<&'static str>,
) -> impl Strategy<Value = PeerRule> {
    let port_rule = (vec(port, 0..3), filtered(protocols)).prop_map(|(ports, l7)| PortRule {
        path: "p".into(),
        ports,
        l7,
    });
    let peers = prop_oneof![
        1 => select(vec![Peers::Any, Peers::Any, Peers::Everybody]),
        3 => vec(peer(), 0..3).prop_map(Peers::These),
    ];
    (peers, weighted(0.85, vec(port_rule, 1..3))).prop_map(|(peers, ports)| PeerRule {
        path: "i".into(),
        peers,
        ports,
    })
}

/// A rule that denies.
pub(crate) fn deny() -> impl Strategy<Value = PeerRule> {
    rule(port(), vec![])
}

fn section<P: Strategy<Value = Port> + 'static>(
    port: fn() -> P,
    protocols: Vec<&'static str>,
) -> impl Strategy<Value = Section> {
    let deny = prop_oneof![
        3 => Just(Vec::new()),
        1 => vec(rule(port(), vec![]), 1..2),
    ];
    (any::<bool>(), vec(rule(port(), protocols), 0..3), deny)
        .prop_map(|(default_deny, allow, deny)| Section { default_deny, allow, deny })
}

/// Policies as they are after reading.
pub(crate) fn policies(protocols: Vec<&'static str>) -> impl Strategy<Value = Vec<Policy>> {
    let ingress = weighted(0.8, section(own_port, protocols.clone()));
    let egress = weighted(0.8, section(port, protocols));
    let subject = select(vec![Selector::default(), role("a"), role("b")]);
    let mode = prop_oneof![5 => Just(Mode::Enforce), 1 => Just(Mode::Audit)];
    let rule = (subject, ingress, egress, mode).prop_map(|(subject, ingress, egress, mode)| Rule {
        path: "r".into(),
        subject,
        ingress,
        egress,
        mode,
    });
    vec(vec(rule, 1..3), 0..3).prop_map(|policies| {
        let policy = |(index, rules)| Policy {
            name: PolicyName { namespace: None, name: format!("p{index}") },
            kind: PolicyKind::CiliumClusterwideNetworkPolicy,
            rules,
            warnings: Vec::new(),
        };
        policies.into_iter().enumerate().map(policy).collect()
    })
}
