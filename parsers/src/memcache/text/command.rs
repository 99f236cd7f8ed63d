//! The grammar of a request line (protocol.txt), the meta commands and the
//! administrator's excepted.

use super::{
    super::{
        MAX_VALUE_BYTES,
        question::{Dialect, Keys},
        word::{canonical, check_key, first_word, split_word},
    },
    admin, meta,
    reply::Expected,
};

/// A request line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command<'a> {
    /// The commands of the rules whose effects it has, separated by spaces.
    pub(super) commands: &'static [u8],
    /// Whether it is a meta command.
    pub(super) dialect: Dialect,
    /// The keys that it names.
    pub(super) keys: Keys<'a>,
    /// How long the value is that follows the line, without its CRLF.
    pub(super) value: Option<u64>,
    /// What the server will answer.
    pub(super) reply: Reply,
}

/// Whether, and how, a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Expected(Expected),
    /// `q` of a meta command: perhaps. An error, and so a denial, is answered.
    Quiet,
    /// `noreply`: not at all, denied or not.
    Silent,
    /// `quit`: the server closes, and nothing may follow the request.
    Close,
    /// `watch`: a stream without end, and nothing may follow the request.
    Stream,
}

impl<'a> Command<'a> {
    /// Reads a line that has no control characters in it.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, &'static str> {
        let (name, arguments) = first_word(line);
        match name {
            b"get" => Self::retrieval(b"get", arguments),
            b"gets" => Self::retrieval(b"gets", arguments),
            b"gat" => Self::get_and_touch(b"gat", arguments),
            b"gats" => Self::get_and_touch(b"gats", arguments),
            b"set" => Self::storage(b"set", arguments),
            b"add" => Self::storage(b"add", arguments),
            b"replace" => Self::storage(b"replace", arguments),
            b"append" => Self::storage(b"append", arguments),
            b"prepend" => Self::storage(b"prepend", arguments),
            b"cas" => Self::storage(b"cas", arguments),
            b"delete" => {
                let (key, rest) = key_first(arguments)?;
                Self::keyed(b"delete", key, rest, Expected::Deleted)
            }
            b"incr" => Self::arithmetic(b"incr", arguments),
            b"decr" => Self::arithmetic(b"decr", arguments),
            b"touch" => {
                let (key, rest) = key_first(arguments)?;
                Self::keyed(b"touch", key, expiry(rest)?, Expected::Touched)
            }
            b"version" => Self::bare(b"version", arguments, Reply::Expected(Expected::Version)),
            b"quit" => Self::bare(b"quit", arguments, Reply::Close),
            [b'm', _] => meta::read(name, arguments),
            _ => admin::read(name, arguments),
        }
    }

    /// A command of the text protocol that names no key and has no value.
    pub(super) fn keyless(name: &'static [u8], reply: Reply) -> Self {
        Self { commands: name, dialect: Dialect::Text, keys: Keys::None, value: None, reply }
    }

    fn retrieval(name: &'static [u8], keys: &'a [u8]) -> Result<Self, &'static str> {
        let keys = keys.strip_prefix(b" ").unwrap_or_default();
        // Two spaces in a row, or one at the end, make an empty key.
        for key in keys.split(|byte| *byte == b' ') {
            check_key(key)?;
        }
        let reply = Reply::Expected(Expected::Values { cas: name.ends_with(b"s") });
        Ok(Self { keys: Keys::Words(keys), ..Self::keyless(name, reply) })
    }

    /// `NAME exptime key…`
    fn get_and_touch(name: &'static [u8], arguments: &'a [u8]) -> Result<Self, &'static str> {
        Self::retrieval(name, expiry(arguments)?)
    }

    /// `NAME key flags exptime bytes [noreply]`, for `cas` with a number more.
    fn storage(name: &'static [u8], arguments: &'a [u8]) -> Result<Self, &'static str> {
        let (key, rest) = key_first(arguments)?;
        let (flags, rest) = split_word(rest);
        canonical::<u32>(flags).ok_or("flags are a number of 32 bits")?;
        let (length, mut rest) = split_word(expiry(rest)?);
        let length = value_length(length)?;
        if name == b"cas" {
            let (unique, behind) = split_word(rest);
            canonical::<u64>(unique).ok_or("cas takes a number of 64 bits")?;
            rest = behind;
        }
        let command = Self::keyed(name, key, rest, Expected::Stored)?;
        Ok(Self { value: Some(length), ..command })
    }

    /// `NAME key amount [noreply]`
    fn arithmetic(name: &'static [u8], arguments: &'a [u8]) -> Result<Self, &'static str> {
        let (key, rest) = key_first(arguments)?;
        let (amount, rest) = split_word(rest);
        canonical::<u64>(amount).ok_or("incr and decr take an unsigned number")?;
        Self::keyed(name, key, rest, Expected::Number)
    }

    /// What ends every command with one key: nothing, or `noreply`.
    fn keyed(
        name: &'static [u8],
        key: &'a [u8],
        rest: &[u8],
        expected: Expected,
    ) -> Result<Self, &'static str> {
        let reply = answered(rest, expected)?;
        Ok(Self { keys: Keys::Words(key), ..Self::keyless(name, reply) })
    }

    fn bare(name: &'static [u8], rest: &[u8], reply: Reply) -> Result<Self, &'static str> {
        if rest.is_empty() { Ok(Self::keyless(name, reply)) } else { Err(TOO_MANY) }
    }
}

pub(super) const TOO_MANY: &str = "more words than the command takes";

/// Nothing, or `noreply`.
pub(super) fn answered(rest: &[u8], expected: Expected) -> Result<Reply, &'static str> {
    match rest {
        b"" => Ok(Reply::Expected(expected)),
        b" noreply" => Ok(Reply::Silent),
        _ => Err(TOO_MANY),
    }
}

/// The length of a value that follows the line.
pub(super) fn value_length(word: &[u8]) -> Result<u64, &'static str> {
    canonical::<u64>(word)
        .filter(|length| *length <= MAX_VALUE_BYTES)
        .ok_or("the value's length is a number of at most 1 GiB")
}

fn key_first(arguments: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let (key, rest) = split_word(arguments);
    check_key(key)?;
    Ok((key, rest))
}

/// Takes an expiry off a line's front.
fn expiry(arguments: &[u8]) -> Result<&[u8], &'static str> {
    let (expiry, rest) = split_word(arguments);
    canonical::<i32>(expiry).ok_or("the expiry is a number of 32 bits")?;
    Ok(rest)
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
