//! Whether the API server still serves policies as they were written.
//!
//! Cilium 1.20 has taken `l7proto` out of its definition, and an API server
//! drops what a definition does not have: a policy that allowed some requests
//! would come back as one that allows all, or none.

use remora_policy::{Closed, Policy, PolicyError, PolicyKind, Reading, RefusedPolicy};

use crate::notice::{Notice, Severity};

/// How a kind of policy is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Served {
    /// With everything that we read.
    #[default]
    Whole,
    /// Without `l7proto`. With `rules`, what is left of an L7 rule is `rules: {}`, which is
    /// refused; without, nothing tells that there was one.
    Cut {
        /// Whether `toPorts[].rules` is still there.
        has_rules: bool,
    },
    /// It is no longer, though it was.
    Gone,
    /// It never was.
    Absent,
}

impl Served {
    /// What is to be said about it.
    pub(super) fn notice(self, kind: PolicyKind, known: usize) -> Option<Notice> {
        let is_ours = matches!(kind, PolicyKind::L7Policy | PolicyKind::ClusterL7Policy);
        let (severity, text) = match self {
            Self::Whole => return None,
            Self::Cut { .. } => (
                Severity::Error,
                format!(
                    "{kind}: its definition has no `l7proto` any more (Cilium 1.20 removed it), so the API server drops L7 rules: the {known} that are known stay in force as they last were; write L7Policies in their place"
                ),
            ),
            Self::Gone if known > 0 => (
                Severity::Error,
                format!(
                    "{kind}: its definition is gone from the cluster: the {known} that are known stay in force as they last were, until it is back or the agent is started anew"
                ),
            ),
            Self::Gone | Self::Absent if is_ours => (
                Severity::Error,
                format!(
                    "{kind}: the cluster has no such kind, so there are none; apply deploy/crds"
                ),
            ),
            Self::Gone | Self::Absent => {
                (Severity::Info, format!("{kind}: the cluster has no such kind; others are served"))
            }
        };
        Some(Notice::new(severity, 0, text))
    }
}

/// Whether a reading cannot be trusted to be what was written.
pub(super) fn is_pinned(served: Served, reading: &Reading, good: Option<&Policy>) -> bool {
    let Served::Cut { has_rules } = served else { return false };
    match (reading, good) {
        (Reading::Accepted(policy), Some(good)) => policy != good,
        (Reading::Accepted(_), None) => !has_rules,
        // It is refused for a better reason.
        (Reading::Refused(_), _) => false,
    }
}

/// The refusal of a version that may say less than what was written.
pub(super) fn cut_short(reading: &Reading, kind: PolicyKind) -> Reading {
    let Reading::Accepted(policy) = reading else { return reading.clone() };
    let closed = |rule: &remora_policy::Rule| Closed {
        namespace: policy.name.namespace.clone(),
        selector: Some(rule.subject.clone()),
        ingress: true,
        egress: true,
    };
    Reading::Refused(RefusedPolicy {
        name: policy.name.clone(),
        kind: policy.kind,
        closes: policy.rules.iter().map(closed).collect(),
        errors: vec![PolicyError {
            file: None,
            line: 0,
            field: "spec".to_owned(),
            message: format!(
                "may have lost its L7 rules, for the cluster's definition of {kind} has no `l7proto` any more; write an L7Policy"
            ),
        }],
        warnings: policy.warnings.clone(),
    })
}
