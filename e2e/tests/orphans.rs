//! Every source file is compiled by something, and none grows without notice.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{Metadata, MetadataCommand};

/// A file with more lines is listed: it may hold two ideas.
const LONG: usize = 400;

#[test]
fn every_source_file_is_compiled_by_something() {
    let metadata = metadata();
    let mut compiled = BTreeSet::new();
    for package in metadata.workspace_packages() {
        for target in &package.targets {
            let root = target.src_path.as_std_path();
            follow(root, root.parent().expect("a folder"), &mut compiled);
        }
    }
    let orphans: Vec<_> =
        all_files(&metadata).into_iter().filter(|file| !compiled.contains(file)).collect();
    assert!(orphans.is_empty(), "no `mod` and no target reaches {orphans:#?}");
}

/// Fails for nothing: a list to look at (`cargo test -- --nocapture`), because
/// lines are no measure of an idea.
#[test]
fn long_files_are_listed() {
    let mut long: Vec<_> = all_files(&metadata())
        .into_iter()
        .filter(|file| !file.components().any(|part| part.as_os_str() == "generated"))
        .map(|file| (fs::read_to_string(&file).expect("a source file").lines().count(), file))
        .filter(|(lines, _)| *lines > LONG)
        .collect();
    long.sort();
    for (lines, file) in long.iter().rev() {
        println!("{lines} lines: {}", file.display());
    }
}

/// Walks from a file to those that its `mod` and `include!` lines name.
/// `folder` is where its modules lie.
fn follow(file: &Path, folder: &Path, compiled: &mut BTreeSet<PathBuf>) {
    let file = &file.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    if !compiled.insert(file.clone()) {
        return;
    }
    let text = fs::read_to_string(file).expect("a source file");
    let beside = file.parent().expect("a folder");
    let mut inside = folder.to_owned();
    let mut path_attribute = None;
    for line in text.lines().map(str::trim) {
        if let Some(path) = quoted(line, "#[path = \"") {
            path_attribute = Some(beside.join(path));
        } else if let Some(path) = quoted(line, "include!(\"") {
            compiled.insert(beside.join(path));
        } else if let Some(name) = module(line, '{') {
            // Inline modules hold tests, which have no modules of their own,
            // or lie at a file's end: their closing brace need not be found.
            inside = folder.join(name);
        } else if let Some(name) = module(line, ';') {
            let candidates = match path_attribute.take() {
                Some(path) => vec![path],
                None => [folder, &inside].iter().flat_map(|folder| places(folder, name)).collect(),
            };
            let found = candidates.iter().find(|candidate| candidate.is_file());
            let found = found.unwrap_or_else(|| panic!("{}: mod {name}: no file", file.display()));
            let is_mod = found.file_name().is_some_and(|name| name == "mod.rs");
            let below = found.parent().expect("a folder");
            let below = if is_mod { below.to_owned() } else { below.join(stem(found)) };
            follow(found, &below, compiled);
        }
    }
}

fn places(folder: &Path, name: &str) -> [PathBuf; 2] {
    [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")]
}

fn stem(file: &Path) -> &std::ffi::OsStr {
    file.file_stem().expect("a file's name")
}

fn quoted<'l>(line: &'l str, start: &str) -> Option<&'l str> {
    line.strip_prefix(start)?.split('"').next()
}

/// The name of a module that `line` declares, where `end` follows the name.
fn module(line: &str, end: char) -> Option<&str> {
    let visibility = ["pub(crate) ", "pub(super) ", "pub "];
    let line = visibility.iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
    let name = line.strip_prefix("mod ")?.strip_suffix(end)?.trim();
    name.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(name)
}

/// All source files in the crates' folders, but for what they build.
fn all_files(metadata: &Metadata) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let mut folders: Vec<_> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.manifest_path.as_std_path().parent().expect("a folder").to_owned())
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                files.insert(path);
            }
        }
    }
    files
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("cargo metadata")
}
