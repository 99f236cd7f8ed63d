//! A manifest file rewritten offline: each Pod and workload in it, and nothing else, is changed.

use std::path::Path;

use remora_manifest::{Field, FieldError, Node, read_bytes, to_yaml};
use serde_json::Value;

use crate::InjectError;
use crate::workload::Workload;

/// A file's documents with its Pods and workloads changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// All documents as YAML, in their order.
    pub yaml: String,
    /// What a person should know: which objects were passed through as they are.
    pub notes: Vec<String>,
}

/// Why nothing was rewritten: every problem of the file, a line each, with file, line and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Refused(pub Vec<String>);

/// Rewrites each Pod and workload in a YAML or JSON file by `change`, items of Lists included.
/// Other objects keep their values.
///
/// # Errors
/// Some document cannot be read or is no Kubernetes object, `change` refuses an object, or
/// there is nothing to change at all. One bad object refuses the whole file, so that nobody
/// applies half of it.
pub fn rewrite(
    bytes: &[u8],
    file: &Path,
    change: impl Fn(&Value) -> Result<Value, InjectError>,
) -> Result<Rewritten, Refused> {
    let mut rewriting = Rewriting { change, changed: 0, notes: Vec::new(), problems: Vec::new() };
    let mut yaml = Vec::new();
    for document in read_bytes(bytes, file) {
        match document {
            Ok(node) => yaml.extend(rewriting.object(&Field::root(&node)).as_ref().map(to_yaml)),
            Err(error) => rewriting.problems.push(error.to_string()),
        }
    }
    let Rewriting { changed, notes, mut problems, .. } = rewriting;
    if problems.is_empty() && changed == 0 {
        let found =
            if notes.is_empty() { "the file is empty".to_owned() } else { notes.join(", ") };
        let file = file.display();
        problems.push(format!("no Pod in {file}; give a file with Pods or workloads ({found})"));
    }
    if problems.is_empty() {
        Ok(Rewritten { yaml: yaml.join("---\n"), notes })
    } else {
        Err(Refused(problems))
    }
}

/// What is known while a file is walked through.
struct Rewriting<F> {
    change: F,
    changed: usize,
    notes: Vec<String>,
    problems: Vec<String>,
}

impl<F: Fn(&Value) -> Result<Value, InjectError>> Rewriting<F> {
    /// The object as it is to be written; none if it is refused.
    fn object(&mut self, object: &Field<'_>) -> Option<Value> {
        match self.changed(object) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(error.to_string());
                None
            }
        }
    }

    fn changed(&mut self, object: &Field<'_>) -> Result<Value, FieldError> {
        let kind = object.require("kind")?.string()?;
        if kind == "List" {
            return self.list(object);
        }
        let relative = Field::root(object.node);
        let located = |error: InjectError| error.located(object);
        if Workload::find(&relative).map_err(located)?.is_none() {
            self.notes.push(passed_through(object.node, kind));
            return Ok(object.node.to_json());
        }
        self.changed = self.changed.saturating_add(1);
        (self.change)(&object.node.to_json()).map_err(located)
    }

    fn list(&mut self, list: &Field<'_>) -> Result<Value, FieldError> {
        let mut value = list.node.to_json();
        if let (Some(items), Value::Object(fields)) = (list.get_given("items")?, &mut value) {
            let items: Vec<Value> = items.items()?.filter_map(|item| self.object(&item)).collect();
            fields.insert("items".to_owned(), items.into());
        }
        Ok(value)
    }
}

fn passed_through(object: &Node, kind: &str) -> String {
    let name = object.get("metadata").and_then(|metadata| metadata.get("name"));
    let name = name.and_then(Node::as_str).map(|name| format!(" {name}")).unwrap_or_default();
    let place = object.location.file_and_line();
    let containers = ["spec", "template", "spec", "containers"];
    match containers.into_iter().try_fold(object, |node, name| node.get(name)) {
        None => format!("{place}: {kind}{name} is no Pod, left as it is"),
        Some(_) => format!(
            "{place}: {kind}{name} is no kind that Remora knows, left as it is: \
             the pods of its template run without Remora"
        ),
    }
}
