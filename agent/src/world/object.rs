//! From documents to objects. Of several with one name the first counts, by
//! the order of the files' names.

use std::collections::BTreeMap;
use std::mem;

use remora_manifest::{FieldError, Node};
use remora_parsers::Registry;
use remora_policy::{PolicyKind, PolicyName, Reading, is_policy, read_policy};

use super::pod::{Namespace, Pod, PodKey};
use crate::directory::Document;
use crate::notice::{Notice, Severity};

/// What the documents of the last update held: a document is read once.
#[derive(Debug, Default)]
pub(super) struct Objects(BTreeMap<(u64, usize), Object>);

/// What one document holds.
#[derive(Clone, Debug)]
enum Object {
    Policy(Reading),
    Pod(Named<PodKey, Pod>),
    Namespace(Named<String, Namespace>),
    /// Not even its name can be read.
    Nameless(String),
    /// Nothing that matters here, of this kind.
    Other(String),
}

/// An object with its name, or why it cannot be read.
#[derive(Clone, Debug)]
pub(super) struct Named<K, V> {
    pub(super) key: K,
    pub(super) value: Result<V, String>,
    pub(super) revision: u64,
}

/// The first object of each name.
#[derive(Debug, Default)]
pub(super) struct First {
    pub(super) policies: Vec<(u64, Reading)>,
    pub(super) pods: Vec<Named<PodKey, Pod>>,
    pub(super) namespaces: Vec<Named<String, Namespace>>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Policy(PolicyKind, PolicyName),
    Pod(PodKey),
    Namespace(String),
}

impl Objects {
    pub(super) fn read(
        &mut self,
        documents: &[Document],
        registry: Registry,
        notices: &mut Vec<Notice>,
    ) -> First {
        let mut before = mem::take(&mut self.0);
        let mut holders: BTreeMap<Key, String> = BTreeMap::new();
        let mut first = First::default();
        for document in documents {
            let id = (document.revision, document.index);
            let object = before.remove(&id).unwrap_or_else(|| Object::read(document, registry));
            let place = document.node.location.file_and_line().to_string();
            let key = object.key();
            if let Some((key, holder)) = key.as_ref().and_then(|key| holders.get_key_value(key)) {
                let text = format!(
                    "{place}: {key} stands in {holder} already, and the first counts; remove one of them"
                );
                notices.push(Notice::new(Severity::Error, document.revision, text));
            } else {
                holders.extend(key.map(|key| (key, place.clone())));
                first.take(&object, document.revision, &place, notices);
            }
            self.0.insert(id, object);
        }
        first
    }
}

impl First {
    fn take(&mut self, object: &Object, revision: u64, place: &str, notices: &mut Vec<Notice>) {
        match object.clone() {
            Object::Policy(reading) => self.policies.push((revision, reading)),
            Object::Pod(pod) => self.pods.push(pod),
            Object::Namespace(namespace) => self.namespaces.push(namespace),
            Object::Nameless(error) => {
                let text = format!("{error}: this document is ignored");
                notices.push(Notice::new(Severity::Error, revision, text));
            }
            Object::Other(kind) => {
                let text = format!(
                    "{place}: kind: `{kind}` is ignored; the agent reads Pod, Namespace and policies"
                );
                notices.push(Notice::new(Severity::Warning, revision, text));
            }
        }
    }
}

impl Object {
    fn read(document: &Document, registry: Registry) -> Self {
        let Document { revision, node, .. } = document;
        if is_policy(node) {
            return Self::Policy(read_policy(node, registry));
        }
        let read = match (text(node, "apiVersion"), text(node, "kind")) {
            ("v1", "Pod") => PodKey::read(node).map(|key| {
                let value = Pod::read(key.clone(), node, *revision);
                Self::Pod(Named::new(key, value, *revision))
            }),
            ("v1", "Namespace") => Namespace::read_name(node)
                .map(|key| Self::Namespace(Named::new(key, Namespace::read(node), *revision))),
            (_, kind) => Ok(Self::Other(kind.to_owned())),
        };
        read.unwrap_or_else(|error| Self::Nameless(error.to_string()))
    }

    fn key(&self) -> Option<Key> {
        match self {
            Self::Policy(reading) => {
                let (kind, name) = policy_key(reading);
                Some(Key::Policy(kind, name.clone()))
            }
            Self::Pod(pod) => Some(Key::Pod(pod.key.clone())),
            Self::Namespace(namespace) => Some(Key::Namespace(namespace.key.clone())),
            Self::Nameless(_) | Self::Other(_) => None,
        }
    }
}

impl<K, V> Named<K, V> {
    fn new(key: K, value: Result<V, FieldError>, revision: u64) -> Self {
        Self { key, value: value.map_err(|error| error.to_string()), revision }
    }
}

/// What is in force of these: an object that cannot be read stays what it was.
pub(super) fn or_last_good<K, V>(
    found: Vec<Named<K, V>>,
    mut last_good: impl FnMut(&K) -> Option<V>,
    notices: &mut Vec<Notice>,
) -> Vec<(K, V)> {
    let mut in_force = Vec::new();
    for Named { key, value, revision } in found {
        let value = value.or_else(|error| {
            let kept = last_good(&key);
            let consequence = match kept {
                Some(_) => "its last good version stays in force",
                None => "this document is ignored",
            };
            let text = format!("{error}: {consequence}");
            notices.push(Notice::new(Severity::Error, revision, text));
            kept.ok_or(())
        });
        in_force.extend(value.ok().map(|value| (key, value)));
    }
    in_force
}

/// Which policy a reading is of.
pub(super) fn policy_key(reading: &Reading) -> (PolicyKind, &PolicyName) {
    match reading {
        Reading::Accepted(policy) => (policy.kind, &policy.name),
        Reading::Refused(refused) => (refused.kind, &refused.name),
    }
}

fn text<'a>(node: &'a Node, name: &str) -> &'a str {
    node.get(name).and_then(Node::as_str).unwrap_or_default()
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Policy(kind, name) => write!(f, "{kind} {name}"),
            Self::Pod(key) => write!(f, "pod {key}"),
            Self::Namespace(name) => write!(f, "namespace {name}"),
        }
    }
}
