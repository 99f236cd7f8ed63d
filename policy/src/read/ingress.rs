//! `spec` and its `ingress`.

use remora_manifest::{Field, Node};

use super::{Reader, schema};
use crate::model::{Closed, IngressRule, Peers, PolicyKind, Rule};

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
        self.mode(field);
        let subject = match field.node.get("endpointSelector") {
            Some(node) if node.is_null() => None,
            Some(node) => self.subject(&Field { node, path: field.path.key("endpointSelector") }),
            None => {
                self.missing_subject(field);
                None
            }
        };
        let ingress = self.ingress(field, prefix);
        let closed = self.closes(field.node, schema, subject.clone());
        let sound = self.report.errors.len() == before;
        let rule = subject.filter(|_| sound).map(|subject| Rule { subject, ingress });
        (rule, closed)
    }

    fn missing_subject(&mut self, field: &Field<'_>) {
        if field.node.get("nodeSelector").is_none() && field.entries().is_ok() {
            let message =
                "has no `endpointSelector`; add one: `endpointSelector: {}` selects every pod";
            self.report.refuse(field, message);
        }
    }

    /// What stays closed if the policy is refused. Directions that are not
    /// stated, or might have been meant by a misspelt field, are closed too.
    fn closes(
        &self,
        rule: &Node,
        schema: &schema::Schema,
        selector: Option<crate::Selector>,
    ) -> Option<Closed> {
        let has = |name: &str| rule.get(name).is_some();
        if has("nodeSelector") && !has("endpointSelector") {
            // It is about nodes, and selects no pod whatever it says.
            return None;
        }
        let ingress = has("ingress") || has("ingressDeny");
        let egress = has("egress") || has("egressDeny");
        let misspelt = match &rule.value {
            remora_manifest::Value::Map(entries) => {
                entries.iter().any(|(key, _)| schema.names().all(|known| known != key.name))
            }
            _ => true,
        };
        let unclear = misspelt || !(ingress || egress);
        Some(Closed {
            namespace: self.namespace.clone(),
            selector,
            ingress: ingress || unclear,
            egress: egress || unclear,
        })
    }

    fn mode(&mut self, field: &Field<'_>) {
        let Some(node) = field.node.get("mode").filter(|node| !node.is_null()) else { return };
        let mode = Field { node, path: field.path.key("mode") };
        match self.report.accept(mode.string()) {
            Some("audit") => {
                self.report.refuse(&mode, "`audit` is not supported yet; write `enforce`");
            }
            Some("enforce") | None => {}
            Some(_) => self.report.refuse(&mode, "is no mode; write `enforce`"),
        }
    }

    fn ingress(&mut self, field: &Field<'a>, prefix: &str) -> Option<Vec<IngressRule>> {
        let Some(ingress) = field.get_given("ingress").ok().flatten() else {
            if field.node.get("ingress").is_none() && field.entries().is_ok() {
                self.report.warn(field, "has no `ingress`, so it restricts nothing; add one");
            }
            return None;
        };
        let empty = "write `ingress: [{}]` for default deny, or leave it out";
        let rules = self.report.some_items(&ingress, empty)?;
        let mut read = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            read.extend(self.ingress_rule(rule, format!("{prefix}ingress[{index}]")));
        }
        Some(read)
    }

    fn ingress_rule(&mut self, field: &Field<'a>, path: String) -> Option<IngressRule> {
        if field.node.is_null() {
            self.report.refuse(field, "has no value; write `{}` for default deny");
            return None;
        }
        self.report.fields(field, &schema::INGRESS);
        let peers = self.peers(field);
        let ports = match self.report.accept(field.get_given("toPorts"))? {
            Some(ports) => Some(self.port_rules(&ports, &path)?),
            None => None,
        };
        self.places.insert(path.clone(), field.clone());
        Some(IngressRule { path, peers: peers?, ports })
    }

    fn peers(&mut self, field: &Field<'_>) -> Option<Peers> {
        let Some(peers) = self.report.accept(field.get_given("fromEndpoints"))? else {
            return Some(Peers::Any);
        };
        let items: Vec<_> = self.report.accept(peers.items())?.collect();
        let selectors = items.iter().filter_map(|peer| self.peer(peer)).collect();
        if items.is_empty() {
            self.report.warn(&peers, "selects nobody; leave it out to allow everybody");
        }
        Some(Peers::Selected(selectors))
    }
}
