//! The nearest miss: which rule would have let somebody in, or a request
//! through, and what it wanted.

use remora_parsers::{Registry, Request, Value};
use remora_policy::{
    L7Rule, Labels, Peer, PeerRule, Peers, PolicySet, Port, PortRange, Reason, Requirement,
    TrafficDirection,
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
            Reason::RequestUnmatched { nearest: Some((path, key)), .. } => {
                self.request(path, key, request)
            }
            Reason::PeerUnmatched { .. } => self.peer(),
            Reason::PortClosed { .. } => self.port(),
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

    fn request(&self, path: &str, key: &str, request: &Request<'_>) -> Option<String> {
        let filters = self.rules().flat_map(|rule| rule.ports.iter().flatten());
        let mut filters = filters.filter_map(|port| port.l7.as_ref());
        let (protocol, rule): (_, &L7Rule) = filters.find_map(|filter| {
            let rule = filter.rules.iter().find(|rule| rule.path == path)?;
            Some((Registry::BUILT_IN.find(filter.protocol)?, rule))
        })?;
        let wanted = rule.keys.get(key)?;
        let field = protocol.keys.iter().find(|own| own.name == key)?.field;
        let values = request.field(field).into_iter().flat_map(|own| Value::iter(own.value));
        let values: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        Some(match values.as_slice() {
            [] => format!("`{key}: {wanted}` of {path} would match; the request has no {field}"),
            some => format!(
                "`{key}: {wanted}` of {path} would match; the {field} is `{}`",
                some.join(" ")
            ),
        })
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
        let is_it = |port: &Port| matches!(port, Port::Numbers(own) if own.contains(self.port));
        rule.ports.as_ref().is_none_or(|ports| ports.iter().any(|own| own.ports.iter().any(is_it)))
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
