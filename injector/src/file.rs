//! A manifest file rewritten offline: each Pod in it, and nothing else, is changed.

use std::path::Path;

use remora_manifest::{Field, FieldError, Node, read_bytes, to_yaml};
use serde_json::Value;

use crate::InjectError;

/// A file's documents with its Pods changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// All documents as YAML, in their order.
    pub yaml: String,
    /// What a person should know: which documents were passed through as they are.
    pub notes: Vec<String>,
}

/// Why nothing was rewritten: every problem of the file, a line each, with file, line and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Refused(pub Vec<String>);

/// Rewrites each Pod in a YAML or JSON file by `change`. Other documents keep their values.
///
/// # Errors
/// Some document cannot be read or is no Kubernetes object, `change` refuses a Pod, a List
/// hides Pods from us, or there is no Pod at all. One bad document refuses the whole file,
/// so that nobody applies half of it.
pub fn rewrite(
    bytes: &[u8],
    file: &Path,
    change: impl Fn(&Value) -> Result<Value, InjectError>,
) -> Result<Rewritten, Refused> {
    let (mut yaml, mut notes, mut problems) = (String::new(), Vec::new(), Vec::new());
    let mut has_pod = false;
    for document in read_bytes(bytes, file) {
        let changed = document.map_err(|error| error.to_string()).and_then(|node| {
            let kind = kind(&node).map_err(|error| error.to_string())?;
            if kind != "Pod" {
                notes.push(passed_through(&node, kind));
                return Ok(node.to_json());
            }
            has_pod = true;
            change(&node.to_json()).map_err(|error| error.located(&node).to_string())
        });
        match changed {
            Ok(value) => {
                if !yaml.is_empty() {
                    yaml.push_str("---\n");
                }
                yaml.push_str(&to_yaml(&value));
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() && !has_pod {
        let found =
            if notes.is_empty() { "the file is empty".to_owned() } else { notes.join(", ") };
        problems.push(format!("no Pod in {}; give a file with a v1 Pod ({found})", file.display()));
    }
    if problems.is_empty() { Ok(Rewritten { yaml, notes }) } else { Err(Refused(problems)) }
}

/// The document's kind, unless it would hide Pods.
fn kind(document: &Node) -> Result<&str, FieldError> {
    let root = Field::root(document);
    let kind = root.require("kind")?;
    if kind.string()? == "List"
        && let Some(items) = root.get_given("items")?
    {
        let is_pod = |item: Field<'_>| item.node.get("kind").and_then(Node::as_str) == Some("Pod");
        if items.items()?.any(is_pod) {
            return Err(kind.error("is List, and holds Pods", "give each Pod its own document"));
        }
    }
    kind.string()
}

fn passed_through(document: &Node, kind: &str) -> String {
    let name = document.get("metadata").and_then(|metadata| metadata.get("name"));
    let name = name.and_then(Node::as_str).map(|name| format!(" {name}")).unwrap_or_default();
    format!("{}: {kind}{name} is no Pod, left as it is", document.location.file_and_line())
}
