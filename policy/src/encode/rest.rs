//! What is allowed where no policy denies by default: everything that no
//! filter looks at.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::offers::{Effect, Offer, Offers};
use crate::{model::PortRange, view::Identity};

/// Opens every port to everybody, but to those whose requests are looked at
/// there: an opening beside a filter would void it. Who is unknown may be one
/// of them. Says whether it had to name everybody else.
pub(super) fn open(path: &str, known: &BTreeMap<u32, &Identity>, offers: &mut Offers<'_>) -> bool {
    let path = format!("{path} enableDefaultDeny");
    let rest: Vec<_> = segments(offers)
        .into_iter()
        .filter_map(|ports| {
            let filters: Vec<_> = offers
                .0
                .iter()
                .filter(|offer| offer.filter().is_some() && offer.ports.overlap(&ports).is_some())
                .collect();
            let peers = match filters.as_slice() {
                [] => None,
                _ => Some(Rc::new(others(&filters, known)?)),
            };
            Some(Offer { path: Cow::Owned(path.clone()), ports, peers, effect: Effect::Open })
        })
        .collect();
    let names = rest.iter().any(|offer| offer.peers.is_some());
    offers.0.extend(rest);
    names
}

/// Everybody whom none of these is about; none if one is about anybody.
fn others(filters: &[&Offer<'_>], known: &BTreeMap<u32, &Identity>) -> Option<BTreeSet<u32>> {
    let mut others: BTreeSet<u32> = known.keys().copied().collect();
    for filter in filters {
        let peers = filter.peers.as_deref()?;
        others.retain(|number| !peers.contains(number));
    }
    Some(others)
}

/// Every port, cut where a filter begins or ends.
fn segments(offers: &Offers<'_>) -> Vec<PortRange> {
    let mut starts = BTreeSet::from([1_u16]);
    for offer in offers.0.iter().filter(|offer| offer.filter().is_some()) {
        starts.insert(offer.ports.first.max(1));
        starts.extend(offer.ports.last.checked_add(1));
    }
    let ends = starts.iter().skip(1).map(|start| start.saturating_sub(1)).chain([u16::MAX]);
    let segments: Vec<_> =
        starts.iter().zip(ends).map(|(first, last)| PortRange { first: *first, last }).collect();
    match segments.as_slice() {
        [_] => vec![PortRange::ALL],
        _ => segments,
    }
}
