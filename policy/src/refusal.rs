//! What came of reading a policy, and what one that is refused closes.

use crate::{
    model::{Policy, PolicyKind, PolicyName},
    selector::Selector,
};

/// What came of reading a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It was understood whole.
    Accepted(Policy),
    /// It was not. What it is about stays closed.
    Refused(RefusedPolicy),
}

/// A policy that cannot be enforced as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPolicy {
    /// Its name, or a stand-in that says where it was read.
    pub name: PolicyName,
    /// Its kind.
    pub kind: PolicyKind,
    /// What it closes as long as no good version of it is known.
    pub closes: Vec<Closed>,
    /// Everything that is wrong with it; at least one.
    pub errors: Vec<PolicyError>,
    /// What its author should know besides.
    pub warnings: Vec<String>,
}

/// Endpoints that a refused policy closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Only endpoints of this namespace; `None` is every namespace.
    pub namespace: Option<String>,
    /// Only endpoints that it selects; `None`, because it could not be read,
    /// is all of them.
    pub selector: Option<Selector>,
    /// Nothing comes in.
    pub ingress: bool,
    /// Nothing goes out.
    pub egress: bool,
}

impl Closed {
    /// Whether it is about an endpoint with these labels.
    #[must_use]
    pub fn covers(&self, labels: &crate::Labels) -> bool {
        let here = self.namespace.as_deref().is_none_or(|own| labels.namespace() == Some(own));
        here && self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
    }
}

/// One thing that is wrong with a policy, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {field}: {message}", file.as_deref().unwrap_or("-"))]
pub struct PolicyError {
    /// The file, if it came from one.
    pub file: Option<String>,
    /// The line there, from 1.
    pub line: u32,
    /// The field: `spec.ingress[0].toPorts[0]`.
    pub field: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl RefusedPolicy {
    /// All errors, one on each line.
    #[must_use]
    pub fn report(&self) -> String {
        let lines: Vec<_> = self.errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }
}
