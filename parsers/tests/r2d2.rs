//! Whole conversations with a droid.

mod support;

use remora_parsers::{
    Blame, Direction, RuleError, Verdict,
    r2d2::{MAX_LINE_BYTES, MAX_OUTSTANDING, PROTOCOL},
};
use support::{Conversation, Watcher};

fn conversation() -> Conversation {
    let host =
        Watcher::deciding(
            |request| {
                if request.contains("secret") { Verdict::Deny } else { Verdict::Allow }
            },
        );
    Conversation::new(&PROTOCOL, host)
}

#[test]
fn requests_pass_or_are_answered_in_order() {
    let mut it = conversation();
    it.client("READ plans\r\nREAD secret\r\nHALT\r\n");
    assert_eq!(it.to_server, b"READ plans\r\nHALT\r\n");
    assert!(it.to_client.is_empty());
    it.server("data\r\nhalted\r\n");
    assert_eq!(it.to_client, b"data\r\nERROR\r\nhalted\r\n");
    assert_eq!(
        it.host.log,
        ["Allow cmd=READ file=plans", "Deny cmd=READ file=secret", "Allow cmd=HALT"]
    );
}

/// Threats row 69.
#[test]
fn what_is_not_canonical_closes() {
    for request in [
        "READ\r\n",
        "READ \r\n",
        "READ a b\r\n",
        "READ  a\r\n",
        "READ a \r\n",
        "WRITE\r\n",
        "HALT now\r\n",
        "RESET \r\n",
        "read a\r\n",
        "JUMP\r\n",
        "\r\n",
        "READ a\n",
        "READ a\tb\r\n",
        "READ ../secret\r\n",
        "READ a/../b\r\n",
        "READ a\u{a0}b\r\n",
    ] {
        let mut it = conversation();
        it.client(request);
        assert_eq!(it.closed.as_ref().map(|f| f.blame), Some(Blame::Client), "{request:?}");
        assert!(it.to_server.is_empty() && it.host.log.is_empty(), "{request:?}");
    }
    let mut it = conversation();
    it.client("READ a..b/.c\r\n");
    assert_eq!(it.closed, None);
}

#[test]
fn the_droid_does_not_speak_first() {
    let mut it = conversation();
    it.server("beep\r\n");
    assert_eq!(it.closed.map(|fault| fault.blame), Some(Blame::Server));
}

#[test]
fn lines_and_queues_at_their_caps_and_one_more() {
    let read = |length: usize| format!("READ {}\r\n", "f".repeat(length - 7));
    let mut it = conversation();
    it.client(read(MAX_LINE_BYTES));
    assert_eq!(it.reason(), "");
    it.client(read(MAX_LINE_BYTES + 1));
    assert_eq!(it.reason(), "line too long");

    let mut it = conversation();
    it.client("HALT\r\n".repeat(MAX_OUTSTANDING));
    assert!(it.wants(Direction::Request));
    it.client("HALT\r\n");
    assert!(!it.wants(Direction::Request));
    it.server("ok\r\n");
    assert!(it.wants(Direction::Request));
}

#[test]
fn rules_say_what_can_match() {
    assert!(PROTOCOL.read_rule([("cmd", "READ"), ("file", "a.*")]).is_ok());
    assert!(PROTOCOL.read_rule([("file", "a.*")]).is_ok());
    assert!(PROTOCOL.read_rule([]).is_ok());
    assert!(matches!(
        PROTOCOL.read_rule([("cmd", "HALT"), ("file", "a")]),
        Err(RuleError::Combination(_))
    ));
    assert!(matches!(
        PROTOCOL.read_rule([("cmd", "read")]),
        Err(RuleError::UnknownWord { nearest: "READ", .. })
    ));
    assert!(matches!(
        PROTOCOL.read_rule([("files", "a")]),
        Err(RuleError::UnknownKey { nearest: "file", .. })
    ));
    assert!(matches!(PROTOCOL.read_rule([("file", "")]), Err(RuleError::Empty { key: "file" })));
}

#[test]
fn a_key_that_stands_twice_is_refused_whatever_the_order() {
    for keys in [
        [("cmd", "HALT"), ("cmd", "READ"), ("file", "a")],
        [("file", "a"), ("cmd", "READ"), ("cmd", "HALT")],
        [("cmd", "READ"), ("file", "a"), ("cmd", "READ")],
    ] {
        let error = PROTOCOL.read_rule(keys).map(|_| ()).map_err(|error| error.to_string());
        let why = "`cmd` stands twice: a rule has each key once; write two rules";
        assert_eq!(error, Err(why.to_owned()), "{keys:?}");
    }
}
