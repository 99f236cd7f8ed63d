//! Policies from files: manifests, and the JSON lists of `cilium policy import`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use remora_manifest::{Key, Location, Node, Value};
use remora_parsers::Registry;
use remora_policy::{PolicySet, Reading, is_policy, read_policy};

/// What a file holds.
pub(super) struct Loaded {
    /// `FILE:LINE` of each policy, and what came of reading it.
    pub(super) policies: Vec<(String, Reading)>,
    /// Why it, or a part of it, cannot be read.
    pub(super) unreadable: Vec<String>,
}

/// Reads every file.
pub(super) fn files(files: &[PathBuf]) -> Vec<Loaded> {
    files.iter().map(|file| load(file)).collect()
}

/// The policies in force, and everything that is wrong with the others.
pub(super) fn set(files: &[PathBuf]) -> Result<(PolicySet, Vec<String>), String> {
    let (mut set, mut warnings, mut errors) = (PolicySet::default(), Vec::new(), Vec::new());
    for loaded in self::files(files) {
        errors.extend(loaded.unreadable);
        for (_, reading) in loaded.policies {
            match &reading {
                Reading::Accepted(policy) => warnings.extend(policy.warnings.iter().cloned()),
                Reading::Refused(refused) => errors.push(refused.report()),
            }
            set.insert(reading);
        }
    }
    if errors.is_empty() { Ok((set, warnings)) } else { Err(errors.join("\n")) }
}

fn load(file: &Path) -> Loaded {
    let shown = file.display();
    let mut loaded = Loaded { policies: Vec::new(), unreadable: Vec::new() };
    let documents = match documents(file) {
        Ok(documents) => documents,
        Err(error) => {
            loaded.unreadable.push(error);
            return loaded;
        }
    };
    for document in documents {
        match document {
            Ok(node) => {
                let node = manifest(node, None, file);
                if is_policy(&node) {
                    let place = node.location.file_and_line().to_string();
                    loaded.policies.push((place, read_policy(&node, Registry::BUILT_IN)));
                }
            }
            Err(error) => loaded.unreadable.push(error),
        }
    }
    if loaded.policies.is_empty() && loaded.unreadable.is_empty() {
        let remedy = "give a CiliumNetworkPolicy, an L7Policy, or a JSON list of rules";
        loaded.unreadable.push(format!("{shown}: no policy in it: {remedy}"));
    }
    loaded
}

/// The documents of a file.
pub(super) fn documents(file: &Path) -> Result<Vec<Result<Node, String>>, String> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let documents = remora_manifest::read_bytes(&bytes, file).into_iter();
    Ok(documents.map(|document| document.map_err(|error| error.to_string())).collect())
}

/// A list of rules as the policy that says the same: its rules are about every
/// namespace, unless one is given. What is no such list stays what it is.
pub(super) fn manifest(node: Node, namespace: Option<&str>, file: &Path) -> Node {
    let Value::List(rules) = &node.value else { return node };
    let is_rule = |rule: &Node| rule.get("endpointSelector").is_some();
    if !rules.iter().any(is_rule) {
        return node;
    }
    let name: String = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default()
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || char == '.' { char } else { '-' })
        .collect();
    let location = node.location.clone();
    let text = |text: &str| Value::String(text.to_owned());
    let mut metadata = vec![entry("name", text(name.trim_matches('-')), &location)];
    metadata.extend(namespace.map(|own| entry("namespace", text(own), &location)));
    let kind = if namespace.is_some() { "L7Policy" } else { "ClusterL7Policy" };
    let value = Value::Map(vec![
        entry("apiVersion", text("policy.remora.dev/v1alpha1"), &location),
        entry("kind", text(kind), &location),
        entry("metadata", Value::Map(metadata), &location),
        entry("specs", node.value, &location),
    ]);
    Node { value, location }
}

fn entry(name: &str, value: Value, location: &Location) -> (Key, Node) {
    let key = Key { name: name.to_owned(), location: location.clone() };
    (key, Node { value, location: location.clone() })
}
