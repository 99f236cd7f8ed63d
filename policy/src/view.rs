//! What is known of the cluster when policies are resolved.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    labels::Labels,
    model::Rule,
    peers::{Cidr, ObjectSelector, Peer, Peers},
    prefix::Prefix,
    selector::Selector,
};

/// Everybody who can be recognised, and what rules may name besides.
#[derive(Debug, Clone, Copy)]
pub struct ClusterView<'a> {
    /// Who is who. A prefix that a rule names has to be among them.
    pub identities: &'a BTreeMap<u32, Identity>,
    /// What rules name by reference.
    pub catalog: &'a Catalog,
}

/// One identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its labels.
    pub labels: Labels,
    /// The names of its pods' ports.
    pub ports: NamedPorts,
}

impl From<Labels> for Identity {
    fn from(labels: Labels) -> Self {
        Self { labels, ports: NamedPorts::default() }
    }
}

/// The TCP ports that containers give a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedPorts {
    /// By name, what all pods mean by it.
    every: BTreeMap<String, BTreeSet<u16>>,
    /// By name, what some pod means by it.
    some: BTreeMap<String, BTreeSet<u16>>,
}

impl NamedPorts {
    /// The ports of one pod.
    pub fn of_pod(ports: impl IntoIterator<Item = (String, u16)>) -> Self {
        let mut every: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, port) in ports {
            every.entry(name.to_ascii_lowercase()).or_default().insert(port);
        }
        Self { some: every.clone(), every }
    }

    /// Those of several pods that cannot be told apart.
    pub fn merge(&mut self, other: &Self) {
        self.every.retain(|name, ports| {
            ports.retain(|port| other.every.get(name).is_some_and(|theirs| theirs.contains(port)));
            !ports.is_empty()
        });
        for (name, ports) in &other.some {
            self.some.entry(name.clone()).or_default().extend(ports);
        }
    }

    /// The ports that a rule means by a name. One that allows means what all
    /// pods call so, one that denies what any does.
    pub(crate) fn meant(&self, name: &str, denies: bool) -> impl Iterator<Item = u16> {
        let ports = if denies { &self.some } else { &self.every };
        ports.get(name).into_iter().flatten().copied()
    }
}

/// What rules name by reference.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// The `CiliumCIDRGroup`s by name; `None` could not be read.
    pub groups: BTreeMap<String, Option<CidrGroup>>,
    /// The Services by namespace and name; `None` could not be read.
    pub services: BTreeMap<(String, String), Option<ServiceBackends>>,
}

/// A `CiliumCIDRGroup`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CidrGroup {
    /// Its own labels.
    pub labels: Labels,
    /// What it holds.
    pub prefixes: Vec<Prefix>,
}

/// Who stands behind a Service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceBackends {
    /// The Service's own labels.
    pub labels: Labels,
    /// The labels of its pods; without them, its endpoints are given by hand.
    pub selector: Option<BTreeMap<String, String>>,
    /// The addresses of its endpoints.
    pub addresses: BTreeSet<IpAddr>,
}

/// Peers without references.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) selectors: Vec<Selector>,
    pub(crate) cidrs: Vec<Cidr>,
    /// Something that is referred to could not be read.
    pub(crate) is_partial: bool,
}

impl Resolved {
    /// Whether it means an identity.
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.selectors.iter().any(|selector| selector.matches(labels))
            || self.cidrs.iter().any(|cidr| cidr.matches(labels))
    }
}

impl Catalog {
    /// Looks up what peers refer to. What is not there means nobody.
    pub(crate) fn resolve(&self, peers: &[Peer]) -> Resolved {
        let mut resolved = Resolved::default();
        for peer in peers {
            match peer {
                Peer::Endpoints(selector) => resolved.selectors.push(selector.clone()),
                Peer::Cidr(cidr) => resolved.cidrs.push(cidr.clone()),
                Peer::CidrGroups { groups, except } => self.groups(groups, except, &mut resolved),
                Peer::Services { namespace, services } => {
                    self.services(namespace.as_deref(), services, &mut resolved);
                }
            }
        }
        resolved
    }

    fn groups(&self, wanted: &ObjectSelector, except: &[Prefix], resolved: &mut Resolved) {
        for (name, group) in &self.groups {
            match group {
                // It may have the labels, and may hold anything.
                None => resolved.is_partial |= wanted.may_mean(name),
                Some(group) if wanted.matches(name, &group.labels) => {
                    let halves = group.prefixes.iter().flat_map(|own| own.without_everything());
                    let cidr = |prefix| Cidr { prefix, except: except.to_vec() };
                    resolved.cidrs.extend(halves.map(cidr));
                }
                Some(_) => {}
            }
        }
    }

    fn services(&self, wanted: Option<&str>, services: &ObjectSelector, resolved: &mut Resolved) {
        for ((namespace, name), backends) in &self.services {
            if wanted.is_some_and(|wanted| wanted != namespace) {
                continue;
            }
            match backends {
                None => resolved.is_partial |= services.may_mean(name),
                Some(backends) if services.matches(name, &backends.labels) => {
                    backends.resolve(namespace, resolved);
                }
                Some(_) => {}
            }
        }
    }

    /// The parts of the world that a rule names, whether or not it means them.
    #[must_use]
    pub fn prefixes(&self, rule: &Rule) -> BTreeSet<Prefix> {
        let cidrs = named(rule).flat_map(|peers| self.resolve(peers).cidrs);
        cidrs.flat_map(|cidr| cidr.except.into_iter().chain([cidr.prefix])).collect()
    }

    /// The selectors by which a rule means its peers.
    #[must_use]
    pub fn selectors(&self, rule: &Rule) -> Vec<Selector> {
        named(rule).flat_map(|peers| self.resolve(peers).selectors).collect()
    }
}

/// The peers of all parts of a rule.
fn named(rule: &Rule) -> impl Iterator<Item = &[Peer]> {
    let sections = rule.ingress.iter().chain(&rule.egress);
    let rules = sections.flat_map(|section| section.allow.iter().chain(&section.deny));
    rules.filter_map(|rule| match &rule.peers {
        Peers::These(peers) => Some(peers.as_slice()),
        Peers::Any | Peers::Everybody => None,
    })
}

impl ServiceBackends {
    fn resolve(&self, namespace: &str, resolved: &mut Resolved) {
        match &self.selector {
            Some(labels) => {
                let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                resolved.selectors.push(Selector::of_labels(labels).within(namespace));
            }
            None => resolved.cidrs.extend(
                self.addresses
                    .iter()
                    .map(|address| Cidr { prefix: Prefix::host(*address), except: Vec::new() }),
            ),
        }
    }
}

impl ObjectSelector {
    fn may_mean(&self, name: &str) -> bool {
        match self {
            Self::Named(wanted) => wanted == name,
            Self::Labelled(_) => true,
        }
    }
}
