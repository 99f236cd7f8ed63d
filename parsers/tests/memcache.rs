//! Whole conversations in memcached's text protocol.

mod support;

use remora_parsers::{
    Blame, Direction, RuleError, Verdict,
    memcache::{MAX_GET_LINE_BYTES, MAX_LINE_BYTES, MAX_OUTSTANDING, PROTOCOL},
};
use support::{Conversation, Watcher};

const DENIED: &str = "CLIENT_ERROR access denied\r\n";

/// Under a policy that denies whatever names a key that starts with `sec`.
fn conversation() -> Conversation {
    let host =
        Watcher::deciding(
            |request| {
                if request.contains("key=sec") { Verdict::Deny } else { Verdict::Allow }
            },
        );
    Conversation::new(&PROTOCOL, host)
}

/// What the server must never see, and why it is refused.
fn assert_refused(request: impl AsRef<[u8]>) {
    let request = request.as_ref();
    let mut it = conversation();
    it.client(request);
    let shown = request.escape_ascii();
    assert_eq!(it.closed.as_ref().map(|fault| fault.blame), Some(Blame::Client), "{shown}");
    assert!(it.to_server.is_empty(), "{shown}: {} passed", it.to_server.escape_ascii());
    // At every cut too.
    for cut in 1..request.len() {
        let mut it = conversation();
        it.client(&request[..cut]).client(&request[cut..]);
        assert!(it.closed.is_some() && it.to_server.is_empty(), "{shown} cut at {cut}");
    }
}

#[test]
fn allowed_requests_and_their_replies_pass_as_they_are() {
    let mut it = conversation();
    it.client("set a 0 0 5\r\nhello\r\n").server("STORED\r\n");
    it.client("get a b\r\n").server("VALUE a 0 5\r\nhello\r\nEND\r\n");
    it.client("gets a\r\n").server("VALUE a 0 5 42\r\nhello\r\nEND\r\n");
    it.client("incr n 1\r\ndecr n 2\r\n").server("17\r\nNOT_FOUND\r\n");
    it.client("delete a\r\nversion\r\n").server("DELETED\r\nVERSION 1.6.18\r\n");
    it.client("quit\r\n");
    assert_eq!(it.closed, None);
    assert_eq!(
        it.to_server,
        b"set a 0 0 5\r\nhello\r\nget a b\r\ngets a\r\nincr n 1\r\ndecr n 2\r\ndelete a\r\n\
          version\r\nquit\r\n"
    );
    assert!(it.to_client.starts_with(b"STORED\r\nVALUE a 0 5\r\nhello\r\nEND\r\nVALUE a 0 5 42"));
    assert_eq!(it.host.log.len(), 8);
    assert_eq!(it.host.log[1], "Allow command=get key=a key=b");
}

#[test]
fn a_denied_request_never_reaches_the_server_and_is_answered_once() {
    let mut it = conversation();
    it.client("get sec:1\r\nset sec:2 0 0 5\r\nhello\r\ndelete sec:3\r\n");
    assert!(it.to_server.is_empty());
    assert_eq!(it.to_client, DENIED.repeat(3).as_bytes());
    // One forbidden key among allowed ones denies the whole request.
    it.client("get a sec:4\r\n");
    assert_eq!(it.to_client, DENIED.repeat(4).as_bytes());
    assert_eq!(it.closed, None);
}

/// Threats row 12: pipelined replies come in the order of their requests.
#[test]
fn a_denial_waits_for_its_turn() {
    let mut it = conversation();
    it.client("get a\r\nget sec\r\nget b\r\ndelete sec\r\n");
    assert_eq!(it.to_server, b"get a\r\nget b\r\n");
    assert!(it.to_client.is_empty(), "the first reply is the server's");
    it.server("VALUE a 0 2\r\nhi\r\n");
    assert_eq!(it.to_client, b"VALUE a 0 2\r\nhi\r\n", "not inside a reply");
    it.server("END\r\nEN");
    assert_eq!(it.to_client, format!("VALUE a 0 2\r\nhi\r\nEND\r\n{DENIED}").as_bytes());
    it.server("D\r\n");
    let all = format!("VALUE a 0 2\r\nhi\r\nEND\r\n{DENIED}END\r\n{DENIED}");
    assert_eq!(it.to_client, all.as_bytes());
}

/// Threats row 36.
#[test]
fn a_silent_request_is_denied_in_silence() {
    let mut it = conversation();
    it.client("set sec 0 0 1 noreply\r\nx\r\ndelete sec noreply\r\nincr sec 1 noreply\r\n");
    assert!(it.to_server.is_empty() && it.to_client.is_empty());
    // Nor does it disturb the replies after it.
    it.client("set a 0 0 1 noreply\r\nx\r\nget a\r\n").server("VALUE a 0 1\r\nx\r\nEND\r\n");
    assert_eq!(it.to_client, b"VALUE a 0 1\r\nx\r\nEND\r\n");
    assert_eq!(it.host.log.len(), 5);
}

/// Threats row 30: the server takes a bare LF for a line's end.
#[test]
fn row_30_bare_line_feeds() {
    for request in [
        "version\nflush_all\r\n",
        "get a\n",
        "get a\rb\r\n",
        "get a\r\r\n",
        "get a\0\r\n",
        "get a\x0bb\r\n",
        "get a\x7f\r\n",
        "\r\n",
        "\nget a\r\n",
    ] {
        assert_refused(request);
    }
}

/// Threats row 31: behind a key that is too long the value runs as commands.
#[test]
fn row_31_keys_that_are_too_long() {
    let key = "k".repeat(251);
    assert_refused(format!("set {key} 0 0 7\r\nversion\r\n"));
    assert_refused(format!("get {key}\r\n"));
    assert_refused(format!("get a {key}\r\n"));
}

/// Threats row 32: behind a header it rejects, the server runs the value.
#[test]
fn row_32_headers_that_are_not_canonical() {
    for header in ["set k abc 0 7", "set k 0 zz 7", "set k 0 0 -1000", "set k 0 0 07", "set k 0 0"]
    {
        assert_refused(format!("{header}\r\nversion\r\n"));
    }
}

/// Threats row 33: what splits words for one reader hides a length from another.
#[test]
fn row_33_other_separators() {
    assert_refused("set a\tb 0 100 2\r\nhi\r\nversion\r\n");
    for space in ["  ", "\t", "\x0b", "\u{85}", "\u{a0}", "\0"] {
        assert_refused(format!("get a{space}b\r\n"));
        assert_refused(format!("set{space}a 0 0 1\r\nx\r\n"));
    }
    assert_refused(b"get a\x85b\r\n");
    assert_refused(b"get a\xa0b\r\n");
}

/// Threats row 34: only 0x80 begins the binary protocol.
#[test]
fn row_34_the_first_byte_decides() {
    assert_refused(b"\x81\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0a\r\nversion\r\n");
    assert_refused(b"\x81get k\r\nversion\r\n");
    assert_refused(b"\xffversion\r\n");
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // Nor does a later request switch, either way.
    let mut it = conversation();
    it.client("get a\r\n").server("END\r\n").client(b"\x80\x0a\0\0");
    assert_eq!(it.closed.as_ref().map(|fault| fault.blame), Some(Blame::Client));
    assert_eq!(it.to_server, b"get a\r\n");
    let noop = [&b"\x80\x0a"[..], &[0; 22]].concat();
    let mut it = conversation();
    it.client([&noop[..], b"version\r\n"].concat());
    assert_eq!(it.closed.as_ref().map(|fault| fault.blame), Some(Blame::Client));
    assert_eq!(it.to_server, noop);
}

/// Threats row 37: a miss ends at once, and END inside a value ends nothing.
#[test]
fn row_37_replies_are_followed_by_length() {
    let mut it = conversation();
    it.client("get miss\r\nget sec\r\n").server("END\r\n");
    assert_eq!(it.to_client, format!("END\r\n{DENIED}").as_bytes());

    let mut it = conversation();
    let value = "\r\nEND\r\nx";
    it.client("get a\r\nget sec\r\n").server(format!("VALUE a 0 8\r\n{value}"));
    assert!(!it.to_client.ends_with(DENIED.as_bytes()));
    it.server("\r\nEND\r\n");
    assert!(it.to_client.ends_with(format!("{value}\r\nEND\r\n{DENIED}").as_bytes()));
    assert_eq!(it.closed, None);
}

#[test]
fn a_value_longer_than_its_length_closes() {
    let mut it = conversation();
    it.client("set a 0 0 2\r\nhiversion\r\n");
    assert!(it.closed.is_some());
    // The server waits for the value's CRLF and sees the connection close.
    assert_eq!(it.to_server, b"set a 0 0 2\r\nhi");
    let mut it = conversation();
    it.client("get a\r\n").server("VALUE a 0 1\r\nxyEND\r\n");
    assert_eq!(it.closed.map(|fault| fault.blame), Some(Blame::Server));
}

/// Threats row 14: on a protocol in which the client speaks first.
#[test]
fn row_14_the_server_does_not_speak_first() {
    let mut it = conversation();
    it.server("VALUE a 0 1\r\n");
    assert_eq!(it.closed.as_ref().map(|fault| fault.blame), Some(Blame::Server));
    assert!(it.to_client.is_empty());
    let mut it = conversation();
    it.client("version\r\n").server("VERSION 1\r\nEND\r\n");
    assert_eq!(it.reason(), "reply to no request");
}

#[test]
fn a_reply_that_the_request_cannot_have_closes() {
    for (request, reply) in [
        ("get a\r\n", "STORED\r\n"),
        ("get a\r\n", "VALUE a 0 1 42\r\n"),
        ("gets a\r\n", "VALUE a 0 1\r\n"),
        ("get a\r\n", "VALUE a 0 -1\r\n"),
        ("get a\r\n", "VALUE  0 1\r\n"),
        ("delete a\r\n", "STORED\r\n"),
        ("incr a 1\r\n", "OK\r\n"),
        ("version\r\n", "END\r\n"),
        ("get a\r\n", "END\n"),
    ] {
        let mut it = conversation();
        it.client(request).server(reply);
        assert_eq!(it.closed.map(|fault| fault.blame), Some(Blame::Server), "{request} {reply}");
        assert!(it.to_client.is_empty());
    }
    for reply in ["ERROR\r\n", "CLIENT_ERROR no\r\n", "SERVER_ERROR out of memory\r\n"] {
        let mut it = conversation();
        it.client("get a\r\n").server(reply);
        assert_eq!(it.to_client, reply.as_bytes());
    }
}

#[test]
fn lines_at_the_cap_and_one_more() {
    let get = |length: usize| {
        let mut line = b"get".to_vec();
        while line.len() + 2 < length {
            let key = (length - line.len() - 2 - 1).min(200);
            line.push(b' ');
            line.resize(line.len() + key, b'k');
        }
        [&line[..], b"\r\n"].concat()
    };
    let at = get(MAX_GET_LINE_BYTES);
    assert_eq!(at.len(), MAX_GET_LINE_BYTES);
    let mut it = conversation();
    it.client(&at);
    assert_eq!((it.reason(), it.to_server.len()), ("", MAX_GET_LINE_BYTES));
    let mut it = conversation();
    it.client(get(MAX_GET_LINE_BYTES + 1));
    assert_eq!(it.reason(), "line too long");

    // Other commands' lines are shorter; one that never ends is noticed early.
    let mut it = conversation();
    it.client(vec![b'a'; MAX_LINE_BYTES - 2]);
    assert_eq!((it.reason(), it.held()), ("", MAX_LINE_BYTES - 2));
    it.client("a");
    assert_eq!(it.reason(), "line too long");
}

#[test]
fn requests_beyond_the_outstanding_cap_are_pushed_back() {
    let mut it = conversation();
    it.client("get a\r\n".repeat(MAX_OUTSTANDING));
    assert!(it.wants(Direction::Request));
    it.client("get b\r\n");
    assert!(!it.wants(Direction::Request), "the next one waits");
    assert_eq!(it.host.log.len(), MAX_OUTSTANDING);
    it.server("END\r\n");
    assert!(it.wants(Direction::Request));
    assert!(it.to_server.ends_with(b"get b\r\n"));
}

#[test]
fn nothing_follows_quit() {
    let mut it = conversation();
    it.client("quit\r\nget a\r\n");
    assert_eq!(
        (it.reason(), &it.to_server[..]),
        ("a request after quit or watch", &b"quit\r\n"[..])
    );
}

#[test]
fn rules_say_what_can_match() {
    let read = |pairs: &[(&'static str, &'static str)]| PROTOCOL.read_rule(pairs.iter().copied());
    for rule in [
        &[][..],
        &[("command", "")],
        &[("command", "version")],
        &[("command", "writeGroup"), ("keyPrefix", "alliance/fleet/")],
        &[("command", "storage"), ("keyRegex", ".*")],
        &[("keyExact", "a"), ("command", "get")],
        &[("command", "readWriteGroup"), ("keyPrefix", "a"), ("protocol", "text")],
        &[("protocol", "binary")],
        &[("command", "me"), ("keyPrefix", "a"), ("protocol", "meta")],
        &[("command", "noop")],
    ] {
        assert!(read(rule).is_ok(), "{rule:?}");
    }
    assert!(matches!(
        read(&[("command", "writegroup")]),
        Err(RuleError::UnknownWord { nearest: "writeGroup", .. })
    ));
    assert!(matches!(
        read(&[("keyprefix", "a")]),
        Err(RuleError::UnknownKey { nearest: "keyPrefix", .. })
    ));
    assert!(matches!(
        read(&[("command", "get"), ("keyExact", "")]),
        Err(RuleError::Empty { key: "keyExact" })
    ));
    for impossible in [
        &[("keyPrefix", "a")][..],
        &[("command", ""), ("keyPrefix", "a")],
        &[("command", "version"), ("keyExact", "a")],
        &[("command", "get"), ("keyExact", "a"), ("keyPrefix", "a")],
        &[("command", "stats_cachedump"), ("keyPrefix", "a")],
        &[("command", "lru_crawler_dump"), ("keyPrefix", "a")],
        &[("command", "shutdown"), ("keyPrefix", "a")],
        &[("command", "noop"), ("keyPrefix", "a")],
        &[("command", "watch"), ("protocol", "binary")],
        &[("command", "me"), ("keyPrefix", "a"), ("protocol", "text")],
    ] {
        assert!(matches!(read(impossible), Err(RuleError::Combination(_))), "{impossible:?}");
    }
}

/// Threats row 38: no word that may stand beside a key covers a command of an
/// administrator.
#[test]
fn row_38_no_group_covers_an_administrators_command() {
    let admin = [
        "slabs",
        "lru",
        "lru_crawler",
        "lru_crawler_dump",
        "watch",
        "stats",
        "stats_cachedump",
        "stats_conns",
        "stats_detail",
        "stats_reset",
        "flush_all",
        "cache_memlimit",
        "verbosity",
        "version",
        "quit",
        "noop",
        "sasl",
        "shutdown",
    ];
    let remora_parsers::KeyKind::Word(words) = PROTOCOL.keys[0].kind else { panic!("words") };
    let mut alone = 0;
    for word in words {
        if PROTOCOL.read_rule([("command", word.name), ("keyPrefix", "a")]).is_ok() {
            assert!(word.covers.iter().all(|name| !admin.contains(name)), "{}", word.name);
        } else {
            assert_eq!(word.covers, [word.name], "an administrator's command has its own word");
            alone += 1;
        }
    }
    assert_eq!(alone, admin.len());
}
