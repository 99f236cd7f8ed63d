//! Selectors: `matchLabels` and `matchExpressions`.

use remora_manifest::Field;

use super::{Reader, schema};
use crate::{
    labels::NAMESPACE_KEY,
    selector::{Key, Operator, Requirement, Selector, Source},
};

impl Reader<'_> {
    /// `endpointSelector`. A namespaced policy selects in its own namespace
    /// only, whatever its selector says.
    pub(super) fn subject(&mut self, field: &Field<'_>) -> Option<Selector> {
        let mut selector = self.selector(field)?;
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

    /// An entry of `fromEndpoints`. Without a word about namespaces it means
    /// the policy's own, or in a policy of the cluster every one.
    pub(super) fn peer(&mut self, field: &Field<'_>) -> Option<Selector> {
        let selector = self.selector(field)?;
        Some(match &self.namespace {
            _ if selector.names_a_namespace() => selector,
            Some(own) => selector.within(own),
            None => selector.within_the_cluster(),
        })
    }

    fn selector(&mut self, field: &Field<'_>) -> Option<Selector> {
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
            Some(("reserved", _)) => {
                let message = format!("`{text}`: `reserved:` labels are not supported yet");
                self.report.refuse(field, format!("{message}; use labels of pods"));
                return None;
            }
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
        Some(Key { source, name: name.to_owned() })
    }
}
