//! Holds what comes from other projects to `deny.toml` and to
//! `docs/dependencies.md`.

use std::{collections::BTreeSet, fs, path::Path};

use cargo_metadata::{Metadata, MetadataCommand, semver::VersionReq};

#[test]
fn every_direct_dependency_is_explained() {
    let metadata = metadata();
    let used: BTreeSet<_> = metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| &package.dependencies)
        .filter(|dependency| dependency.path.is_none())
        .map(|dependency| dependency.name.clone())
        .collect();
    let text = read("docs/dependencies.md");
    let explained: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(used, explained, "direct dependencies, and the rows of docs/dependencies.md");
}

#[test]
fn no_dependency_is_below_its_floor() {
    let metadata = metadata();
    let text = read("deny.toml");
    let denied = text.split("\ndeny = [").nth(1).and_then(|rest| rest.split("\n]").next());
    let mut floors = 0;
    for entry in denied.expect("a deny list").lines().filter_map(|line| quoted(line, "crate = \""))
    {
        floors += 1;
        let (name, versions) = entry.split_once('@').unwrap_or((entry, "*"));
        let versions = VersionReq::parse(versions).expect("a version requirement");
        for package in metadata.packages.iter().filter(|package| package.name == name) {
            assert!(!versions.matches(&package.version), "{name} {} is denied", package.version);
        }
    }
    assert!(floors > 0, "deny.toml lists no floors");
}

#[test]
fn every_licence_is_allowed() {
    let text = read("deny.toml");
    let list = text.split("\nallow = [").nth(1).and_then(|rest| rest.split("\n]").next());
    let allowed: Vec<_> =
        list.expect("an allow list").lines().filter_map(|line| quoted(line.trim(), "\"")).collect();
    for package in &metadata().packages {
        let licence = package.license.as_deref().unwrap_or("none");
        assert!(may_use(licence, &allowed), "{} is under {licence}", package.name);
    }
}

#[test]
fn licence_expressions_are_read() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"];
    for good in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR Zlib) AND MIT"] {
        assert!(may_use(good, &allowed), "{good}");
    }
    assert!(may_use("Apache-2.0 WITH LLVM-exception OR Apache-2.0", &allowed));
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "none", ""] {
        assert!(!may_use(bad, &allowed), "{bad}");
    }
}

/// Whether a licence expression can be satisfied by the allowed ones. Reads
/// what crates write: AND of groups in parentheses, OR (or a slash) inside.
fn may_use(expression: &str, allowed: &[&str]) -> bool {
    expression.split(" AND ").all(|group| {
        group
            .trim_matches(['(', ')'])
            .split(" OR ")
            .flat_map(|one| one.split('/'))
            .any(|one| allowed.contains(&one.trim()))
    })
}

fn quoted<'l>(line: &'l str, start: &str) -> Option<&'l str> {
    line.split_once(start)?.1.split('"').next()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(
            ["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"].map(str::to_owned),
        )
        .exec()
        .expect("cargo metadata")
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder")
}
