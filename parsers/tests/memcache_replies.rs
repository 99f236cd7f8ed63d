//! What the server answers in many lines, or at length.

mod support;

use remora_parsers::{Verdict, memcache::PROTOCOL};
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

#[test]
fn older_commands_and_administrators_are_answered_as_they_are() {
    for (request, reply) in [
        ("gat 10 a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n"),
        ("gats 10 a b\r\n", "VALUE a 0 1 7\r\nx\r\nEND\r\n"),
        ("cas a 0 0 1 7\r\nx\r\n", "EXISTS\r\n"),
        ("append a 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("touch a 10\r\n", "TOUCHED\r\n"),
        ("touch a 10\r\n", "NOT_FOUND\r\n"),
        ("flush_all\r\n", "OK\r\n"),
        ("stats\r\n", "STAT pid 1\r\nSTAT uptime 2\r\nEND\r\n"),
        ("stats reset\r\n", "RESET\r\n"),
        ("stats detail dump\r\n", "PREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n"),
        ("stats cachedump 1 0\r\n", "ITEM a [1 b; 0 s]\r\nEND\r\n"),
        ("slabs reassign 1 2\r\n", "NOSPARE source class has no spare pages\r\n"),
        ("lru_crawler metadump all\r\n", "key=a exp=-1 la=1\nkey=b exp=-1 la=1\nEND\r\n"),
        ("lru_crawler metadump all\r\n", "BUSY currently processing crawler request\r\n"),
        ("lru_crawler mgdump all\r\n", "mg a\r\nmg b\r\nEN\r\n"),
        ("shutdown\r\n", "ERROR: shutdown not enabled\r\n"),
    ] {
        let mut it = conversation();
        // A denial behind it shows where the reply ends.
        it.client(request).client("get sec\r\n");
        for byte in reply.bytes() {
            assert!(!it.to_client.ends_with(DENIED.as_bytes()), "{request}: too soon");
            it.server([byte]);
        }
        assert_eq!(it.closed, None, "{request}{reply}");
        assert_eq!(it.to_client, format!("{reply}{DENIED}").as_bytes(), "{request}");
        assert_eq!(it.to_server, request.as_bytes());
    }
}

#[test]
fn a_watch_streams_until_it_ends() {
    let mut it = conversation();
    it.client("watch fetchers\r\n").server("OK\r\nts=1 gid=1 type=item_get key=a\n\0anything");
    assert_eq!(it.to_client, b"OK\r\nts=1 gid=1 type=item_get key=a\n\0anything");
    it.client("get a\r\n");
    assert_eq!(it.reason(), "a request after quit or watch");
}

#[test]
fn a_hundred_megabytes_pass_in_flat_memory() {
    let value = vec![b'v'; 1 << 20];
    let length = 100 << 20;
    let frame = |opcode: u8, magic: u8| {
        let mut frame = vec![magic, opcode, 0, 1, 8 * u8::from(magic == 0x80), 0, 0, 0];
        let extras = if magic == 0x80 { 8 } else { 0 };
        frame.extend_from_slice(&(length as u32 + 1 + extras).to_be_bytes());
        frame.resize(24 + extras as usize, 0);
        frame.push(b'a');
        frame
    };
    let text = (format!("set a 0 0 {length}\r\n").into_bytes(), b"\r\n".to_vec());
    for (header, tail) in [text, (frame(1, 0x80), Vec::new())] {
        let mut it = conversation();
        let (mut sent, mut largest) = (0, 0);
        it.client(&header);
        for _ in 0..100 {
            it.client(&value);
            largest = largest.max(it.to_server.capacity());
            sent += it.to_server.len();
            it.to_server.clear();
            assert_eq!(it.held(), 0, "a value never enters the parser");
        }
        it.client(&tail);
        assert_eq!(it.closed, None);
        assert_eq!(sent + it.to_server.len(), header.len() + length + tail.len());
        assert!(largest <= 4 << 20, "{largest} bytes kept");
    }
    let text = (
        b"get a\r\n".to_vec(),
        format!("VALUE a 0 {length}\r\n").into_bytes(),
        b"\r\nEND\r\n".to_vec(),
    );
    let getk = [&b"\x80\x0c\0\x01\0\0\0\0\0\0\0\x01"[..], &[0; 12], b"a"].concat();
    for (request, header, tail) in [text, (getk, frame(0x0c, 0x81), Vec::new())] {
        let mut it = conversation();
        it.client(&request).server(&header);
        for _ in 0..100 {
            it.server(&value);
            it.to_client.clear();
            assert_eq!(it.held(), 0);
        }
        it.server(&tail).client(&request).server(&header);
        assert_eq!(it.closed, None);
    }
}

#[test]
fn a_long_value_streams_past() {
    let mut it = conversation();
    let value = vec![b'v'; 5 << 20];
    it.client("set a 0 0 5242880\r\n");
    for part in value.chunks(64 << 10) {
        it.client(part);
        assert_eq!(it.held(), 0, "a value never enters the parser");
    }
    it.client("\r\n").server("STORED\r\n");
    assert_eq!(it.to_server.len(), 19 + value.len() + 2);
    // A denied one is dropped the same way.
    let mut it = conversation();
    it.client("set sec 0 0 5242880\r\n").client(&value).client("\r\nget b\r\n");
    assert_eq!(it.to_server, b"get b\r\n");
    assert_eq!(it.to_client, DENIED.as_bytes());
}
