//! pymemcache and pylibmc, as Debian packages them. The operations and their
//! names stand in the scripts beside this file.

use super::{Way, Ways};

#[test]
fn pymemcache_notices_nothing() {
    let denied = a_day("with_pymemcache.py", &[]);
    let spoken = denied.iter().filter(|(name, _)| !name.contains("(noreply)") && name != "quit");
    for (name, outcome) in spoken {
        assert_eq!(outcome, "raises MemcacheClientError: b'access denied'", "{name}");
    }
}

#[test]
fn pylibmc_notices_nothing_in_text() {
    refused_by_pylibmc(&a_day("with_pylibmc.py", &["text"]), "ClientError");
}

/// libmemcached has no name for status 0x08.
#[test]
fn pylibmc_notices_nothing_in_binary() {
    refused_by_pylibmc(&a_day("with_pylibmc.py", &["binary"]), "UnknownReadFailure");
}

/// Writes raise this error. pylibmc reports a get that fails as a miss.
fn refused_by_pylibmc(denied: &[(String, String)], error: &str) {
    for (name, outcome) in denied {
        let expected = match name.split(' ').next().unwrap_or(name) {
            "set" | "add" | "replace" | "append" | "prepend" | "increment" | "decrement"
            | "touch" | "delete" => outcome.starts_with(&format!("raises {error}: ")),
            "get" => ["None", "{}", "[]"].contains(&outcome.as_str()),
            "names" | "compare" => outcome.starts_with("raises "),
            // Binary libmemcached does not look at what a flush is answered.
            "flush" => outcome == "True" || outcome.starts_with("raises "),
            _ => true,
        };
        assert!(expected, "{name}: {outcome}");
    }
}

/// Does a day's operations both ways; returns them, and what becomes of each
/// where policy denies it.
fn a_day(script: &str, arguments: &[&str]) -> Vec<(String, String)> {
    let path = format!("{}/tests/netns/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    // The system's Python has the system's packages; -B keeps it from writing
    // beside the scripts.
    let mut argv = vec!["/usr/bin/python3", "-B", &path, "HOST", "PORT"];
    argv.extend(arguments);
    let ways = Ways::allowing();
    let [direct, through] = [Way::Direct, Way::Sidecar].map(|way| operations(&ways, way, &argv));
    let names: Vec<&str> = direct.iter().map(|(name, _)| name.as_str()).collect();
    let differences: Vec<_> = direct.iter().zip(&through).filter(|(a, b)| a != b).collect();
    assert!(differences.is_empty() && direct.len() == through.len(), "{differences:#?}");
    println!("alike with {script} {arguments:?}: {}", names.join(", "));

    let denied = ways.denied(|| operations(&ways, Way::Sidecar, &argv));
    assert_eq!(denied.len(), direct.len(), "each operation comes to an end");
    for (name, outcome) in &denied {
        println!("denied: {name}: {outcome}");
    }
    denied
}

/// The operations of a script and what each gives.
fn operations(ways: &Ways, way: Way, argv: &[&str]) -> Vec<(String, String)> {
    let text = ways.run(way, argv);
    let lines = text.strip_suffix("exit 0").unwrap_or_else(|| panic!("it ends early: {text}"));
    let parts = lines.lines().filter_map(|line| line.split_once(": "));
    parts.map(|(name, outcome)| (name.to_owned(), outcome.to_owned())).collect()
}

crate::node_mode::in_node_mode! {
    pymemcache_notices_nothing,
    pylibmc_notices_nothing_in_text,
    pylibmc_notices_nothing_in_binary,
}
