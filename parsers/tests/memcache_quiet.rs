//! Quiet requests of both protocols: who is answered, and in which order.

mod support;

use remora_parsers::{Verdict, memcache::PROTOCOL};
use support::{Conversation, Watcher};

const DENIED: &str = "CLIENT_ERROR access denied\r\n";

fn conversation() -> Conversation {
    let host =
        Watcher::deciding(
            |request| {
                if request.contains("key=sec") { Verdict::Deny } else { Verdict::Allow }
            },
        );
    Conversation::new(&PROTOCOL, host)
}

#[test]
fn a_client_that_ends_its_run_with_mn_sees_what_the_server_says() {
    let mut it = conversation();
    it.client("mg a v q\r\nmg b v q k\r\nms c 2 q\r\nhi\r\nmn\r\n");
    assert_eq!(it.to_server, b"mg a v q\r\nmg b v q k\r\nms c 2 q\r\nhi\r\nmn\r\n");
    it.server("VA 1 kb\r\nx\r\nMN\r\n");
    assert_eq!(it.to_client, b"VA 1 kb\r\nx\r\nMN\r\n");
    // Nothing is left over from it.
    it.client("mn\r\n").server("MN\r\nMN\r\n");
    assert_eq!(it.reason(), "reply to no request");
}

/// Errors are answered, quiet or not, and each in its place.
#[test]
fn a_denial_in_a_quiet_run_waits_behind_a_mark() {
    let mut it = conversation();
    it.client("mg a v q O1\r\nmg sec v q O2\r\nmg b v q O3\r\nmn\r\n");
    assert_eq!(it.to_server, b"mg a v q O1\r\nmn\r\nmg b v q O3\r\nmn\r\n");
    assert!(it.to_client.is_empty());
    it.server("VA 1 O1\r\nx\r\n");
    assert_eq!(it.to_client, b"VA 1 O1\r\nx\r\n");
    it.server("MN\r\nEN\r\n".strip_suffix("EN\r\n").expect("so"));
    assert_eq!(it.to_client, format!("VA 1 O1\r\nx\r\n{DENIED}").as_bytes());
    it.server("VA 1 O3\r\ny\r\nMN\r\n");
    assert_eq!(it.to_client, format!("VA 1 O1\r\nx\r\n{DENIED}VA 1 O3\r\ny\r\nMN\r\n").as_bytes());
    assert_eq!(it.closed, None);
}

#[test]
fn a_request_behind_a_quiet_run_is_answered_in_its_place() {
    // `NF` may be the quiet request's or the other's: servers differ.
    for (replies, to_client) in [
        ("NF\r\nMN\r\nNF\r\n", format!("NF\r\nNF\r\n{DENIED}")),
        ("MN\r\nNF\r\n", format!("NF\r\n{DENIED}")),
    ] {
        let mut it = conversation();
        it.client("md a q\r\nmd b\r\nget sec\r\n");
        assert_eq!(it.to_server, b"md a q\r\nmn\r\nmd b\r\n");
        it.server(replies);
        assert_eq!(it.to_client, to_client.as_bytes());
    }
    // Two denials share the mark, and a server that says too much is cut off.
    let mut it = conversation();
    it.client("mg a q\r\nget sec\r\nmd sec q\r\n").server("MN\r\n");
    assert_eq!(it.to_server, b"mg a q\r\nmn\r\n");
    assert_eq!(it.to_client, DENIED.repeat(2).as_bytes());
    let mut it = conversation();
    it.client("mg a q\r\nmn\r\n").server("HD\r\nHD\r\n");
    assert_eq!(it.reason(), "more replies than quiet requests");
}

#[test]
fn quiet_requests_do_not_pile_up() {
    let mut it = conversation();
    it.client("mg a q\r\n".repeat(5000)).client("mn\r\n").server("HD\r\n".repeat(4000));
    it.server("MN\r\n");
    assert_eq!(it.closed, None);
    assert_eq!(it.to_client.len(), 4 * 4000 + 4);
}

#[test]
fn meta_replies_that_the_request_cannot_have_close() {
    for (request, reply) in [
        ("mg a v\r\n", "NS\r\n"),
        ("mg a v\r\n", "VA x\r\n"),
        ("mg a v\r\n", "VA\r\n"),
        ("mg a v\r\n", "HDx\r\n"),
        ("mg a v\r\n", "END\r\n"),
        ("ms a 1\r\nx\r\n", "VA 1\r\n"),
        ("me a\r\n", "HD\r\n"),
        ("mn\r\n", "HD\r\n"),
        ("mg a q\r\n", "STORED\r\n"),
        ("mg a q\r\n", "MN\r\n"),
    ] {
        let mut it = conversation();
        it.client(request).server(reply);
        assert!(it.closed.is_some() && it.to_client.is_empty(), "{request} {reply}");
    }
}

/// A value that ends its reply ends it with its CRLF, not before.
#[test]
fn a_denial_never_stands_between_a_value_and_its_end() {
    for request in ["mg a v\r\n", "mg a v q\r\n"] {
        let mut it = conversation();
        it.client(request).client("get sec\r\n");
        for byte in b"VA 2\r\nhi\r\n" {
            assert!(!it.to_client.ends_with(DENIED.as_bytes()), "{request}");
            it.server([*byte]);
        }
        if request.contains('q') {
            it.server("MN\r\n");
        }
        assert_eq!(it.to_client, format!("VA 2\r\nhi\r\n{DENIED}").as_bytes(), "{request}");
    }
}
