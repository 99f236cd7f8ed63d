//! DNS messages (RFC 1035, section 4): one question, and the addresses in its
//! answer.

use std::net::IpAddr;

/// Asked for recursion; everything else is zero.
const FLAGS: [u8; 2] = [0x01, 0x00];

const HEADER_BYTES: usize = 12;
const CLASS_IN: u16 = 1;
const NO_SUCH_NAME: u8 = 3;

/// The longest name, and the longest part of one.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `A`
    V4,
    /// `AAAA` (RFC 3596)
    V6,
}

impl Family {
    fn code(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// These addresses; none where there is no such name.
    Found(Vec<IpAddr>),
    /// A code that is no answer.
    Refused(u8),
}

/// A question; none if `name` cannot be asked for.
pub(super) fn question(id: u16, name: &str, family: Family) -> Option<Vec<u8>> {
    if name.len() > MAX_NAME {
        return None;
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + MAX_NAME);
    bytes.extend(id.to_be_bytes());
    bytes.extend(FLAGS);
    // One question and no records.
    bytes.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if label.is_empty() || label.len() > MAX_LABEL {
            return None;
        }
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(family.code().to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    Some(bytes)
}

/// What `answer` says to `question`; none if it is no answer to that.
///
/// The names of records are not compared: behind an alias they differ, and the
/// server has been asked for nothing else. One that was cut short holds enough.
pub(super) fn reply(answer: &[u8], question: &[u8]) -> Option<Reply> {
    let (mut rest, mut asked) = (answer, question);
    let [id, flags, questions, records, _, _] = header(&mut rest)?;
    let [asked_id, ..] = header(&mut asked)?;
    let [high, low] = flags.to_be_bytes();
    let is_answer = high & 0x80 != 0;
    let echoed = take(&mut rest, asked.len())?;
    if id != asked_id || !is_answer || questions != 1 || !echoed.eq_ignore_ascii_case(asked) {
        return None;
    }
    match low & 0x0f {
        0 => {}
        NO_SUCH_NAME => return Some(Reply::Found(Vec::new())),
        code => return Some(Reply::Refused(code)),
    }
    let mut found = Vec::new();
    for _ in 0..records {
        match record(&mut rest) {
            Some(address) => found.extend(address),
            None => break,
        }
    }
    Some(Reply::Found(found))
}

fn header(rest: &mut &[u8]) -> Option<[u16; 6]> {
    let mut fields = [0; 6];
    for field in &mut fields {
        *field = number(rest)?;
    }
    Some(fields)
}

/// Skips one record; the address that it holds, if it does.
fn record(rest: &mut &[u8]) -> Option<Option<IpAddr>> {
    name(rest)?;
    let (kind, class) = (number(rest)?, number(rest)?);
    // How long it may be remembered.
    take(rest, 4)?;
    let length = number(rest)?;
    let data = take(rest, length.into())?;
    if class != CLASS_IN {
        return Some(None);
    }
    Some(if kind == Family::V4.code() {
        <[u8; 4]>::try_from(data).ok().map(IpAddr::from)
    } else if kind == Family::V6.code() {
        <[u8; 16]>::try_from(data).ok().map(IpAddr::from)
    } else {
        None
    })
}

/// Skips a name: parts up to an empty one, or up to a pointer.
fn name(rest: &mut &[u8]) -> Option<()> {
    loop {
        let length = *take(rest, 1)?.first()?;
        match length {
            0 => return Some(()),
            0xc0.. => return take(rest, 1).map(drop),
            1..=0x3f => _ = take(rest, length.into())?,
            // Of no meaning.
            0x40..=0xbf => return None,
        }
    }
}

fn number(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(take(rest, 2)?.try_into().ok()?))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}
