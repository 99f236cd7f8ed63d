//! Cassandra's native protocol, v3 to v5, with CQL 3.4.7.
//!
//! Source: `native_protocol_v3.spec` to `v5.spec` and the grammar of Cassandra
//! 5.0. Many requests are under way on one connection, each on a stream of its
//! own, and are answered in any order. What every case does is in
//! `docs/protocols/cassandra.md`.
//!
//! [`parser`] chooses between plain envelopes and v5's [`segment`]s, which are a
//! codec under the same [`connection`]; [`request`] and [`reply`] read bodies,
//! [`cql`] reads statements.

mod answer;
mod connection;
mod cql;
mod frame;
mod options;
mod parser;
mod prepared;
mod question;
mod reply;
mod request;
mod rules;
mod segment;
mod startup;
mod streams;
mod wire;

pub use rules::PROTOCOL;
pub use segment::{MAX_PAYLOAD, Segments};

/// What a text does, as `action tables` each, with the keyspace `app` in use;
/// none where it is no statement.
pub(crate) fn meaning(text: &str) -> Option<Vec<String>> {
    let statement = cql::read(text, Some("app")).ok()?;
    Some(statement.parts.iter().map(|part| format!("{} {}", part.action, part.tables)).collect())
}

/// The longest body of an envelope, in bytes (section 2.5 of the specifications).
pub const MAX_BODY_BYTES: u32 = 256 << 20;

/// The longest text of a query, in bytes.
pub const MAX_QUERY_BYTES: usize = 256 << 10;

/// The longest body that is read as a whole, in bytes: of a `BATCH`, of a query
/// with a keyspace of its own, and of replies from which something is learnt.
pub const MAX_WHOLE_BYTES: usize = 512 << 10;

/// Of `QUERY` and `EXECUTE`, the longest body that waits to be whole, in bytes.
/// Of longer ones the values pass by their lengths.
pub const MAX_WAITING_BYTES: usize = 64 << 10;

/// The longest body of a request that has no statement, in bytes.
pub const MAX_SMALL_BYTES: usize = 64 << 10;

/// The longest name of a keyspace or a table, in bytes.
pub const MAX_NAME_BYTES: usize = 222;

/// How many different things one request may do: the tables of a batch.
pub const MAX_PARTS: usize = 256;

/// How many prepared statements are remembered for a connection. Of more, those
/// that were used longest ago are forgotten, and have to be prepared anew.
pub const MAX_PREPARED: usize = 4096;

/// How many bytes all of them may take.
pub const MAX_PREPARED_BYTES: usize = 1 << 20;

/// How many statements may be on their way to be prepared; further requests wait.
pub const MAX_PREPARING: usize = 256;

/// The error that a denied request is answered with: unauthorized.
pub const DENIED: u32 = 0x2100;
