//! From the bytes of a file to the documents that the agent judges.

use std::path::Path;

use remora_manifest::{Field, Node, Value};
use remora_policy::{PolicyKind, is_policy};

/// Why a file's text is not taken.
#[derive(Debug)]
pub(crate) struct Unusable {
    /// The line of the first error, from 1.
    pub(crate) line: u32,
    /// `FILE:LINE: what is wrong; remedy`, several of them joined.
    pub(crate) text: String,
}

/// Reads a file whole: one bad document spoils it, for a half-written file
/// must not count as the edit that somebody meant.
pub(crate) fn documents(bytes: &[u8], file: &Path) -> Result<Vec<Node>, Unusable> {
    let mut nodes = Vec::new();
    let mut errors: Vec<(u32, String)> = Vec::new();
    for document in remora_manifest::read_bytes(bytes, file) {
        match document {
            Ok(node) => nodes.extend(items_of_list(node)),
            Err(error) => errors.push((error.location.line, error.to_string())),
        }
    }
    for node in &nodes {
        errors.extend(objection(node).map(|text| (node.location.line, text)));
    }
    if nodes.is_empty() && errors.is_empty() {
        let remedy = "write the manifest again, or delete the file to withdraw what it held";
        errors.push((1, format!("{}:1: holds no document (truncated?); {remedy}", file.display())));
    }
    let Some((line, _)) = errors.first() else { return Ok(nodes) };
    let texts: Vec<_> = errors.iter().map(|(_, text)| text.as_str()).collect();
    Err(Unusable { line: *line, text: texts.join(" | ") })
}

/// The items of a `kind: List`, as `kubectl get -o yaml` writes it.
fn items_of_list(node: Node) -> Vec<Node> {
    let is_list = node.get("kind").and_then(Node::as_str) == Some("List");
    match node.get("items").map(|items| &items.value) {
        Some(Value::List(items)) if is_list => items.clone(),
        _ => vec![node],
    }
}

/// Why a document is no manifest, or a policy whose kind is misspelt: it would
/// otherwise vanish without a word.
fn objection(node: &Node) -> Option<String> {
    let kind = match Field::root(node).require("kind") {
        Ok(kind) => kind,
        Err(error) => return Some(error.to_string()),
    };
    let name = match kind.string() {
        Ok(name) => name,
        Err(error) => return Some(error.to_string()),
    };
    let group = node.get("apiVersion").and_then(Node::as_str).unwrap_or_default();
    let is_of_policy_group =
        group.starts_with("cilium.io/") || group.starts_with("policy.remora.dev/");
    if !is_of_policy_group || is_policy(node) {
        return None;
    }
    let known = PolicyKind::ALL.map(PolicyKind::name).join(", ");
    let problem = format!("`{name}` of {group} is no policy that the agent reads");
    Some(kind.error(problem, format!("write one of {known}")).to_string())
}
