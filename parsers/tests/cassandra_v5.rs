//! v5: segments under the parser, and keyspaces of a request's own.

mod support;

use remora_parsers::{
    Blame, Direction,
    cassandra::{MAX_PAYLOAD, MAX_WHOLE_BYTES, PROTOCOL, Segments},
    codec::{Codec, Decoded},
};
use support::{Conversation, Watcher, native::*, watched::*};

/// A side of a connection, which speaks in segments.
#[derive(Default)]
struct Side(Segments);

impl Side {
    fn says(&mut self, envelopes: impl AsRef<[u8]>) -> Vec<u8> {
        let mut plain = envelopes.as_ref().to_vec();
        let wire = self.0.encode(Direction::Request, &mut plain);
        assert!(plain.is_empty());
        wire
    }
}

/// The envelopes in segments.
fn heard(wire: &[u8]) -> Vec<u8> {
    let (mut codec, mut rest, mut all) = (Segments::default(), wire, Vec::new());
    while !rest.is_empty() {
        let Ok(Decoded::Unit { length, plain }) = codec.decode(Direction::Request, rest) else {
            panic!("no segment: {}", rest.escape_ascii());
        };
        all.extend_from_slice(plain);
        rest = &rest[length as usize..];
    }
    all
}

#[test]
fn behind_a_codec_it_rests_when_the_parser_does() {
    let (mut client, mut server) = (Side::default(), Side::default());
    let mut it = opened(5);
    assert!(it.at_rest());
    let asked = client.says(query(5, 1, "SELECT * FROM pub.t"));
    it.client(&asked[..9]);
    assert!(!it.at_rest(), "a segment has begun");
    it.client(&asked[9..]);
    assert!(!it.at_rest(), "an answer is due");
    it.server(server.says(void(5, 1)));
    assert!(it.at_rest());
}

#[test]
fn requests_are_decoded_judged_and_encoded() {
    let mut client = Side::default();
    let all = [query(5, 1, "SELECT * FROM pub.t"), query(5, 2, "SELECT * FROM secret.t")].concat();
    let wire = client.says(all);
    for cut in 1..wire.len() {
        let mut it = opened(5);
        it.client(&wire[..cut]).client(&wire[cut..]);
        assert_eq!(it.closed, None);
        assert_eq!(heard(&it.to_server), query(5, 1, "SELECT * FROM pub.t"), "cut at {cut}");
        assert_eq!(heard(&it.to_client), denied(5, 2, "select on secret.t"));
        let reply = Side::default().says(void(5, 1));
        it.to_client.clear();
        reply.chunks(3).for_each(|piece| {
            it.server(piece);
        });
        assert_eq!(it.to_client, reply, "as it came");
        assert_eq!(it.host.log.len(), 2);
    }
}

#[test]
fn the_first_request_behind_startup_may_come_with_it() {
    let mut it = Conversation::new(&PROTOCOL, Watcher::allowing());
    let wire = Side::default().says(query(5, 1, "SELECT * FROM pub.t"));
    it.client([&startup(5, &[CQL])[..], &wire].concat());
    assert_eq!(it.to_server, startup(5, &[CQL]));
    it.server(ready(5));
    assert_eq!(it.to_server, [&startup(5, &[CQL])[..], &wire].concat());
    assert_eq!(it.closed, None);
}

#[test]
fn what_is_no_segment_closes() {
    let wire = Side::default().says(query(5, 1, "SELECT * FROM pub.t"));
    for (at, bit) in [(0, 1), (2, 4), (4, 1), (20, 1), (wire.len() - 1, 1)] {
        let mut it = opened(5);
        let mut damaged = wire.clone();
        damaged[at] ^= bit;
        it.client(damaged);
        assert_eq!(it.closed.map(|fault| fault.blame), Some(Blame::Client));
        assert!(it.to_server.is_empty());
    }
    let mut it = opened(5);
    it.client(query(5, 1, "SELECT * FROM pub.t"));
    assert_eq!(it.reason(), "a segment whose header is damaged");
    let mut it = opened(5);
    it.server(void(5, 1));
    assert_eq!(it.closed.map(|fault| fault.blame), Some(Blame::Server));
}

/// A denial inside a long reply waits for its end, as without segments.
#[test]
fn long_envelopes_stream_through_segments() {
    let rows = envelope(0x85, 1, RESULT, &[&2u32.to_be_bytes()[..], &vec![7; 1 << 20]].concat());
    let wire = Side::default().says(&rows);
    let mut client = Side::default();
    let mut it = opened(5);
    it.client(client.says(query(5, 1, "SELECT * FROM pub.t")));
    it.server(&wire[..300_000]);
    assert!(it.held() < 2 * MAX_PAYLOAD && it.to_client.len() > 200_000, "it streams");
    it.client(client.says(query(5, 2, "SELECT * FROM secret.t")));
    it.server(&wire[300_000..]);
    let heard = heard(&it.to_client);
    assert!(heard == [rows, denied(5, 2, "select on secret.t")].concat());

    // And a request's long values.
    let text = long(b"INSERT INTO pub.t (a) VALUES (?)");
    let values = [&b"\0\x01\0\0\0\x01\0\x01"[..], &long(&vec![b'v'; 1 << 20])].concat();
    let bytes = envelope(5, 3, QUERY, &[&text[..], &values].concat());
    let wire = client.says(&bytes);
    wire.chunks(10_000).for_each(|piece| {
        it.client(piece);
    });
    assert!(it.closed.is_none() && it.to_server.ends_with(&wire[wire.len() - 1000..]));
}

/// Threats row 54: a keyspace of the request's own is what its tables are in.
#[test]
fn row_54_a_request_may_name_its_keyspace() {
    let with = |text: &str, keyspace: &str| {
        let options = [&b"\0\x01\0\0\0\x80"[..], &string(keyspace)].concat();
        envelope(5, 1, QUERY, &[&long(text.as_bytes())[..], &options].concat())
    };
    for (text, keyspace, log) in [
        ("SELECT * FROM t", "pub", "Allow query_action=select query_table=pub.t"),
        ("SELECT * FROM t", "secret", "Deny query_action=select query_table=secret.t"),
        ("SELECT * FROM pub.t", "secret", "Allow query_action=select query_table=pub.t"),
    ] {
        let mut it = opened(5);
        it.client(Side::default().says(with(text, keyspace)));
        assert_eq!((it.host.log, it.closed), (vec![log.to_owned()], None));
    }
    let mut it = opened(5);
    it.client(Side::default().says(with("SELECT * FROM t", "a.b")));
    assert_eq!(it.reason(), "a keyspace that is none");
    // Of PREPARE and BATCH likewise; EXECUTE has its PREPARE's.
    let prepare = [&long(b"SELECT * FROM t")[..], &1i32.to_be_bytes(), &string("secret")].concat();
    let batch = [
        &b"\0\0\x01"[..],
        &text_item("DELETE FROM t WHERE k = 1"),
        b"\0\x01\0\0\0\x80",
        &string("secret"),
    ]
    .concat();
    for (opcode, body, log) in [
        (PREPARE, prepare, "Deny opcode=prepare query_action=select query_table=secret.t"),
        (BATCH, batch, "Deny opcode=batch query_action=delete query_table=secret.t"),
    ] {
        let mut it = opened(5);
        it.client(Side::default().says(envelope(5, 1, opcode, &body)));
        assert_eq!((it.host.log, it.closed), (vec![log.to_owned()], None));
    }
    let execute = [&short(b"id")[..], &short(b"m"), b"\0\x01\0\0\0\x80", &string("pub")].concat();
    let mut it = opened(5);
    it.client(Side::default().says(envelope(5, 1, EXECUTE, &execute)));
    assert_eq!(it.reason(), "EXECUTE with a keyspace");
}

/// It stands behind the values, which have to be held until it is known.
#[test]
fn a_keyspace_behind_long_values_has_a_cap() {
    let with = |value: usize| {
        let options =
            [&b"\0\x01\0\0\0\x81\0\x01"[..], &long(&vec![b'v'; value]), &string("secret")];
        let text = long(b"INSERT INTO t (a) VALUES (?)");
        envelope(5, 1, QUERY, &[&text[..], &options.concat()].concat())
    };
    let most = MAX_WHOLE_BYTES - (with(0).len() - 9);
    let mut it = opened(5);
    it.client(Side::default().says(with(most)));
    assert_eq!(it.host.log, ["Deny query_action=insert query_table=secret.t"]);
    assert!(it.closed.is_none() && it.to_server.is_empty());
    let mut it = opened(5);
    it.client(Side::default().says(with(most + 1)));
    assert_eq!(it.host.refused.len(), 1);
    assert!(it.closed.is_none() && it.to_server.is_empty());
}

#[test]
fn prepared_statements_have_two_ids() {
    let (mut client, mut server) = (Side::default(), Side::default());
    let mut it = opened(5);
    it.client(client.says(prepare(5, 1, "SELECT * FROM pub.t")));
    it.server(server.says(prepared(5, 1, b"id"))).client(client.says(execute(5, 2, b"id")));
    assert!(heard(&it.to_server).ends_with(&execute(5, 2, b"id")));
    it.client(client.says(execute(5, 3, b"meta")));
    let unprepared = "the statement was not prepared on this connection";
    assert!(heard(&it.to_client).ends_with(&error(5, 3, 0x2500, unprepared, &short(b"meta"))));
}

#[test]
fn an_end_inside_a_segment_or_an_envelope_is_none() {
    let wire = Side::default().says(query(5, 1, "SELECT * FROM pub.t"));
    let mut it = opened(5);
    it.client(&wire[..9]).end(Direction::Request);
    assert_eq!(it.reason(), "the stream ends inside a message");
    let long = envelope(5, 1, QUERY, &vec![0; 200_000]);
    let mut it = opened(5);
    it.client(Side::default().says(&long[..150_000])).end(Direction::Request);
    assert!(it.closed.is_some());
    let mut it = opened(5);
    it.client(&wire).end(Direction::Request);
    assert_eq!(it.closed, None);
}
