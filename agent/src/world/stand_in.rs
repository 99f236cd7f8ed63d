//! Refused policies that stand for what cannot be read at all, and close it.

use remora_policy::{Closed, PolicyError, PolicyKind, PolicyName, RefusedPolicy};

use crate::directory::Unreadable;

/// The refused policy that stands for a file which may hold one.
pub(super) fn for_file(unreadable: &Unreadable) -> Option<RefusedPolicy> {
    let closes: Vec<_> = unreadable.scope.closed().into_iter().map(everything_of).collect();
    if closes.is_empty() {
        return None;
    }
    let file = unreadable.file.display().to_string();
    let error = PolicyError {
        file: Some(file.clone()),
        line: unreadable.line,
        field: "document".to_owned(),
        message: unreadable.error.clone(),
    };
    Some(stand_in(format!("unreadable file {file}"), closes, error))
}

/// The refused policy that stands for whatever may be about a namespace whose
/// labels are not known.
pub(super) fn for_namespace(namespace: &str) -> RefusedPolicy {
    let error = PolicyError {
        file: None,
        line: 0,
        field: "metadata.labels".to_owned(),
        message: "the namespace's labels are not known".to_owned(),
    };
    let closes = vec![everything_of(Some(namespace.to_owned()))];
    stand_in(format!("unknown namespace {namespace}"), closes, error)
}

fn everything_of(namespace: Option<String>) -> Closed {
    Closed { namespace, selector: None, ingress: true, egress: true }
}

fn stand_in(name: String, closes: Vec<Closed>, error: PolicyError) -> RefusedPolicy {
    RefusedPolicy {
        name: PolicyName { namespace: None, name },
        kind: PolicyKind::ClusterL7Policy,
        closes,
        errors: vec![error],
        warnings: Vec::new(),
    }
}
