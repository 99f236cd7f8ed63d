//! Whole conversations in Cassandra's native protocol, v3 and v4; v5's plain
//! envelopes, too. Its segments are tested beside this.

mod support;

use remora_parsers::{
    Blame, Direction, Verdict,
    cassandra::{
        MAX_BODY_BYTES, MAX_PREPARING, MAX_QUERY_BYTES, MAX_SMALL_BYTES, MAX_WAITING_BYTES,
        MAX_WHOLE_BYTES, PROTOCOL,
    },
};
use support::{Conversation, Watcher, native::*};

/// Denies whatever is about a table of `secret`.
fn host() -> Watcher {
    Watcher::deciding(
        |request| {
            if request.contains("=secret") { Verdict::Deny } else { Verdict::Allow }
        },
    )
}

fn opened(version: u8) -> Conversation {
    let mut it = Conversation::new(&PROTOCOL, host());
    it.client(startup(version, &[CQL])).server(ready(version));
    assert_eq!((&it.closed, &it.to_client), (&None, &ready(version)));
    it.to_server.clear();
    it.to_client.clear();
    it
}

/// What a denial on `stream` says.
fn denied(version: u8, stream: i16, what: &str) -> Vec<u8> {
    error(version, stream, 0x2100, &format!("{what} is denied: no policy allows it"), b"")
}

#[test]
fn it_rests_only_while_no_stream_waits() {
    let mut it = Conversation::new(&PROTOCOL, host());
    assert!(it.at_rest());
    it.client(startup(4, &[CQL]));
    assert!(!it.at_rest(), "how it goes on is not known");
    it.server(ready(4));
    assert!(it.at_rest());
    it.client(query(4, 1, "SELECT * FROM pub.t")).client(query(4, 2, "SELECT * FROM pub.t"));
    it.server(void(4, 2));
    assert!(!it.at_rest(), "stream 1 waits");
    it.server(void(4, 1));
    assert!(it.at_rest());
    it.client(query(4, 3, "SELECT * FROM secret.t"));
    assert!(it.at_rest(), "a denial is a whole answer: {}", it.reason());
    it.client(&query(4, 3, "SELECT * FROM pub.t")[..12]);
    assert!(!it.at_rest(), "a request has begun");
}

#[test]
fn a_request_passes_as_it_came_and_a_denied_one_is_answered() {
    for version in [3, 4] {
        let all =
            [query(version, 7, "SELECT * FROM pub.t"), query(version, 8, "SELECT * FROM secret.t")];
        let bytes = all.concat();
        for cut in 1..bytes.len() {
            let mut it = opened(version);
            it.client(&bytes[..cut]).client(&bytes[cut..]);
            assert_eq!(it.closed, None, "cut at {cut}");
            assert_eq!(it.to_server, all[0]);
            assert_eq!(it.to_client, denied(version, 8, "select on secret.t"));
            assert_eq!(
                it.host.log,
                [
                    "Allow query_action=select query_table=pub.t",
                    "Deny query_action=select query_table=secret.t"
                ]
            );
            it.server(void(version, 7));
            assert!(it.to_client.ends_with(&void(version, 7)) && it.closed.is_none());
        }
    }
}

/// Streams are answered in any order, ours between the server's.
#[test]
fn thousands_of_streams_keep_apart() {
    let mut it = opened(4);
    let streams = 0..i16::MAX;
    for stream in streams.clone() {
        let table = if stream % 3 == 0 { "secret" } else { "pub" };
        it.client(query(4, stream, &format!("SELECT * FROM {table}.t")));
    }
    let mut answered = vec![0u8; 1 << 15];
    // The server answers backwards, a byte at a time where it matters least.
    for stream in streams.rev().filter(|stream| stream % 3 != 0) {
        it.server(void(4, stream));
    }
    assert_eq!(it.closed, None);
    let mut rest = &it.to_client[..];
    while let [_, _, s1, s0, opcode, b3, b2, b1, b0, ..] = *rest {
        let stream = i16::from_be_bytes([s1, s0]);
        assert_eq!(opcode == ERROR, stream % 3 == 0);
        answered[stream as usize] += 1;
        rest = &rest[9 + u32::from_be_bytes([b3, b2, b1, b0]) as usize..];
    }
    assert!(rest.is_empty());
    assert!(answered[..i16::MAX as usize].iter().all(|count| *count == 1), "each is answered once");
}

#[test]
fn a_stream_carries_one_request_at_a_time() {
    let mut it = opened(4);
    it.client(query(4, 1, "SELECT * FROM pub.t")).client(query(4, 1, "SELECT * FROM pub.t"));
    assert_eq!(it.reason(), "a stream that is busy");
    let mut it = opened(4);
    it.client(query(4, 1, "SELECT * FROM pub.t")).server(void(4, 1));
    it.client(query(4, 1, "SELECT * FROM pub.t")).server(void(4, 1)).server(void(4, 1));
    assert_eq!(it.reason(), "reply to no request");
}

#[test]
fn a_denial_waits_for_the_reply_under_way() {
    let mut it = opened(4);
    it.client(query(4, 1, "SELECT * FROM pub.t"));
    let rows = envelope(0x84, 1, RESULT, &[&2u32.to_be_bytes()[..], &[7; 5000]].concat());
    it.server(&rows[..1000]).client(query(4, 2, "SELECT * FROM secret.t"));
    assert_eq!(it.to_client, rows[..1000]);
    it.server(&rows[1000..]);
    assert_eq!(it.to_client, [rows, denied(4, 2, "select on secret.t")].concat());
}

/// Threats row 14.
#[test]
fn the_server_does_not_speak_first() {
    let mut it = Conversation::new(&PROTOCOL, host());
    it.server(ready(4));
    assert_eq!(it.reason(), "reply to no request");
    let mut it = opened(4);
    it.server(void(4, 1));
    assert_eq!(it.reason(), "reply to no request");
    let mut it = opened(4);
    it.server(envelope(0x84, -1, EVENT, &string("STATUS_CHANGE")));
    assert_eq!(it.reason(), "an event that nobody asked for");
}

#[test]
fn events_come_to_those_who_asked() {
    let mut it = opened(4);
    it.client(envelope(4, 3, REGISTER, &list(&["SCHEMA_CHANGE", "STATUS_CHANGE"])));
    let event = envelope(0x84, -1, EVENT, &string("SCHEMA_CHANGE"));
    let registered = envelope(0x84, 3, READY, b"");
    it.server([&registered[..], &event, &event].concat());
    assert_eq!(
        (it.closed.as_ref(), it.to_client.len()),
        (None, registered.len() + 2 * event.len())
    );
    for kinds in [&["SCHEMA_CHANGE", "ELSE"][..], &[]] {
        let mut it = opened(4);
        it.client(envelope(4, 3, REGISTER, &list(kinds)));
        assert_eq!(it.reason(), "a kind of event that is unknown");
    }
}

/// Threats row 53: flags that move the body, and those that nobody knows.
#[test]
fn row_53_no_flag_but_tracing() {
    let body = [&long(b"SELECT * FROM pub.t"), plain(4)].concat();
    for flags in (0..=0xff).filter(|flags| *flags != 0 && *flags != 2) {
        let mut it = opened(4);
        it.client(flagged(4, flags, 1, QUERY, &body));
        assert_eq!(it.reason(), "a flag other than tracing");
        assert!(it.to_server.is_empty() && it.host.log.is_empty());
    }
    let mut it = opened(4);
    it.client(flagged(4, 2, 1, QUERY, &body));
    let traced = [&[9; 16][..], &1u32.to_be_bytes()].concat();
    it.server(flagged(0x84, 2, 1, RESULT, &traced));
    assert_eq!((it.closed, it.to_client.len()), (None, 9 + 20));
}

/// Threats row 54: opcodes and versions that are not known.
#[test]
fn row_54_versions_and_opcodes_have_a_list() {
    for opcode in (0..=0xff).filter(|code| ![1, 5, 7, 9, 10, 11, 13, 15].contains(code)) {
        let mut it = opened(4);
        it.client(envelope(4, 1, opcode, b""));
        assert_eq!(it.closed.map(|fault| fault.blame), Some(Blame::Client), "{opcode}");
        assert!(it.to_server.is_empty());
    }
    for version in (0..=0x7f).filter(|version| ![3, 4, 5].contains(version)) {
        let mut it = Conversation::new(&PROTOCOL, host());
        let bytes = envelope(version, 5, OPTIONS, b"");
        it.client(&bytes[..if version < 3 { 8 } else { 9 }]);
        assert_eq!(it.reason(), "a version that is not spoken");
        assert!(it.to_server.is_empty());
        assert_eq!(it.to_client[..2], [0x85, 0]);
        let says = String::from_utf8_lossy(&it.to_client[15..]).into_owned();
        assert!(says.contains(&format!("unsupported protocol version ({version})")), "{says}");
        let mut it = opened(4);
        it.client(envelope(version, 5, OPTIONS, b""));
        assert!(it.closed.is_some() && it.to_client.is_empty(), "in the middle");
    }
    for (first, then) in [(3, 4), (4, 3), (4, 5)] {
        let mut it = opened(first);
        it.client(query(then, 1, "SELECT * FROM pub.t"));
        assert_eq!(it.reason(), "another version than the connection's");
    }
}

/// Threats row 55: compression is taken out of the server's offer, and whoever
/// wants it all the same is told.
#[test]
fn row_55_compression_is_negotiated_away() {
    let offer = |compression: &[&str], versions: &[&str]| {
        let pairs = [
            [string("PROTOCOL_VERSIONS"), list(versions)].concat(),
            [string("COMPRESSION"), list(compression)].concat(),
            [string("CQL_VERSION"), list(&["3.4.7"])].concat(),
        ];
        envelope(0x84, 9, SUPPORTED, &[&[0, 3], &pairs.concat()[..]].concat())
    };
    let all = offer(&["snappy", "lz4"], &["3/v3", "4/v4", "5/v5", "6/v6-beta"]);
    for cut in 1..all.len() {
        let mut it = Conversation::new(&PROTOCOL, host());
        it.client(envelope(4, 9, OPTIONS, b"")).server(&all[..cut]).server(&all[cut..]);
        assert_eq!(it.to_client, offer(&[], &["3/v3", "4/v4", "5/v5"]));
    }
    let mut it = Conversation::new(&PROTOCOL, host());
    it.client(startup(4, &[CQL, ("COMPRESSION", "lz4")]));
    assert!(it.to_server.is_empty());
    assert!(it.to_client.starts_with(&[0x84, 0, 0, 0, ERROR]) && it.closed.is_none());
    it.client(startup(4, &[CQL])).server(ready(4));
    assert!(it.to_client.ends_with(&ready(4)));
}

#[test]
fn startup_has_the_options_that_are_known() {
    for options in [&[][..], &[("DRIVER_NAME", "x")], &[CQL, ("SOMETHING", "x")], &[CQL, CQL]] {
        let mut it = Conversation::new(&PROTOCOL, host());
        it.client(startup(4, options));
        assert_eq!(it.closed.as_ref().map(|fault| fault.blame), Some(Blame::Client), "{options:?}");
    }
    let mut it = Conversation::new(&PROTOCOL, host());
    it.client(query(4, 1, "SELECT * FROM pub.t"));
    assert_eq!(it.reason(), "a request that is out of turn");
    let mut it = opened(4);
    it.client(startup(4, &[CQL]));
    assert_eq!(it.reason(), "a request that is out of turn");
    // What is sent on before the answer waits for it; a refusal ends it.
    let mut it = Conversation::new(&PROTOCOL, host());
    it.client([startup(4, &[CQL]), query(4, 1, "SELECT * FROM pub.t")].concat());
    assert_eq!(it.to_server, startup(4, &[CQL]));
    assert!(!it.wants(Direction::Request));
    it.server(error(4, 0, 0x0a, "no", b""));
    assert_eq!(it.reason(), "a request after a refused STARTUP");
}

#[test]
fn credentials_pass_unseen() {
    let mut it = Conversation::new(&PROTOCOL, host());
    it.client(startup(4, &[CQL])).server(envelope(0x84, 0, AUTHENTICATE, &string("Authenticator")));
    it.client(envelope(4, 1, AUTH_RESPONSE, &long(b"\0user\0secret")));
    it.server(envelope(0x84, 1, AUTH_CHALLENGE, &long(b"more")));
    it.client(envelope(4, 1, AUTH_RESPONSE, &(-1i32).to_be_bytes()));
    it.server(envelope(0x84, 1, AUTH_SUCCESS, &(-1i32).to_be_bytes()));
    it.client(query(4, 1, "SELECT * FROM pub.t"));
    assert_eq!((it.closed.as_ref(), it.host.log.len()), (None, 1));
    it.client(envelope(4, 2, AUTH_RESPONSE, &long(b"again")));
    assert_eq!(it.reason(), "a request that is out of turn");
    let mut it = Conversation::new(&PROTOCOL, host());
    it.client(startup(4, &[CQL])).server(envelope(0x84, 0, AUTHENTICATE, &string("Authenticator")));
    it.client(query(4, 1, "SELECT * FROM pub.t"));
    assert_eq!(it.reason(), "a request that is out of turn");
}

/// Threats row 52: only the server's answer changes the keyspace, and nothing
/// that depends on it is under way meanwhile.
#[test]
fn row_52_use_takes_effect_with_its_answer() {
    let mut it = opened(4);
    it.client(query(4, 1, "USE pub")).client(query(4, 2, "SELECT * FROM t"));
    assert_eq!(it.to_server, query(4, 1, "USE pub"), "what follows waits");
    it.server(set_keyspace(4, 1, "pub"));
    assert!(it.to_server.ends_with(&query(4, 2, "SELECT * FROM t")));
    assert!(it.host.log.ends_with(&["Allow query_action=select query_table=pub.t".to_owned()]));

    // USE waits for those under way that the keyspace matters to.
    it.client(query(4, 3, "SELECT * FROM pub.t")).client(query(4, 4, "USE other"));
    it.client(query(4, 5, "SELECT * FROM t"));
    assert!(it.to_server.ends_with(&query(4, 3, "SELECT * FROM pub.t")));
    it.server(void(4, 3));
    assert!(it.to_server.ends_with(&query(4, 3, "SELECT * FROM pub.t")), "still one under way");
    it.server(void(4, 2));
    assert!(it.to_server.ends_with(&query(4, 4, "USE other")));
    // It fails: the keyspace stays.
    it.server(error(4, 4, 0x2200, "no such keyspace", b""));
    assert!(it.to_server.ends_with(&query(4, 5, "SELECT * FROM t")));
    assert!(it.host.log.ends_with(&["Allow query_action=select query_table=pub.t".to_owned()]));

    // A denied USE changes nothing either.
    it.client(query(4, 6, "USE secret"));
    it.server(void(4, 5)).client(query(4, 6, "USE secret")).client(query(4, 7, "SELECT * FROM t"));
    assert!(it.host.log.ends_with(&["Allow query_action=select query_table=pub.t".to_owned()]));
    assert_eq!(it.closed, None);
}

#[test]
fn row_52_use_is_a_query_and_nothing_else() {
    for bytes in [
        prepare(4, 1, "USE pub"),
        batch(4, 1, &[text_item("USE pub")]),
        query(4, 1, "USE pub x"),
        query(4, 1, "BEGIN BATCH USE pub APPLY BATCH"),
        query(4, 1, "SELECT * FROM t"),
    ] {
        let mut it = opened(4);
        it.client(&bytes);
        assert!(it.to_server.is_empty() && it.closed.is_none() && it.host.log.is_empty());
        assert!(it.to_client.starts_with(&[0x84, 0, 0, 1, ERROR]));
    }
    // A server that changes it unasked is not followed.
    let mut it = opened(4);
    it.client(query(4, 1, "SELECT * FROM pub.t")).server(set_keyspace(4, 1, "secret"));
    assert_eq!(it.reason(), "a reply that the request cannot have");
}

/// Threats row 56: what an id stands for is known from this connection alone,
/// and judged whenever it is used.
#[test]
fn row_56_a_prepared_statement_is_judged_when_it_is_executed() {
    let deny = std::rc::Rc::new(std::cell::Cell::new(false));
    let now = std::rc::Rc::clone(&deny);
    let host = Watcher::deciding(move |_| if now.get() { Verdict::Deny } else { Verdict::Allow });
    let mut it = Conversation::new(&PROTOCOL, host);
    it.client(startup(4, &[CQL])).server(ready(4));
    it.client(execute(4, 1, b"id"));
    let unprepared = "the statement was not prepared on this connection";
    assert!(it.to_client.ends_with(&error(4, 1, 0x2500, unprepared, &short(b"id"))));
    it.client(prepare(4, 1, "SELECT * FROM pub.t WHERE k = ?"));
    // Its id is not known before the server has said it.
    it.client(execute(4, 2, b"id"));
    assert!(it.to_client.ends_with(&error(4, 2, 0x2500, unprepared, &short(b"id"))));
    it.server(prepared(4, 1, b"id")).client(execute(4, 2, b"id"));
    assert!(it.to_server.ends_with(&execute(4, 2, b"id")));
    deny.set(true);
    it.client(execute(4, 3, b"id"));
    assert!(it.to_client.ends_with(&denied(4, 3, "select on pub.t")));
    assert_eq!(
        it.host.log,
        [
            "Allow opcode=prepare query_action=select query_table=pub.t",
            "Allow opcode=execute query_action=select query_table=pub.t",
            "Deny opcode=execute query_action=select query_table=pub.t"
        ]
    );
    // PREPARE tells of columns: it is judged too.
    it.client(prepare(4, 4, "SELECT * FROM pub.t"));
    assert!(it.to_client.ends_with(&denied(4, 4, "select on pub.t")));
}

/// Its table is that of its PREPARE, whatever is in use.
#[test]
fn a_prepared_statement_keeps_its_keyspace() {
    let mut it = opened(4);
    it.client(query(4, 1, "USE pub")).server(set_keyspace(4, 1, "pub"));
    it.client(prepare(4, 1, "SELECT * FROM t")).server(prepared(4, 1, b"id"));
    it.client(query(4, 1, "USE other")).server(set_keyspace(4, 1, "other"));
    it.client(execute(4, 1, b"id"));
    assert!(
        it.host
            .log
            .ends_with(&["Allow opcode=execute query_action=select query_table=pub.t".to_owned()])
    );
}

#[test]
fn statements_on_their_way_to_be_prepared_have_a_cap() {
    let mut it = opened(4);
    for stream in 0..MAX_PREPARING as i16 {
        it.client(prepare(4, stream, "SELECT * FROM pub.t"));
    }
    assert!(it.wants(Direction::Request));
    it.client(prepare(4, 999, "SELECT * FROM pub.t"));
    assert!(!it.wants(Direction::Request), "one more waits");
    it.server(prepared(4, 0, b"id"));
    assert!(it.to_server.ends_with(&prepare(4, 999, "SELECT * FROM pub.t")));
}

/// Threats row 57: each statement of a batch, to the end of the body, with
/// values that are null or not set.
#[test]
fn row_57_a_batch_passes_or_falls_as_a_whole() {
    let insert = |table: &str| text_item(&format!("INSERT INTO {table} (k) VALUES (1)"));
    let nulls: [&[u8]; 4] = [b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe", b"\0\0\0\0", b"\0\0\0\x01x"];
    let mut it = opened(4);
    it.client(prepare(4, 1, "UPDATE pub.p SET v = ? WHERE k = ?")).server(prepared(4, 1, b"id"));
    it.to_server.clear();
    it.to_client.clear();
    let good = batch(4, 1, &[insert("pub.a"), prepared_item(b"id", &nulls), insert("pub.a")]);
    it.client(&good);
    assert_eq!(it.to_server, good);
    assert!(it.host.log.ends_with(&[
        "Allow opcode=batch query_action=insert query_table=pub.a".to_owned(),
        "Allow opcode=batch query_action=update query_table=pub.p".to_owned(),
    ]));
    it.client(batch(4, 2, &[prepared_item(b"id", &nulls), insert("secret.t")]));
    assert_eq!(it.to_client, denied(4, 2, "insert on secret.t"));
    it.client(batch(4, 2, &[prepared_item(b"other", &nulls)]));
    assert!(it.to_client.ends_with(&short(b"other")));
    it.client(batch(4, 2, &[text_item("SELECT * FROM pub.a")]));
    it.client(batch(4, 2, &[]));
    assert_eq!((it.to_server.len(), it.closed), (good.len(), None));

    // In v3 there is no value that is not set.
    let mut it = opened(3);
    it.client(batch(3, 1, &[prepared_item(b"id", &nulls)]));
    assert_eq!(it.reason(), "a value of negative length");
}

/// Bodies that are not exactly what their fields are.
#[test]
fn bodies_are_consumed_to_their_end() {
    let text = long(b"SELECT * FROM pub.t");
    let options = |rest: &[u8]| envelope(4, 1, QUERY, &[&text[..], rest].concat());
    let wrong = [
        options(b""),
        options(b"\0\x01"),
        options(b"\0\x01\0x"),
        options(b"\0\x0b\0"),
        options(b"\0\x01\x80"),
        options(b"\0\x01\x40"),
        options(b"\0\x01\x01\0\x01"),
        options(b"\0\x01\x01\0\x01\xff\xff\xff\xfd"),
        options(b"\0\x01\x01\0\x01\0\0\0\x05abcd"),
        options(b"\0\x01\x04\0\0\0"),
        options(b"\0\x01\x08\xff\xff\xff\xff"),
        options(b"\0\x01\x10\0\x01"),
        options(b"\0\x01\x20\0\0\0\0\0\0\0"),
        envelope(4, 1, QUERY, b"\xff\xff\xff\xff\0\x01\0"),
        envelope(4, 1, QUERY, &[&long(b"\xff\xfe")[..], plain(4)].concat()),
        envelope(4, 1, OPTIONS, b"x"),
        envelope(4, 1, PREPARE, &[&text[..], b"\0"].concat()),
        envelope(4, 1, EXECUTE, b"\0\x09id"),
        envelope(4, -1, QUERY, &[&text[..], plain(4)].concat()),
        envelope(4, 1, BATCH, &[&[3, 0, 0][..], plain(4)].concat()),
        envelope(4, 1, BATCH, &[&[0, 0, 1, 2][..], plain(4)].concat()),
        envelope(4, 1, BATCH, b"\0\0\0\0\x01\x01"),
        envelope(0x84, 1, RESULT, b"\0\0\0\x01"),
    ];
    for bytes in wrong {
        let mut it = opened(4);
        it.client(&bytes);
        let blame = it.closed.as_ref().map(|fault| fault.blame);
        assert_eq!(blame, Some(Blame::Client), "{}", bytes.escape_ascii());
        assert!(it.to_server.is_empty() && it.host.log.is_empty(), "{}", bytes.escape_ascii());
    }
    let all = [
        &b"\0\x01\x7f\0\x02"[..],
        &[string("a"), (-1i32).to_be_bytes().to_vec(), string("b"), long(b"x")].concat(),
        &[&5i32.to_be_bytes()[..], &long(b"state"), &[0, 8], &[0; 8]].concat(),
    ]
    .concat();
    let mut it = opened(4);
    it.client(options(&all));
    assert_eq!(it.closed, None);
    assert_eq!(it.to_server, options(&all));
}

/// A statement that policy cannot be about is answered, and recorded.
#[test]
fn what_is_no_statement_is_answered_with_a_syntax_error() {
    let mut it = opened(4);
    it.client(query(4, 1, "EXPLODE secret.t"));
    assert_eq!(it.to_client, error(4, 1, 0x2000, "no statement of CQL 3.4.7", b""));
    it.client(query(4, 1, "SELECT * FROM pub.t")).server(void(4, 1));
    assert_eq!((it.closed.as_ref(), it.host.log.len()), (None, 1));
    assert_eq!(it.host.refused, ["no statement of CQL 3.4.7 opcode=query"]);
}

/// Threats row 50: what names no table satisfies no rule about tables, and
/// threats row 59: neither do the side doors.
#[test]
fn row_59_what_has_no_table_says_none() {
    for (text, log) in [
        ("DROP ROLE r", "query_action=drop-role"),
        ("DROP INDEX secret.i", "query_action=drop-index"),
        (
            "CREATE FUNCTION pub.f (a int) RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE java AS ''",
            "query_action=create-function",
        ),
        ("GRANT SELECT ON pub.t TO r", "query_action=grant-permission"),
        ("DROP KEYSPACE pub", "query_action=drop-keyspace query_table=pub"),
        (
            "CREATE MATERIALIZED VIEW pub.v AS SELECT a FROM pub.t PRIMARY KEY (a)",
            "query_action=create-materialized-view query_table=pub.v query_table=pub.t",
        ),
    ] {
        let mut it = opened(4);
        it.client(query(4, 1, text));
        assert_eq!(it.host.log, [format!("Allow {log}")]);
    }
}

/// Long values pass by their lengths; nothing of them is held.
#[test]
fn values_of_a_megabyte_stream() {
    let big = vec![b'v'; 1 << 20];
    let text = long(b"INSERT INTO pub.t (a, b) VALUES (?, ?)");
    let values =
        [&b"\0\x01\x25\0\x03"[..], &long(&big), &(-1i32).to_be_bytes(), &long(&big)].concat();
    let body = [&text[..], &values, &5i32.to_be_bytes(), &[0; 8]].concat();
    for piece in [7, 4096, 1 << 22] {
        let mut it = opened(4);
        let bytes = envelope(4, 1, QUERY, &body);
        for piece in bytes.chunks(piece) {
            it.client(piece);
            assert!(it.held() < 200, "{} bytes held", it.held());
        }
        assert!(it.closed.is_none() && it.to_server == bytes);
        it.server(void(4, 1)).client(query(4, 1, "SELECT * FROM pub.t"));
        assert!(it.closed.is_none());
    }
    // Denied, all of it is dropped.
    let secret = long(b"INSERT INTO secret.t (a, b) VALUES (?, ?)");
    let mut it = opened(4);
    let bytes =
        envelope(4, 1, QUERY, &[&secret[..], &values, &5i32.to_be_bytes(), &[0; 8]].concat());
    bytes.chunks(4096).for_each(|piece| {
        it.client(piece);
    });
    it.client(query(4, 2, "SELECT * FROM pub.t"));
    assert_eq!(it.to_server, query(4, 2, "SELECT * FROM pub.t"));
    assert_eq!(it.to_client, denied(4, 1, "insert on secret.t"));

    // What does not add up closes, before the server has all of it.
    for tail in [&b"\0\0\0\x05"[..], &[0; 13], &[0; 11]] {
        let mut it = opened(4);
        it.client(envelope(4, 1, QUERY, &[&text[..], &values, tail].concat()));
        assert_eq!(it.closed.as_ref().map(|fault| fault.blame), Some(Blame::Client));
        assert!(it.to_server.len() < text.len() + values.len() + tail.len() + 9);
    }
    let mut it = opened(4);
    let beyond = [&text[..], &b"\0\x01\x01\0\x01"[..], &long(&big)[..1 << 18]].concat();
    it.client(envelope(4, 1, QUERY, &beyond));
    assert_eq!(it.reason(), "a value that is longer than its body");
}

#[test]
fn lengths_at_their_caps_and_one_more() {
    let select = |length: usize| {
        let head = "SELECT * FROM pub.t WHERE a = '";
        format!("{head}{}'", "x".repeat(length - head.len() - 1))
    };
    for (bytes, passes) in [
        (query(4, 1, &select(MAX_QUERY_BYTES)), true),
        (prepare(4, 1, &select(MAX_QUERY_BYTES)), true),
        (query(4, 1, &select(MAX_WAITING_BYTES - 7)), true),
        (query(4, 1, &select(MAX_WAITING_BYTES - 6)), true),
    ] {
        let mut it = opened(4);
        bytes.chunks(1000).for_each(|piece| {
            it.client(piece);
        });
        assert_eq!(it.to_server == bytes, passes);
        let _ = it.server(void(4, 1));
    }
    for bytes in
        [query(4, 1, &select(MAX_QUERY_BYTES + 1)), prepare(4, 1, &select(MAX_QUERY_BYTES + 1))]
    {
        let mut it = opened(4);
        it.client(bytes);
        assert_eq!(it.reason(), "a query of more than 256 KiB");
    }
    // A longer batch cannot be judged, and is answered.
    let items = |bytes: usize| {
        let rest = bytes - 1 - 2 - 3 - 1 - 4 - 2 - 4;
        let text = "INSERT INTO pub.t (a) VALUES (?)";
        let value = long(&vec![b'v'; rest - text.len()]);
        [&[0], &long(text.as_bytes())[..], &[0, 1], &value].concat()
    };
    let mut it = opened(4);
    let most = batch(4, 1, &[items(MAX_WHOLE_BYTES)]);
    assert_eq!(most.len(), MAX_WHOLE_BYTES + 9);
    it.client(&most);
    assert_eq!(it.to_server.len(), most.len());
    it.client(batch(4, 2, &[items(MAX_WHOLE_BYTES + 1)]));
    assert!(it.to_client.starts_with(&[0x84, 0, 0, 2, ERROR]) && it.closed.is_none());
    assert_eq!(it.to_server.len(), most.len());

    let mut it = opened(4);
    it.client(envelope(4, 1, REGISTER, &vec![0; MAX_SMALL_BYTES + 1]));
    assert_eq!(it.reason(), "a request that is longer than its kind can be");
    let mut it = opened(4);
    let length = (MAX_BODY_BYTES + 1).to_be_bytes();
    it.client([&[4, 0, 0, 1, QUERY], &length[..]].concat());
    assert_eq!(it.reason(), "an envelope of more than 256 MiB");
    let mut it = opened(4);
    it.client([&[4, 0, 0, 1, QUERY], &MAX_BODY_BYTES.to_be_bytes()[..]].concat());
    assert_eq!(it.closed, None);
}

#[test]
fn replies_are_those_that_the_requests_can_have() {
    let wrong = [
        envelope(0x84, 1, READY, b""),
        envelope(0x84, 1, SUPPORTED, b"\0\0"),
        envelope(0x84, 1, AUTH_SUCCESS, b"\xff\xff\xff\xff"),
        envelope(0x84, 2, RESULT, b"\0\0\0\x01"),
        envelope(0x83, 1, RESULT, b"\0\0\0\x01"),
        envelope(0x04, 1, RESULT, b"\0\0\0\x01"),
        envelope(0x84, 1, 0x77, b""),
        flagged(0x84, 0x01, 1, RESULT, b"\0\0\0\x01"),
        prepared(4, 1, b"id"),
    ];
    for bytes in wrong {
        let mut it = opened(4);
        it.client(query(4, 1, "SELECT * FROM pub.t")).server(&bytes);
        assert_eq!(
            it.closed.map(|fault| fault.blame),
            Some(Blame::Server),
            "{}",
            bytes.escape_ascii()
        );
        assert!(it.to_client.is_empty());
    }
    // With warnings and a payload before it, an id is found all the same.
    let mut it = opened(4);
    it.client(prepare(4, 1, "SELECT * FROM pub.t"));
    let front = [&[9; 16][..], &list(&["careful"]), &[0, 1], &string("k"), &long(b"v")].concat();
    let body = [&front[..], &4u32.to_be_bytes(), &short(b"id")].concat();
    it.server(flagged(0x84, 0x0e, 1, RESULT, &body)).client(execute(4, 1, b"id"));
    assert!(it.to_server.ends_with(&execute(4, 1, b"id")));
}
