//! `toPorts`: ports, protocols and L7 rules.

use std::collections::BTreeMap;

use remora_manifest::{Field, Value};
use remora_parsers::{Protocol, RuleError, nearest};

use super::{Reader, schema};
use crate::{
    matcher::{Matcher, MatcherError},
    model::{L7Filter, L7Rule, PortRule},
};

/// How many ports one entry may have: as many as in the CRD of Cilium 1.19.
const MAX_PORTS: usize = 40;

impl<'a> Reader<'a> {
    pub(super) fn port_rules(&mut self, field: &Field<'a>, path: &str) -> Option<Vec<PortRule>> {
        let rules = self.report.some_items(field, "leave it out to allow every port")?;
        let mut read = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            read.extend(self.port_rule(rule, format!("{path}.toPorts[{index}]")));
        }
        Some(read)
    }

    fn port_rule(&mut self, field: &Field<'a>, path: String) -> Option<PortRule> {
        self.report.fields(field, &schema::PORT_RULE);
        self.places.insert(path.clone(), field.clone());
        let ports = self.ports(field);
        let l7 = match field.get_given("rules").ok()? {
            Some(rules) => self.l7(&rules, &path)?,
            None => None,
        };
        Some(PortRule { path, ports: ports?, l7 })
    }

    fn ports(&mut self, field: &Field<'_>) -> Option<Vec<u16>> {
        let Some(ports) = field.get_given("ports").ok()? else {
            if field.node.get("ports").is_none() {
                self.report.refuse(field, "has no `ports`; add at least one");
            }
            return None;
        };
        let items = self.report.some_items(&ports, "add at least one port")?;
        if items.len() > MAX_PORTS {
            let message = format!("has {} ports; at most {MAX_PORTS} are taken", items.len());
            self.report.refuse(&ports, message);
            return None;
        }
        let mut read = Vec::with_capacity(items.len());
        for item in &items {
            read.extend(self.port(item).filter(|port| !read.contains(port)));
        }
        Some(read)
    }

    fn port(&mut self, field: &Field<'_>) -> Option<u16> {
        self.report.fields(field, &schema::PORT);
        self.transport(field);
        let port = field.get_given("port").ok()?;
        let Some(port) = port else {
            if field.node.get("port").is_none() {
                self.report.refuse(field, "has no `port`; add a number in quotes");
            }
            return None;
        };
        let text = self.report.accept(port.string())?;
        let number = text.parse().ok().filter(|number: &u16| *number > 0);
        // `080` and `+80` are not how a port is written, and Cilium reads the
        // first one as an octal number.
        if let Some(number) = number.filter(|number| number.to_string() == text) {
            return Some(number);
        }
        let message = if text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            "is no number, and named ports are not supported yet; write the number"
        } else {
            "is no port; write a number from 1 to 65535"
        };
        self.report.refuse(&port, message);
        None
    }

    /// Only TCP is intercepted, so `ANY`, and saying nothing, mean TCP.
    fn transport(&mut self, field: &Field<'_>) {
        let Ok(Some(transport)) = field.get_given("protocol") else { return };
        match self.report.accept(transport.string()) {
            None | Some("TCP" | "ANY") => {}
            Some("UDP" | "SCTP" | "VRRP" | "IGMP") => {
                self.report.refuse(&transport, "is not supported; only TCP is intercepted");
            }
            Some(_) => self.report.refuse(&transport, "is no protocol; write `TCP`"),
        }
    }

    /// `rules`. The outer option is none if they are refused.
    fn l7(&mut self, field: &Field<'_>, path: &str) -> Option<Option<L7Filter>> {
        if matches!(&field.node.value, Value::Map(entries) if entries.is_empty()) {
            let message = "is empty, which is what the API server of Cilium 1.20 leaves of an L7 rule; \
                           write the rule anew, as an L7Policy, or leave `rules` out to allow every request";
            self.report.refuse(field, message);
            return None;
        }
        self.report.fields(field, &schema::L7);
        let Some(name) = field.get_given("l7proto").ok()? else {
            if field.node.get("l7").is_some() && field.node.get("l7proto").is_none() {
                self.report.refuse(field, "has `l7` but no `l7proto`; say which protocol it is");
            }
            return None;
        };
        let protocol = self.protocol(&name);
        let rules = match field.get_given("l7").ok()? {
            Some(rules) => self.report.accept(rules.items())?.collect(),
            None => Vec::new(),
        };
        let protocol = protocol?;
        if rules.is_empty() {
            self.report.warn(
                field,
                "has no `l7` rules, so every request is allowed, and none is looked at; add some",
            );
            return Some(None);
        }
        let mut read = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            read.extend(self.l7_rule(rule, protocol, format!("{path}.l7[{index}]")));
        }
        Some(Some(L7Filter { protocol: protocol.name, rules: read }))
    }

    fn protocol(&mut self, field: &Field<'_>) -> Option<&'static Protocol> {
        let name = self.report.accept(field.string())?;
        let found = self.registry.find(name);
        if found.is_none() {
            let nearest = nearest(name, self.registry.names()).unwrap_or_default();
            let known: Vec<_> = self.registry.names().collect();
            let message = format!(
                "`{name}` is no known protocol; did you mean `{nearest}`? (known: {})",
                known.join(", ")
            );
            self.report.refuse(field, message);
        }
        found
    }

    fn l7_rule(
        &mut self,
        field: &Field<'_>,
        protocol: &'static Protocol,
        path: String,
    ) -> Option<L7Rule> {
        if field.node.is_null() {
            self.report.refuse(field, "has no value; write `{}` to allow every request");
            return None;
        }
        let mut keys = BTreeMap::new();
        let mut sound = true;
        for (key, value) in self.report.accept(field.entries())? {
            let text = match &value.node.value {
                Value::Null => Some(""),
                _ => self.report.accept(value.string()),
            };
            sound &= text.is_some();
            keys.insert(key.name.clone(), text.unwrap_or_default().to_owned());
        }
        if !sound {
            return None;
        }
        let pairs = keys.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        match Matcher::compile(protocol, pairs, &mut self.patterns) {
            Ok(_) => Some(L7Rule { path, keys }),
            Err(error) => {
                let place = culprit(&error)
                    .and_then(|key| field.get(key).ok().flatten())
                    .unwrap_or_else(|| field.clone());
                self.report.refuse(&place, error.to_string());
                None
            }
        }
    }
}

/// The key that an error is about.
fn culprit(error: &MatcherError) -> Option<&str> {
    match error {
        MatcherError::Rule(RuleError::UnknownKey { key, .. }) => Some(key),
        MatcherError::Rule(RuleError::UnknownWord { key, .. } | RuleError::Empty { key })
        | MatcherError::Pattern { key, .. } => Some(key),
        MatcherError::Rule(RuleError::Combination(_)) | MatcherError::TooManyRegexes => None,
    }
}
