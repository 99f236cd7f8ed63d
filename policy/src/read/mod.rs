//! Reading policies from manifests: all that is wrong is said at once, with
//! file, line, field and remedy.

mod cidr_group;
mod clashes;
mod document;
mod peers;
mod ports;
mod report;
mod rule;
mod schema;
mod selector;

use remora_manifest::{Field, Node};
use remora_parsers::Registry;

pub use self::cidr_group::read_cidr_group;
use crate::{
    matcher::Patterns,
    model::{Mode, PolicyKind},
    refusal::Reading,
};
use document::Document;
use report::Report;

/// Whether a document is a policy of a kind that we enforce or refuse: its
/// `kind` says so, whatever its `apiVersion`.
#[must_use]
pub fn is_policy(document: &Node) -> bool {
    kind(document).is_some()
}

/// Reads a policy. One that [`is_policy`] denies is refused, and closes nothing.
#[must_use]
pub fn read_policy(document: &Node, registry: Registry) -> Reading {
    let root = Field::root(document);
    Document::new(root, kind(document)).read(registry)
}

fn kind(document: &Node) -> Option<PolicyKind> {
    let kind = document.get("kind")?.as_str()?;
    PolicyKind::ALL.into_iter().find(|known| known.name() == kind)
}

/// What the reading of one document needs everywhere.
struct Reader<'a> {
    registry: Registry,
    /// The policy's path, with which its rules' paths begin: `shop/cache `.
    prefix: String,
    /// The namespace of a namespaced policy.
    namespace: Option<String>,
    kind: PolicyKind,
    report: Report,
    /// Equal expressions are compiled once.
    patterns: Patterns,
    /// The mode of rules that do not say theirs; none if it cannot be read.
    mode: Option<Mode>,
    /// Where each rule's path stands in the document.
    places: std::collections::BTreeMap<String, Field<'a>>,
}
