//! Whole conversations in memcached's binary protocol.

mod support;

use remora_parsers::{
    Blame, Verdict,
    memcache::{DENIED_MESSAGE, PROTOCOL},
};
use support::{Conversation, Watcher};

/// A frame: what a test says of it, and zeros.
#[derive(Clone, Default)]
struct Frame<'a> {
    magic: u8,
    opcode: u8,
    data_type: u8,
    status: u16,
    extras: &'a [u8],
    key: &'a [u8],
    value: &'a [u8],
    body: Option<u32>,
    opaque: u32,
    cas: u64,
}

impl Frame<'_> {
    fn bytes(&self) -> Vec<u8> {
        let body = (self.extras.len() + self.key.len() + self.value.len()) as u32;
        let mut bytes = vec![self.magic, self.opcode];
        bytes.extend((self.key.len() as u16).to_be_bytes());
        bytes.extend([self.extras.len() as u8, self.data_type]);
        bytes.extend(self.status.to_be_bytes());
        bytes.extend(self.body.unwrap_or(body).to_be_bytes());
        bytes.extend(self.opaque.to_be_bytes());
        bytes.extend(self.cas.to_be_bytes());
        [&bytes[..], self.extras, self.key, self.value].concat()
    }
}

fn request(opcode: u8) -> Frame<'static> {
    Frame { magic: 0x80, opcode, opaque: 0x0102_0304, ..Frame::default() }
}

fn reply(opcode: u8) -> Frame<'static> {
    Frame { magic: 0x81, opcode, opaque: 0x0102_0304, ..Frame::default() }
}

fn keyed(opcode: u8, key: &[u8]) -> Frame<'_> {
    Frame { key, ..request(opcode) }
}

fn denial(opcode: u8) -> Vec<u8> {
    Frame { status: 0x08, value: DENIED_MESSAGE, ..reply(opcode) }.bytes()
}

fn noop() -> Vec<u8> {
    Frame { opaque: 0, ..request(0x0a) }.bytes()
}

fn conversation() -> Conversation {
    let host =
        Watcher::deciding(
            |request| {
                if request.contains("key=sec") { Verdict::Deny } else { Verdict::Allow }
            },
        );
    Conversation::new(&PROTOCOL, host)
}

/// Every opcode with its canonical form, and the commands that it amounts to.
fn canonical() -> Vec<(Frame<'static>, &'static str)> {
    let (set, touch) = (&[0u8; 8][..], &[0u8, 0, 0, 9][..]);
    let mut all = Vec::new();
    for opcode in [0x00, 0x09, 0x0c, 0x0d] {
        all.push((keyed(opcode, b"a"), "get"));
    }
    for (opcode, name, compares) in
        [(0x01, "set", "cas"), (0x02, "add", "add cas"), (0x03, "replace", "replace cas")]
    {
        for opcode in [opcode, opcode + 0x10] {
            let frame = Frame { extras: set, value: b"v", ..keyed(opcode, b"a") };
            all.push((Frame { cas: 7, ..frame.clone() }, compares));
            all.push((frame, name));
        }
    }
    for opcode in [0x04, 0x14] {
        all.push((keyed(opcode, b"a"), "delete"));
    }
    for (opcode, name, makes) in [(0x05, "incr", "incr add"), (0x06, "decr", "decr add")] {
        for opcode in [opcode, opcode + 0x10] {
            all.push((Frame { extras: &[0; 20], ..keyed(opcode, b"a") }, makes));
            const NEVER: &[u8; 20] = b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\xff\xff\xff\xff";
            all.push((Frame { extras: NEVER, ..keyed(opcode, b"a") }, name));
        }
    }
    for (opcode, name) in [(0x0e, "append"), (0x19, "append"), (0x0f, "prepend"), (0x1a, "prepend")]
    {
        all.push((Frame { value: b"v", ..keyed(opcode, b"a") }, name));
    }
    all.push((Frame { extras: touch, ..keyed(0x1c, b"a") }, "touch"));
    for opcode in [0x1d, 0x1e, 0x23, 0x24] {
        all.push((Frame { extras: touch, ..keyed(opcode, b"a") }, "gat"));
    }
    all.push((request(0x08), "flush_all"));
    all.push((Frame { extras: touch, ..request(0x18) }, "flush_all"));
    all.push((request(0x0a), "noop"));
    all.push((request(0x0b), "version"));
    all.push((request(0x10), "stats"));
    all.push((keyed(0x10, b"settings"), "stats"));
    all.push((keyed(0x10, b"detail dump"), "stats_detail"));
    all.push((keyed(0x10, b"reset"), "stats_reset"));
    all.push((request(0x20), "sasl"));
    for opcode in [0x21, 0x22] {
        all.push((Frame { value: b"\0user\0secret", ..keyed(opcode, b"PLAIN") }, "sasl"));
    }
    all.push((request(0x07), "quit"));
    all.push((request(0x17), "quit"));
    all
}

#[test]
fn every_opcode_passes_in_its_canonical_form() {
    for (frame, commands) in canonical() {
        let bytes = frame.bytes();
        for cut in 0..=bytes.len() {
            let mut it = conversation();
            let (first, second) = bytes.split_at(cut);
            for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
                it.client(part);
            }
            assert_eq!(it.closed, None, "{:#x} cut at {cut}", frame.opcode);
            assert_eq!(it.to_server, bytes, "{:#x} cut at {cut}", frame.opcode);
            let words: String =
                commands.split(' ').map(|word| format!(" command={word}")).collect();
            let names_key = matches!(frame.key, b"a");
            let key = if names_key { " key=a" } else { "" };
            assert_eq!(it.host.log, [format!("Allow{words}{key} protocol=binary")]);
        }
    }
}

/// Denied whatever the opcode, quiet ones too: a denial is an error.
#[test]
fn every_denied_opcode_is_answered_once() {
    for (frame, _) in canonical() {
        let mut it = Conversation::new(&PROTOCOL, Watcher::answering(Verdict::Deny));
        it.client(frame.bytes());
        assert_eq!(
            (it.closed.as_ref(), &it.to_server[..]),
            (None, &b""[..]),
            "{:#x}",
            frame.opcode
        );
        assert_eq!(it.to_client, denial(frame.opcode), "{:#x}", frame.opcode);
    }
}

/// Threats row 35: lengths that contradict each other, and parts that the
/// opcode does not have.
#[test]
fn row_35_frames_that_are_not_canonical() {
    let long = [b'k'; 251];
    let mut wrong = vec![
        Frame { body: Some(0xffff_fff0), ..keyed(0x00, b"a") },
        Frame { body: Some(0), ..keyed(0x00, b"a") },
        Frame { body: Some(8), extras: &[0; 8], ..keyed(0x01, b"a") },
        Frame { body: Some((1 << 30) + 513), extras: &[0; 8], ..keyed(0x01, b"a") },
        Frame { data_type: 1, ..keyed(0x00, b"a") },
        Frame { status: 3, ..keyed(0x00, b"a") },
        Frame { magic: 0x81, ..keyed(0x00, b"a") },
        Frame { key: &long, ..request(0x00) },
        Frame { cas: 1, ..keyed(0x00, b"a") },
        keyed(0x1b, b""),
        Frame { extras: &[0; 4], ..request(0x1b) },
        request(0x1f),
        keyed(0x30, b"a"),
        request(0xff),
        keyed(0x10, b"nonsense"),
        keyed(0x20, b"PLAIN"),
    ];
    for (frame, _) in canonical() {
        // One byte too many of extras, a missing key, a key too many …
        if frame.extras.len() != 20 {
            wrong.push(Frame { extras: &[0; 20], ..frame.clone() });
        }
        if !frame.key.is_empty() && frame.opcode != 0x10 {
            wrong.push(Frame { key: b"", ..frame.clone() });
        } else if frame.opcode != 0x10 {
            wrong.push(Frame { key: b"a", ..frame.clone() });
        }
        if frame.value.is_empty() {
            wrong.push(Frame { value: b"v", ..frame.clone() });
        }
    }
    for frame in wrong {
        let bytes = frame.bytes();
        let mut it = conversation();
        it.client(&bytes);
        let blame = it.closed.as_ref().map(|fault| fault.blame);
        assert_eq!(blame, Some(Blame::Client), "{}", bytes.escape_ascii());
        assert!(it.to_server.is_empty() && it.host.log.is_empty(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn replies_are_followed_by_their_lengths() {
    let get = keyed(0x0c, b"a").bytes();
    let hit = Frame { extras: &[0; 4], key: b"a", value: b"x", ..reply(0x0c) }.bytes();
    let mut it = conversation();
    it.client([&get[..], &keyed(0x00, b"sec").bytes()].concat());
    for byte in &hit {
        assert!(it.to_client.len() < hit.len());
        it.server([*byte]);
    }
    assert_eq!(it.to_client, [&hit[..], &denial(0x00)].concat());
    assert_eq!(it.closed, None);

    // Statistics end with a frame without a key, or with an error.
    let mut it = conversation();
    it.client([request(0x10).bytes(), keyed(0x04, b"sec").bytes()].concat());
    it.server(Frame { key: b"pid", value: b"1", ..reply(0x10) }.bytes());
    it.server(Frame { key: b"uptime", value: b"1", ..reply(0x10) }.bytes());
    let before = it.to_client.len();
    it.server(reply(0x10).bytes());
    assert_eq!(it.to_client[before..], [reply(0x10).bytes(), denial(0x04)].concat());
    it.client(keyed(0x10, b"conns").bytes()).server(Frame { status: 1, ..reply(0x10) }.bytes());
    it.server(reply(0x10).bytes());
    assert_eq!(it.reason(), "reply to no request");

    for wrong in [
        reply(0x00),
        Frame { magic: 0x80, ..reply(0x0c) },
        Frame { body: Some(0), ..Frame { key: b"a", ..reply(0x0c) } },
        Frame { data_type: 1, ..reply(0x0c) },
    ] {
        let mut it = conversation();
        it.client(&get).server(wrong.bytes());
        assert_eq!(it.closed.as_ref().map(|fault| fault.blame), Some(Blame::Server));
        assert!(it.to_client.is_empty());
    }
    let mut it = conversation();
    it.client(&get[..3]).server(hit);
    assert_eq!(it.reason(), "reply to no request");
}

#[test]
fn quiet_opcodes_are_skipped_or_answered() {
    let miss = keyed(0x0d, b"a").bytes();
    let mut it = conversation();
    it.client([&miss[..], &miss, &request(0x0a).bytes()].concat());
    let hit = Frame { extras: &[0; 4], key: b"a", value: b"x", ..reply(0x0d) }.bytes();
    it.server([&hit[..], &reply(0x0a).bytes()].concat());
    assert_eq!(it.to_client, [&hit[..], &reply(0x0a).bytes()].concat());
    assert_eq!(it.to_server.len(), 2 * miss.len() + 24, "nothing of ours");

    // A denial inside the run keeps its place, behind a NOOP of ours.
    let mut it = conversation();
    let secret = keyed(0x0d, b"sec").bytes();
    it.client([&miss[..], &secret, &miss, &request(0x0a).bytes()].concat());
    assert_eq!(it.to_server, [&miss[..], &noop(), &miss, &request(0x0a).bytes()].concat());
    it.server(Frame { opaque: 0, ..reply(0x0a) }.bytes());
    assert_eq!(it.to_client, denial(0x0d));
    it.server([&hit[..], &reply(0x0a).bytes()].concat());
    assert_eq!(it.to_client, [denial(0x0d), hit, reply(0x0a).bytes()].concat());
    assert_eq!(it.closed, None);

    // A loud request behind the run: its reply is told from the run's.
    let mut it = conversation();
    it.client([&miss[..], &keyed(0x00, b"a").bytes()].concat());
    assert_eq!(it.to_server, [&miss[..], &noop(), &keyed(0x00, b"a").bytes()].concat());
    it.server([reply(0x0a).bytes(), Frame { status: 1, ..reply(0x00) }.bytes()].concat());
    assert_eq!(it.to_client, Frame { status: 1, ..reply(0x00) }.bytes());
}

#[test]
fn nothing_follows_quit() {
    for opcode in [0x07, 0x17] {
        let mut it = conversation();
        it.client([request(opcode).bytes(), keyed(0x00, b"a").bytes()].concat());
        assert_eq!((it.reason(), it.to_server.len()), ("a request after quit", 24));
    }
}

/// Keys are taken by length, so they may hold anything; rules see them whole.
#[test]
fn a_key_of_any_bytes_is_one_key() {
    let mut it = conversation();
    it.client(keyed(0x00, b"pub sec\r\n\0").bytes());
    assert_eq!(it.host.log, [r"Allow command=get key=pub sec\r\n\x00 protocol=binary"]);
}
