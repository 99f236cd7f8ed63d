//! The decisions. A deny beats every allow, wherever it stands; a rule that
//! looks at no request voids the filters beside it; what is left is open to
//! whom some rule lets through.

use remora_parsers::{KeyKind, Protocol, Request, Value};

use super::{
    Admission, Decision, Reason, Ruling, TrafficDirection,
    index::{Found, Near, earlier},
    peers::Standing,
    table::Table,
};
use crate::pattern::PatternSet;

/// The rules of a port that are about one peer, weighed.
#[derive(Default)]
struct Weighed {
    denied: Option<u32>,
    open: Option<u32>,
    /// The protocol that requests are judged in.
    protocol: Option<&'static Protocol>,
    /// Another one that rules see on the port.
    other: Option<&'static Protocol>,
    /// Some rule may deny a request.
    denies_requests: bool,
}

impl Ruling {
    /// What a connection may do. `peer` is `None` where its identity is
    /// unknown: then only rules that are about everybody are about it.
    pub(super) fn connection(
        &self,
        direction: TrafficDirection,
        port: u16,
        peer: Option<u32>,
    ) -> Admission {
        let Some((table, _)) = self.table(direction) else {
            return Admission::Deny(Decision::dropped(None, Reason::NoPolicy));
        };
        let weighed = weigh(table.standings(port, peer));
        let whatever = weighed.whatever_is_asked(table);
        if self.suspects(direction, port, peer, whatever.as_ref()) {
            return Admission::Deny(unmatched_peer(table, direction, port, peer));
        }
        if let Some(decision) = whatever {
            return match decision.is_forwarded() {
                true => Admission::Opaque(decision),
                false => Admission::Deny(decision),
            };
        }
        match (weighed.protocol, weighed.other) {
            (Some(one), Some(other)) => Admission::Deny(clash(port, one, other)),
            (Some(protocol), None) => Admission::Parse(protocol),
            _ => Admission::Deny(unmatched_peer(table, direction, port, peer)),
        }
    }

    /// Whether a request may pass. Port and peer are judged anew, so that a
    /// connection that began under another slice is held to this one.
    pub(super) fn request(
        &self,
        direction: TrafficDirection,
        port: u16,
        peer: Option<u32>,
        protocol: &str,
        request: &Request<'_>,
    ) -> Decision {
        let Some((table, patterns)) = self.table(direction) else {
            return Decision::dropped(None, Reason::NoPolicy);
        };
        let standings = table.standings(port, peer);
        let weighed = weigh(standings.clone());
        let whatever = weighed.whatever_is_asked(table);
        if self.suspects(direction, port, peer, whatever.as_ref()) {
            return unmatched_peer(table, direction, port, peer);
        }
        if let Some(decision) = whatever {
            return decision;
        }
        let now = match (weighed.protocol, weighed.other) {
            (Some(one), Some(other)) => return clash(port, one, other),
            (Some(now), None) if now.name != protocol => {
                return Decision::dropped(None, Reason::ProtocolChanged { now: now.name });
            }
            (Some(now), None) => now,
            _ => return unmatched_peer(table, direction, port, peer),
        };
        let filters = standings.flat_map(|standing| &standing.filters);
        let denials = filters.clone().filter_map(|filters| filters.deny.as_ref());
        if let Some(rule) = denials.filter_map(|deny| deny.denying(request, patterns)).min() {
            return Decision::dropped(table.denying(rule), Reason::RequestDenied);
        }
        if let Some(rule) = weighed.open {
            return Decision::forwarded(table.name(rule), table.opening(rule));
        }
        let mut found = Found::default();
        for filters in filters {
            let Found { rule, near } = filters.allow.allowing(request, patterns);
            found.offer(rule, near);
        }
        match found.rule {
            Some(rule) => Decision::forwarded(table.allowing(rule), Reason::RequestAllowed),
            None => unmatched_request(table, now, request, found.near),
        }
    }

    /// Whether an unknown peer that might pass might be one who is denied by name.
    fn suspects(
        &self,
        direction: TrafficDirection,
        port: u16,
        peer: Option<u32>,
        whatever: Option<&Decision>,
    ) -> bool {
        peer.is_none()
            && whatever.is_none_or(Decision::is_forwarded)
            && self.suspects.contain(direction, port)
    }

    fn table(&self, direction: TrafficDirection) -> Option<(&Table, &PatternSet)> {
        self.tables.as_ref().map(|tables| match direction {
            TrafficDirection::Ingress => (&tables.ingress, &tables.patterns),
            TrafficDirection::Egress => (&tables.egress, &tables.patterns),
        })
    }
}

impl Weighed {
    /// The decision, where it is the same for every request.
    fn whatever_is_asked(&self, table: &Table) -> Option<Decision> {
        if let Some(rule) = self.denied {
            return Some(Decision::dropped(table.name(rule), Reason::PeerDenied));
        }
        let open = self.open.filter(|_| !self.denies_requests);
        open.map(|rule| Decision::forwarded(table.name(rule), table.opening(rule)))
    }
}

/// Of two protocols that do not agree, the one that is named first is told,
/// and the last of the others.
fn weigh<'a>(standings: impl Iterator<Item = &'a Standing> + Clone) -> Weighed {
    let mut weighed = Weighed::default();
    for standing in standings.clone() {
        weighed.denied = earlier(weighed.denied, standing.denied);
        weighed.open = earlier(weighed.open, standing.open);
        weighed.denies_requests |= standing.denies_requests;
    }
    let seen = standings.flat_map(|standing| &standing.protocols);
    weighed.protocol = seen.clone().min_by_key(|seen| seen.first).map(|seen| seen.protocol);
    let others = seen.filter(|seen| weighed.protocol.is_some_and(|p| p.name != seen.protocol.name));
    weighed.other = others.max_by_key(|seen| seen.last).map(|seen| seen.protocol);
    weighed
}

fn clash(port: u16, one: &Protocol, other: &Protocol) -> Decision {
    Decision::dropped(None, Reason::ProtocolsClash { port, one: one.name, other: other.name })
}

fn unmatched_peer(
    table: &Table,
    direction: TrafficDirection,
    port: u16,
    peer: Option<u32>,
) -> Decision {
    let reason = if table.knows(port) {
        Reason::PeerUnmatched { port, peer }
    } else {
        Reason::PortClosed { port, direction }
    };
    Decision::dropped(None, reason)
}

/// Says what the request was in words of the protocol, never of the peer, and
/// which rule would have taken it but for the fewest keys.
fn unmatched_request(
    table: &Table,
    protocol: &Protocol,
    request: &Request<'_>,
    near: Option<Near>,
) -> Decision {
    let nearest = near.and_then(|near| Some((table.allowing(near.rule)?.clone(), near.key.name)));
    let words = fixed_words(protocol, request);
    Decision::dropped(None, Reason::RequestUnmatched { words, nearest })
}

pub(super) fn fixed_words(
    protocol: &Protocol,
    request: &Request<'_>,
) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for key in protocol.keys {
        let KeyKind::Word(words) = key.kind else { continue };
        let values = request.field(key.field).into_iter().flat_map(|f| Value::iter(f.value));
        let known = words.iter().flat_map(|word| word.covers).copied();
        for value in values.take(1) {
            found.extend(known.clone().find(|w| w.as_bytes() == value).map(|w| (key.name, w)));
        }
    }
    found
}
