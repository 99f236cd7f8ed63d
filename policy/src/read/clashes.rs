//! Rules of one policy that exclude or void each other.

use remora_manifest::Field;

use super::Reader;
use crate::model::{L7Filter, PeerRule, Port, PortRange, Rule, Section};

/// How many ports the entries of one policy may name, each as often as it is.
pub(super) const MAX_PORT_RULES: usize = 2048;

/// One rule's say on one port, or on all of them.
struct Say<'m> {
    subject: &'m crate::Selector,
    rule: &'m PeerRule,
    path: &'m str,
    port: Port,
    l7: Option<&'m L7Filter>,
}

impl Reader<'_> {
    /// Refuses two protocols on one port, and warns of a rule that looks at no
    /// request beside one that does. Selectors are compared as they are
    /// written; what only the labels of real pods bring together is found when
    /// a slice is made.
    pub(super) fn clashes(&mut self, rules: &[Rule], root: &Field<'_>) {
        let sections = |section: fn(&Rule) -> Option<&Section>| -> Vec<Say<'_>> {
            let sections = rules.iter().filter_map(|rule| Some((rule, section(rule)?)));
            sections.flat_map(|(rule, section)| says(rule, section)).collect()
        };
        self.clashes_of(&sections(|rule| rule.ingress.as_ref()), root);
        self.clashes_of(&sections(|rule| rule.egress.as_ref()), root);
    }

    fn clashes_of(&mut self, says: &[Say<'_>], root: &Field<'_>) {
        if says.len() > MAX_PORT_RULES {
            let message = format!(
                "has {} rules for ports; at most {MAX_PORT_RULES} are taken: split it",
                says.len()
            );
            return self.report.refuse(root, message);
        }
        for (index, one) in says.iter().enumerate() {
            for other in says.iter().skip(index.saturating_add(1)).filter(|other| one.meets(other))
            {
                match (one.l7, other.l7) {
                    (Some(l7), Some(also)) if l7.protocol != also.protocol => {
                        self.two_protocols(one, other, l7.protocol);
                    }
                    (None, Some(_)) => self.void(one, other),
                    (Some(_), None) => self.void(other, one),
                    _ => {}
                }
            }
        }
    }

    fn two_protocols(&mut self, one: &Say<'_>, other: &Say<'_>, protocol: &str) {
        let Some(place) = self.places.get(other.path) else { return };
        let message = format!(
            "another protocol than {protocol}, which {} says for the same port; a port has one",
            one.path
        );
        self.report.refuse(&place.clone(), message);
    }

    fn void(&mut self, open: &Say<'_>, filtered: &Say<'_>) {
        let same_peers = open.rule.peers.overlap(&filtered.rule.peers);
        let Some(place) = self.places.get(open.path).filter(|_| same_peers) else { return };
        let message = format!(
            "allows any request and so voids {}; remove it, or give it peers or ports of its own",
            filtered.path
        );
        self.report.warn(&place.clone(), message);
    }
}

impl Say<'_> {
    /// Whether both are about the same port of the same endpoints.
    fn meets(&self, other: &Say<'_>) -> bool {
        let ports = match (&self.port, &other.port) {
            (Port::Numbers(ours), Port::Numbers(theirs)) => ours.overlap(theirs).is_some(),
            (one, other) => one == other || [one, other].contains(&&Port::Numbers(PortRange::ALL)),
        };
        ports && (self.subject.includes(other.subject) || other.subject.includes(self.subject))
    }
}

fn says<'m>(rule: &'m Rule, section: &'m Section) -> Vec<Say<'m>> {
    let mut says = Vec::new();
    let subject = &rule.subject;
    for rule in section.allow.iter().filter(|rule| !rule.is_empty()) {
        let Some(port_rules) = &rule.ports else {
            let (path, port) = (&rule.path, Port::Numbers(PortRange::ALL));
            says.push(Say { subject, rule, path, port, l7: None });
            continue;
        };
        for port_rule in port_rules {
            let l7 = port_rule.l7.as_ref();
            let path = &port_rule.path;
            let ports = port_rule.ports.iter().cloned();
            says.extend(ports.map(|port| Say { subject, rule, path, port, l7 }));
        }
    }
    says
}
