//! Policies as pure data: what was read, checked and understood.

use std::{collections::BTreeMap, fmt};

use crate::selector::Selector;

/// The kinds of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKind {
    /// `cilium.io/v2`, of one namespace.
    CiliumNetworkPolicy,
    /// `cilium.io/v2`, of the cluster.
    CiliumClusterwideNetworkPolicy,
    /// `policy.remora.dev/v1alpha1`, of one namespace.
    L7Policy,
    /// `policy.remora.dev/v1alpha1`, of the cluster.
    ClusterL7Policy,
}

impl PolicyKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::CiliumNetworkPolicy,
        Self::CiliumClusterwideNetworkPolicy,
        Self::L7Policy,
        Self::ClusterL7Policy,
    ];

    /// What `kind` says.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CiliumNetworkPolicy => "CiliumNetworkPolicy",
            Self::CiliumClusterwideNetworkPolicy => "CiliumClusterwideNetworkPolicy",
            Self::L7Policy => "L7Policy",
            Self::ClusterL7Policy => "ClusterL7Policy",
        }
    }

    /// What `apiVersion` says.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::CiliumNetworkPolicy | Self::CiliumClusterwideNetworkPolicy => "cilium.io/v2",
            Self::L7Policy | Self::ClusterL7Policy => "policy.remora.dev/v1alpha1",
        }
    }

    /// Whether it lives in a namespace and selects pods of that one only.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        matches!(self, Self::CiliumNetworkPolicy | Self::L7Policy)
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A policy's name: `shop/cache`, or `cache` for one of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName {
    /// Its namespace, if it is of one.
    pub namespace: Option<String>,
    /// Its name there.
    pub name: String,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A policy that was understood whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// Its kind.
    pub kind: PolicyKind,
    /// What `spec` and each of `specs` say.
    pub rules: Vec<Rule>,
    /// What its author should know, each with file, line and field.
    pub warnings: Vec<String>,
}

/// One `spec`, or one of `specs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which endpoints it is about. The policy's namespace is part of it.
    pub subject: Selector,
    /// What may reach them. `None` says nothing about ingress; `Some` denies
    /// by default what none of its rules allows.
    pub ingress: Option<Vec<IngressRule>>,
}

/// One entry of `ingress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressRule {
    /// Where it stands: `shop/cache ingress[0]`.
    pub path: String,
    /// Who may come in.
    pub peers: Peers,
    /// Through which ports; `None` is every port.
    pub ports: Option<Vec<PortRule>>,
}

/// Whom a rule means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Anybody, known or not.
    Any,
    /// Who is selected by one of these. Without any: nobody.
    Selected(Vec<Selector>),
}

impl Peers {
    /// Whether some peer is surely meant by both, as far as the selectors
    /// alone can tell.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Any, Self::Selected(some)) | (Self::Selected(some), Self::Any) => {
                !some.is_empty()
            }
            (Self::Selected(ours), Self::Selected(theirs)) => ours
                .iter()
                .any(|our| theirs.iter().any(|their| our.includes(their) || their.includes(our))),
        }
    }
}

/// One entry of `toPorts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRule {
    /// Where it stands: `shop/cache ingress[0].toPorts[0]`.
    pub path: String,
    /// Its TCP ports; at least one.
    pub ports: Vec<u16>,
    /// Which requests may pass; `None` is whatever may be sent.
    pub l7: Option<L7Filter>,
}

/// An L7 protocol and the requests of it that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L7Filter {
    /// What `l7proto` says.
    pub protocol: &'static str,
    /// At least one rule; a request must match one.
    pub rules: Vec<L7Rule>,
}

/// One entry of `l7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L7Rule {
    /// Where it stands: `shop/cache ingress[0].toPorts[0].l7[1]`.
    pub path: String,
    /// All of these must match. None: every request does.
    pub keys: BTreeMap<String, String>,
}

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
