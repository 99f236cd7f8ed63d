//! Whom a rule means.

use crate::{labels::Labels, prefix::Prefix, selector::Selector};

/// Whom a rule means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Anybody, known or not, because nothing is said about peers.
    Any,
    /// Anybody, known or not: the entity `all`.
    Everybody,
    /// Who is meant by one of these. Without any: nobody.
    These(Vec<Peer>),
}

/// One way to mean somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Who has such labels: pods, and what is reserved.
    Endpoints(Selector),
    /// Who has such an address and is neither a pod nor a node.
    Cidr(Cidr),
    /// The same, for all prefixes of some `CiliumCIDRGroup`s.
    CidrGroups {
        /// Which.
        groups: ObjectSelector,
        /// Addresses that are not meant, though a group has them.
        except: Vec<Prefix>,
    },
    /// Who stands behind some Services.
    Services {
        /// Only of this namespace; `None` is every one.
        namespace: Option<String>,
        /// Which.
        services: ObjectSelector,
    },
}

/// Addresses, but for some of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cidr {
    /// Those that are meant.
    pub prefix: Prefix,
    /// Those that are not.
    pub except: Vec<Prefix>,
}

/// Which objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectSelector {
    /// The one of this name.
    Named(String),
    /// All that have such labels.
    Labelled(Selector),
}

impl Peers {
    /// Whether some peer is surely meant by both, as far as what is written
    /// can tell.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::These(ours), Self::These(theirs)) => ours
                .iter()
                .any(|our| theirs.iter().any(|their| our.includes(their) || their.includes(our))),
            (Self::These(some), _) | (_, Self::These(some)) => !some.is_empty(),
            _ => true,
        }
    }
}

impl Peer {
    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Endpoints(ours), Self::Endpoints(theirs)) => ours.includes(theirs),
            _ => self == other,
        }
    }
}

impl Cidr {
    /// Whether it means the addresses of a prefix that are in no longer one of
    /// those that rules name.
    #[must_use]
    pub fn covers(&self, prefix: &Prefix) -> bool {
        self.prefix.contains(prefix) && !self.except.iter().any(|except| except.contains(prefix))
    }

    /// Whether it means an identity.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        labels.prefix().is_some_and(|prefix| self.covers(&prefix))
    }
}

impl ObjectSelector {
    /// Whether it means an object.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        match self {
            Self::Named(wanted) => wanted == name,
            Self::Labelled(selector) => selector.matches(labels),
        }
    }
}
