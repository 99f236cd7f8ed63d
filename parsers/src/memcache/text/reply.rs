//! The grammar of replies (protocol.txt, "Error strings" and the reply of each
//! command).

use super::super::{
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
    /// `TOUCHED` or `NOT_FOUND`.
    Touched,
    /// A number or `NOT_FOUND`.
    Number,
    /// `VERSION …`.
    Version,
    /// One line of any text: an administrator's command.
    Line,
    /// Lines of statistics, then `END`, or one line.
    Statistics,
    /// Lines that end in a bare LF, then the end.
    Dump(DumpEnd),
    /// `OK`, then bytes without end.
    Stream,
    /// A meta command's one reply.
    Meta(MetaCodes),
    /// `MN`, for a client's `mn`.
    Noop,
    /// `MN`, for a `mn` of our own.
    Mark,
    /// At most so many replies to quiet meta commands. `MN` follows: a client's,
    /// or a mark.
    Quiet(u64),
}

/// Which codes a meta command's reply may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetaCodes {
    Get,
    Set,
    Delete,
    Arithmetic,
    Debug,
    /// Any but the last one's.
    Quiet,
}

/// How the dump of keys ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DumpEnd {
    Metadump,
    Mgdump,
}

/// What a reply line means for the reply that it belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReplyLine {
    /// The reply is complete.
    Last,
    /// Another line follows.
    More,
    /// A value of so many bytes follows, then its CRLF, then another line.
    Value(u64),
    /// A value of so many bytes follows, and completes the reply with its CRLF.
    LastValue(u64),
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
            Self::Touched => matches!(line, b"TOUCHED" | b"NOT_FOUND"),
            Self::Number => line == b"NOT_FOUND" || canonical::<u64>(line).is_some(),
            Self::Version => line.starts_with(b"VERSION "),
            Self::Line => true,
            Self::Statistics => {
                if [&b"STAT "[..], b"ITEM ", b"PREFIX "].iter().any(|p| line.starts_with(p)) {
                    return Ok(ReplyLine::More);
                }
                matches!(line, b"END" | b"RESET" | b"OK")
            }
            Self::Dump(end) => return Ok(end.read(line)),
            Self::Stream => line == b"OK",
            Self::Meta(codes) => return codes.read(line),
            Self::Quiet(_) => return MetaCodes::Quiet.read(line),
            Self::Noop | Self::Mark => line == b"MN",
        };
        if known { Ok(ReplyLine::Last) } else { Err(IMPOSSIBLE) }
    }
}

const IMPOSSIBLE: &str = "a reply that the request cannot have";

impl DumpEnd {
    /// Whatever tells of no key ends the dump: its end, or why there is none.
    fn read(self, line: &[u8]) -> ReplyLine {
        let more = match self {
            Self::Metadump => line.starts_with(b"key="),
            Self::Mgdump => line.starts_with(b"mg "),
        };
        if more { ReplyLine::More } else { ReplyLine::Last }
    }
}

impl MetaCodes {
    fn read(self, line: &[u8]) -> Result<ReplyLine, &'static str> {
        let (code, rest) = line.split_at_checked(2).ok_or(IMPOSSIBLE)?;
        let codes: &[&[u8]] = match self {
            Self::Get => &[b"HD", b"VA", b"EN"],
            Self::Set => &[b"HD", b"NS", b"EX", b"NF"],
            Self::Delete => &[b"HD", b"EX", b"NF"],
            Self::Arithmetic => &[b"HD", b"VA", b"NS", b"EX", b"NF"],
            Self::Debug => &[b"ME", b"EN"],
            Self::Quiet => &[b"HD", b"VA", b"EN", b"NS", b"EX", b"NF"],
        };
        if !codes.contains(&code) || !matches!(rest, [] | [b' ', ..]) {
            return Err(IMPOSSIBLE);
        }
        if code != b"VA" {
            return Ok(ReplyLine::Last);
        }
        let mut words = rest.split(|byte| *byte == b' ').skip(1);
        let length = words.next().and_then(length).ok_or("a VA line that is none")?;
        Ok(ReplyLine::LastValue(length))
    }
}

fn is_error(line: &[u8]) -> bool {
    line == b"ERROR" || line.starts_with(b"CLIENT_ERROR ") || line.starts_with(b"SERVER_ERROR ")
}

fn length(word: &[u8]) -> Option<u64> {
    canonical::<u64>(word).filter(|length| *length <= MAX_VALUE_BYTES)
}

/// `<key> <flags> <bytes> [<cas unique>]`
fn value_length(header: &[u8], cas: bool) -> Result<u64, &'static str> {
    const MALFORMED: &str = "a VALUE line that is none";
    let mut words = header.split(|byte| *byte == b' ');
    let mut next = || words.next().ok_or(MALFORMED);
    check_key(next()?)?;
    canonical::<u32>(next()?).ok_or(MALFORMED)?;
    let length = length(next()?).ok_or(MALFORMED)?;
    if cas {
        canonical::<u64>(next()?).ok_or(MALFORMED)?;
    }
    if words.next().is_some() {
        return Err(MALFORMED);
    }
    Ok(length)
}
