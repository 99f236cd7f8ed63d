//! The grammar, case by case: what is canonical, and what is not.

use super::{super::super::MAX_KEY_BYTES, *};

#[test]
fn canonical_lines_are_read() {
    let cases: &[(&str, &str, Option<u64>, Reply)] = &[
        ("get a", "a", None, Reply::Expected(Expected::Values { cas: false })),
        ("gets a b c", "a b c", None, Reply::Expected(Expected::Values { cas: true })),
        ("set k 0 0 5", "k", Some(5), Reply::Expected(Expected::Stored)),
        ("set k 4294967295 -1 0 noreply", "k", Some(0), Reply::Silent),
        ("add k 1 2147483647 1", "k", Some(1), Reply::Expected(Expected::Stored)),
        ("replace k 1 -2147483648 1", "k", Some(1), Reply::Expected(Expected::Stored)),
        ("delete k", "k", None, Reply::Expected(Expected::Deleted)),
        ("delete k noreply", "k", None, Reply::Silent),
        ("delete noreply", "noreply", None, Reply::Expected(Expected::Deleted)),
        ("incr k 18446744073709551615", "k", None, Reply::Expected(Expected::Number)),
        ("decr k 0 noreply", "k", None, Reply::Silent),
        ("gat 10 a b", "a b", None, Reply::Expected(Expected::Values { cas: false })),
        ("gats -1 a", "a", None, Reply::Expected(Expected::Values { cas: true })),
        ("cas k 0 0 5 18446744073709551615", "k", Some(5), Reply::Expected(Expected::Stored)),
        ("cas k 0 0 5 7 noreply", "k", Some(5), Reply::Silent),
        ("append k 0 0 5", "k", Some(5), Reply::Expected(Expected::Stored)),
        ("prepend k 0 0 5 noreply", "k", Some(5), Reply::Silent),
        ("touch k 0", "k", None, Reply::Expected(Expected::Touched)),
        ("touch k 10 noreply", "k", None, Reply::Silent),
        ("version", "", None, Reply::Expected(Expected::Version)),
        ("quit", "", None, Reply::Close),
    ];
    for (line, keys, value, reply) in cases {
        let command = Command::read(line.as_bytes()).unwrap_or_else(|why| panic!("{line}: {why}"));
        let keys = if keys.is_empty() { Keys::None } else { Keys::Words(keys.as_bytes()) };
        assert_eq!(command.keys, keys, "{line}");
        assert_eq!((command.value, command.reply), (*value, *reply), "{line}");
    }
}

/// Threats row 32: after such a header the server runs the payload as commands.
#[test]
fn numbers_that_are_not_canonical_are_malformed() {
    for line in [
        "set k abc 0 7",
        "set k 0 zz 7",
        "set k 0 0 -1000",
        "set k 00 0 7",
        "set k 0 0 07",
        "set k +1 0 7",
        "set k 0 -0 7",
        "set k 4294967296 0 7",
        "set k 0 2147483648 7",
        "set k 0 -2147483649 7",
        "set k -1 0 7",
        "set k 0 0 18446744073709551616",
        "set k 0 0 0x5",
        "set k 0 0 1_0",
        "set k 0 0 ",
        "set k 0 0",
        "incr k -1",
        "incr k 18446744073709551616",
        "incr k 01",
        "incr k",
        "cas k 0 0 1",
        "cas k 0 0 1 x",
        "cas k 0 0 1 01",
        "gat a b",
        "gat 01 b",
        "touch k",
        "touch k x",
    ] {
        assert!(Command::read(line.as_bytes()).is_err(), "{line}");
    }
}

/// Threats row 36: `noreply` is the last word of a grammar that has it, or nothing.
#[test]
fn noreply_stands_at_its_one_place() {
    for line in [
        "set k 0 0 1 xx",
        "set k 0 0 1 NOREPLY",
        "set k 0 0 1 noreply ",
        "set k 0 0 1 noreply noreply",
        "delete k 0",
        "delete k 0 noreply",
        "incr k 1 noreply x",
        "touch k 1 x",
        "cas k 0 0 1 2 x",
        "gat 1 a noreply ",
        "version noreply",
        "quit noreply",
    ] {
        assert!(Command::read(line.as_bytes()).is_err(), "{line}");
    }
}

/// Threats row 33: what some reader takes for a separator is none, and refused.
#[test]
fn words_are_separated_by_one_space() {
    for line in [
        &b"get  a"[..],
        b"get a  b",
        b"get a ",
        b"get ",
        b"get",
        b" get a",
        b"set  k 0 0 1",
        b"set k  0 0 1",
        b"delete",
        b"delete k ",
        b"version ",
        b"get a\x85b",
        b"get a\xa0b",
        "get a\u{85}b".as_bytes(),
        "get a\u{a0}b".as_bytes(),
        "get a\u{2028}b".as_bytes(),
    ] {
        assert!(Command::read(line).is_err(), "{}", line.escape_ascii());
    }
}

#[test]
fn anything_else_is_unknown() {
    for line in ["", "GET a", "Get a", "bget a", "getx a", "m a", "mx a", "misbehave", "debugtime"]
    {
        assert_eq!(Command::read(line.as_bytes()), Err("unknown command"), "{line}");
    }
}

/// Threats row 31: one byte more, and the server runs the payload as commands.
#[test]
fn keys_at_the_cap_and_one_more() {
    let cap = "k".repeat(MAX_KEY_BYTES);
    let over = "k".repeat(MAX_KEY_BYTES + 1);
    for (before, after) in
        [("get ", ""), ("get a ", ""), ("set ", " 0 0 1"), ("delete ", ""), ("incr ", " 1")]
    {
        assert!(Command::read(format!("{before}{cap}{after}").as_bytes()).is_ok());
        assert!(Command::read(format!("{before}{over}{after}").as_bytes()).is_err());
    }
    // The cap counts bytes, not characters.
    assert!(check_key("é".repeat(125).as_bytes()).is_ok());
    assert!(check_key("é".repeat(126).as_bytes()).is_err());
}

#[test]
fn values_at_the_cap_and_one_more() {
    let line = |length: u64| format!("set k 0 0 {length}");
    assert!(Command::read(line(MAX_VALUE_BYTES).as_bytes()).is_ok());
    assert!(Command::read(line(MAX_VALUE_BYTES + 1).as_bytes()).is_err());
}
