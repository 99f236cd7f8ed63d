//! libmemcached's command-line tools, in both protocols.

use std::fs;

use tempfile::TempDir;

use super::{Way, Ways};

/// A day's operations: what is done, the tool, its arguments. `FILES` is a
/// folder of files that are named like keys.
const DAY: [(&str, &str, &[&str]); 17] = [
    ("files are stored", "memccp", &["FILES/day:one", "FILES/day:two"]),
    ("one is read", "memccat", &["day:one"]),
    ("both are read", "memccat", &["day:one", "day:two", "day:none"]),
    ("a large file is stored", "memccp", &["FILES/day:large"]),
    ("and read", "memccat", &["day:large"]),
    (
        "one is stored with flags and expiry",
        "memccp",
        &["--flags=7", "--expire=3600", "FILES/day:two"],
    ),
    ("its flags are read", "memccat", &["--flags", "day:two"]),
    ("one that is there is added", "memccp", &["--add", "FILES/day:one"]),
    ("one that is there is replaced", "memccp", &["--replace", "FILES/day:one"]),
    ("one that is there is asked for", "memcexist", &["day:one"]),
    ("one that is not", "memcexist", &["day:none"]),
    ("one that is there is touched", "memctouch", &["--expire=3600", "day:one"]),
    ("one that is not", "memctouch", &["--expire=3600", "day:none"]),
    ("one is removed", "memcrm", &["day:one"]),
    ("it is not there any more", "memccat", &["day:one"]),
    ("the rest is removed", "memcrm", &["day:two", "day:large"]),
    ("statistics are read", "memcstat", &[]),
];

#[test]
fn libmemcacheds_tools_notice_nothing_in_text() {
    a_day(&["--servers=HOST:PORT"], "access denied");
}

/// libmemcached has no name for status 0x08.
#[test]
fn libmemcacheds_tools_notice_nothing_in_binary() {
    a_day(&["--servers=HOST:PORT", "--binary"], "UNKNOWN READ FAILURE");
}

fn a_day(options: &[&str], refusal: &str) {
    let (ways, files) = (Ways::allowing(), files());
    let day = |way| {
        DAY.map(|(_, tool, arguments)| run(&ways, way, &argv(tool, options, arguments, &files)))
    };
    let [direct, through] = [Way::Direct, Way::Sidecar].map(day);
    for ((name, tool, _), (direct, through)) in DAY.iter().zip(direct.iter().zip(&through)) {
        assert_eq!(direct, through, "{tool}: {name}");
    }
    let names = DAY.map(|(name, tool, _)| format!("{tool}: {name}"));
    println!("alike with {options:?}: {}", names.join(", "));

    for ((name, tool, _), outcome) in DAY.iter().zip(ways.denied(|| day(Way::Sidecar))) {
        println!("denied: {tool}: {name}: {outcome}");
        assert!(outcome.ends_with("exit 1"), "{tool}: {name}: {outcome}");
        // The others only say that they failed.
        if ["memccp", "memcexist", "memcrm"].contains(tool) {
            assert!(outcome.contains(refusal), "{tool}: {name}: {outcome}");
        }
    }
}

/// It knows no `--binary`.
#[test]
fn memcping_notices_nothing() {
    let ways = Ways::allowing();
    let ping = |way| ways.run(way, &["memcping", "--servers=HOST:PORT"]);
    assert_eq!(ping(Way::Direct), "exit 0");
    assert_eq!(ping(Way::Sidecar), "exit 0");
    let denied = ways.denied(|| ping(Way::Sidecar));
    println!("denied: memcping: {denied}");
    assert!(denied.ends_with("exit 1"), "{denied}");
}

fn argv(tool: &str, options: &[&str], arguments: &[&str], files: &TempDir) -> Vec<String> {
    let folder = files.path().to_str().expect("UTF-8");
    let words = [tool].into_iter().chain(options.iter().copied()).chain(arguments.iter().copied());
    words.map(|word| word.replace("FILES", folder)).collect()
}

/// Of statistics only the names: values differ from moment to moment.
fn run(ways: &Ways, way: Way, argv: &[String]) -> String {
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let text = ways.run(way, &argv);
    if argv.first() != Some(&"memcstat") {
        return text;
    }
    text.lines().map(|line| line.split(": ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn files() -> TempDir {
    let files = tempfile::tempdir().expect("a folder");
    for (name, content) in [
        ("day:one", "one\n".to_owned()),
        ("day:two", "END\r\nget day:one\r\n".to_owned()),
        ("day:large", "large\n".repeat(150_000)),
    ] {
        fs::write(files.path().join(name), content).expect("written");
    }
    files
}

crate::node_mode::in_node_mode! {
    libmemcacheds_tools_notice_nothing_in_text,
    libmemcacheds_tools_notice_nothing_in_binary,
    memcping_notices_nothing,
}
