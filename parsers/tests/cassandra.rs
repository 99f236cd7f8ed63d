//! Streams, their replies and their caps in Cassandra's native protocol, v3 and
//! v4; v5's plain envelopes, too. Its segments are tested beside this.

mod support;

use remora_parsers::{
    Blame,
    cassandra::{
        MAX_BODY_BYTES, MAX_QUERY_BYTES, MAX_SMALL_BYTES, MAX_WAITING_BYTES, MAX_WHOLE_BYTES,
        PROTOCOL,
    },
};
use support::{Conversation, native::*, watched::*};

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
