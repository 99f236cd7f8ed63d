//! The errors that requests are answered with in the server's stead (section 9
//! of the specifications).

use super::{
    frame::{self, Version},
    wire::put_string,
};

const ERROR: u8 = 0x00;

/// A frame that the protocol does not have, or one that is not spoken here.
const PROTOCOL_ERROR: u32 = 0x000a;
const UNPREPARED: u32 = 0x2500;

/// Why a request is refused without being judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    code: u32,
    pub(super) why: &'static str,
}

impl Refusal {
    /// No statement of CQL, or none that is known (0x2000).
    pub(super) const fn syntax(why: &'static str) -> Self {
        Self { code: 0x2000, why }
    }

    /// A statement that cannot be carried out, or not here (0x2200).
    pub(super) const fn invalid(why: &'static str) -> Self {
        Self { code: 0x2200, why }
    }

    /// Something of the protocol that is not spoken (0x000a).
    pub(super) const fn protocol(why: &'static str) -> Self {
        Self { code: PROTOCOL_ERROR, why }
    }

    pub(super) fn answer(self, version: Version, stream: i16) -> Vec<u8> {
        error(version, stream, self.code, self.why, &[])
    }
}

/// The denial of a request: `what` was done to which tables, and by which policy.
pub(super) fn denial(
    version: Version,
    stream: i16,
    (action, tables): (&str, &str),
    policy: Option<&str>,
) -> Vec<u8> {
    let on = if tables.is_empty() { "" } else { " on " };
    let message = match policy {
        Some(policy) => format!("{action}{on}{tables} is denied by policy {policy}"),
        None => format!("{action}{on}{tables} is denied: no policy allows it"),
    };
    error(version, stream, super::DENIED, &message, &[])
}

/// Says that an id stands for nothing on this connection. Drivers prepare anew.
pub(super) fn unprepared(version: Version, stream: i16, id: &[u8]) -> Vec<u8> {
    let mut tail = Vec::with_capacity(id.len().saturating_add(2));
    tail.extend_from_slice(&u16::try_from(id.len()).unwrap_or(0).to_be_bytes());
    tail.extend_from_slice(id);
    let message = "the statement was not prepared on this connection";
    error(version, stream, UNPREPARED, message, &tail)
}

/// Says which versions are spoken, in words by which drivers know to try a
/// lower one.
pub(super) fn unsupported_version(version: u8, stream: i16) -> Vec<u8> {
    let message = format!(
        "Invalid or unsupported protocol version ({version}); supported versions are (3/v3, 4/v4, 5/v5)"
    );
    error(Version::V5, stream, PROTOCOL_ERROR, &message, &[])
}

fn error(version: Version, stream: i16, code: u32, message: &str, tail: &[u8]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    put_string(&mut body, message);
    body.extend_from_slice(tail);
    frame::reply(version, stream, ERROR, &body)
}
