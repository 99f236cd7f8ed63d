//! Conversations in Cassandra's native protocol that a host watches.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use remora_parsers::{Verdict, cassandra::PROTOCOL};

use super::{Conversation, Watcher, native::*};

/// Denies whatever is about a table of `secret`.
pub fn host() -> Watcher {
    Watcher::deciding(
        |request| {
            if request.contains("=secret") { Verdict::Deny } else { Verdict::Allow }
        },
    )
}

/// A connection after its handshake.
pub fn opened(version: u8) -> Conversation {
    let mut it = Conversation::new(&PROTOCOL, host());
    it.client(startup(version, &[CQL])).server(ready(version));
    assert_eq!((&it.closed, &it.to_client), (&None, &ready(version)));
    it.to_server.clear();
    it.to_client.clear();
    it
}

/// What a denial on `stream` says.
pub fn denied(version: u8, stream: i16, what: &str) -> Vec<u8> {
    error(version, stream, 0x2100, &format!("{what} is denied: no policy allows it"), b"")
}
