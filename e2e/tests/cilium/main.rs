//! Cilium's own files: its definition of policies, and its examples of them.
//!
//! Neither is ours to copy, so whoever has Go fetches the module that holds them
//! (`cargo xtask e2e-cluster`, whose cluster is built with it, and `cargo xtask
//! test --full`), and what is expected of each stands in a table here. After a
//! change: `REMORA_UPDATE=1 REMORA_CILIUM=1 cargo test -p remora-e2e --test cilium`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use remora_manifest::{Node, read_bytes};
use remora_parsers::Registry;
use remora_policy::{Reading, is_policy, read_policy};

const MODULE: &str = "github.com/cilium/cilium@v1.19.0";
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cilium/examples.txt");
const PROPERTIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy-properties.md");

/// The folder of the module; none in an ordinary run.
fn module() -> Option<PathBuf> {
    ["REMORA_CILIUM", "REMORA_FULL"].into_iter().find_map(std::env::var_os)?;
    let output = Command::new("go")
        .args(["mod", "download", "-json", MODULE])
        .current_dir(std::env::temp_dir())
        .output()
        .expect("`go` is needed to fetch Cilium's module: install golang");
    let text = String::from_utf8_lossy(&output.stdout);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let dir = json["Dir"].as_str().unwrap_or_else(|| panic!("go mod download {MODULE}: {text}"));
    Some(dir.into())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.extension().and_then(|own| own.to_str()) {
            _ if path.is_dir() => files(&path, found),
            Some("yaml" | "json") => found.push(path),
            _ => {}
        }
    }
}

/// What becomes of each policy in a file, one line each.
fn outcomes(root: &Path, file: &Path) -> Vec<String> {
    let shown = file.strip_prefix(root).expect("inside").display().to_string();
    let bytes = fs::read(file).expect("readable");
    let documents = read_bytes(&bytes, Path::new(&shown)).into_iter();
    let line = |document: Result<Node, _>| {
        let document = document.expect("YAML");
        if !is_policy(&document) {
            return format!("{shown}: no policy of ours");
        }
        match read_policy(&document, Registry::BUILT_IN) {
            Reading::Accepted(policy) if policy.warnings.is_empty() => format!("{shown}: accepted"),
            Reading::Accepted(policy) => {
                format!("{shown}: accepted; {}", policy.warnings.join("; "))
            }
            Reading::Refused(refused) => {
                let closes = if refused.closes.is_empty() { "closes no pod" } else { "closed" };
                let errors: Vec<_> = refused
                    .errors
                    .iter()
                    .map(|own| format!("{}: {}", own.field, own.message))
                    .collect();
                format!("{shown}: refused, {closes}; {}", errors.join("; "))
            }
        }
    };
    documents.map(line).collect()
}

#[test]
fn every_example_of_cilium_has_the_outcome_that_stands_in_the_table() {
    let table = fs::read_to_string(EXAMPLES).unwrap_or_default();
    let Some(module) = module() else {
        // The table itself says that nothing is half read.
        assert!(table.lines().count() > 50, "{EXAMPLES} is cut short");
        let is_outcome = |line: &str| {
            [": accepted", ": refused, ", ": no policy of ours"]
                .iter()
                .any(|own| line.contains(own))
        };
        assert!(table.lines().all(is_outcome));
        return;
    };
    let root = module.join("examples/policies");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    let lines: Vec<String> = found.iter().flat_map(|file| outcomes(&root, file)).collect();
    let fresh = lines.join("\n") + "\n";
    if std::env::var_os("REMORA_UPDATE").is_some() {
        fs::write(EXAMPLES, &fresh).expect("written");
    }
    let table = fs::read_to_string(EXAMPLES).expect("the table");
    for (expected, line) in table.lines().zip(fresh.lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(table.lines().count(), fresh.lines().count());
}

/// The paths of all properties of a schema: `spec.ingress[].toPorts[].ports`.
fn walk(schema: &Node, path: &str, found: &mut BTreeSet<String>) {
    let properties = schema.get("properties").and_then(|own| match &own.value {
        remora_manifest::Value::Map(entries) => Some(entries),
        _ => None,
    });
    for (key, own) in properties.into_iter().flatten() {
        let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
        found.insert(path.clone());
        walk(own, &path, found);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{path}[]"), found);
    }
}

#[test]
fn the_table_of_properties_has_all_of_ciliums_definition() {
    let table = fs::read_to_string(PROPERTIES).expect("the table");
    let rows: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(property, _)| property.to_owned())
        .collect();
    assert!(rows.len() > 300, "{} rows", rows.len());
    let Some(module) = module() else { return };
    for name in ["ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"] {
        let file = module.join(format!("pkg/k8s/apis/cilium.io/client/crds/v2/{name}.yaml"));
        let bytes = fs::read(&file).expect("the definition");
        let document = read_bytes(&bytes, &file).remove(0).expect("YAML");
        let versions =
            document.get("spec").and_then(|spec| spec.get("versions")).expect("versions");
        let remora_manifest::Value::List(versions) = &versions.value else { panic!("a list") };
        let schema = versions[0].get("schema").and_then(|own| own.get("openAPIV3Schema"));
        let mut found = BTreeSet::new();
        walk(schema.expect("a schema"), "", &mut found);
        let specs: BTreeSet<String> = found
            .iter()
            .map(|path| path.replacen("specs[].", "spec.", 1))
            .filter(|path| path.starts_with("spec."))
            .collect();
        assert_eq!(specs, rows, "{name}");
    }
}
