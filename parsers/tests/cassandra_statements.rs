//! Statements over Cassandra's native protocol: plain, prepared, in batches, and `USE`.

mod support;

use remora_parsers::{
    Direction, Verdict,
    cassandra::{MAX_PREPARING, PROTOCOL},
};
use support::{Conversation, Watcher, native::*, watched::*};

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
