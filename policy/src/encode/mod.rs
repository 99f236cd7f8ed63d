//! From policies to the slice of one endpoint.

mod conflicts;
mod offers;
mod rest;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use remora_api::cilium;

use crate::{
    labels::Labels,
    model::{Mode, Rule, Section},
    prefix::Prefix,
    refusal::Closed,
    set::PolicySet,
    slice::TrafficDirection,
    view::{ClusterView, Identity, NamedPorts},
};
use offers::Offers;

/// The endpoint whose slice is made.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// Its number, for NPDS.
    pub id: u64,
    /// Its addresses, of either family.
    pub ips: &'a [IpAddr],
    /// Its labels.
    pub labels: &'a Labels,
    /// The names of its ports.
    pub ports: &'a NamedPorts,
}

/// One endpoint's slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// What goes over the wire.
    pub policy: cilium::NetworkPolicy,
    /// The identities whose addresses the endpoint needs: those that its rules
    /// name, and everybody where it matters who somebody is not.
    pub identities: BTreeSet<u32>,
    /// Whether everybody who can be known makes a difference to it.
    pub names_everybody: bool,
    /// Whether a policy in force restricts what it may reach.
    pub restricts_egress: bool,
    /// What the authors of the endpoint's policies should know: rules that
    /// void or exclude each other, be they of one policy or of several.
    pub warnings: Vec<String>,
}

/// The reserved identity that nobody has. A rule that denies whom nobody is yet
/// names it: who is unknown might be the first.
pub(crate) const NOBODY: u32 = 255;

/// What the API server is, wherever it is.
const API_SERVER: &str = "kube-apiserver";

/// Makes the slice of `endpoint`.
///
/// Where rules of different policies see two L7 protocols on one port, the
/// port is denied to everybody, and a warning says so.
#[must_use]
pub fn encode(policies: &PolicySet, endpoint: &Endpoint<'_>, view: &ClusterView<'_>) -> Encoded {
    let rules: Vec<_> = policies.about(endpoint.labels).collect();
    let known = known(view, &rules);
    // What a rule excepts it does not name, and it has to be told apart all the same.
    let parts = known.iter().filter(|(_, identity)| identity.labels.prefix().is_some());
    let mut encoder = Encoder {
        policies,
        endpoint,
        view,
        named: parts.map(|(number, _)| *number).collect(),
        names_everybody: false,
        known,
        rules,
        warnings: Vec::new(),
    };
    let [ingress, egress] = encoder.both(&[Mode::Enforce]);
    let is_audited = encoder.rules.iter().any(|rule| rule.mode == Mode::Audit);
    let audit = is_audited.then(|| {
        let [ingress, egress] = encoder.both(&[Mode::Enforce, Mode::Audit]);
        cilium::AuditPolicy { ingress_per_port_policies: ingress, egress_per_port_policies: egress }
    });
    let is_open = |ports: &[cilium::PortNetworkPolicy]| *ports == wire::open();
    let restricts_egress = !is_open(&egress)
        || audit.as_ref().is_some_and(|own| !is_open(&own.egress_per_port_policies));
    Encoded {
        identities: encoder.named,
        names_everybody: encoder.names_everybody,
        restricts_egress,
        policy: cilium::NetworkPolicy {
            endpoint_ips: endpoint.ips.iter().map(ToString::to_string).collect(),
            endpoint_id: endpoint.id,
            ingress_per_port_policies: ingress,
            egress_per_port_policies: egress,
            audit,
        },
        warnings: encoder.warnings,
    }
}

/// Everybody whom rules about the endpoint can mean: a part of the world that
/// only other rules name is no part of its world.
fn known<'a>(view: &ClusterView<'a>, rules: &[&Rule]) -> BTreeMap<u32, &'a Identity> {
    let prefixes: BTreeSet<Prefix> =
        rules.iter().flat_map(|rule| view.catalog.prefixes(rule)).collect();
    let is_ours = |identity: &Identity| {
        let labels = &identity.labels;
        let is_ours = |prefix| prefixes.contains(&prefix) || labels.is_reserved(API_SERVER);
        labels.prefix().is_none_or(is_ours)
    };
    let all = view.identities.iter();
    all.filter(|(_, identity)| is_ours(identity)).map(|(number, own)| (*number, own)).collect()
}

/// Makes one slice.
struct Encoder<'a> {
    policies: &'a PolicySet,
    endpoint: &'a Endpoint<'a>,
    view: &'a ClusterView<'a>,
    /// The rules about the endpoint.
    rules: Vec<&'a Rule>,
    known: BTreeMap<u32, &'a Identity>,
    named: BTreeSet<u32>,
    names_everybody: bool,
    warnings: Vec<String>,
}

impl<'a> Encoder<'a> {
    fn both(&mut self, modes: &[Mode]) -> [Vec<cilium::PortNetworkPolicy>; 2] {
        [TrafficDirection::Ingress, TrafficDirection::Egress]
            .map(|direction| self.direction(direction, modes))
    }

    /// What the policies in these modes say of one direction.
    fn direction(
        &mut self,
        direction: TrafficDirection,
        modes: &[Mode],
    ) -> Vec<cilium::PortNetworkPolicy> {
        if let Some(name) = self.closed(direction) {
            return wire::closed(name);
        }
        let sections: Vec<(&'a Rule, &'a Section)> = self
            .rules
            .iter()
            .filter(|rule| modes.contains(&rule.mode))
            .filter_map(|rule| Some((*rule, section(rule, direction)?)))
            .collect();
        if sections.is_empty() {
            return wire::open();
        }
        let mut offers = Offers::default();
        for (_, section) in &sections {
            section.deny.iter().for_each(|rule| self.offer(rule, direction, true, &mut offers));
            section.allow.iter().for_each(|rule| self.offer(rule, direction, false, &mut offers));
        }
        self.warn(conflicts::voids(&offers));
        if sections.iter().all(|(_, section)| !section.default_deny)
            && let Some((rule, _)) = sections.first()
        {
            self.names_everybody |= rest::open(&rule.path, &self.known, &mut offers);
        }
        self.warn(conflicts::close(&mut offers));
        self.name(&offers);
        wire::ports(offers)
    }

    /// The refused policy that closes the endpoint's direction, as a rule's name.
    fn closed(&self, direction: TrafficDirection) -> Option<String> {
        let is_about = |closed: &Closed| match direction {
            TrafficDirection::Ingress => closed.ingress,
            TrafficDirection::Egress => closed.egress,
        };
        self.policies
            .closed()
            .find(|(_, closed)| is_about(closed) && closed.covers(self.endpoint.labels))
            .map(|(refused, _)| format!("{} (refused)", refused.name))
    }

    /// Notes whose addresses the endpoint needs. Where some are denied and
    /// anybody else is not, that is everybody's: who is unknown is denied.
    fn name(&mut self, offers: &Offers<'_>) {
        self.named.extend(offers.peers());
        self.named.remove(&NOBODY);
        if offers.excludes() {
            self.names_everybody = true;
            self.named.extend(self.known.keys());
        }
    }

    fn warn(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }
}

fn section(rule: &Rule, direction: TrafficDirection) -> Option<&Section> {
    match direction {
        TrafficDirection::Ingress => rule.ingress.as_ref(),
        TrafficDirection::Egress => rule.egress.as_ref(),
    }
}
