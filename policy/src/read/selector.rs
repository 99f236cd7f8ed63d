//! Selectors: `matchLabels` and `matchExpressions`.

use remora_manifest::Field;

use super::{Reader, peers::RECOGNISED, schema};
use crate::{
    labels::NAMESPACE_KEY,
    selector::{Key, Operator, Requirement, Selector, Source},
};

/// Cilium's label for the cluster of a mesh that an endpoint is in.
const CLUSTER_KEY: &str = "io.cilium.k8s.policy.cluster";

impl Reader<'_> {
    /// `endpointSelector`. A namespaced policy selects in its own namespace
    /// only, whatever its selector says.
    pub(super) fn subject(&mut self, field: &Field<'_>) -> Option<Selector> {
        let mut selector = self.selector(field)?;
        if selector.names_a_reserved() {
            self.report.warn(field, "names what is reserved, and so selects no pod");
        }
        let Some(own) = &self.namespace else { return Some(selector.within_the_cluster()) };
        let elsewhere = |requirement: &Requirement| {
            requirement.key.name == NAMESPACE_KEY
                && requirement.operator != Operator::In(vec![own.clone()])
        };
        if selector.requirements.iter().any(elsewhere) {
            let message = format!(
                "a policy of namespace {own} selects there only; remove the namespace from its selector"
            );
            self.report.warn(field, message);
        }
        selector.requirements.retain(|requirement| requirement.key.name != NAMESPACE_KEY);
        Some(selector.within(own))
    }

    /// An entry of `fromEndpoints` or `toEndpoints`. Without a word about
    /// namespaces it means the policy's own, or in a policy of the cluster
    /// every one. One that allows means pods, whatever it says, unless it names
    /// what is reserved.
    pub(super) fn peer(&mut self, field: &Field<'_>, denies: bool) -> Option<Selector> {
        let selector = self.selector(field)?;
        if selector.names_a_reserved() {
            self.recognised(field, &selector, denies)?;
            return Some(selector);
        }
        Some(match &self.namespace {
            _ if selector.names_a_namespace() && denies => selector,
            _ if selector.names_a_namespace() => selector.within_the_cluster(),
            Some(own) => selector.within(own),
            None => selector.within_the_cluster(),
        })
    }

    /// Whether the reserved labels that a selector names are some that
    /// somebody here can have.
    fn recognised(&mut self, field: &Field<'_>, selector: &Selector, denies: bool) -> Option<()> {
        let reserved = |requirement: &&Requirement| requirement.key.source == Source::Reserved;
        for requirement in selector.requirements.iter().filter(reserved) {
            let name = requirement.key.name.as_str();
            if !RECOGNISED.contains(&name) {
                self.nobody(field, name, denies)?;
            }
        }
        Some(())
    }

    pub(super) fn selector(&mut self, field: &Field<'_>) -> Option<Selector> {
        let report = &mut self.report;
        let mut sound = report.fields(field, &schema::SELECTOR);
        let mut requirements = Vec::new();
        if let Some(labels) = report.accept(field.get_given("matchLabels"))? {
            for (key, value) in report.accept(labels.entries())? {
                let requirement = self.label(&key.name, &value);
                sound &= requirement.is_some();
                requirements.extend(requirement);
            }
        }
        if let Some(expressions) = self.report.accept(field.get_given("matchExpressions"))? {
            for expression in self.report.accept(expressions.items())? {
                let requirement = self.expression(&expression);
                sound &= requirement.is_some();
                requirements.extend(requirement);
            }
        }
        sound.then_some(Selector { requirements })
    }

    fn label(&mut self, key: &str, value: &Field<'_>) -> Option<Requirement> {
        let key = self.key(key, value);
        let value = self.report.accept(value.string())?;
        Some(Requirement { key: key?, operator: Operator::In(vec![value.to_owned()]) })
    }

    fn expression(&mut self, field: &Field<'_>) -> Option<Requirement> {
        if !self.report.fields(field, &schema::EXPRESSION) {
            return None;
        }
        let key_field = self.report.accept(field.require("key"))?;
        let key = self.report.accept(key_field.string()).and_then(|key| self.key(key, &key_field));
        let operator = self.operator(field);
        Some(Requirement { key: key?, operator: operator? })
    }

    fn operator(&mut self, field: &Field<'_>) -> Option<Operator> {
        let operator = self.report.accept(field.require("operator"))?;
        let values = self.report.accept(field.get_given("values"))?;
        let make: fn(Vec<String>) -> Operator = match self.report.accept(operator.string())? {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            bare @ ("Exists" | "DoesNotExist") => {
                if let Some(values) = values {
                    self.report.refuse(&values, format!("`{bare}` takes no values; remove them"));
                    return None;
                }
                let exists = bare == "Exists";
                return Some(if exists { Operator::Exists } else { Operator::DoesNotExist });
            }
            _ => {
                let message = "is no operator; write In, NotIn, Exists or DoesNotExist";
                self.report.refuse(&operator, message);
                return None;
            }
        };
        let Some(values) = values else {
            self.report.refuse(&operator, "needs `values`; add a list of at least one");
            return None;
        };
        let items = self.report.some_items(&values, "write at least one value")?;
        let values: Vec<_> = items
            .iter()
            .filter_map(|item| self.report.accept(item.string()))
            .map(str::to_owned)
            .collect();
        (values.len() == items.len()).then(|| make(values))
    }

    fn key(&mut self, text: &str, field: &Field<'_>) -> Option<Key> {
        let (source, name) = match text.split_once(':') {
            None => (Source::Any, text),
            Some(("any", name)) => (Source::Any, name),
            Some(("k8s", name)) => (Source::Kubernetes, name),
            Some(("reserved", name)) => (Source::Reserved, name),
            Some((prefix, _)) => {
                let message = format!("`{prefix}:` is no source of labels; write `k8s:` or `any:`");
                self.report.refuse(field, message);
                return None;
            }
        };
        if name.is_empty() {
            self.report.refuse(field, "a label without a key; write one");
            return None;
        }
        if name == CLUSTER_KEY {
            // It would select nobody, so that a policy about a pod of this
            // cluster would restrict nothing.
            let message = "names clusters of a mesh, which are not known here; remove it";
            self.report.refuse(field, message);
            return None;
        }
        Some(Key { source, name: name.to_owned() })
    }
}
