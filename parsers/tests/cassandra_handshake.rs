//! What the two sides of a Cassandra connection agree on before the first query.

mod support;

use remora_parsers::{Blame, Direction, cassandra::PROTOCOL};
use support::{Conversation, native::*, watched::*};

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
