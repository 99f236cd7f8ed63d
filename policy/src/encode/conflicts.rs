//! Rules that exclude or void each other.

use std::{borrow::Cow, collections::BTreeMap};

use super::offers::{Effect, Offer, Offers};
use crate::model::PortRange;

/// Closes the ports that filters of two protocols are about: no server speaks
/// both, so one rule is wrong. Gives a warning for each.
pub(super) fn close(offers: &mut Offers<'_>) -> Vec<String> {
    let clashes = clashes(offers);
    let mut warnings = Vec::with_capacity(clashes.len());
    for (ports, clash) in clashes {
        warnings.push(format!("port {ports} is closed: {clash}"));
        let is_inside = |offer: &Offer<'_>| offer.ports.overlap(&ports) == Some(offer.ports);
        offers.0.retain(|offer| !is_inside(offer));
        offers.0.push(Offer { path: Cow::Owned(clash), ports, peers: None, effect: Effect::Deny });
    }
    warnings
}

/// The ports, and which rules see two protocols there.
fn clashes(offers: &Offers<'_>) -> BTreeMap<PortRange, String> {
    let mut filters: BTreeMap<(PortRange, &str), &str> = BTreeMap::new();
    for offer in &offers.0 {
        if let Some(filter) = offer.filter() {
            filters.entry((offer.ports, filter.protocol)).or_insert(&offer.path);
        }
    }
    let mut clashes = BTreeMap::new();
    for (index, ((ports, protocol), path)) in filters.iter().enumerate() {
        for ((theirs, another), other) in filters.iter().skip(index.saturating_add(1)) {
            if protocol == another {
                continue;
            }
            if let Some(both) = ports.overlap(theirs) {
                clashes
                    .entry(both)
                    .or_insert_with(|| format!("{path} says {protocol}, {other} says {another}"));
            }
        }
    }
    clashes
}

/// A rule that looks at no request voids a filter for the peers of both.
pub(super) fn voids(offers: &Offers<'_>) -> Vec<String> {
    let is_open = |offer: &&Offer<'_>| matches!(offer.effect, Effect::Open);
    let mut warnings = Vec::new();
    for filtered in offers.0.iter().filter(|offer| offer.filter().is_some()) {
        for open in offers.0.iter().filter(is_open).filter(|open| meet(open, filtered)) {
            warnings.push(format!(
                "{} allows any request on port {} and so voids {} for the peers of both",
                open.path, filtered.ports, filtered.path
            ));
        }
    }
    warnings
}

fn meet(one: &Offer<'_>, other: &Offer<'_>) -> bool {
    one.ports.overlap(&other.ports).is_some()
        && match (&one.peers, &other.peers) {
            (None, None) => true,
            (None, Some(some)) | (Some(some), None) => !some.is_empty(),
            (Some(ours), Some(theirs)) => !ours.is_disjoint(theirs),
        }
}
