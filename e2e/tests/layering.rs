//! Holds the workspace to its table of dependencies, and the crates that a
//! peer's bytes reach to what they need.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use cargo_metadata::{Metadata, MetadataCommand};

/// Each crate with those of ours that it may depend on. Lower layers come
/// first, so that the table itself cannot hold a cycle.
const TABLE: [(&str, &[&str]); 14] = [
    ("parsers", &[]),
    ("manifest", &[]),
    ("api", &[]),
    ("certs", &[]),
    ("init", &[]),
    ("xtask", &[]),
    ("policy", &["parsers", "manifest", "api"]),
    ("injector", &["manifest", "certs"]),
    ("agent", &["parsers", "manifest", "api", "certs", "policy"]),
    ("sidecar", &["parsers", "api", "certs", "policy"]),
    ("netns", &["manifest", "injector"]),
    (
        "cli",
        &[
            "parsers", "manifest", "api", "certs", "init", "policy", "injector", "agent",
            "sidecar", "netns",
        ],
    ),
    (
        "e2e",
        &[
            "parsers", "manifest", "api", "certs", "init", "policy", "injector", "agent",
            "sidecar", "netns", "cli",
        ],
    ),
    ("bench", &["api", "injector", "netns"]),
];

/// The most crates, ours included, that may be linked into the sidecar, which
/// runs in every pod.
const SIDECAR_CRATES: usize = 92;

/// What has no business in the sidecar: reading manifests is the agent's work.
const NOT_IN_SIDECAR: [&str; 6] =
    ["remora-manifest", "saphyr", "saphyr-parser", "kube", "k8s-openapi", "regex"];

/// What would give a parser a socket, a clock, a logger or an executor.
const NOT_IN_PARSERS: [&str; 6] = ["tokio", "mio", "async-std", "log", "tracing", "futures-core"];
const NOT_IN_PARSERS_SOURCE: [&str; 9] = [
    "std::time",
    "Instant::now",
    "SystemTime",
    "std::net",
    "std::fs",
    "std::env",
    "std::thread",
    "async fn",
    "println!",
];

#[test]
fn the_table_lists_every_crate_lower_layers_first() {
    let members: BTreeSet<_> = metadata()
        .workspace_packages()
        .iter()
        .map(|package| room(&package.name).to_owned())
        .collect();
    let listed: BTreeSet<_> = TABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(members, listed, "the workspace's crates and the table's");

    for (at, (name, allowed)) in TABLE.iter().enumerate() {
        for lower in *allowed {
            let place = TABLE.iter().position(|(other, _)| other == lower);
            assert!(
                place.is_some_and(|place| place < at),
                "{name} lists {lower}, which is not lower"
            );
        }
    }
}

#[test]
fn the_architecture_page_shows_the_table() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut above = BTreeSet::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, cells) = row.split_once('`').expect("a crate's name");
        let Some((_, allowed)) = TABLE.iter().find(|(listed, _)| *listed == name) else {
            panic!("ARCHITECTURE.md shows a crate `{name}`");
        };
        let cell = cells.strip_suffix('|').and_then(|cells| cells.rsplit('|').next());
        let cell = cell.expect("a last cell").trim();
        let shown: BTreeSet<_> = if cell == "all above" {
            above.clone()
        } else {
            cell.split('`').skip(1).step_by(2).collect()
        };
        assert_eq!(shown, allowed.iter().copied().collect(), "what `{name}` may depend on");
        above.insert(name);
    }
    assert_eq!(above.len(), TABLE.len(), "ARCHITECTURE.md shows {above:?}");
}

/// Dependencies of tests and build scripts are held to the same table: a test
/// that needs a higher layer belongs to `e2e`.
#[test]
fn dependencies_follow_the_table() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let name = room(&package.name);
        let allowed = TABLE.iter().find(|(listed, _)| *listed == name).map_or(&[][..], |row| row.1);
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some())
        {
            let on = room(&dependency.name);
            if !allowed.contains(&on) {
                wrong.push(format!("{name} -> {on} ({:?})", dependency.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "dependencies that the table does not allow: {wrong:#?}");
}

#[test]
fn the_sidecar_carries_little() {
    let tree = tree("remora-sidecar");
    let surprises: Vec<_> = NOT_IN_SIDECAR.iter().filter(|name| tree.contains(**name)).collect();
    assert!(surprises.is_empty(), "linked into the sidecar: {surprises:?}");
    assert!(
        tree.len() <= SIDECAR_CRATES,
        "{} crates are linked into the sidecar, more than {SIDECAR_CRATES}: {tree:#?}",
        tree.len()
    );
}

#[test]
fn parsers_have_no_sockets_clock_or_logger() {
    let tree = tree("remora-parsers");
    let surprises: Vec<_> = NOT_IN_PARSERS.iter().filter(|name| tree.contains(**name)).collect();
    assert!(surprises.is_empty(), "the parsers depend on {surprises:?}");

    let mut wrong = Vec::new();
    for file in rust_files(&root().join("parsers/src")) {
        let text = fs::read_to_string(&file).expect("a source file");
        let words = NOT_IN_PARSERS_SOURCE.iter().filter(|word| text.contains(**word));
        wrong.extend(words.map(|word| format!("{}: {word}", file.display())));
    }
    assert!(wrong.is_empty(), "the parsers' sources use {wrong:#?}");
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("cargo metadata")
}

/// A crate's folder, which is its name without the project's.
fn room(package: &str) -> &str {
    package.strip_prefix("remora-").unwrap_or(package)
}

/// The names of the crates that are linked into a package when it is built by
/// itself. Metadata would not do: it unifies the whole workspace's features.
fn tree(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", package, "--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo tree");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder")
}
