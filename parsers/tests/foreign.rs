//! Row 15: what is spoken at the port of another protocol. A port's protocol is
//! the policy's; nothing is guessed, so nothing of another one gets through.

mod support;

use remora_parsers::{Direction, Registry};
use support::{Conversation, Watcher};

/// How protocols open, and the one of ours that it is.
const OPENINGS: [(&str, &[u8], &str); 12] = [
    ("TLS 1.3", b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03RRRRRRRRRRRRRRRR", ""),
    ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    ("HTTP/1.1, small letters", b"get / HTTP/1.1\r\nhost: a\r\n\r\n", "memcache"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""),
    ("Redis", b"*1\r\n$4\r\nPING\r\n", ""),
    ("Kafka", b"\x00\x00\x00\x0e\x00\x12\x00\x03\x00\x00\x00\x01\x00\x04test", ""),
    ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", ""),
    ("PROXY", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", ""),
    ("memcached", b"get a\r\n", "memcache"),
    (
        "memcached, binary",
        b"\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0a",
        "memcache",
    ),
    ("r2d2", b"READ /a\r\n", "r2d2"),
    ("Cassandra", b"\x04\x00\x00\x00\x05\x00\x00\x00\x00", "cassandra"),
];

#[test]
fn nothing_of_another_protocol_reaches_the_server() {
    for protocol in Registry::BUILT_IN.protocols() {
        for (name, opening, own) in OPENINGS {
            if own == protocol.name {
                continue;
            }
            for step in [1, 5, opening.len()] {
                let mut it = Conversation::new(protocol, Watcher::allowing());
                for bytes in opening.chunks(step) {
                    it.client(bytes);
                }
                it.end(Direction::Request);
                let at = format!("{name} at a port of {}, {step} bytes at once", protocol.name);
                assert!(it.closed.is_some(), "{at}: goes on");
                assert_eq!(it.to_server.escape_ascii().to_string(), "", "{at}");
            }
        }
    }
}

#[test]
fn every_protocol_of_ours_is_among_them() {
    for protocol in Registry::BUILT_IN.protocols() {
        assert!(OPENINGS.iter().any(|(_, _, own)| *own == protocol.name), "{}", protocol.name);
    }
}
