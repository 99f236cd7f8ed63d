//! A policy's document: its kind, its name, `spec` and `specs`.

use std::collections::BTreeMap;

use remora_manifest::Field;
use remora_parsers::Registry;

use super::{Reader, report::Report, schema};
use crate::{
    matcher::Patterns,
    model::{Mode, Policy, PolicyKind, PolicyName, Rule},
    refusal::{Closed, Reading, RefusedPolicy},
};

/// The longest name that the API server takes.
const MAX_NAME_BYTES: usize = 253;

/// The annotation that says `mode` for Cilium's kinds, which have no such field.
pub(super) const MODE_ANNOTATION: &str = "policy.remora.dev/mode";

/// A document that is about to be read.
pub(super) struct Document<'a> {
    root: Field<'a>,
    kind: Option<PolicyKind>,
    report: Report,
}

/// The namespace that a policy is of.
enum Scope {
    Namespace(String),
    Cluster,
    /// It could not be read, so it may be any.
    Unknown,
}

impl<'a> Document<'a> {
    pub(super) fn new(root: Field<'a>, kind: Option<PolicyKind>) -> Self {
        Self { root, kind, report: Report::default() }
    }

    pub(super) fn read(mut self, registry: Registry) -> Reading {
        let kind = self.kind.unwrap_or(PolicyKind::CiliumNetworkPolicy);
        self.header(kind);
        let scope = self.scope(kind);
        let namespace = match &scope {
            Scope::Namespace(namespace) => Some(namespace.clone()),
            Scope::Cluster | Scope::Unknown => None,
        };
        let name = PolicyName { namespace: namespace.clone(), name: self.name() };
        let mut reader = Reader {
            registry,
            prefix: format!("{name} "),
            namespace,
            kind,
            report: std::mem::take(&mut self.report),
            patterns: Patterns::default(),
            places: BTreeMap::new(),
            mode: Some(Mode::Enforce),
        };
        reader.annotation(&self.root);
        let (rules, mut closes) = reader.rules(&self.root);
        if matches!(scope, Scope::Unknown) {
            closes = vec![everything(None)];
        }
        if reader.report.errors.is_empty() {
            reader.clashes(&rules, &self.root);
        }
        let Report { errors, warnings } = reader.report;
        if errors.is_empty() {
            return Reading::Accepted(Policy { name, kind, rules, warnings });
        }
        if self.kind.is_none() {
            closes.clear();
        }
        Reading::Refused(RefusedPolicy { name, kind, closes, errors, warnings })
    }

    fn header(&mut self, kind: PolicyKind) {
        self.report.top_level(&self.root, &schema::DOCUMENT);
        if self.kind.is_none() {
            self.report.refuse(&self.root, "is no policy; its `kind` is none of a policy's");
        }
        let Some(version) = self.report.accept(self.root.require("apiVersion")) else { return };
        if self.report.accept(version.string()).is_some_and(|text| text != kind.api_version()) {
            let message = format!("is not read; write `{}`", kind.api_version());
            self.report.refuse(&version, message);
        }
    }

    /// The policy's name. One that has none is called by the place it was
    /// read from, so that it can be told from others and be taken away again.
    fn name(&mut self) -> String {
        let metadata = self.root.node.get("metadata");
        let name = metadata.and_then(|metadata| metadata.get("name"));
        if let Some(node) = name {
            let field = Field { node, path: self.root.path.key("metadata").key("name") };
            if let Some(name) = self.report.accept(field.string()) {
                if is_name(name) {
                    return name.to_owned();
                }
                let message = "is no name; write lower-case letters, digits, `-` and `.`";
                self.report.refuse(&field, message);
            }
        } else if let Some(metadata) = self.report.accept(self.root.require("metadata")) {
            let _ = self.report.accept(metadata.require("name"));
        }
        format!("({})", self.root.node.location.file_and_line())
    }

    fn scope(&mut self, kind: PolicyKind) -> Scope {
        let metadata = self.root.node.get("metadata");
        let namespace = metadata.and_then(|metadata| metadata.get("namespace"));
        let Some(node) = namespace.filter(|node| !node.is_null()) else {
            return match kind.is_namespaced() {
                true => Scope::Namespace("default".to_owned()),
                false => Scope::Cluster,
            };
        };
        let field = Field { node, path: self.root.path.key("metadata").key("namespace") };
        if !kind.is_namespaced() {
            let message = format!("a {kind} is of the whole cluster; remove the namespace");
            self.report.refuse(&field, message);
            return Scope::Cluster;
        }
        match self.report.accept(field.string()) {
            Some(namespace) if is_name(namespace) => Scope::Namespace(namespace.to_owned()),
            Some(_) => {
                let message = "is no namespace; write lower-case letters, digits and `-`";
                self.report.refuse(&field, message);
                Scope::Unknown
            }
            None => Scope::Unknown,
        }
    }
}

impl<'a> Reader<'a> {
    /// The mode of a policy whose kind has no field for it.
    fn annotation(&mut self, root: &Field<'a>) {
        let annotations = root.node.get("metadata").and_then(|node| node.get("annotations"));
        let Some(node) = annotations.and_then(|annotations| annotations.get(MODE_ANNOTATION))
        else {
            return;
        };
        let path = root.path.key("metadata").key("annotations").key(MODE_ANNOTATION);
        let field = Field { node, path };
        match self.kind {
            PolicyKind::CiliumNetworkPolicy | PolicyKind::CiliumClusterwideNetworkPolicy => {
                self.mode = self.read_mode(&field);
            }
            PolicyKind::L7Policy | PolicyKind::ClusterL7Policy => {
                self.report.warn(&field, "is not read; write `mode` into `spec`");
            }
        }
    }

    /// `spec` and `specs`: the rules that are sound, and what all of them
    /// close if the policy is refused.
    fn rules(&mut self, root: &Field<'a>) -> (Vec<Rule>, Vec<Closed>) {
        let prefix = self.prefix.clone();
        let mut specs = Vec::new();
        let mut unread = false;
        for name in ["spec", "specs"] {
            let Some(node) = root.node.get(name) else { continue };
            let field = Field { node, path: root.path.key(name) };
            if node.is_null() {
                self.report.refuse(&field, "has no value; write one, or leave the field out");
                unread = true;
            } else if name == "spec" {
                specs.push((field, prefix.clone()));
            } else if let Some(items) = self.report.some_items(&field, "write `spec`, or add one") {
                let paths = (0..).map(|index| format!("{prefix}specs[{index}]."));
                specs.extend(items.into_iter().zip(paths));
            } else {
                unread = true;
            }
        }
        if specs.is_empty() && !unread {
            self.report.refuse(root, "has neither `spec` nor `specs`; add one");
            unread = true;
        }
        let mut rules = Vec::new();
        let mut closes = Vec::new();
        for (field, path) in &specs {
            let (rule, closed) = self.rule(field, path);
            rules.extend(rule);
            closes.extend(closed);
        }
        if unread {
            closes.push(everything(self.namespace.clone()));
        }
        (rules, closes)
    }
}

/// All endpoints of a namespace, or of all of them.
fn everything(namespace: Option<String>) -> Closed {
    Closed { namespace, selector: None, ingress: true, egress: true }
}

fn is_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}
