//! What policies mean, in a hundred lines: slowly, and as plainly as can be.
//! Everything between their text and a decision has to agree.

use std::net::IpAddr;

use remora_policy::{
    Catalog, Labels, Mode, ObjectSelector, Peer, PeerRule, Peers, Policy, Port, PortRule, Prefix,
    Section, TrafficDirection,
};

use crate::reference::{Ask, Keys, Outcome, outcome};

/// Somebody at a port, in one direction.
pub(crate) struct Question<'a> {
    pub(crate) direction: TrafficDirection,
    pub(crate) pod: &'a Labels,
    pub(crate) peer: Option<&'a Labels>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) catalog: &'a Catalog,
}

impl Question<'_> {
    /// What the peer meets, and whether its request passes.
    pub(crate) fn judge(&self, policies: &[Policy], modes: &[Mode], ask: Ask<'_>) -> Outcome {
        let rules = policies.iter().flat_map(|policy| &policy.rules);
        let about = rules.filter(|r| modes.contains(&r.mode) && r.subject.matches(self.pod));
        let sections: Vec<&Section> = match self.direction {
            TrafficDirection::Ingress => about.filter_map(|rule| rule.ingress.as_ref()).collect(),
            TrafficDirection::Egress => about.filter_map(|rule| rule.egress.as_ref()).collect(),
        };
        if sections.is_empty() {
            return ("open", true);
        }
        if sections.iter().flat_map(|own| &own.deny).any(|rule| self.denies(rule)) {
            return ("denied", false);
        }
        let (mut open, mut filters, mut protocols) = (false, vec![], vec![]);
        for rule in sections.iter().flat_map(|own| &own.allow) {
            let meant = self.means(&rule.peers);
            open |= meant && rule.ports.is_none() && rule.peers != Peers::Any;
            for entry in rule.ports.iter().flatten().filter(|entry| self.is_at(entry)) {
                protocols.extend(entry.l7.as_ref().map(|l7| l7.protocol));
                match &entry.l7 {
                    None => open |= meant,
                    Some(l7) if meant => {
                        let keys: Vec<Keys> = l7.rules.iter().map(|own| own.keys.clone()).collect();
                        filters.push((l7.protocol, keys, vec![]));
                    }
                    Some(_) => {}
                }
            }
        }
        protocols.dedup();
        if protocols.len() > 1 {
            return ("denied", false);
        }
        // Whoever is unknown may be one whose requests are looked at.
        let unwatched = filters.is_empty() && (self.peer.is_some() || protocols.is_empty());
        open |= unwatched && sections.iter().all(|own| !own.default_deny);
        outcome(open, &filters, ask)
    }

    /// Whoever is unknown may be one who is denied.
    fn denies(&self, rule: &PeerRule) -> bool {
        let here = match &rule.ports {
            None => rule.peers != Peers::Any,
            Some(entries) => entries.iter().any(|entry| self.is_at(entry)),
        };
        let is_suspect = self.peer.is_none() && rule.peers != Peers::These(vec![]);
        here && (is_suspect || self.means(&rule.peers))
    }

    fn is_at(&self, entry: &PortRule) -> bool {
        entry.ports.iter().any(|port| match port {
            Port::Numbers(range) => range.first <= self.port && self.port <= range.last,
            Port::Named(name) => name == "web" && self.port == 82,
        })
    }

    fn means(&self, peers: &Peers) -> bool {
        let Peers::These(some) = peers else { return true };
        let inside =
            |prefix: &Prefix| self.address.is_some_and(|own| prefix.contains(&Prefix::host(own)));
        let is_role_b = |labels: &Labels| labels.iter().any(|label| label == ("k8s", "role", "b"));
        some.iter().any(|peer| match peer {
            Peer::Endpoints(selector) => self.peer.is_some_and(|own| selector.matches(own)),
            Peer::Cidr(cidr) => inside(&cidr.prefix) && !cidr.except.iter().any(inside),
            Peer::CidrGroups { groups: ObjectSelector::Named(name), except } => {
                let group = self.catalog.groups.get(name).and_then(Option::as_ref);
                let is_in = group.is_some_and(|group| group.prefixes.iter().any(inside));
                is_in && !except.iter().any(inside)
            }
            Peer::CidrGroups { .. } => false,
            // The only service is that of these pods.
            Peer::Services { .. } => self.peer.is_some_and(is_role_b),
        })
    }
}
