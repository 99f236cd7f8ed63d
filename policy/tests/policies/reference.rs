//! What slices mean, written down a second time: slowly, and as plainly as can
//! be. The compiled slice has to agree.

use std::collections::BTreeMap;

use remora_api::cilium::{self, port_network_policy_rule as wire};

/// What a peer meets at a port, and whether a memcached request of it passes.
pub(crate) type Outcome = (&'static str, bool);

/// A request's command and its keys.
pub(crate) type Ask<'a> = (&'a str, &'a str);

pub(crate) type Keys = BTreeMap<String, String>;

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
                // Whoever is unknown might be one whom it denies.
                if peer.is_none() && denies_something(rule) {
                    return ("denied", false);
                }
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

fn denies_something(rule: &cilium::PortNetworkPolicyRule) -> bool {
    let l7 = rule.l7.as_ref().map(|wire::L7::L7Rules(l7)| !l7.l7_deny_rules.is_empty());
    rule.verdict == Some(wire::Verdict::Deny(true)) || l7 == Some(true)
}

pub(crate) fn outcome(
    open: bool,
    filters: &[(&str, Vec<Keys>, Vec<Keys>)],
    request: (&str, &str),
) -> Outcome {
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
