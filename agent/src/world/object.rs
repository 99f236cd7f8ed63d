//! From a document, be it of a file or of the API server, to an object.

use std::fmt;

use remora_manifest::{FieldError, Node};
use remora_parsers::Registry;
use remora_policy::{
    CidrGroup, PolicyKind, PolicyName, Reading, is_policy, read_cidr_group, read_policy,
};

use super::node::ClusterNode;
use super::pod::{Namespace, Pod, PodKey, cluster_wide_name};
use super::service::{EndpointSlice, Service, ServiceKey};
use super::shelf::Named;

/// The kinds of object that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Pods.
    Pod,
    /// Namespaces, for their labels.
    Namespace,
    /// Nodes, for the cluster's ranges of addresses.
    Node,
    /// Services, by which pods call others.
    Service,
    /// Who stands behind services.
    EndpointSlice,
    /// Addresses that policies name together.
    CidrGroup,
    /// Policies.
    Policy(PolicyKind),
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A pod.
    Pod(PodKey),
    /// A namespace.
    Namespace(String),
    /// A node.
    Node(String),
    /// A service.
    Service(ServiceKey),
    /// Some endpoints of a service.
    EndpointSlice(ServiceKey),
    /// A group of addresses.
    CidrGroup(String),
    /// A policy.
    Policy(PolicyKind, PolicyName),
}

/// One object, read as far as it matters here.
#[derive(Clone, Debug)]
pub struct Object(pub(super) Content);

#[derive(Clone, Debug)]
pub(super) enum Content {
    Pod(Box<Named<PodKey, Pod>>),
    Namespace(Named<String, Namespace>),
    Node(Named<String, ClusterNode>),
    Service(Named<ServiceKey, Service>),
    EndpointSlice(Named<ServiceKey, EndpointSlice>),
    CidrGroup(Named<String, CidrGroup>),
    Policy(PolicyObject),
    /// Not even its name can be read.
    Nameless(String),
    /// Nothing that matters here, of this kind.
    Other(String),
}

/// A policy as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PolicyObject {
    pub(super) reading: Reading,
    /// The reading of the file that it came from; 0 if it came from none.
    pub(super) revision: u64,
    /// Which version of which object of the API server it is.
    pub(super) version: Option<ObjectVersion>,
}

/// A version of an object, as the API server counts them.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ObjectVersion {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`: grows with every change of the spec.
    pub generation: i64,
    /// `status`, as it was when this was read.
    pub status: serde_json::Value,
}

impl Object {
    /// Reads a document. `revision` tells readings of files apart; 0 for the API server's.
    pub fn read(node: &Node, revision: u64, registry: Registry) -> Self {
        if is_policy(node) {
            let reading = read_policy(node, registry);
            return Self(Content::Policy(PolicyObject { reading, revision, version: None }));
        }
        let read = match (text(node, "apiVersion"), text(node, "kind")) {
            ("v1", "Pod") => PodKey::read(node).map(|key| {
                let value = Pod::read(key.clone(), node, revision);
                Content::Pod(Box::new(named(key, value, revision)))
            }),
            ("v1", "Namespace") => Namespace::read_name(node)
                .map(|key| Content::Namespace(named(key, Namespace::read(node), revision))),
            ("v1", "Node") => cluster_wide_name(node)
                .map(|key| Content::Node(named(key, ClusterNode::read(node), revision))),
            ("v1", "Service") => ServiceKey::read(node)
                .map(|key| Content::Service(named(key, Service::read(node), revision))),
            ("discovery.k8s.io/v1", "EndpointSlice") => ServiceKey::read(node)
                .map(|key| Content::EndpointSlice(named(key, EndpointSlice::read(node), revision))),
            ("cilium.io/v2", "CiliumCIDRGroup") => cluster_wide_name(node)
                .map(|key| Content::CidrGroup(named(key, read_cidr_group(node), revision))),
            (_, kind) => Ok(Content::Other(kind.to_owned())),
        };
        Self(read.unwrap_or_else(|error| Content::Nameless(error.to_string())))
    }

    /// The same object, known to be this version of it.
    #[must_use]
    pub fn at(mut self, version: ObjectVersion) -> Self {
        if let Content::Policy(policy) = &mut self.0 {
            policy.version = Some(version);
        }
        self
    }

    /// Which object it is; none if that cannot be read or does not matter.
    pub fn key(&self) -> Option<Key> {
        match &self.0 {
            Content::Policy(policy) => {
                let (kind, name) = policy_key(&policy.reading);
                Some(Key::Policy(kind, name.clone()))
            }
            Content::Pod(pod) => Some(Key::Pod(pod.key.clone())),
            Content::Namespace(namespace) => Some(Key::Namespace(namespace.key.clone())),
            Content::Node(node) => Some(Key::Node(node.key.clone())),
            Content::Service(service) => Some(Key::Service(service.key.clone())),
            Content::EndpointSlice(slice) => Some(Key::EndpointSlice(slice.key.clone())),
            Content::CidrGroup(group) => Some(Key::CidrGroup(group.key.clone())),
            Content::Nameless(_) | Content::Other(_) => None,
        }
    }
}

impl Content {
    pub(super) fn pod(self) -> Option<Named<PodKey, Pod>> {
        if let Self::Pod(pod) = self { Some(*pod) } else { None }
    }

    pub(super) fn namespace(self) -> Option<Named<String, Namespace>> {
        if let Self::Namespace(namespace) = self { Some(namespace) } else { None }
    }

    pub(super) fn node(self) -> Option<Named<String, ClusterNode>> {
        if let Self::Node(node) = self { Some(node) } else { None }
    }

    pub(super) fn service(self) -> Option<Named<ServiceKey, Service>> {
        if let Self::Service(service) = self { Some(service) } else { None }
    }

    pub(super) fn endpoint_slice(self) -> Option<Named<ServiceKey, EndpointSlice>> {
        if let Self::EndpointSlice(slice) = self { Some(slice) } else { None }
    }

    pub(super) fn cidr_group(self) -> Option<Named<String, CidrGroup>> {
        if let Self::CidrGroup(group) = self { Some(group) } else { None }
    }

    pub(super) fn policy(self) -> Option<PolicyObject> {
        if let Self::Policy(policy) = self { Some(policy) } else { None }
    }
}

impl Key {
    /// What it is the name of.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Pod(_) => Kind::Pod,
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::CidrGroup(_) => Kind::CidrGroup,
            Self::Policy(kind, _) => Kind::Policy(*kind),
        }
    }
}

/// Which policy a reading is of.
pub(super) fn policy_key(reading: &Reading) -> (PolicyKind, &PolicyName) {
    match reading {
        Reading::Accepted(policy) => (policy.kind, &policy.name),
        Reading::Refused(refused) => (refused.kind, &refused.name),
    }
}

fn named<K, V>(key: K, value: Result<V, FieldError>, revision: u64) -> Named<K, V> {
    Named { key, value: value.map_err(|error| error.to_string()), revision }
}

fn text<'a>(node: &'a Node, name: &str) -> &'a str {
    node.get(name).and_then(Node::as_str).unwrap_or_default()
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(kind, name) => write!(f, "{kind} {name}"),
            Self::Pod(key) => write!(f, "pod {key}"),
            Self::Namespace(name) => write!(f, "namespace {name}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Service(key) => write!(f, "service {key}"),
            Self::EndpointSlice(key) => write!(f, "endpoint slice {key}"),
            Self::CidrGroup(name) => write!(f, "CIDR group {name}"),
        }
    }
}
