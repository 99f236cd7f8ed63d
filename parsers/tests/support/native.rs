//! Envelopes of Cassandra's native protocol, as tests write them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub const ERROR: u8 = 0x00;
pub const STARTUP: u8 = 0x01;
pub const READY: u8 = 0x02;
pub const AUTHENTICATE: u8 = 0x03;
pub const OPTIONS: u8 = 0x05;
pub const SUPPORTED: u8 = 0x06;
pub const QUERY: u8 = 0x07;
pub const RESULT: u8 = 0x08;
pub const PREPARE: u8 = 0x09;
pub const EXECUTE: u8 = 0x0a;
pub const REGISTER: u8 = 0x0b;
pub const EVENT: u8 = 0x0c;
pub const BATCH: u8 = 0x0d;
pub const AUTH_CHALLENGE: u8 = 0x0e;
pub const AUTH_RESPONSE: u8 = 0x0f;
pub const AUTH_SUCCESS: u8 = 0x10;

/// An envelope; replies have 0x80 in their version.
pub fn envelope(version: u8, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    flagged(version, 0, stream, opcode, body)
}

pub fn flagged(version: u8, flags: u8, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let [s1, s0] = stream.to_be_bytes();
    let length = (body.len() as u32).to_be_bytes();
    [&[version, flags, s1, s0, opcode][..], &length, body].concat()
}

pub fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

pub fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

pub fn short(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

pub fn map(pairs: &[(&str, &str)]) -> Vec<u8> {
    let pairs_bytes = pairs.iter().flat_map(|(k, v)| [string(k), string(v)].concat());
    [(pairs.len() as u16).to_be_bytes().to_vec(), pairs_bytes.collect()].concat()
}

pub fn list(words: &[&str]) -> Vec<u8> {
    let words_bytes = words.iter().flat_map(|word| string(word));
    [(words.len() as u16).to_be_bytes().to_vec(), words_bytes.collect()].concat()
}

pub fn startup(version: u8, options: &[(&str, &str)]) -> Vec<u8> {
    envelope(version, 0, STARTUP, &map(options))
}

pub const CQL: (&str, &str) = ("CQL_VERSION", "3.4.7");

/// Consistency ONE and no flags.
pub fn plain(version: u8) -> &'static [u8] {
    if version < 5 { b"\0\x01\0" } else { b"\0\x01\0\0\0\0" }
}

pub fn query(version: u8, stream: i16, text: &str) -> Vec<u8> {
    envelope(version, stream, QUERY, &[&long(text.as_bytes()), plain(version)].concat())
}

pub fn prepare(version: u8, stream: i16, text: &str) -> Vec<u8> {
    let flags: &[u8] = if version < 5 { b"" } else { b"\0\0\0\0" };
    envelope(version, stream, PREPARE, &[&long(text.as_bytes()), flags].concat())
}

pub fn execute(version: u8, stream: i16, id: &[u8]) -> Vec<u8> {
    let metadata = if version < 5 { Vec::new() } else { short(b"meta") };
    envelope(version, stream, EXECUTE, &[&short(id), &metadata, plain(version)].concat())
}

/// A logged batch of items that are written already.
pub fn batch(version: u8, stream: i16, items: &[Vec<u8>]) -> Vec<u8> {
    let count = (items.len() as u16).to_be_bytes();
    envelope(version, stream, BATCH, &[&[0], &count[..], &items.concat(), plain(version)].concat())
}

pub fn text_item(text: &str) -> Vec<u8> {
    [&[0], &long(text.as_bytes())[..], &[0, 0]].concat()
}

pub fn prepared_item(id: &[u8], values: &[&[u8]]) -> Vec<u8> {
    let count = (values.len() as u16).to_be_bytes();
    [&[1], &short(id)[..], &count, &values.concat()].concat()
}

pub fn ready(version: u8) -> Vec<u8> {
    envelope(version | 0x80, 0, READY, b"")
}

/// A result without rows.
pub fn void(version: u8, stream: i16) -> Vec<u8> {
    envelope(version | 0x80, stream, RESULT, &1u32.to_be_bytes())
}

pub fn set_keyspace(version: u8, stream: i16, keyspace: &str) -> Vec<u8> {
    let body = [&3u32.to_be_bytes()[..], &string(keyspace)].concat();
    envelope(version | 0x80, stream, RESULT, &body)
}

pub fn prepared(version: u8, stream: i16, id: &[u8]) -> Vec<u8> {
    let body = [&4u32.to_be_bytes()[..], &short(id), &short(b"meta"), b"whatever"].concat();
    envelope(version | 0x80, stream, RESULT, &body)
}

pub fn error(version: u8, stream: i16, code: u32, message: &str, tail: &[u8]) -> Vec<u8> {
    let body = [&code.to_be_bytes()[..], &string(message), tail].concat();
    envelope(version | 0x80, stream, ERROR, &body)
}
