//! `spec`: whom it is about, and its two directions.

use remora_manifest::{Field, Node, Value};

use super::{Reader, schema};
use crate::{
    model::{Mode, PeerRule, PolicyKind, Rule, Section},
    refusal::Closed,
    selector::Selector,
    slice::TrafficDirection,
};

/// One of the four lists of rules.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub(super) name: &'static str,
    pub(super) direction: TrafficDirection,
    pub(super) denies: bool,
    pub(super) schema: &'static schema::Schema,
}

const INGRESS: List = List {
    name: "ingress",
    direction: TrafficDirection::Ingress,
    denies: false,
    schema: &schema::INGRESS,
};
const INGRESS_DENY: List =
    List { name: "ingressDeny", denies: true, schema: &schema::INGRESS_DENY, ..INGRESS };
const EGRESS: List = List {
    name: "egress",
    direction: TrafficDirection::Egress,
    denies: false,
    schema: &schema::EGRESS,
};
const EGRESS_DENY: List =
    List { name: "egressDeny", denies: true, schema: &schema::EGRESS_DENY, ..EGRESS };

impl<'a> Reader<'a> {
    /// `spec`, or one of `specs`: the rule if it is sound, and what it closes
    /// if the policy is refused. `prefix` begins the paths of its rules.
    pub(super) fn rule(
        &mut self,
        field: &Field<'a>,
        prefix: &str,
    ) -> (Option<Rule>, Option<Closed>) {
        let own = matches!(self.kind, PolicyKind::L7Policy | PolicyKind::ClusterL7Policy);
        let schema = if own { &schema::OWN_RULE } else { &schema::RULE };
        let before = self.report.errors.len();
        self.report.fields(field, schema);
        let mode = self.mode(field);
        let subject = match field.node.get("endpointSelector") {
            Some(node) if node.is_null() => None,
            Some(node) => self.subject(&Field { node, path: field.path.key("endpointSelector") }),
            None => {
                self.missing_subject(field);
                None
            }
        };
        let ingress = self.section(field, prefix, [INGRESS, INGRESS_DENY]);
        let egress = self.section(field, prefix, [EGRESS, EGRESS_DENY]);
        self.without_rules(field, &[&ingress, &egress]);
        let closed = match mode {
            // Were it sound it would close nothing either.
            Some(Mode::Audit) => None,
            _ => self.closes(field.node, schema, subject.clone()),
        };
        let path = prefix.trim_end_matches([' ', '.']).to_owned();
        let mode = mode.unwrap_or_default();
        let sound = self.report.errors.len() == before;
        let rule = |subject| Rule { path, subject, ingress, egress, mode };
        (subject.filter(|_| sound).map(rule), closed)
    }

    fn missing_subject(&mut self, field: &Field<'_>) {
        if field.node.get("nodeSelector").is_none() && field.entries().is_ok() {
            let message =
                "has no `endpointSelector`; add one: `endpointSelector: {}` selects every pod";
            self.report.refuse(field, message);
        }
    }

    fn without_rules(&mut self, field: &Field<'_>, sections: &[&Option<Section>]) {
        let lists = [INGRESS, INGRESS_DENY, EGRESS, EGRESS_DENY];
        let is_silent = lists.iter().all(|list| field.node.get(list.name).is_none());
        if is_silent && sections.iter().all(|own| own.is_none()) && field.entries().is_ok() {
            let message = "has neither `ingress` nor `egress`, so it restricts nothing; add one";
            self.report.warn(field, message);
        }
    }

    /// What stays closed if the policy is refused. Directions that are not
    /// stated, or might have been meant by a misspelt field, are closed too.
    fn closes(
        &self,
        rule: &Node,
        schema: &schema::Schema,
        selector: Option<Selector>,
    ) -> Option<Closed> {
        let has = |name: &str| rule.get(name).is_some();
        if has("nodeSelector") && !has("endpointSelector") {
            // It is about nodes, and selects no pod whatever it says.
            return None;
        }
        let ingress = has("ingress") || has("ingressDeny");
        let egress = has("egress") || has("egressDeny");
        let misspelt = match &rule.value {
            Value::Map(entries) => {
                entries.iter().any(|(key, _)| schema.names().all(|known| known != key.name))
            }
            _ => true,
        };
        let unclear = misspelt || has("enableDefaultDeny") || !(ingress || egress);
        Some(Closed {
            namespace: self.namespace.clone(),
            selector,
            ingress: ingress || unclear,
            egress: egress || unclear,
        })
    }

    /// What `mode` says, or the policy's annotation; none if that is no mode.
    fn mode(&mut self, field: &Field<'_>) -> Option<Mode> {
        let Some(node) = field.node.get("mode").filter(|node| !node.is_null()) else {
            return self.mode;
        };
        let own = Field { node, path: field.path.key("mode") };
        self.read_mode(&own)
    }

    pub(super) fn read_mode(&mut self, field: &Field<'_>) -> Option<Mode> {
        match self.report.accept(field.string())? {
            "audit" => Some(Mode::Audit),
            "enforce" => Some(Mode::Enforce),
            _ => {
                self.report.refuse(field, "is no mode; write `enforce` or `audit`");
                None
            }
        }
    }

    /// One direction: its two lists, and whether it denies by default.
    fn section(
        &mut self,
        field: &Field<'a>,
        prefix: &str,
        [allow, deny]: [List; 2],
    ) -> Option<Section> {
        let default_deny = self.default_deny(field, allow.name);
        let allow = self.list(field, prefix, allow);
        let deny = self.list(field, prefix, deny);
        if allow.is_none() && deny.is_none() && default_deny != Some(true) {
            return None;
        }
        Some(Section {
            default_deny: default_deny.unwrap_or(true),
            allow: allow.unwrap_or_default(),
            deny: deny.unwrap_or_default(),
        })
    }

    /// What `enableDefaultDeny` says of a direction, if anything.
    fn default_deny(&mut self, field: &Field<'a>, direction: &str) -> Option<bool> {
        let field = field.get_given("enableDefaultDeny").ok().flatten()?;
        if direction == INGRESS.name {
            // Once is enough for both.
            self.report.fields(&field, &schema::DEFAULT_DENY);
        }
        let field = field.get_given(direction).ok().flatten()?;
        self.report.accept(field.boolean())
    }

    fn list(&mut self, field: &Field<'a>, prefix: &str, list: List) -> Option<Vec<PeerRule>> {
        let field = field.get_given(list.name).ok().flatten()?;
        let name = list.name;
        let empty = match list.denies {
            true => "add a rule, or leave it out".to_owned(),
            false => format!("write `{name}: [{{}}]` for default deny, or leave it out"),
        };
        let rules = self.report.some_items(&field, &empty)?;
        let mut read = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            read.extend(self.peer_rule(rule, format!("{prefix}{name}[{index}]"), list));
        }
        Some(read)
    }

    fn peer_rule(&mut self, field: &Field<'a>, path: String, list: List) -> Option<PeerRule> {
        if field.node.is_null() {
            self.report.refuse(field, "has no value; write `{}` for default deny");
            return None;
        }
        self.report.fields(field, list.schema);
        let peers = self.peers(field, list);
        let ports = match self.report.accept(field.get_given("toPorts"))? {
            Some(ports) => Some(self.port_rules(&ports, &path, list)?),
            None => None,
        };
        self.places.insert(path.clone(), field.clone());
        let rule = PeerRule { path, peers: peers?, ports };
        if list.denies && rule.is_empty() {
            let message =
                "denies nobody; write `fromEntities: [all]` or `toEntities: [all]` for everybody";
            self.report.warn(field, message);
        }
        Some(rule)
    }
}
