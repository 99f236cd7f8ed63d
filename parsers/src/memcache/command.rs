//! The grammar of a request line (protocol.txt, sections "Storage commands" to
//! "Increment/Decrement").

use super::{
    MAX_VALUE_BYTES,
    reply::Expected,
    word::{canonical, check_key, first_word, split_word},
};
use crate::contract::Words;

/// A request line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command<'a> {
    /// Its first word.
    pub(super) name: &'a [u8],
    /// The keys that it names, as they stand on the line; none is "".
    pub(super) keys: &'a [u8],
    /// How long the value is that follows the line, without its CRLF.
    pub(super) value: Option<u64>,
    /// What the server will answer.
    pub(super) reply: Reply,
}

/// Whether, and how, a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Expected(Expected),
    /// `noreply`: not at all, denied or not.
    Silent,
    /// `quit`: the server closes, and nothing may follow the request.
    Close,
}

impl<'a> Command<'a> {
    /// Reads a line that has no control characters in it.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, &'static str> {
        let (name, arguments) = first_word(line);
        match name {
            b"get" => Self::retrieval(name, arguments, Expected::Values { cas: false }),
            b"gets" => Self::retrieval(name, arguments, Expected::Values { cas: true }),
            b"set" | b"add" | b"replace" => Self::storage(name, arguments),
            b"delete" => {
                let (key, rest) = key_first(arguments)?;
                Self::keyed(name, key, rest, Expected::Deleted)
            }
            b"incr" | b"decr" => {
                let (key, rest) = key_first(arguments)?;
                let (amount, rest) = split_word(rest);
                canonical::<u64>(amount).ok_or("incr and decr take an unsigned number")?;
                Self::keyed(name, key, rest, Expected::Number)
            }
            b"version" => Self::bare(name, arguments, Reply::Expected(Expected::Version)),
            b"quit" => Self::bare(name, arguments, Reply::Close),
            _ => Err("unknown command"),
        }
    }

    fn retrieval(name: &'a [u8], keys: &'a [u8], expected: Expected) -> Result<Self, &'static str> {
        let keys = keys.strip_prefix(b" ").unwrap_or_default();
        // Two spaces in a row, or one at the end, make an empty key.
        for key in keys.split(|byte| *byte == b' ') {
            check_key(key)?;
        }
        Ok(Self { name, keys, value: None, reply: Reply::Expected(expected) })
    }

    /// `NAME key flags exptime bytes [noreply]`
    fn storage(name: &'a [u8], arguments: &'a [u8]) -> Result<Self, &'static str> {
        let (key, rest) = key_first(arguments)?;
        let (flags, rest) = split_word(rest);
        let (exptime, rest) = split_word(rest);
        let (length, rest) = split_word(rest);
        canonical::<u32>(flags).ok_or("flags are a number of 32 bits")?;
        canonical::<i32>(exptime).ok_or("the expiry is a number of 32 bits")?;
        let length = canonical::<u64>(length)
            .filter(|length| *length <= MAX_VALUE_BYTES)
            .ok_or("the value's length is a number of at most 1 GiB")?;
        let command = Self::keyed(name, key, rest, Expected::Stored)?;
        Ok(Self { value: Some(length), ..command })
    }

    /// What ends every command with one key: nothing, or `noreply`.
    fn keyed(
        name: &'a [u8],
        key: &'a [u8],
        rest: &[u8],
        expected: Expected,
    ) -> Result<Self, &'static str> {
        let reply = match rest {
            b"" => Reply::Expected(expected),
            b" noreply" => Reply::Silent,
            _ => return Err("more words than the command takes"),
        };
        Ok(Self { name, keys: key, value: None, reply })
    }

    fn bare(name: &'a [u8], arguments: &[u8], reply: Reply) -> Result<Self, &'static str> {
        if !arguments.is_empty() {
            return Err("more words than the command takes");
        }
        Ok(Self { name, keys: b"", value: None, reply })
    }

    /// The keys, one by one.
    pub(super) const fn keys(&self) -> Words<'a> {
        Words::new(self.keys)
    }
}

fn key_first(arguments: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let (key, rest) = split_word(arguments);
    check_key(key)?;
    Ok((key, rest))
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
