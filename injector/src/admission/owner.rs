//! Whom to tell what became of a pod: it is not there yet, but who makes it is.

use serde_json::Value;

use super::reason::{Outcome, Reason};

/// The object that an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// As `apps/v1`.
    pub api_version: String,
    /// As `ReplicaSet`.
    pub kind: String,
    /// In which namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid; none for the pod itself, which has none yet.
    pub uid: Option<String>,
}

impl Owner {
    /// The controller of a pod in this namespace, or the pod itself, if it has a name.
    pub(super) fn of(pod: &Value, namespace: &str) -> Option<Self> {
        let namespace = namespace.to_owned();
        let references = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let is_controller =
            |owner: &&Value| owner.get("controller").and_then(Value::as_bool) == Some(true);
        let text = |of: &Value, name: &str| of.get(name)?.as_str().map(str::to_owned);
        if let Some(owner) = references.and_then(|all| all.iter().find(is_controller)) {
            return Some(Self {
                api_version: text(owner, "apiVersion")?,
                kind: text(owner, "kind")?,
                namespace,
                name: text(owner, "name")?,
                uid: text(owner, "uid"),
            });
        }
        let name = text(pod.get("metadata")?, "name")?;
        let (api_version, kind) = ("v1".to_owned(), "Pod".to_owned());
        Some(Self { api_version, kind, namespace, name, uid: None })
    }
}

/// What is told about a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Story {
    /// Whom it is told about.
    pub owner: Owner,
    /// Whether something is not as it was asked for.
    pub is_warning: bool,
    /// One word: `Injected`, `NotInjected` or `InjectionRefused`.
    pub reason: &'static str,
    /// A sentence.
    pub note: String,
}

impl Story {
    pub(super) fn new(owner: Owner, outcome: Outcome, reason: Reason, note: String) -> Self {
        let (is_warning, word) = match outcome {
            Outcome::Injected => (false, "Injected"),
            Outcome::Skipped => {
                // Nobody need be warned of what they asked for themselves.
                (reason != Reason::Skip(super::Skip::OptedOut), "NotInjected")
            }
            _ => (true, "InjectionRefused"),
        };
        Self { owner, is_warning, reason: word, note }
    }
}
