//! What the rules about an endpoint say, port by port, about identities.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{Encoder, NOBODY};
use crate::{
    model::{L7Filter, PeerRule, Port, PortRange},
    peers::Peers,
    slice::TrafficDirection,
};

/// One rule's say on some ports.
#[derive(Debug, Clone)]
pub(super) struct Offer<'a> {
    pub(super) path: Cow<'a, str>,
    pub(super) ports: PortRange,
    /// `None` is anybody.
    pub(super) peers: Option<Rc<BTreeSet<u32>>>,
    pub(super) effect: Effect<'a>,
}

/// What a rule does with those whom it means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effect<'a> {
    Deny,
    /// Whatever they send passes.
    Open,
    /// Their requests are looked at.
    Filter(&'a L7Filter),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Offers<'a>(pub(super) Vec<Offer<'a>>);

impl Offer<'_> {
    pub(super) fn denies(&self) -> bool {
        matches!(self.effect, Effect::Deny)
    }

    pub(super) fn filter(&self) -> Option<&L7Filter> {
        if let Effect::Filter(filter) = self.effect { Some(filter) } else { None }
    }
}

impl Offers<'_> {
    /// Whom they name.
    pub(super) fn peers(&self) -> impl Iterator<Item = u32> {
        self.0.iter().filter_map(|offer| offer.peers.as_deref()).flatten().copied()
    }

    /// Whether somebody is denied what anybody else may.
    pub(super) fn excludes(&self) -> bool {
        let mut offers = self.0.iter();
        offers.any(|offer| offer.denies() && offer.peers.is_some())
            && self.0.iter().any(|offer| !offer.denies() && offer.peers.is_none())
    }
}

impl<'a> Encoder<'a> {
    /// What one rule says.
    pub(super) fn offer(
        &mut self,
        rule: &'a PeerRule,
        direction: TrafficDirection,
        denies: bool,
        offers: &mut Offers<'a>,
    ) {
        if rule.is_empty() {
            return;
        }
        let peers = self.peers(&rule.peers, denies);
        let open = if denies { Effect::Deny } else { Effect::Open };
        let Some(port_rules) = &rule.ports else {
            let path = Cow::Borrowed(rule.path.as_str());
            offers.0.push(Offer { path, ports: PortRange::ALL, peers, effect: open });
            return;
        };
        for port_rule in port_rules {
            let effect = port_rule.l7.as_ref().map_or(open, Effect::Filter);
            let offer = Offer {
                path: Cow::Borrowed(port_rule.path.as_str()),
                ports: PortRange::ALL,
                peers: peers.clone(),
                effect,
            };
            for port in &port_rule.ports {
                match (port, direction) {
                    (Port::Numbers(ports), _) => {
                        offers.0.push(Offer { ports: *ports, ..offer.clone() });
                    }
                    (Port::Named(name), TrafficDirection::Ingress) => {
                        self.own_port(name, &offer, offers);
                    }
                    (Port::Named(name), TrafficDirection::Egress) => {
                        self.their_ports(name, &offer, offers);
                    }
                }
            }
        }
    }

    /// Who is meant: `None` is anybody.
    fn peers(&self, peers: &Peers, denies: bool) -> Option<Rc<BTreeSet<u32>>> {
        let Peers::These(peers) = peers else { return None };
        let resolved = self.view.catalog.resolve(peers);
        if denies && resolved.is_partial {
            return None;
        }
        let mut meant: BTreeSet<u32> = self
            .known
            .iter()
            .filter(|(_, identity)| resolved.matches(&identity.labels))
            .map(|(number, _)| *number)
            .collect();
        if denies && !peers.is_empty() {
            meant.insert(NOBODY);
        }
        Some(Rc::new(meant))
    }

    /// A port that the endpoint's own containers name.
    fn own_port(&mut self, name: &str, offer: &Offer<'a>, offers: &mut Offers<'a>) {
        let before = offers.0.len();
        let ports = self.endpoint.ports.meant(name, offer.denies());
        let at = |port| Offer { ports: PortRange::one(port), ..offer.clone() };
        offers.0.extend(ports.map(at));
        if offers.0.len() == before {
            let path = &offer.path;
            self.warn(vec![format!("{path}: no container of the pod has a TCP port `{name}`")]);
        }
    }

    /// A port that the containers of each peer name.
    fn their_ports(&mut self, name: &str, offer: &Offer<'a>, offers: &mut Offers<'a>) {
        self.names_everybody |= offer.peers.is_none();
        let mut by_port: BTreeMap<u16, BTreeSet<u32>> = BTreeMap::new();
        for (number, identity) in &self.known {
            if offer.peers.as_ref().is_none_or(|peers| peers.contains(number)) {
                for port in identity.ports.meant(name, offer.denies()) {
                    by_port.entry(port).or_default().insert(*number);
                }
            }
        }
        let at = |(port, peers)| Offer {
            ports: PortRange::one(port),
            peers: Some(Rc::new(peers)),
            ..offer.clone()
        };
        offers.0.extend(by_port.into_iter().map(at));
        if offer.denies() {
            // Whoever is unknown may call any port so.
            let nobody = Some(Rc::new(BTreeSet::from([NOBODY])));
            offers.0.push(Offer { peers: nobody, ..offer.clone() });
        }
    }
}
