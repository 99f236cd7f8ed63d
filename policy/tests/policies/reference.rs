//! What policies mean, written down a second time: slowly, and as plainly as
//! can be. The compiled slice has to agree.

use std::collections::BTreeMap;

use remora_api::cilium::{self, port_network_policy_rule as wire};
use remora_policy::{L7Filter, Labels, Peers, Policy};

/// What a peer meets at a port, and whether a memcached request of it passes.
pub(crate) type Outcome = (&'static str, bool);

type Keys = BTreeMap<String, String>;

/// The meaning of a policy as it goes over the wire.
pub(crate) fn wire(
    policy: &cilium::NetworkPolicy,
    port: u16,
    peer: Option<u32>,
    request: (&str, &str),
) -> Outcome {
    let (mut open, mut filters) = (false, vec![]);
    for entry in &policy.ingress_per_port_policies {
        let last = entry.end_port.max(entry.port);
        let here = entry.port == 0 || (entry.port..=last).contains(&port.into());
        if entry.protocol != 0 || !here {
            continue;
        }
        open |= entry.rules.is_empty();
        for rule in &entry.rules {
            let named = &rule.remote_policies;
            if !named.is_empty() && !peer.is_some_and(|peer| named.contains(&peer)) {
                continue;
            }
            if rule.verdict == Some(wire::Verdict::Deny(true)) {
                return ("denied", false);
            }
            let keys = |rules: &[cilium::L7NetworkPolicyRule]| -> Vec<Keys> {
                rules.iter().map(|rule| rule.rule.clone().into_iter().collect()).collect()
            };
            match &rule.l7 {
                Some(wire::L7::L7Rules(l7)) if *l7 != Default::default() => filters.push((
                    rule.l7_proto.as_str(),
                    keys(&l7.l7_allow_rules),
                    keys(&l7.l7_deny_rules),
                )),
                _ => open = true,
            }
        }
    }
    outcome(open, &filters, request)
}

fn outcome(open: bool, filters: &[(&str, Vec<Keys>, Vec<Keys>)], request: (&str, &str)) -> Outcome {
    if open && filters.iter().all(|(_, _, deny)| deny.is_empty()) {
        return ("open", true);
    }
    match filters.first() {
        None => return ("denied", false),
        Some((one, ..)) if filters.iter().any(|(other, ..)| other != one) => {
            return ("denied", false);
        }
        Some((one, ..)) if *one != "memcache" => return ("r2d2", false),
        Some(_) => {}
    }
    let denied = filters.iter().flat_map(|(_, _, deny)| deny).any(|keys| denies(keys, request));
    let allowed = filters
        .iter()
        .any(|(_, allow, _)| allow.is_empty() || allow.iter().any(|keys| allows(keys, request)));
    ("memcache", !denied && (open || allowed))
}

fn allows(rule: &Keys, (command, keys): (&str, &str)) -> bool {
    let mut keys = keys.split_whitespace().peekable();
    rule.iter().all(|(name, value)| match name.as_str() {
        "command" => commands(value).is_none_or(|commands| commands.contains(&command)),
        _ => keys.peek().is_some() && keys.by_ref().all(|key| holds(name, value, key)),
    })
}

fn denies(rule: &Keys, (command, keys): (&str, &str)) -> bool {
    rule.iter().all(|(name, value)| match name.as_str() {
        "command" => commands(value).is_none_or(|commands| commands.contains(&command)),
        _ => keys.split_whitespace().any(|key| holds(name, value, key)),
    })
}

fn holds(name: &str, value: &str, key: &str) -> bool {
    match name {
        "keyExact" => key == value,
        "keyPrefix" => key.starts_with(value),
        _ => value.split('|').any(|word| word == key),
    }
}

fn commands(value: &str) -> Option<&'static [&'static str]> {
    match value {
        "get" => Some(&["get", "gets"]),
        "set" => Some(&["set"]),
        "version" => Some(&["version"]),
        "writeGroup" => Some(&["set", "add", "replace", "delete", "incr", "decr"]),
        _ => None,
    }
}

/// The meaning of policies as they were read.
pub(crate) fn model(
    policies: &[Policy],
    pod: &Labels,
    port: u16,
    peer: Option<&Labels>,
    request: (&str, &str),
) -> Outcome {
    let rules = policies.iter().flat_map(|policy| &policy.rules);
    let about: Vec<_> = rules
        .filter(|rule| rule.subject.matches(pod))
        .filter_map(|rule| rule.ingress.as_ref())
        .collect();
    if about.is_empty() {
        return ("open", true);
    }
    let (mut open, mut filters, mut on_port) = (false, vec![], vec![]);
    for rule in about.into_iter().flatten() {
        let meant = match &rule.peers {
            Peers::Any => true,
            Peers::Selected(some) => {
                peer.is_some_and(|peer| some.iter().any(|selector| selector.matches(peer)))
            }
        };
        let Some(ports) = &rule.ports else {
            open |= meant && rule.peers != Peers::Any;
            continue;
        };
        for entry in ports.iter().filter(|entry| entry.ports.contains(&port)) {
            on_port.extend(entry.l7.as_ref().map(|l7| l7.protocol));
            match &entry.l7 {
                _ if !meant => {}
                None => open = true,
                Some(L7Filter { protocol, rules }) => {
                    let rules = rules.iter().map(|rule| rule.keys.clone()).collect();
                    filters.push((*protocol, rules, vec![]));
                }
            }
        }
    }
    on_port.dedup();
    if on_port.len() > 1 { ("denied", false) } else { outcome(open, &filters, request) }
}
