//! Ports where some peers are denied by name. Whoever is not known might be one
//! of them, so what is open to anybody there is not open to the unknown.

use std::ops::RangeInclusive;

use remora_api::cilium::{self, port_network_policy_rule as wire};

use super::{
    TrafficDirection,
    compile::{is_tcp, ports},
};

/// The ports, in each direction.
#[derive(Debug)]
pub(super) struct Suspects {
    ingress: Vec<RangeInclusive<u16>>,
    egress: Vec<RangeInclusive<u16>>,
}

impl Suspects {
    pub(super) const NONE: Self = Self { ingress: Vec::new(), egress: Vec::new() };

    pub(super) fn new(
        ingress: &[cilium::PortNetworkPolicy],
        egress: &[cilium::PortNetworkPolicy],
    ) -> Self {
        Self { ingress: merged(ingress), egress: merged(egress) }
    }

    pub(super) fn contain(&self, direction: TrafficDirection, port: u16) -> bool {
        let ranges = match direction {
            TrafficDirection::Ingress => &self.ingress,
            TrafficDirection::Egress => &self.egress,
        };
        let after = ranges.partition_point(|range| *range.start() <= port);
        after
            .checked_sub(1)
            .and_then(|last| ranges.get(last))
            .is_some_and(|own| own.contains(&port))
    }
}

/// Ranges in order, without overlap.
fn merged(policies: &[cilium::PortNetworkPolicy]) -> Vec<RangeInclusive<u16>> {
    let some = policies
        .iter()
        .filter(|policy| is_tcp(policy.protocol) == Ok(true))
        .filter(|policy| policy.rules.iter().any(denies_by_name));
    // What is no range is refused elsewhere.
    let mut ranges: Vec<_> = some.filter_map(|policy| ports(policy).ok()).collect();
    ranges.sort_unstable();
    let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(own) if first <= *own.end() => *own = *own.start()..=last.max(*own.end()),
            _ => merged.push(first..=last),
        }
    }
    merged
}

fn denies_by_name(rule: &cilium::PortNetworkPolicyRule) -> bool {
    let denies = match &rule.l7 {
        _ if rule.verdict == Some(wire::Verdict::Deny(true)) => true,
        Some(wire::L7::L7Rules(rules)) => !rules.l7_deny_rules.is_empty(),
        None => false,
    };
    denies && !rule.remote_policies.is_empty()
}
