//! Policies as pure data: what was read, checked and understood.

use std::{collections::BTreeMap, fmt};

use crate::{peers::Peers, selector::Selector};

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
    /// Where it stands: `shop/cache`, or `shop/cache specs[0]`.
    pub path: String,
    /// Which endpoints it is about. The policy's namespace is part of it.
    pub subject: Selector,
    /// What may reach them; `None` says nothing about that.
    pub ingress: Option<Section>,
    /// What they may reach; `None` says nothing about that.
    pub egress: Option<Section>,
    /// Whether it is enforced, or only watched.
    pub mode: Mode,
}

/// What becomes of what a rule does not allow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is denied.
    #[default]
    Enforce,
    /// It is allowed, counted, and told of in the log.
    Audit,
}

/// One direction of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Whether what no rule allows is denied.
    pub default_deny: bool,
    /// `ingress` or `egress`.
    pub allow: Vec<PeerRule>,
    /// `ingressDeny` or `egressDeny`: stronger than whatever allows.
    pub deny: Vec<PeerRule>,
}

/// One entry of `ingress`, `egress`, `ingressDeny` or `egressDeny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRule {
    /// Where it stands: `shop/cache ingress[0]`.
    pub path: String,
    /// Whom it is about.
    pub peers: Peers,
    /// Which ports; `None` is every port.
    pub ports: Option<Vec<PortRule>>,
}

impl PeerRule {
    /// Whether it names neither peers nor ports: then it allows and denies
    /// nothing. It is how default deny alone is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ports.is_none() && self.peers == Peers::Any
    }
}

/// One entry of `toPorts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRule {
    /// Where it stands: `shop/cache ingress[0].toPorts[0]`.
    pub path: String,
    /// Its TCP ports. None, if all it names are of other transports.
    pub ports: Vec<Port>,
    /// Which requests may pass; `None` is whatever may be sent.
    pub l7: Option<L7Filter>,
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// These numbers.
    Numbers(PortRange),
    /// What a container of the server calls so.
    Named(String),
}

/// The ports from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last; not below the first.
    pub last: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// One port.
    #[must_use]
    pub const fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// Whether it holds a port.
    #[must_use]
    pub const fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// The ports that are in both.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => f.write_str("any"),
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
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
