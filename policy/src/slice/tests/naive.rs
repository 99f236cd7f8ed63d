//! What a policy means, found by looking at every rule in order. The compiled
//! slice has to say the same, word for word.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use regex_automata::nfa::thompson::pikevm::PikeVM;
use remora_api::cilium::{self, port_network_policy_rule as wire};
use remora_parsers::{Condition, KeyKind, Protocol, Registry, Request, Value};

use crate::{
    pattern,
    slice::{Admission, Decision, Reason, TrafficDirection},
};

/// Reads ingress rules from the wire, as far as they are about one port and
/// one peer.
pub(super) struct Naive<'a> {
    pub(super) policy: &'a cilium::NetworkPolicy,
    pub(super) registry: Registry,
    pub(super) port: u16,
    pub(super) peer: Option<u32>,
}

enum Effect {
    Deny,
    Open(Reason),
    Filter(Filter),
}

struct Filter {
    protocol: &'static Protocol,
    allow: Vec<L7Rule>,
    deny: Vec<L7Rule>,
}

struct L7Rule {
    name: String,
    keys: Vec<(String, String)>,
}

type Named = (String, Effect);

impl Naive<'_> {
    pub(super) fn connection(&self) -> Admission {
        let rules = self.rules();
        if self.suspects(whatever_is_asked(&rules).as_ref()) {
            return Admission::Deny(self.unmatched_peer());
        }
        if let Some(decision) = whatever_is_asked(&rules) {
            return match decision.is_forwarded() {
                true => Admission::Opaque(decision),
                false => Admission::Deny(decision),
            };
        }
        match protocols(&rules).as_slice() {
            [] => Admission::Deny(self.unmatched_peer()),
            [one] => Admission::Parse(one),
            [one, .., other] => Admission::Deny(self.clash(one, other)),
        }
    }

    pub(super) fn request(&self, protocol: &str, request: &Request<'_>) -> Decision {
        let rules = self.rules();
        if self.suspects(whatever_is_asked(&rules).as_ref()) {
            return self.unmatched_peer();
        }
        if let Some(decision) = whatever_is_asked(&rules) {
            return decision;
        }
        match protocols(&rules).as_slice() {
            [] => return self.unmatched_peer(),
            [one] if one.name != protocol => {
                return Decision::dropped(None, Reason::ProtocolChanged { now: one.name });
            }
            [_] => {}
            [one, .., other] => return self.clash(one, other),
        }
        let filters = || {
            rules.iter().filter_map(|(_, effect)| match effect {
                Effect::Filter(filter) => Some(filter),
                Effect::Deny | Effect::Open(_) => None,
            })
        };
        let each = |pick: fn(&Filter) -> &Vec<L7Rule>| {
            filters()
                .flat_map(move |filter| pick(filter).iter().map(|rule| (filter.protocol, rule)))
        };
        if let Some((_, rule)) = each(|f| &f.deny).find(|(p, rule)| rule.denies(p, request)) {
            return Decision::dropped(named(&rule.name).as_ref(), Reason::RequestDenied);
        }
        for (name, effect) in &rules {
            if let Effect::Open(reason) = effect {
                return Decision::forwarded(named(name).as_ref(), reason.clone());
            }
        }
        if let Some((_, rule)) = each(|f| &f.allow).find(|(p, r)| r.misses(p, request).is_empty()) {
            return Decision::forwarded(named(&rule.name).as_ref(), Reason::RequestAllowed);
        }
        let nearest = each(|f| &f.allow)
            .filter_map(|(protocol, rule)| {
                let misses = rule.misses(protocol, request);
                Some((misses.len(), named(&rule.name)?, misses[0]))
            })
            .min_by_key(|(count, ..)| *count)
            .map(|(_, rule, key)| (rule, key));
        let words =
            filters().next().map(|f| super::super::decide::fixed_words(f.protocol, request));
        Decision::dropped(
            None,
            Reason::RequestUnmatched { words: words.unwrap_or_default(), nearest },
        )
    }

    /// Whether an unknown peer might be one who is denied by name.
    fn suspects(&self, whatever: Option<&Decision>) -> bool {
        let denies = |rule: &cilium::PortNetworkPolicyRule| {
            let l7 = rule.l7.as_ref().map(|wire::L7::L7Rules(l7)| !l7.l7_deny_rules.is_empty());
            let denies = rule.verdict == Some(wire::Verdict::Deny(true)) || l7 == Some(true);
            denies && !rule.remote_policies.is_empty()
        };
        self.peer.is_none()
            && whatever.is_none_or(Decision::is_forwarded)
            && self.entries().any(|entry| entry.rules.iter().any(denies))
    }

    /// The rules about the port and the peer: the port's own, then those of
    /// ranges.
    fn rules(&self) -> Vec<Named> {
        let own = |entry: &cilium::PortNetworkPolicy| {
            entry.port != 0 && (entry.end_port == 0 || entry.end_port == entry.port)
        };
        let (own, ranges): (Vec<_>, Vec<_>) = self.entries().partition(|entry| own(entry));
        let mut rules = Vec::new();
        for entry in own.into_iter().chain(ranges) {
            if entry.rules.is_empty() {
                rules.push((String::new(), Effect::Open(Reason::Unrestricted)));
            }
            let about = entry.rules.iter().filter(|rule| {
                let named = &rule.remote_policies;
                named.is_empty() || self.peer.is_some_and(|peer| named.contains(&peer))
            });
            rules.extend(about.map(|rule| (rule.name.clone(), self.effect(rule))));
        }
        rules
    }

    fn entries(&self) -> impl Iterator<Item = &cilium::PortNetworkPolicy> {
        let port = u32::from(self.port);
        self.policy.ingress_per_port_policies.iter().filter(move |entry| {
            let last = entry.end_port.max(entry.port);
            entry.protocol == 0 && (entry.port == 0 || (entry.port..=last).contains(&port))
        })
    }

    fn effect(&self, rule: &cilium::PortNetworkPolicyRule) -> Effect {
        if rule.verdict == Some(wire::Verdict::Deny(true)) {
            return Effect::Deny;
        }
        let Some(wire::L7::L7Rules(l7)) = &rule.l7 else {
            return Effect::Open(Reason::PortAllowed);
        };
        let protocol = self.registry.find(&rule.l7_proto).expect("a protocol");
        let read = |rules: &[cilium::L7NetworkPolicyRule]| -> Vec<_> {
            let rule = |rule: &cilium::L7NetworkPolicyRule| L7Rule {
                name: rule.name.clone(),
                keys: rule.rule.clone().into_iter().collect(),
            };
            rules.iter().map(rule).collect()
        };
        let (mut allow, deny) = (read(&l7.l7_allow_rules), read(&l7.l7_deny_rules));
        if allow.is_empty() && deny.is_empty() {
            return Effect::Open(Reason::PortAllowed);
        }
        if allow.is_empty() {
            allow.push(L7Rule { name: rule.name.clone(), keys: Vec::new() });
        }
        Effect::Filter(Filter { protocol, allow, deny })
    }

    fn unmatched_peer(&self) -> Decision {
        let (port, peer) = (self.port, self.peer);
        let reason = match self.entries().next() {
            Some(_) => Reason::PeerUnmatched { port, peer },
            None => Reason::PortClosed { port, direction: TrafficDirection::Ingress },
        };
        Decision::dropped(None, reason)
    }

    fn clash(&self, one: &Protocol, other: &Protocol) -> Decision {
        let (port, one, other) = (self.port, one.name, other.name);
        Decision::dropped(None, Reason::ProtocolsClash { port, one, other })
    }
}

fn whatever_is_asked(rules: &[Named]) -> Option<Decision> {
    if let Some((name, _)) = rules.iter().find(|(_, effect)| matches!(effect, Effect::Deny)) {
        return Some(Decision::dropped(named(name).as_ref(), Reason::PeerDenied));
    }
    let denies =
        |effect: &Effect| matches!(effect, Effect::Filter(filter) if !filter.deny.is_empty());
    if rules.iter().any(|(_, effect)| denies(effect)) {
        return None;
    }
    rules.iter().find_map(|(name, effect)| match effect {
        Effect::Open(reason) => Some(Decision::forwarded(named(name).as_ref(), reason.clone())),
        Effect::Deny | Effect::Filter(_) => None,
    })
}

/// The first protocol, then each that is not the first.
fn protocols(rules: &[Named]) -> Vec<&'static Protocol> {
    let mut seen: Vec<&'static Protocol> = Vec::new();
    for (_, effect) in rules {
        if let Effect::Filter(filter) = effect
            && seen.first().is_none_or(|first| first.name != filter.protocol.name)
        {
            seen.push(filter.protocol);
        }
    }
    seen
}

impl L7Rule {
    fn denies(&self, protocol: &'static Protocol, request: &Request<'_>) -> bool {
        self.conditions(protocol).iter().all(|condition| {
            let field = request.field(condition.key.field);
            field.is_some_and(|field| Value::iter(field.value).any(|value| holds(condition, value)))
        })
    }

    fn misses(&self, protocol: &'static Protocol, request: &Request<'_>) -> Vec<&'static str> {
        let satisfied = |condition: &Condition<'_>| {
            let Some(field) = request.field(condition.key.field) else { return false };
            let values: Vec<_> = Value::iter(field.value).collect();
            !values.is_empty() && values.iter().all(|value| holds(condition, value))
        };
        let conditions = self.conditions(protocol);
        conditions.iter().filter(|c| !satisfied(c)).map(|c| c.key.name).collect()
    }

    fn conditions(&self, protocol: &'static Protocol) -> Vec<Condition<'_>> {
        let keys = self.keys.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let conditions = protocol.read_rule(keys).expect("a rule").into_iter();
        let asks =
            |c: &Condition<'_>| !(c.value.is_empty() && matches!(c.key.kind, KeyKind::Word(_)));
        conditions.filter(asks).collect()
    }
}

fn holds(condition: &Condition<'_>, value: &[u8]) -> bool {
    let wanted = condition.value.as_bytes();
    match condition.key.kind {
        KeyKind::Word(words) => words
            .iter()
            .filter(|word| word.name == condition.value)
            .any(|word| word.covers.iter().any(|word| word.as_bytes() == value)),
        KeyKind::Exact => wanted == value,
        KeyKind::Prefix => value.starts_with(wanted),
        KeyKind::Regex => alone(condition.value, value),
    }
}

/// One expression, run by itself and state by state.
fn alone(source: &str, value: &[u8]) -> bool {
    thread_local!(static KNOWN: RefCell<HashMap<String, Rc<PikeVM>>> = RefCell::default());
    let vm = KNOWN.with_borrow_mut(|known| {
        let make = || Rc::new(pattern::alone(source));
        Rc::clone(known.entry(source.to_owned()).or_insert_with(make))
    });
    vm.is_match(&mut vm.create_cache(), value)
}

fn named(name: &str) -> Option<Arc<str>> {
    (!name.is_empty()).then(|| name.into())
}
