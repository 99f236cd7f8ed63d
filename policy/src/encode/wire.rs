//! The messages of NPDS.

use std::{collections::BTreeMap, rc::Rc};

use remora_api::cilium::{self, port_network_policy_rule as wire};

use super::offers::{Effect, Offer, Offers};
use crate::model::{L7Filter, PortRange};

/// Nothing is restricted.
pub(super) fn open() -> Vec<cilium::PortNetworkPolicy> {
    vec![port_policy(PortRange::ALL, Vec::new())]
}

/// Everything is denied, by a rule of this name.
pub(super) fn closed(name: String) -> Vec<cilium::PortNetworkPolicy> {
    let rule = cilium::PortNetworkPolicyRule {
        name,
        verdict: Some(wire::Verdict::Deny(true)),
        ..Default::default()
    };
    vec![port_policy(PortRange::ALL, vec![rule])]
}

/// The offers, port by port. Rules that are about nobody are left out, and so
/// is a port without any: on the wire, an empty list would mean everybody.
pub(super) fn ports(offers: Offers<'_>) -> Vec<cilium::PortNetworkPolicy> {
    let mut ports: BTreeMap<PortRange, Vec<_>> = BTreeMap::new();
    for offer in offers.0 {
        if let Some(rule) = rule(&offer) {
            ports.entry(offer.ports).or_default().push(rule);
        }
    }
    ports.into_iter().map(|(ports, rules)| port_policy(ports, rules)).collect()
}

/// A rule as it goes over the wire; none if it is about nobody.
fn rule(offer: &Offer<'_>) -> Option<cilium::PortNetworkPolicyRule> {
    let remote_policies = match &offer.peers {
        None => Vec::new(),
        Some(nobody) if nobody.is_empty() => return None,
        Some(peers) => Rc::as_ref(peers).iter().copied().collect(),
    };
    let filter = offer.filter();
    Some(cilium::PortNetworkPolicyRule {
        name: offer.path.clone().into_owned(),
        remote_policies,
        verdict: matches!(offer.effect, Effect::Deny).then_some(wire::Verdict::Deny(true)),
        l7_proto: filter.map(|l7| l7.protocol.to_owned()).unwrap_or_default(),
        l7: filter.map(l7),
        ..Default::default()
    })
}

fn l7(filter: &L7Filter) -> wire::L7 {
    let rules = filter.rules.iter().map(|rule| cilium::L7NetworkPolicyRule {
        name: rule.path.clone(),
        rule: rule.keys.clone().into_iter().collect(),
    });
    wire::L7::L7Rules(cilium::L7NetworkPolicyRules {
        l7_allow_rules: rules.collect(),
        l7_deny_rules: Vec::new(),
    })
}

/// TCP, which is the protocol that a message has unless it says otherwise.
fn port_policy(
    ports: PortRange,
    rules: Vec<cilium::PortNetworkPolicyRule>,
) -> cilium::PortNetworkPolicy {
    let (port, end_port) = match ports {
        PortRange::ALL => (0, 0),
        PortRange { first, last } if first == last => (first.into(), 0),
        PortRange { first, last } => (first.into(), last.into()),
    };
    cilium::PortNetworkPolicy { port, end_port, rules, ..Default::default() }
}
