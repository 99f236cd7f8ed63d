//! What is asked, and what must be answered, byte by byte.

use std::io::Write as _;

/// Requests of the same length with replies of the same length, sent one after
/// the other, and from the start again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) requests: Vec<u8>,
    pub(crate) request: usize,
    pub(crate) replies: Vec<u8>,
    pub(crate) reply: usize,
}

/// How many keys there are: enough that no branch predictor learns one by
/// heart, few enough that they stay in a cache.
const KEYS: usize = 16;

/// A script may hold so many bytes of replies, then it has fewer keys.
const MOST: usize = 1 << 20;

/// A key under the prefix that the policies of partners allow.
fn key(index: usize, size: usize) -> String {
    format!("bench:{size:06}:{index:02}")
}

impl Script {
    fn new(exchange: impl Fn(usize, &mut Vec<u8>, &mut Vec<u8>), keys: usize) -> Self {
        let (mut requests, mut replies) = (Vec::new(), Vec::new());
        for index in 0..keys {
            exchange(index, &mut requests, &mut replies);
        }
        Self { request: requests.len() / keys, reply: replies.len() / keys, requests, replies }
    }

    /// memcached's `get`, of values that [`Script::memcached_set`] stored.
    pub(crate) fn memcached_get(size: usize) -> Self {
        let exchange = |index, requests: &mut Vec<u8>, replies: &mut Vec<u8>| {
            let key = key(index, size);
            write(requests, format_args!("get {key}\r\n"));
            write(replies, format_args!("VALUE {key} 0 {size}\r\n"));
            replies.extend(value(index, size));
            replies.extend(b"\r\nEND\r\n");
        };
        Self::new(exchange, keys(size))
    }

    /// memcached's `set`.
    pub(crate) fn memcached_set(size: usize) -> Self {
        let exchange = |index, requests: &mut Vec<u8>, replies: &mut Vec<u8>| {
            write(requests, format_args!("set {} 0 0 {size}\r\n", key(index, size)));
            requests.extend(value(index, size));
            requests.extend(b"\r\n");
            replies.extend(b"STORED\r\n");
        };
        Self::new(exchange, keys(size))
    }

    /// Redis' GET, of values that [`Script::redis_set`] stored.
    pub(crate) fn redis_get(size: usize) -> Self {
        let exchange = |index, requests: &mut Vec<u8>, replies: &mut Vec<u8>| {
            let key = key(index, size);
            write(requests, format_args!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()));
            write(replies, format_args!("${size}\r\n"));
            replies.extend(value(index, size));
            replies.extend(b"\r\n");
        };
        Self::new(exchange, keys(size))
    }

    /// Redis' SET.
    pub(crate) fn redis_set(size: usize) -> Self {
        let exchange = |index, requests: &mut Vec<u8>, replies: &mut Vec<u8>| {
            let key = key(index, size);
            write(
                requests,
                format_args!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${size}\r\n", key.len()),
            );
            requests.extend(value(index, size));
            requests.extend(b"\r\n");
            replies.extend(b"+OK\r\n");
        };
        Self::new(exchange, keys(size))
    }

    /// How many different requests there are.
    pub(crate) fn len(&self) -> usize {
        self.requests.len() / self.request
    }
}

fn keys(size: usize) -> usize {
    (MOST / size.max(1)).clamp(1, KEYS)
}

fn value(index: usize, size: usize) -> impl Iterator<Item = u8> {
    let letter = b"abcdefghijklmnop"[index % KEYS];
    std::iter::repeat_n(letter, size)
}

fn write(to: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A vector takes everything.
    let _ = to.write_fmt(text);
}
