//! What the judge is asked about a request of either protocol.

use crate::contract::{Field, Judge, Op, Request, Value, Verdict, Words};

/// How a request was spoken: the values of the rule key `protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Text,
    /// The text protocol's meta commands.
    Meta,
    Binary,
}

impl Dialect {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Text => b"text",
            Self::Meta => b"meta",
            Self::Binary => b"binary",
        }
    }
}

/// The keys that a request names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Keys<'a> {
    None,
    /// As they stand on a line: one space between them, none inside.
    Words(&'a [u8]),
    /// One, of any bytes.
    One(&'a [u8]),
    /// One, of any bytes, that stood on the line in base64.
    Decoded(Vec<u8>),
}

/// Asks once. `commands` are the commands whose effects the request has, in
/// words of the rules and separated by spaces; a rule must cover them all.
pub(super) fn ask(
    judge: &mut dyn Judge,
    commands: &[u8],
    keys: &Keys<'_>,
    dialect: Dialect,
) -> Verdict {
    let command = Field { name: "command", value: Value::Words(Words::new(commands)) };
    let protocol = Field { name: "protocol", value: Value::One(dialect.name()) };
    let key = match keys {
        Keys::None => return judge.judge(&request(&[command, protocol], dialect)),
        Keys::Words(words) => Value::Words(Words::new(words)),
        Keys::One(key) => Value::One(key),
        Keys::Decoded(key) => Value::One(key),
    };
    judge.judge(&request(&[command, Field { name: "key", value: key }, protocol], dialect))
}

/// The log tells the protocol, which is the last field, unless it is plain text.
fn request<'a>(fields: &'a [Field<'a>], dialect: Dialect) -> Request<'a> {
    let (fields, unlogged) = match (dialect, fields.split_last_chunk()) {
        (Dialect::Text, Some((fields, protocol @ [_]))) => (fields, protocol.as_slice()),
        _ => (fields, [].as_slice()),
    };
    Request { fields, unlogged }
}

/// What becomes of a request's bytes.
pub(super) fn forward(verdict: Verdict, length: u64) -> Op {
    match verdict {
        Verdict::Allow => Op::pass(length),
        Verdict::Deny => Op::drop(length),
    }
}
