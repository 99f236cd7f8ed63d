//! `toPorts`: ports, protocols and L7 rules.

use std::collections::BTreeMap;

use remora_manifest::{Field, Value};
use remora_parsers::{Protocol, RuleError, nearest};

use super::{Reader, rule::List, schema};
use crate::{
    matcher::{Matcher, MatcherError},
    model::{L7Filter, L7Rule, Port, PortRange, PortRule},
};

/// How many ports one entry may have: as many as in the CRD of Cilium 1.19.
const MAX_PORTS: usize = 40;

impl<'a> Reader<'a> {
    pub(super) fn port_rules(
        &mut self,
        field: &Field<'a>,
        path: &str,
        list: List,
    ) -> Option<Vec<PortRule>> {
        let rules = self.report.some_items(field, "leave it out to mean every port")?;
        let mut read = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            read.extend(self.port_rule(rule, format!("{path}.toPorts[{index}]"), list));
        }
        Some(read)
    }

    fn port_rule(&mut self, field: &Field<'a>, path: String, list: List) -> Option<PortRule> {
        let rules = field.get_given("rules").ok()?;
        match &rules {
            Some(rules) if list.denies => {
                let message = "a rule that denies looks at no requests; remove them";
                self.report.refuse(rules, message);
            }
            _ if list.denies => {
                self.report.fields(field, &schema::DENY_PORT_RULE);
            }
            _ => {
                self.report.fields(field, &schema::PORT_RULE);
            }
        }
        self.places.insert(path.clone(), field.clone());
        let ports = self.ports(field, list.denies);
        let l7 = match rules.filter(|_| !list.denies) {
            Some(rules) => self.l7(&rules, &path)?,
            None => None,
        };
        let ports = ports?;
        if l7.is_some() && ports.contains(&Port::Numbers(PortRange::ALL)) {
            let message = "has `rules` for every port; name the ports that speak the protocol";
            self.report.refuse(field, message);
            return None;
        }
        Some(PortRule { path, ports, l7 })
    }

    fn ports(&mut self, field: &Field<'_>, denies: bool) -> Option<Vec<Port>> {
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
            read.extend(self.port(item, denies).filter(|port| !read.contains(port)));
        }
        Some(read)
    }

    fn port(&mut self, field: &Field<'_>, denies: bool) -> Option<Port> {
        self.report.fields(field, &schema::PORT);
        let is_tcp = self.transport(field, denies);
        let port = field.get_given("port").ok()?;
        let Some(port) = port else {
            if field.node.get("port").is_none() {
                self.report.refuse(field, "has no `port`; add a number in quotes");
            }
            return None;
        };
        let text = self.report.accept(port.string())?;
        // `080` and `+80` are not how a port is written, and Cilium reads the
        // first one as an octal number.
        let number = text.parse().ok().filter(|number: &u16| number.to_string() == text);
        let Some(first) = number else {
            if is_port_name(text) {
                self.named_end(field)?;
                return is_tcp.then(|| Port::Named(text.to_ascii_lowercase()));
            }
            let message = "is no port; write a number from 0 to 65535, or a port's name";
            self.report.refuse(&port, message);
            return None;
        };
        let last = self.end_port(field, first)?;
        let ports = if first == 0 { PortRange::ALL } else { PortRange { first, last } };
        is_tcp.then_some(Port::Numbers(ports))
    }

    /// Refuses a range that begins with a name.
    fn named_end(&mut self, field: &Field<'_>) -> Option<()> {
        let Some(end) = self.report.accept(field.get_given("endPort"))? else { return Some(()) };
        self.report.refuse(&end, "ends a range that begins with a name; write numbers");
        None
    }

    /// `endPort`, where the range that begins with `first` ends.
    fn end_port(&mut self, field: &Field<'_>, first: u16) -> Option<u16> {
        let Some(field) = self.report.accept(field.get_given("endPort"))? else {
            return Some(first);
        };
        match u16::try_from(self.report.accept(field.integer())?) {
            Ok(0) => Some(first),
            Ok(last) if first > 0 && last >= first => Some(last),
            _ => {
                let message = format!(
                    "is no end of a range that begins with {first}; write a port from there on"
                );
                self.report.refuse(&field, message);
                None
            }
        }
    }

    /// Whether a port is TCP's. Only TCP is intercepted, so `ANY`, and saying
    /// nothing, mean TCP; what allows another transport allows nothing here.
    fn transport(&mut self, field: &Field<'_>, denies: bool) -> bool {
        let Ok(Some(transport)) = field.get_given("protocol") else { return true };
        match self.report.accept(transport.string()) {
            None | Some("TCP" | "ANY") => true,
            Some("UDP" | "SCTP" | "VRRP" | "IGMP") if denies => {
                self.report.refuse(&transport, "cannot be denied; only TCP is intercepted");
                false
            }
            Some(other @ ("UDP" | "SCTP" | "VRRP" | "IGMP")) => {
                let message = format!("only TCP is intercepted, so {other} is not judged");
                self.report.warn(&transport, message);
                false
            }
            Some(_) => {
                self.report.refuse(&transport, "is no protocol; write `TCP`");
                false
            }
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

/// Whether a text is the name of a port, as in the pods' manifests and RFC 6335,
/// in either case.
fn is_port_name(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=15).contains(&text.len())
        && text.bytes().all(is_known)
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
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
