//! The nearest miss: which rule would have let somebody in, or a request
//! through, and what it wanted.

use std::cmp::Reverse;

use remora_parsers::{KeyKind, Registry, Request, RuleKey, Value};
use remora_policy::{
    L7Rule, Labels, Peer, PeerRule, Peers, PolicySet, Port, PortRange, PortRule, Reason,
    Requirement, TrafficDirection,
};

/// What is asked: whose policy, and about whom.
pub(super) struct Asked<'a> {
    pub(super) set: &'a PolicySet,
    pub(super) subject: &'a Labels,
    pub(super) peer: &'a Labels,
    pub(super) direction: TrafficDirection,
    pub(super) port: u16,
}

impl Asked<'_> {
    /// What came nearest to allowing it, in words.
    pub(super) fn nearest(&self, reason: &Reason, request: &Request<'_>) -> Option<String> {
        match reason {
            Reason::RequestUnmatched { .. } => self.request(request),
            Reason::PeerUnmatched { .. } => self.peer(),
            Reason::PortClosed { .. } => self.peer().or_else(|| self.port()),
            _ => None,
        }
    }

    /// The rules about the subject that allow.
    fn rules(&self) -> impl Iterator<Item = &PeerRule> {
        let rules = self.set.in_force().flat_map(|policy| &policy.rules);
        let about = rules.filter(|rule| rule.subject.matches(self.subject));
        about
            .filter_map(|rule| match self.direction {
                TrafficDirection::Ingress => rule.ingress.as_ref(),
                TrafficDirection::Egress => rule.egress.as_ref(),
            })
            .flat_map(|section| &section.allow)
    }

    /// The L7 rule with the fewest keys that miss, and of those the one with
    /// the most that do not.
    fn request(&self, request: &Request<'_>) -> Option<String> {
        let rules = self.rules().filter(|rule| self.means_peer(&rule.peers));
        let ports = rules.flat_map(|rule| rule.ports.iter().flatten());
        let ports = ports.filter(|own| own.ports.iter().any(|port| self.is_at(port)));
        let filters = ports.filter_map(|port| port.l7.as_ref());
        let mut nearest: Option<((usize, Reverse<usize>), String)> = None;
        for filter in filters {
            let protocol = Registry::BUILT_IN.find(filter.protocol)?;
            for rule in &filter.rules {
                let misses: Vec<_> = protocol
                    .keys
                    .iter()
                    .filter_map(|key| Some((key, rule.keys.get(key.name)?)))
                    .filter(|(key, wanted)| !holds(key, wanted, request))
                    .collect();
                let Some((key, wanted)) = misses.first() else { continue };
                let held = rule.keys.len().saturating_sub(misses.len());
                let distance = (misses.len(), Reverse(held));
                if nearest.as_ref().is_none_or(|(best, _)| distance < *best) {
                    nearest = Some((distance, told(rule, key, wanted, request)));
                }
            }
        }
        nearest.map(|(_, text)| text)
    }

    fn means_peer(&self, peers: &Peers) -> bool {
        let Peers::These(peers) = peers else { return true };
        peers.iter().any(|peer| match peer {
            Peer::Endpoints(selector) => selector.matches(self.peer),
            Peer::Cidr(cidr) => cidr.matches(self.peer),
            Peer::CidrGroups { .. } | Peer::Services { .. } => false,
        })
    }

    fn is_at(&self, port: &Port) -> bool {
        matches!(port, Port::Numbers(own) if own.contains(self.port))
    }

    /// The selector at this port with the fewest requirements unmet.
    fn peer(&self) -> Option<String> {
        let mut nearest: Option<(usize, String)> = None;
        for rule in self.rules().filter(|rule| self.is_at_port(rule)) {
            let Peers::These(peers) = &rule.peers else { continue };
            for peer in peers {
                let Peer::Endpoints(selector) = peer else { continue };
                let misses: Vec<&Requirement> = selector.misses(self.peer).collect();
                let Some(first) = misses.first() else { continue };
                if nearest.as_ref().is_none_or(|(count, _)| misses.len() < *count) {
                    let text = format!("{} wants `{first}`; the peer is {}", rule.path, self.peer);
                    nearest = Some((misses.len(), text));
                }
            }
        }
        nearest.map(|(_, text)| text)
    }

    fn is_at_port(&self, rule: &PeerRule) -> bool {
        let is_here = |own: &PortRule| own.ports.iter().any(|port| self.is_at(port));
        rule.ports.as_ref().is_none_or(|ports| ports.iter().any(is_here))
    }

    /// The open port that is nearest by number.
    fn port(&self) -> Option<String> {
        let ports = self.rules().flat_map(|rule| rule.ports.iter().flatten());
        let numbers = ports.flat_map(|rule| {
            rule.ports.iter().filter_map(move |port| match port {
                Port::Numbers(PortRange { first, last }) => Some((&rule.path, *first, *last)),
                Port::Named(_) => None,
            })
        });
        let distance = |(_, first, last): &(&String, u16, u16)| {
            first.saturating_sub(self.port).max(self.port.saturating_sub(*last))
        };
        let (path, first, last) = numbers.min_by_key(distance)?;
        let range = PortRange { first, last };
        Some(format!("{path} is about port {range}"))
    }
}

/// Whether every value of the request is what a key wants, as far as that can
/// be told without an expression.
fn holds(key: &RuleKey, wanted: &str, request: &Request<'_>) -> bool {
    let Some(field) = request.field(key.field) else { return false };
    let is_wanted = |value: &[u8]| match key.kind {
        KeyKind::Word(words) => {
            let word = words.iter().find(|word| word.name == wanted);
            wanted.is_empty()
                || word.is_some_and(|word| word.covers.iter().any(|own| own.as_bytes() == value))
        }
        KeyKind::Exact => wanted.as_bytes() == value,
        KeyKind::Prefix => value.starts_with(wanted.as_bytes()),
        KeyKind::Regex => false,
    };
    Value::iter(field.value).all(is_wanted)
}

fn told(rule: &L7Rule, key: &RuleKey, wanted: &str, request: &Request<'_>) -> String {
    let field = key.field;
    let values = request.field(field).into_iter().flat_map(|own| Value::iter(own.value));
    let values: Vec<_> = values.map(String::from_utf8_lossy).collect();
    let would = format!("`{}: {wanted}` of {} would match", key.name, rule.path);
    match values.as_slice() {
        [] => format!("{would}; the request has no {field}"),
        some => format!("{would}; the {field} is `{}`", some.join(" ")),
    }
}
