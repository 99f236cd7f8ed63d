//! memcached's protocols, as strict canonical subsets.
//!
//! Source: memcached's `doc/protocol.txt` and `doc/protocol-binary.txt`. The
//! server forgives much (a bare LF, a key that is too long, a length that is
//! none) and then runs what follows as commands; whatever is not canonical is
//! therefore refused here before a byte of it is passed. What every case does
//! is in `docs/protocols/memcached.md`.
//!
//! [`text`] reads lines, the meta commands among them; [`binary`] reads frames.
//! Both put the same fields to the judge, so that one rule covers both.

mod binary;
mod connection;
mod question;
mod rules;
mod text;
mod word;

pub use rules::PROTOCOL;

/// The longest line of either side, in bytes, CRLF included: the server cuts
/// longer ones, those of `get` and `gets` excepted.
pub const MAX_LINE_BYTES: usize = 2048;

/// The longest line of `get` and `gets`, in bytes, CRLF included.
pub const MAX_GET_LINE_BYTES: usize = 64 << 10;

/// The longest key, in bytes (protocol.txt, "Keys"); of a key in base64 that is
/// what stands on the line.
pub const MAX_KEY_BYTES: usize = 250;

/// The longest value, in bytes: the largest item size that a server can be
/// started with (`-I`).
pub const MAX_VALUE_BYTES: u64 = 1 << 30;

/// How many flags a meta command may have: the server takes 20 words at most.
pub const MAX_META_FLAGS: usize = 16;

/// The longest opaque (`O`) of a meta command, in bytes.
pub const MAX_OPAQUE_BYTES: usize = 30;

/// How many requests may await their reply before further ones are held back.
/// A run of quiet ones counts as one.
pub const MAX_OUTSTANDING: usize = 1024;

/// What a denied request of the text protocol is answered with.
pub const DENIED: &[u8] = b"CLIENT_ERROR access denied\r\n";

/// The status of a denial in the binary protocol.
pub const DENIED_STATUS: u16 = 0x08;

/// The message of a denial in the binary protocol.
pub const DENIED_MESSAGE: &[u8] = b"access denied";
