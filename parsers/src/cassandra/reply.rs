//! The bodies of replies (section 4.2 of the specifications), as far as
//! something is learnt from them. The others pass by their lengths.

use super::{
    frame::{self, HEADER, Header, Opcode, PAYLOAD, TRACING, Version, WARNING},
    startup::COMPRESSION,
    streams::Awaited,
    wire::{Flaw, Reader, put_string},
};

const SET_KEYSPACE: i32 = 0x0003;
const PREPARED: i32 = 0x0004;

const SUPPORTED: u8 = 0x06;

/// Whether a request can be answered so.
pub(super) const fn fits(awaited: &Awaited, opcode: Opcode) -> bool {
    match opcode {
        Opcode::Error => true,
        Opcode::Supported => matches!(awaited, Awaited::Supported),
        Opcode::Authenticate => matches!(awaited, Awaited::Started),
        Opcode::Ready => matches!(awaited, Awaited::Started | Awaited::Registered),
        Opcode::AuthChallenge | Opcode::AuthSuccess => matches!(awaited, Awaited::Authenticated),
        Opcode::Result => {
            matches!(awaited, Awaited::Result | Awaited::Prepared(_) | Awaited::Keyspace)
        }
        _ => false,
    }
}

/// What a result tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Learnt<'a> {
    Keyspace(&'a str),
    /// The id that a statement goes by.
    Id(&'a [u8]),
    Nothing,
}

/// Reads the front of a `RESULT`.
pub(super) fn result<'a>(header: &Header, body: &'a [u8]) -> Result<Learnt<'a>, Flaw> {
    let mut body = Reader::new(body);
    skip_front(header, &mut body)?;
    Ok(match body.int()? {
        SET_KEYSPACE => Learnt::Keyspace(body.string()?),
        PREPARED => Learnt::Id(body.short_bytes()?),
        _ => Learnt::Nothing,
    })
}

/// The kind of a `RESULT` whose front is of a known length tells whether
/// something is to be learnt from it.
pub(super) fn is_plain(header: &Header, data: &[u8]) -> Result<bool, Flaw> {
    if header.flags & !TRACING != 0 {
        return Ok(true);
    }
    let mut body = Reader::new(data.get(HEADER..).unwrap_or_default());
    skip_front(header, &mut body)?;
    Ok(!matches!(body.int()?, SET_KEYSPACE | PREPARED))
}

/// Skips what flags put before the body: a tracing id, warnings, a payload.
fn skip_front(header: &Header, body: &mut Reader<'_>) -> Result<(), Flaw> {
    if header.flags & TRACING != 0 {
        body.take(16)?;
    }
    if header.flags & WARNING != 0 {
        body.string_list()?;
    }
    if header.flags & PAYLOAD != 0 {
        for _ in 0..body.short()? {
            body.string()?;
            let length = body.int()?;
            body.take(usize::try_from(length).unwrap_or(0))?;
        }
    }
    Ok(())
}

/// The server's `SUPPORTED` without what is not spoken here: compression, and
/// other versions. The rest stays as it is.
pub(super) fn supported(header: &Header, body: &[u8]) -> Result<Vec<u8>, Flaw> {
    let mut reader = Reader::new(body);
    skip_front(header, &mut reader)?;
    let front = body.len().saturating_sub(reader.left());
    let mut out = body.get(..front).unwrap_or_default().to_vec();
    let count = reader.short()?;
    out.extend_from_slice(&count.to_be_bytes());
    for _ in 0..count {
        let name = reader.string()?;
        let mut values = reader.string_list()?;
        match name {
            COMPRESSION => values.clear(),
            "PROTOCOL_VERSIONS" => values.retain(|version| is_spoken(version)),
            _ => {}
        }
        put_string(&mut out, name);
        out.extend_from_slice(&u16::try_from(values.len()).unwrap_or(0).to_be_bytes());
        values.iter().for_each(|value| put_string(&mut out, value));
    }
    reader.end()?;
    let mut reply = frame::reply(header.version, header.stream, SUPPORTED, &out);
    if let Some(flags) = reply.get_mut(1) {
        *flags = header.flags;
    }
    Ok(reply)
}

/// Versions are offered as `5/v5`.
fn is_spoken(version: &str) -> bool {
    let number = version.split_once('/').map_or(version, |(number, _)| number);
    number.parse().ok().and_then(Version::read).is_some() && !version.ends_with("beta")
}
