//! From policies to the slice of one endpoint.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use remora_api::cilium::{self, port_network_policy_rule as wire};

use crate::{
    labels::Labels,
    model::{Closed, L7Filter, Peers},
    set::PolicySet,
};

/// The endpoint whose slice is made.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// Its number, for NPDS.
    pub id: u64,
    /// Its addresses, of either family.
    pub ips: &'a [IpAddr],
    /// Its labels.
    pub labels: &'a Labels,
}

/// One endpoint's slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// What goes over the wire.
    pub policy: cilium::NetworkPolicy,
    /// The identities that it names: those whose addresses the endpoint needs.
    pub identities: BTreeSet<u32>,
    /// What the authors of the endpoint's policies should know: rules that
    /// void or exclude each other, be they of one policy or of several.
    pub warnings: Vec<String>,
}

/// One rule's say on one port.
struct Offer<'a> {
    path: &'a str,
    /// `None` is anybody.
    peers: Option<BTreeSet<u32>>,
    l7: Option<&'a L7Filter>,
}

/// Every port's offers; 0 stands for all ports.
type Offers<'a> = BTreeMap<u16, Vec<Offer<'a>>>;

/// The port number that stands for every port on the wire.
const EVERY_PORT: u16 = 0;

/// Makes the slice of `endpoint`. `identities` are all that are known.
///
/// Where rules of different policies see two L7 protocols on one port, the
/// port is denied to everybody, and a warning says so.
#[must_use]
pub fn encode(
    policies: &PolicySet,
    endpoint: &Endpoint<'_>,
    identities: &BTreeMap<u32, Labels>,
) -> Encoded {
    let mut warnings = Vec::new();
    let labels = endpoint.labels;
    let ingress = if let Some(name) = closed_by(policies, labels, |closed| closed.ingress) {
        vec![every_port(vec![deny(name)])]
    } else if policies.about(labels).all(|rule| rule.ingress.is_none()) {
        vec![every_port(Vec::new())]
    } else {
        let offers = offers(policies, labels, identities);
        warn_of_voids(&offers, &mut warnings);
        ports(offers, &mut warnings)
    };
    let egress = match closed_by(policies, labels, |closed| closed.egress) {
        Some(name) => vec![every_port(vec![deny(name)])],
        None => vec![every_port(Vec::new())],
    };
    let named = ingress.iter().flat_map(|port| &port.rules).flat_map(|rule| &rule.remote_policies);
    Encoded {
        identities: named.copied().collect(),
        policy: cilium::NetworkPolicy {
            endpoint_ips: endpoint.ips.iter().map(ToString::to_string).collect(),
            endpoint_id: endpoint.id,
            ingress_per_port_policies: ingress,
            egress_per_port_policies: egress,
            audit: None,
        },
        warnings,
    }
}

/// The refused policy that closes an endpoint's direction, as a rule's name.
fn closed_by(
    policies: &PolicySet,
    labels: &Labels,
    direction: impl Fn(&Closed) -> bool,
) -> Option<String> {
    policies
        .closed()
        .find(|(_, closed)| direction(closed) && closed.covers(labels))
        .map(|(refused, _)| format!("{} (refused)", refused.name))
}

/// What all rules about an endpoint say, port by port.
fn offers<'a>(
    policies: &'a PolicySet,
    labels: &'a Labels,
    identities: &BTreeMap<u32, Labels>,
) -> Offers<'a> {
    let mut offers = Offers::new();
    for rule in policies.about(labels).filter_map(|rule| rule.ingress.as_ref()).flatten() {
        let Some(port_rules) = &rule.ports else {
            // A rule that names neither peers nor ports allows nothing: it is
            // how default deny alone is written.
            if rule.peers != Peers::Any {
                let peers = resolve(&rule.peers, identities);
                let offer = Offer { path: &rule.path, peers, l7: None };
                offers.entry(EVERY_PORT).or_default().push(offer);
            }
            continue;
        };
        let peers = resolve(&rule.peers, identities);
        for port_rule in port_rules {
            for port in &port_rule.ports {
                offers.entry(*port).or_default().push(Offer {
                    path: &port_rule.path,
                    peers: peers.clone(),
                    l7: port_rule.l7.as_ref(),
                });
            }
        }
    }
    offers
}

fn resolve(peers: &Peers, identities: &BTreeMap<u32, Labels>) -> Option<BTreeSet<u32>> {
    match peers {
        Peers::Any => None,
        Peers::Selected(selectors) => Some(
            identities
                .iter()
                .filter(|(_, labels)| selectors.iter().any(|selector| selector.matches(labels)))
                .map(|(identity, _)| *identity)
                .collect(),
        ),
    }
}

fn ports(offers: Offers<'_>, warnings: &mut Vec<String>) -> Vec<cilium::PortNetworkPolicy> {
    let mut ports = Vec::new();
    for (port, offers) in offers {
        let rules = match clash(&offers) {
            Some(clash) => {
                warnings.push(format!("port {port} is closed: {clash}"));
                vec![deny(clash)]
            }
            None => offers.into_iter().filter_map(wire_rule).collect(),
        };
        // Rules that allow nobody are left out, and so is a port without any:
        // on the wire, an empty list would allow everybody.
        if !rules.is_empty() {
            ports.push(port_policy(port, rules));
        }
    }
    ports
}

/// Two protocols on one port: no server speaks both, so one rule is wrong.
fn clash(offers: &[Offer<'_>]) -> Option<String> {
    let mut filtered = offers.iter().filter_map(|offer| Some((offer.path, offer.l7?.protocol)));
    let (one, protocol) = filtered.next()?;
    let (other, another) = filtered.find(|(_, another)| *another != protocol)?;
    Some(format!("{one} says {protocol}, {other} says {another}"))
}

/// A rule that looks at no request voids a filter for the peers of both.
fn warn_of_voids(offers: &Offers<'_>, warnings: &mut Vec<String>) {
    let open_everywhere = || offers.get(&EVERY_PORT).into_iter().flatten();
    for (port, at_port) in offers {
        for filtered in at_port.iter().filter(|offer| offer.l7.is_some()) {
            let beside = at_port.iter().filter(|offer| offer.l7.is_none());
            for open in beside.chain(open_everywhere()).filter(|open| meet(open, filtered)) {
                warnings.push(format!(
                    "{} allows any request on port {port} and so voids {} for the peers of both",
                    open.path, filtered.path
                ));
            }
        }
    }
}

fn meet(one: &Offer<'_>, other: &Offer<'_>) -> bool {
    match (&one.peers, &other.peers) {
        (None, None) => true,
        (None, Some(some)) | (Some(some), None) => !some.is_empty(),
        (Some(ours), Some(theirs)) => !ours.is_disjoint(theirs),
    }
}

/// A rule as it goes over the wire; none if it allows nobody.
fn wire_rule(offer: Offer<'_>) -> Option<cilium::PortNetworkPolicyRule> {
    let remote_policies = match offer.peers {
        None => Vec::new(),
        Some(nobody) if nobody.is_empty() => return None,
        Some(peers) => peers.into_iter().collect(),
    };
    Some(cilium::PortNetworkPolicyRule {
        name: offer.path.to_owned(),
        remote_policies,
        l7_proto: offer.l7.map(|l7| l7.protocol.to_owned()).unwrap_or_default(),
        l7: offer.l7.map(wire_l7),
        ..Default::default()
    })
}

fn wire_l7(filter: &L7Filter) -> wire::L7 {
    let rules = filter.rules.iter().map(|rule| cilium::L7NetworkPolicyRule {
        name: rule.path.clone(),
        rule: rule.keys.clone().into_iter().collect(),
    });
    wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
        l7_allow_rules: rules.collect(),
        l7_deny_rules: Vec::new(),
    })
}

fn deny(name: String) -> cilium::PortNetworkPolicyRule {
    cilium::PortNetworkPolicyRule {
        name,
        verdict: Some(wire::Verdict::Deny(true)),
        ..Default::default()
    }
}

fn every_port(rules: Vec<cilium::PortNetworkPolicyRule>) -> cilium::PortNetworkPolicy {
    port_policy(EVERY_PORT, rules)
}

/// TCP, which is the protocol that a message has unless it says otherwise.
fn port_policy(port: u16, rules: Vec<cilium::PortNetworkPolicyRule>) -> cilium::PortNetworkPolicy {
    cilium::PortNetworkPolicy { port: port.into(), rules, ..Default::default() }
}
