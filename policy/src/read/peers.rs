//! Whom a rule means: endpoints, entities, addresses and services.

use remora_manifest::Field;
use remora_parsers::nearest;

use super::{Reader, rule::List, schema};
use crate::{
    peers::{Cidr, ObjectSelector, Peer, Peers},
    prefix::Prefix,
    selector::Selector,
    slice::TrafficDirection,
};

/// The entities that somebody can be recognised as.
pub(super) const RECOGNISED: [&str; 4] = ["host", "remote-node", "kube-apiserver", "world"];

/// Those of Cilium's own making: nobody here is one.
const NOBODY: [&str; 5] = ["init", "ingress", "health", "unmanaged", "none"];

/// All entities.
const ENTITIES: [&str; 13] = [
    "all",
    "cluster",
    "world",
    "world-ipv4",
    "world-ipv6",
    "host",
    "remote-node",
    "kube-apiserver",
    "init",
    "ingress",
    "health",
    "unmanaged",
    "none",
];

/// How many addresses a rule may name, with their exceptions.
const MAX_CIDRS: usize = 4096;

impl<'a> Reader<'a> {
    /// The peers of one rule. It may say in one way only whom it means.
    pub(super) fn peers(&mut self, field: &Field<'a>, list: List) -> Option<Peers> {
        let names = list.schema.read.iter().filter(|name| **name != "toPorts");
        let mut given = Vec::new();
        for name in names {
            given.extend(self.report.accept(field.get_given(name))?.map(|own| (*name, own)));
        }
        let (name, peers) = match given.as_slice() {
            [] => return self.is_silent(field, list).then_some(Peers::Any),
            [only] => only,
            [(first, _), (_, another), ..] => {
                let message = format!("stands beside `{first}`; write a rule for each of them");
                self.report.refuse(another, message);
                return None;
            }
        };
        let items: Vec<_> = self.report.accept(peers.items())?.collect();
        if items.is_empty() {
            let remedy = if list.denies { "add some" } else { "leave it out to allow everybody" };
            self.report.warn(peers, format!("selects nobody; {remedy}"));
        }
        if items.len() > MAX_CIDRS {
            let message = format!("has {} entries; at most {MAX_CIDRS} are taken", items.len());
            self.report.refuse(peers, message);
            return None;
        }
        let mut read = Some(Vec::new());
        for item in &items {
            let peers = match *name {
                "fromEndpoints" | "toEndpoints" => {
                    self.peer(item, list.denies).map(|selector| vec![Peer::Endpoints(selector)])
                }
                "fromEntities" | "toEntities" => match self.entity(item, list.denies) {
                    Some(Peers::These(peers)) => Some(peers),
                    Some(everybody) if read.is_some() => return Some(everybody),
                    _ => None,
                },
                "fromCIDR" | "toCIDR" => self.cidr(item).map(|prefix| whole(prefix, &[])),
                "toServices" => self.services(item).map(|services| vec![services]),
                _ => self.cidr_rule(item),
            };
            read = read.zip(peers).map(|(mut read, peers)| {
                read.extend(peers);
                read
            });
        }
        read.map(Peers::These)
    }

    /// Whether no field says who is meant, not even in a way that is refused.
    fn is_silent(&self, field: &Field<'_>, list: List) -> bool {
        let prefix = match list.direction {
            TrafficDirection::Ingress => "from",
            TrafficDirection::Egress => "to",
        };
        field.entries().is_ok_and(|mut entries| {
            !entries.any(|(key, _)| key.name.starts_with(prefix) && key.name != "toPorts")
        })
    }

    fn entity(&mut self, field: &Field<'_>, denies: bool) -> Option<Peers> {
        let name = self.report.accept(field.string())?;
        let peers = match name {
            "all" => return Some(Peers::Everybody),
            "cluster" => vec![
                Peer::Endpoints(Selector::default().within_the_cluster()),
                Peer::Endpoints(Selector::reserved("host")),
                Peer::Endpoints(Selector::reserved("remote-node")),
                Peer::Endpoints(Selector::reserved("kube-apiserver")),
            ],
            "world-ipv4" => whole(Prefix::masked([0, 0, 0, 0].into(), 0), &[]),
            "world-ipv6" => whole(Prefix::masked([0_u16; 8].into(), 0), &[]),
            known if RECOGNISED.contains(&known) => {
                vec![Peer::Endpoints(Selector::reserved(known))]
            }
            nobody if NOBODY.contains(&nobody) => {
                self.nobody(field, nobody, denies)?;
                Vec::new()
            }
            _ => {
                let hint = nearest(name, ENTITIES)
                    .map(|known| format!("; did you mean `{known}`?"))
                    .unwrap_or_default();
                let message = format!("is no entity{hint} (known: {})", ENTITIES.join(", "));
                self.report.refuse(field, message);
                return None;
            }
        };
        Some(Peers::These(peers))
    }

    /// Somebody whom only Cilium knows. Allowing nobody is what it comes to;
    /// a rule that denies them cannot be kept.
    pub(super) fn nobody(&mut self, field: &Field<'_>, name: &str, denies: bool) -> Option<()> {
        if denies && name != "none" {
            let message = format!(
                "`{name}` cannot be told from others here, so it cannot be denied; remove it"
            );
            self.report.refuse(field, message);
            return None;
        }
        self.report.warn(field, format!("`{name}` is nobody here: only Cilium has such endpoints"));
        Some(())
    }

    /// An entry of `fromCIDRSet` or `toCIDRSet`.
    fn cidr_rule(&mut self, field: &Field<'_>) -> Option<Vec<Peer>> {
        if !self.report.fields(field, &schema::CIDR_RULE) {
            return None;
        }
        let except = match self.report.accept(field.get_given("except"))? {
            Some(except) => self.except(&except)?,
            None => Vec::new(),
        };
        let ways = ["cidr", "cidrGroupRef", "cidrGroupSelector"];
        let given: Vec<_> = ways.iter().filter_map(|way| field.get_given(way).ok()?).collect();
        let [way] = given.as_slice() else {
            let message = "has to have one of `cidr`, `cidrGroupRef` and `cidrGroupSelector`";
            self.report.refuse(field, message);
            return None;
        };
        let groups = if way.path == field.path.key("cidr") {
            let prefix = self.cidr(way)?;
            self.check_except(field, prefix, &except)?;
            return Some(whole(prefix, &except));
        } else if way.path == field.path.key("cidrGroupRef") {
            ObjectSelector::Named(self.report.accept(way.string())?.to_owned())
        } else {
            ObjectSelector::Labelled(self.selector(way)?)
        };
        let except = except.iter().flat_map(|own| own.without_everything()).collect();
        Some(vec![Peer::CidrGroups { groups, except }])
    }

    fn except(&mut self, field: &Field<'_>) -> Option<Vec<Prefix>> {
        let items: Vec<_> = self.report.accept(field.items())?.collect();
        let read: Vec<_> = items.iter().filter_map(|item| self.cidr(item)).collect();
        (read.len() == items.len() && read.len() <= MAX_CIDRS).then_some(read)
    }

    fn check_except(&mut self, field: &Field<'_>, own: Prefix, except: &[Prefix]) -> Option<()> {
        let Some(stranger) = except.iter().find(|except| !own.contains(except)) else {
            return Some(());
        };
        let message = format!("`except` names {stranger}, which is not in {own}; remove it");
        self.report.refuse(field, message);
        None
    }

    fn cidr(&mut self, field: &Field<'_>) -> Option<Prefix> {
        let text = self.report.accept(field.string())?;
        let Ok(prefix) = Prefix::read(text) else {
            let message = "is no range of addresses; write one such as 10.1.0.0/16";
            self.report.refuse(field, message);
            return None;
        };
        if text.contains('/') && prefix.to_string() != text.to_ascii_lowercase() {
            self.report.warn(field, format!("is read as {prefix}"));
        }
        Some(prefix)
    }

    /// An entry of `toServices`.
    fn services(&mut self, field: &Field<'_>) -> Option<Peer> {
        if !self.report.fields(field, &schema::SERVICE) {
            return None;
        }
        let named = self.report.accept(field.get_given("k8sService"))?;
        let labelled = self.report.accept(field.get_given("k8sServiceSelector"))?;
        let (field, services) = match (named, labelled) {
            (Some(named), None) => {
                self.report.fields(&named, &schema::NAMED_SERVICE).then_some(())?;
                let name = self.report.accept(named.require("serviceName"))?;
                let name = self.report.accept(name.string())?.to_owned();
                (named, ObjectSelector::Named(name))
            }
            (None, Some(labelled)) => {
                self.report.fields(&labelled, &schema::LABELLED_SERVICES).then_some(())?;
                let selector = self.report.accept(labelled.require("selector"))?;
                let selector = ObjectSelector::Labelled(self.selector(&selector)?);
                (labelled, selector)
            }
            _ => {
                let message = "has to have one of `k8sService` and `k8sServiceSelector`";
                self.report.refuse(field, message);
                return None;
            }
        };
        let namespace = match self.report.accept(field.get_given("namespace"))? {
            Some(namespace) => Some(self.report.accept(namespace.string())?.to_owned()),
            None => None,
        };
        // An empty one is as good as none.
        let namespace = namespace.filter(|name| !name.is_empty());
        if namespace.is_none() {
            self.report.warn(&field, "means services of every namespace; add `namespace`");
        }
        Some(Peer::Services { namespace, services })
    }
}

/// A prefix, in halves if it is everything.
fn whole(prefix: Prefix, except: &[Prefix]) -> Vec<Peer> {
    let except: Vec<_> = except.iter().flat_map(|own| own.without_everything()).collect();
    let cidr = |prefix| Peer::Cidr(Cidr { prefix, except: except.clone() });
    prefix.without_everything().map(cidr).collect()
}
