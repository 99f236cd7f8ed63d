//! The grammar of replies (protocol.txt, "Error strings" and the reply of each
//! command).

use super::{
    MAX_VALUE_BYTES,
    word::{canonical, check_key},
};

/// The reply that a request will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Any number of values, then `END`; with a CAS number for `gets`.
    Values { cas: bool },
    /// A storage command's line.
    Stored,
    /// `DELETED` or `NOT_FOUND`.
    Deleted,
    /// A number or `NOT_FOUND`.
    Number,
    /// `VERSION …`.
    Version,
}

/// What a reply line means for the reply that it belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReplyLine {
    /// The reply is complete.
    Last,
    /// A value of so many bytes follows, then its CRLF, then another line.
    Value(u64),
}

impl Expected {
    /// Reads one line of the server.
    pub(super) fn read(self, line: &[u8]) -> Result<ReplyLine, &'static str> {
        if is_error(line) {
            return Ok(ReplyLine::Last);
        }
        let known = match self {
            Self::Values { cas } => {
                if let Some(header) = line.strip_prefix(b"VALUE ") {
                    return value_length(header, cas).map(ReplyLine::Value);
                }
                line == b"END"
            }
            Self::Stored => {
                matches!(line, b"STORED" | b"NOT_STORED" | b"EXISTS" | b"NOT_FOUND")
            }
            Self::Deleted => matches!(line, b"DELETED" | b"NOT_FOUND"),
            Self::Number => line == b"NOT_FOUND" || canonical::<u64>(line).is_some(),
            Self::Version => line.starts_with(b"VERSION "),
        };
        if known { Ok(ReplyLine::Last) } else { Err("a reply that the request cannot have") }
    }
}

fn is_error(line: &[u8]) -> bool {
    line == b"ERROR" || line.starts_with(b"CLIENT_ERROR ") || line.starts_with(b"SERVER_ERROR ")
}

/// `<key> <flags> <bytes> [<cas unique>]`
fn value_length(header: &[u8], cas: bool) -> Result<u64, &'static str> {
    const MALFORMED: &str = "a VALUE line that is none";
    let mut words = header.split(|byte| *byte == b' ');
    let mut next = || words.next().ok_or(MALFORMED);
    check_key(next()?)?;
    canonical::<u32>(next()?).ok_or(MALFORMED)?;
    let length =
        canonical::<u64>(next()?).filter(|length| *length <= MAX_VALUE_BYTES).ok_or(MALFORMED)?;
    if cas {
        canonical::<u64>(next()?).ok_or(MALFORMED)?;
    }
    if words.next().is_some() {
        return Err(MALFORMED);
    }
    Ok(length)
}
