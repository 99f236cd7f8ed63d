//! Selectors: which endpoints a policy means.

use std::fmt;

use crate::labels::{Labels, NAMESPACE_KEY, NAMESPACE_LABELS_PREFIX};

/// A conjunction of requirements. Without any it selects every endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// All of these must hold.
    pub requirements: Vec<Requirement>,
}

/// One requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Which label.
    pub key: Key,
    /// What must hold for it.
    pub operator: Operator,
}

/// A label's key in a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose label it must be.
    pub source: Source,
    /// The key without its source.
    pub name: String,
}

/// Whose label a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `any:`, or no prefix.
    Any,
    /// `k8s:`.
    Kubernetes,
    /// `reserved:`: what is no pod.
    Reserved,
}

/// What must hold for a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// It is there with one of these values.
    In(Vec<String>),
    /// It is absent, or has none of these values.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
}

impl Selector {
    /// Who has all these labels of Kubernetes.
    pub(crate) fn of_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirement = |(name, value): (&str, &str)| Requirement {
            key: Key { source: Source::Kubernetes, name: name.to_owned() },
            operator: Operator::In(vec![value.to_owned()]),
        };
        Self { requirements: labels.into_iter().map(requirement).collect() }
    }

    /// Who has a reserved label.
    #[cfg(feature = "yaml")]
    pub(crate) fn reserved(name: &str) -> Self {
        Self {
            requirements: vec![Requirement {
                key: Key { source: Source::Reserved, name: name.to_owned() },
                operator: Operator::Exists,
            }],
        }
    }

    /// Whether it is about what is reserved, so that no namespace is meant.
    #[must_use]
    pub fn names_a_reserved(&self) -> bool {
        self.requirements.iter().any(|requirement| requirement.key.source == Source::Reserved)
    }

    /// Whether it selects an endpoint with these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(labels))
    }

    /// The requirements that keep it from selecting an endpoint.
    pub fn misses<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = &'a Requirement> {
        self.requirements.iter().filter(|requirement| !requirement.holds(labels))
    }

    /// Whether it says itself which namespaces it means.
    #[must_use]
    pub fn names_a_namespace(&self) -> bool {
        self.requirements.iter().any(|requirement| requirement.key.is_about_namespaces())
    }

    /// Whether all that `other` selects is selected by this one too, as far as
    /// the requirements alone can tell.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.requirements.iter().all(|requirement| other.requirements.contains(requirement))
    }

    /// This selector, for the endpoints of one namespace only.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.requirements.push(Requirement {
            key: Key { source: Source::Kubernetes, name: NAMESPACE_KEY.to_owned() },
            operator: Operator::In(vec![namespace.to_owned()]),
        });
        self
    }

    /// This selector, for endpoints that are pods of any namespace.
    #[must_use]
    pub fn within_the_cluster(mut self) -> Self {
        self.requirements.push(Requirement {
            key: Key { source: Source::Kubernetes, name: NAMESPACE_KEY.to_owned() },
            operator: Operator::Exists,
        });
        self
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        match &self.operator {
            Operator::In(wanted) => {
                self.values(labels).any(|value| wanted.iter().any(|w| w == value))
            }
            Operator::NotIn(barred) => {
                !self.values(labels).any(|value| barred.iter().any(|b| b == value))
            }
            Operator::Exists => self.values(labels).next().is_some(),
            Operator::DoesNotExist => self.values(labels).next().is_none(),
        }
    }

    fn values<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = &'a str> {
        labels.iter().filter_map(|(source, name, value)| {
            let of_source = match self.key.source {
                Source::Any => true,
                Source::Kubernetes => source == "k8s",
                Source::Reserved => source == "reserved",
            };
            (of_source && name == self.key.name).then_some(value)
        })
    }
}

impl Key {
    /// Whether it is the namespace's name or one of the namespace's labels.
    #[must_use]
    pub fn is_about_namespaces(&self) -> bool {
        self.name == NAMESPACE_KEY || self.name.starts_with(NAMESPACE_LABELS_PREFIX)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Any => f.write_str(&self.name),
            Source::Kubernetes => write!(f, "k8s:{}", self.name),
            Source::Reserved => write!(f, "reserved:{}", self.name),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", values.concat()),
            Operator::In(values) => write!(f, "{key} in ({})", values.join(", ")),
            Operator::NotIn(values) => write!(f, "{key} not in ({})", values.join(", ")),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "no {key}"),
        }
    }
}
