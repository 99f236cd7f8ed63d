//! The decisions. A deny beats every allow, wherever it stands; a rule that
//! looks at no request voids the filters beside it; what is left is open to
//! whom some rule lets through.

use std::sync::Arc;

use remora_parsers::{KeyKind, Protocol, Request, Value};

use super::{
    Admission, Decision, Effect, Filter, L7Rule, Reason, Rule, Ruling, Table, TrafficDirection,
};

/// The rules of a port that are about one peer, weighed.
#[derive(Default)]
struct Weighed<'a> {
    denied: Option<&'a Rule>,
    open: Option<(&'a Rule, &'a Reason)>,
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
        let Some(table) = self.table(direction) else {
            return Admission::Deny(Decision::dropped(None, Reason::NoPolicy));
        };
        if peer.is_none() && self.suspects.contain(direction, port) {
            return Admission::Deny(unmatched_peer(table, direction, port, peer));
        }
        let weighed = weigh(table, port, peer);
        if let Some(rule) = weighed.denied {
            return Admission::Deny(Decision::dropped(rule.name.as_ref(), Reason::PeerDenied));
        }
        if let (Some((rule, reason)), false) = (weighed.open, weighed.denies_requests) {
            return Admission::Opaque(Decision::forwarded(rule.name.as_ref(), reason.clone()));
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
        let Some(table) = self.table(direction) else {
            return Decision::dropped(None, Reason::NoPolicy);
        };
        if peer.is_none() && self.suspects.contain(direction, port) {
            return unmatched_peer(table, direction, port, peer);
        }
        let weighed = weigh(table, port, peer);
        if let Some(rule) = weighed.denied {
            return Decision::dropped(rule.name.as_ref(), Reason::PeerDenied);
        }
        if let (Some((rule, reason)), false) = (weighed.open, weighed.denies_requests) {
            return Decision::forwarded(rule.name.as_ref(), reason.clone());
        }
        match (weighed.protocol, weighed.other) {
            (Some(one), Some(other)) => return clash(port, one, other),
            (Some(now), None) if now.name != protocol => {
                return Decision::dropped(None, Reason::ProtocolChanged { now: now.name });
            }
            (Some(_), None) => {}
            _ => return unmatched_peer(table, direction, port, peer),
        }
        if let Some(rule) = denying(table, port, peer, request) {
            return Decision::dropped(rule.name.as_ref(), Reason::RequestDenied);
        }
        if let Some((rule, reason)) = weighed.open {
            return Decision::forwarded(rule.name.as_ref(), reason.clone());
        }
        match allowing(table, port, peer, request) {
            Some(rule) => Decision::forwarded(rule.name.as_ref(), Reason::RequestAllowed),
            None => unmatched_request(table, port, peer, request),
        }
    }

    fn table(&self, direction: TrafficDirection) -> Option<&Table> {
        self.tables.as_ref().map(|tables| match direction {
            TrafficDirection::Ingress => &tables.ingress,
            TrafficDirection::Egress => &tables.egress,
        })
    }
}

fn weigh(table: &Table, port: u16, peer: Option<u32>) -> Weighed<'_> {
    let mut weighed = Weighed::default();
    for rule in table.rules(port).filter(|rule| rule.is_about(peer)) {
        match &rule.effect {
            Effect::Deny => {
                weighed.denied.get_or_insert(rule);
            }
            Effect::Open(reason) => {
                weighed.open.get_or_insert((rule, reason));
            }
            Effect::Filter(filter) => {
                weighed.denies_requests |= !filter.deny.is_empty();
                match weighed.protocol {
                    None => weighed.protocol = Some(filter.protocol),
                    Some(one) if one.name == filter.protocol.name => {}
                    Some(_) => weighed.other = Some(filter.protocol),
                }
            }
        }
    }
    weighed
}

fn filters(table: &Table, port: u16, peer: Option<u32>) -> impl Iterator<Item = &Filter> {
    table.rules(port).filter(move |rule| rule.is_about(peer)).filter_map(|rule| {
        match &rule.effect {
            Effect::Filter(filter) => Some(filter),
            Effect::Deny | Effect::Open(_) => None,
        }
    })
}

fn denying<'a>(
    table: &'a Table,
    port: u16,
    peer: Option<u32>,
    request: &Request<'_>,
) -> Option<&'a L7Rule> {
    filters(table, port, peer).flat_map(|f| &f.deny).find(|rule| rule.matcher.denies(request))
}

fn allowing<'a>(
    table: &'a Table,
    port: u16,
    peer: Option<u32>,
    request: &Request<'_>,
) -> Option<&'a L7Rule> {
    filters(table, port, peer).flat_map(|f| &f.allow).find(|rule| rule.matcher.allows(request))
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
    let reason = if table.rules(port).next().is_none() {
        Reason::PortClosed { port, direction }
    } else {
        Reason::PeerUnmatched { port, peer }
    };
    Decision::dropped(None, reason)
}

/// Says what the request was in words of the protocol, never of the peer, and
/// which rule would have taken it but for the fewest keys.
fn unmatched_request(
    table: &Table,
    port: u16,
    peer: Option<u32>,
    request: &Request<'_>,
) -> Decision {
    let nearest = filters(table, port, peer)
        .flat_map(|filter| &filter.allow)
        .filter_map(|rule| {
            let mut misses = rule.matcher.misses(request);
            let first = misses.next()?;
            Some((misses.count(), Arc::clone(rule.name.as_ref()?), first))
        })
        .min_by_key(|(further, ..)| *further)
        .map(|(_, rule, key)| (rule, key));
    let words = filters(table, port, peer)
        .next()
        .map(|filter| fixed_words(filter.protocol, request))
        .unwrap_or_default();
    Decision::dropped(None, Reason::RequestUnmatched { words, nearest })
}

fn fixed_words(protocol: &Protocol, request: &Request<'_>) -> Vec<(&'static str, &'static str)> {
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
