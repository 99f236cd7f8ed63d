//! memcached's text protocol, as a strict canonical subset.
//!
//! Source: memcached's `doc/protocol.txt`. The server forgives much (a bare LF,
//! a key that is too long, a length that is none) and then runs what follows as
//! commands; whatever is not canonical is therefore refused here before a byte
//! of it is passed. What every case does is in `docs/protocols/memcached.md`.

mod command;
mod parser;
mod reply;
mod rules;
mod word;

pub use rules::PROTOCOL;

/// The longest line of either side, in bytes, CRLF included: the server cuts
/// longer ones, those of `get` and `gets` excepted.
pub const MAX_LINE_BYTES: usize = 2048;

/// The longest line of `get` and `gets`, in bytes, CRLF included.
pub const MAX_GET_LINE_BYTES: usize = 64 << 10;

/// The longest key, in bytes (protocol.txt, "Keys").
pub const MAX_KEY_BYTES: usize = 250;

/// The longest value, in bytes: the largest item size that a server can be
/// started with (`-I`).
pub const MAX_VALUE_BYTES: u64 = 1 << 30;

/// How many requests may await their reply before further ones are held back.
pub const MAX_OUTSTANDING: usize = 1024;

/// What a denied request is answered with.
pub const DENIED: &[u8] = b"CLIENT_ERROR access denied\r\n";
