//! Names, edits, and a parser made in a copy of the tree.

use std::{env, process::Command};

use super::*;
use crate::cargo;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

#[test]
fn what_is_no_name_is_refused_with_place_and_remedy() {
    for fits in ["a", "redis", "line_protocol", "h2", "abcdefghijklmnopqrstuvwx"] {
        assert_eq!(name(fits).as_str(), fits);
    }
    for (text, why) in [
        ("", "a name of 0 characters: take 1 to 24"),
        ("abcdefghijklmnopqrstuvwxy", "a name of 25 characters: take 1 to 24"),
        ("Redis", "begins with 'R': begin with one of a to z"),
        ("2redis", "begins with '2': begin with one of a to z"),
        ("re-dis", "has '-' at place 3: take a to z, 0 to 9 and _"),
        ("../redis", "begins with '.': begin with one of a to z"),
        ("redi\u{df}", "has '\u{df}' at place 5: take a to z, 0 to 9 and _"),
        (
            "match",
            "`match` means something else in Rust or in the crate: `match_protocol` would do",
        ),
    ] {
        assert_eq!(text.parse::<Name>().map_err(|why| why.to_string()), Err(why.to_owned()));
    }
    assert_eq!(name("line_protocol").fill("{name} {Type}"), "line_protocol LineProtocol");
}

const LIBRARY_TEXT: &str = "//! Parsers.\n\nmod contract;\npub mod memcache;\npub mod r2d2;\n\n\
    impl Registry {\n    pub const BUILT_IN: Self = Self(&[&memcache::PROTOCOL, &r2d2::PROTOCOL]);\n}\n";

#[test]
fn modules_stay_in_order_and_the_registry_in_form() {
    let edited = edit::library(LIBRARY_TEXT, &name("ntp")).expect("edited");
    assert!(edited.contains("mod contract;\npub mod memcache;\npub mod ntp;\npub mod r2d2;\n\n"));
    assert!(edited.contains("(&[&memcache::PROTOCOL, &r2d2::PROTOCOL, &ntp::PROTOCOL]);\n}\n"));
    let twice = edit::library(&edited, &name("abc")).expect("edited");
    assert!(twice.contains("pub mod abc;\nmod contract;\n"), "{twice}");
    assert!(
        twice.contains("&[\n        &memcache::PROTOCOL,\n        &r2d2::PROTOCOL,\n"),
        "{twice}"
    );
    assert!(twice.contains("        &abc::PROTOCOL,\n    ]);\n}\n"), "{twice}");
    let thrice = edit::library(&twice, &name("zab")).expect("edited");
    assert!(
        thrice.contains("        &abc::PROTOCOL,\n        &zab::PROTOCOL,\n    ]);"),
        "{thrice}"
    );
}

#[test]
fn a_place_that_is_taken_or_gone_is_told() {
    let error = |text: &str, new: &str| edit::library(text, &name(new)).map_err(|e| e.to_string());
    assert_eq!(
        error(LIBRARY_TEXT, "r2d2"),
        Err("has a module `r2d2` already: choose another name".to_owned())
    );
    assert_eq!(
        error("fn nothing() {}\n", "ntp"),
        Err("has no line such as `pub mod r2d2;` to put the new one beside".to_owned())
    );
    assert_eq!(
        error("pub mod r2d2;\n", "ntp"),
        Err("has no `pub const BUILT_IN: Self = Self(&[…]);` to add the protocol to".to_owned())
    );
}

/// Where everything is built: this test is `target/debug/deps/…`.
fn target() -> PathBuf {
    let this = env::current_exe().expect("this program");
    this.ancestors().nth(3).expect("three folders up").to_owned()
}

/// The tree, without what is built and without its history.
fn copy_of_the_tree() -> PathBuf {
    let target = target();
    let copy = target.join("new-parser");
    if copy.exists() {
        fs::remove_dir_all(&copy).expect("removed");
    }
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(copy.join(&folder)).expect("made");
        for entry in fs::read_dir(cargo::root().join(&folder)).expect("read") {
            let entry = entry.expect("an entry");
            let place = folder.join(entry.file_name());
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() && entry.path() != target && !place.ends_with(".git") {
                folders.push(place);
            } else if kind.is_file() {
                fs::copy(entry.path(), copy.join(&place)).expect("copied");
            }
        }
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        let text = fs::read_to_string(copy.join(file)).expect("read");
        fs::write(copy.join(file), as_another_version(&text)).expect("written");
    }
    copy
}

/// Packages are told apart by name and version: with a version of its own, what
/// the copy builds does not take the place of what is built here.
fn as_another_version(text: &str) -> String {
    let ours = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"\n");
    let copys = concat!("version = \"", env!("CARGO_PKG_VERSION"), "-copy\"\n");
    let is_ours =
        |part: &&str| part.starts_with("name = \"remora") || part.starts_with("name = \"xtask");
    let whole = !text.contains("[[package]]");
    let parts = text.split_inclusive("[[package]]\n");
    parts
        .map(
            |part| {
                if whole || is_ours(&part) {
                    part.replacen(ours, copys, 1)
                } else {
                    part.to_owned()
                }
            },
        )
        .collect()
}

/// Runs cargo in a copy of the tree. What all builds depend on is taken from
/// what is built here, but no program of ours is replaced.
fn cargo_in(copy: &Path, args: &[&str]) -> String {
    let mut command = cargo::command(args);
    command.current_dir(copy);
    command.env("CARGO_BUILD_BUILD_DIR", target()).env("CARGO_TARGET_DIR", copy.join("target"));
    said(&mut command)
}

/// What a command says, if it succeeds.
fn said(command: &mut Command) -> String {
    let output = command.output().expect("starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}\n{complained}", cargo::show(command));
    said
}

#[test]
fn a_new_parser_builds_passes_its_tests_and_answers_to_a_policy() {
    let copy = copy_of_the_tree();
    let new = name("holo_net");
    let written = make(&copy, &new).expect("made");
    assert_eq!(written.len(), TEMPLATES.len() + 1);

    // Nothing is overwritten: not the second time, nor where only a page is.
    let error = make(&copy, &new).expect_err("refused").to_string();
    assert!(error.ends_with(LIBRARY), "{error}");
    let page = copy.join("docs/protocols/other.md");
    fs::write(&page, "precious").expect("written");
    let before = fs::read_to_string(copy.join(LIBRARY)).expect("read");
    let error = make(&copy, &name("other")).expect_err("refused").to_string();
    assert!(error.contains("docs/protocols/other.md is there already"), "{error}");
    assert_eq!(fs::read_to_string(&page).expect("read"), "precious");
    assert_eq!(fs::read_to_string(copy.join(LIBRARY)).expect("read"), before);
    assert!(!copy.join("parsers/src/other").exists());

    cargo_in(&copy, &["fmt", "--package", "remora-parsers"]);
    let test = ["test", "--locked", "--offline", "--package", "remora-parsers"];
    let tests = cargo_in(&copy, &[&test[..], &["--test", "holo_net", "--test", "fuzz"]].concat());
    assert_eq!(tests.matches("test result: ok").count(), 2, "{tests}");

    // All of the workspace, so that dependencies are those that are built.
    cargo_in(&copy, &["build", "--locked", "--offline", "--workspace", "--bin", "remora"]);
    let folder = copy.join("cli/tests/transcripts/holo_net");
    let mut remora = Command::new(copy.join("target/debug/remora"));
    remora.args(["policy", "test", "--output", "json", "--policy", "policy.yaml", "--from"]);
    remora.args(["role=reader", "--to", "app=holo_net", "--port", "4040"]);
    remora.args(["allowed.transcript", "closed.transcript"]).current_dir(folder);
    let said = said(&mut remora);
    let lines: Vec<_> = said.lines().collect();
    let [allowed, closed] = lines[..] else { panic!("{said}") };
    for (text, count) in [
        (r#""verdict":"FORWARDED","l7proto":"holo_net""#, 2),
        (r#""verdict":"DROPPED","l7proto":"holo_net""#, 2),
        (r#""rule":"default/readers ingress[0].toPorts[0].l7[0]""#, 1),
        (r#""closed":null"#, 1),
    ] {
        assert_eq!(allowed.matches(text).count(), count, "{text} in {allowed}");
    }
    assert!(closed.contains("GET takes a key"), "{closed}");
    fs::remove_dir_all(&copy).expect("removed");
}
