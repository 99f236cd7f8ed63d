//! The header of an envelope: version, flags, stream, opcode and length
//! (section 2 of the specifications of v3 and v4, 2.4 of v5's).

use super::MAX_BODY_BYTES;

/// The length of a header, in bytes.
pub(super) const HEADER: usize = 9;

/// The bit of a version that says that the server speaks.
const REPLY: u8 = 0x80;

/// Flags: tracing is asked for, or its id leads the reply's body.
pub(super) const TRACING: u8 = 0x02;
/// A custom payload leads the reply's body.
pub(super) const PAYLOAD: u8 = 0x04;
/// Warnings lead the reply's body.
pub(super) const WARNING: u8 = 0x08;

/// A version of the protocol that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V3,
    V4,
    V5,
}

impl Version {
    pub(super) const fn read(byte: u8) -> Option<Self> {
        match byte {
            3 => Some(Self::V3),
            4 => Some(Self::V4),
            5 => Some(Self::V5),
            _ => None,
        }
    }

    pub(super) const fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }
}

/// What a request or a reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Error,
    Startup,
    Ready,
    Authenticate,
    Options,
    Supported,
    Query,
    Result,
    Prepare,
    Execute,
    Register,
    Event,
    Batch,
    AuthChallenge,
    AuthResponse,
    AuthSuccess,
}

impl Opcode {
    const fn request(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Startup),
            0x05 => Some(Self::Options),
            0x07 => Some(Self::Query),
            0x09 => Some(Self::Prepare),
            0x0a => Some(Self::Execute),
            0x0b => Some(Self::Register),
            0x0d => Some(Self::Batch),
            0x0f => Some(Self::AuthResponse),
            _ => None,
        }
    }

    const fn reply(byte: u8) -> Option<Self> {
        match byte {
            0x00 => Some(Self::Error),
            0x02 => Some(Self::Ready),
            0x03 => Some(Self::Authenticate),
            0x06 => Some(Self::Supported),
            0x08 => Some(Self::Result),
            0x0c => Some(Self::Event),
            0x0e => Some(Self::AuthChallenge),
            0x10 => Some(Self::AuthSuccess),
            _ => None,
        }
    }

    /// Its name in the log.
    pub(super) const fn name(self) -> &'static [u8] {
        match self {
            Self::Query => b"query",
            Self::Prepare => b"prepare",
            Self::Execute => b"execute",
            Self::Batch => b"batch",
            _ => b"other",
        }
    }
}

/// A header, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: Version,
    pub(super) flags: u8,
    pub(super) stream: i16,
    pub(super) opcode: Opcode,
    /// The body's length, in bytes.
    pub(super) body: usize,
}

impl Header {
    /// The header at the front of a request, once it is there. Its version is
    /// one that is spoken.
    pub(super) fn of_request(data: &[u8]) -> Option<Result<Self, &'static str>> {
        let bytes: [u8; HEADER] = *data.first_chunk()?;
        Some(Self::read(bytes, 0, Opcode::request).and_then(Self::check_request))
    }

    /// The header at the front of a reply.
    pub(super) fn of_reply(data: &[u8]) -> Option<Result<Self, &'static str>> {
        let bytes: [u8; HEADER] = *data.first_chunk()?;
        Some(Self::read(bytes, REPLY, Opcode::reply).and_then(Self::check_reply))
    }

    fn read(
        bytes: [u8; HEADER],
        side: u8,
        opcode: fn(u8) -> Option<Opcode>,
    ) -> Result<Self, &'static str> {
        let [version, flags, s1, s0, code, b3, b2, b1, b0] = bytes;
        if version & REPLY != side {
            return Err("an envelope of the other side");
        }
        let body = u32::from_be_bytes([b3, b2, b1, b0]);
        if body > MAX_BODY_BYTES {
            return Err("an envelope of more than 256 MiB");
        }
        Ok(Self {
            version: Version::read(version & !REPLY).ok_or("a version that is not spoken")?,
            flags,
            stream: i16::from_be_bytes([s1, s0]),
            opcode: opcode(code).ok_or("an opcode that is not known")?,
            body: usize::try_from(body).map_err(|_| "an envelope of more than 256 MiB")?,
        })
    }

    fn check_request(self) -> Result<Self, &'static str> {
        if self.flags & !TRACING != 0 {
            return Err("a flag other than tracing");
        }
        if self.stream < 0 {
            return Err("a negative stream");
        }
        Ok(self)
    }

    fn check_reply(self) -> Result<Self, &'static str> {
        if self.flags & !(TRACING | PAYLOAD | WARNING) != 0 {
            return Err("a flag that no reply has");
        }
        Ok(self)
    }

    /// The envelope's length, in bytes.
    pub(super) fn envelope(&self) -> u64 {
        u64::try_from(self.body.saturating_add(HEADER)).unwrap_or(u64::MAX)
    }
}

/// The envelope of a reply with this body.
pub(super) fn reply(version: Version, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER.saturating_add(body.len()));
    bytes.extend_from_slice(&[version.number() | REPLY, 0]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.push(opcode);
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(0).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}
