//! The opcodes: what a request of each looks like, and what it does.
//!
//! Left out are `verbosity` (0x1b) and the range operations (0x30 and above):
//! the server knows neither, and after an opcode that it does not know it skips
//! extras and key twice, so that it no longer sees where the next frame begins.

use super::{super::text::statistics, header::Header};

/// What a request does, and how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// The commands of the rules whose effects it has, separated by spaces.
    pub(super) commands: &'static [u8],
    /// Whether its key is one that rules are about.
    pub(super) names_key: bool,
    /// What the server will answer.
    pub(super) reply: Reply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// One frame.
    One,
    /// Perhaps one: the reply of a quiet opcode. A denial is an error, and
    /// errors are answered.
    Quiet,
    /// Frames up to one without a key.
    Statistics,
    Noop,
    /// One frame, and the server closes.
    Quit,
    /// The server closes.
    QuitQuietly,
}

/// What a part of a request must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Absent,
    Present,
    Optional,
}

use Part::{Absent, Optional, Present};

impl Request {
    /// Reads a request whose header has been checked. `extras` and `key` are
    /// as long as the header says.
    pub(super) fn read(header: &Header, extras: &[u8], key: &[u8]) -> Result<Self, &'static str> {
        // Extras, key, value, and whether a CAS number may stand in the header.
        let (lengths, key_part, value_part, cas): (&[u8], _, _, _) = match header.opcode {
            0x00 | 0x09 | 0x0c | 0x0d => (&[0], Present, Absent, false),
            0x01..=0x03 | 0x11..=0x13 => (&[8], Present, Optional, true),
            0x04 | 0x14 => (&[0], Present, Absent, true),
            0x05 | 0x06 | 0x15 | 0x16 => (&[20], Present, Absent, true),
            0x07 | 0x17 | 0x0a | 0x0b | 0x20 => (&[0], Absent, Absent, false),
            0x08 | 0x18 => (&[0, 4], Absent, Absent, false),
            0x0e | 0x0f | 0x19 | 0x1a => (&[0], Present, Optional, true),
            0x10 => (&[0], Optional, Absent, false),
            0x1c | 0x1d | 0x1e | 0x23 | 0x24 => (&[4], Present, Absent, false),
            0x21 | 0x22 => (&[0], Present, Optional, false),
            _ => return Err("an opcode that is not spoken"),
        };
        if header.status != 0 {
            return Err("a vbucket, which no server has");
        }
        if !lengths.contains(&header.extras) {
            return Err("extras that the opcode does not have");
        }
        if !fits(key_part, header.key != 0) || !fits(value_part, header.value() != Some(0)) {
            return Err("a key or value missing, or one that the opcode does not have");
        }
        if header.cas != 0 && !cas {
            return Err("a CAS number that the opcode does not have");
        }
        Self::of_opcode(header, extras, key)
    }

    fn of_opcode(header: &Header, extras: &[u8], key: &[u8]) -> Result<Self, &'static str> {
        let compares = header.cas != 0;
        let commands: &'static [u8] = match header.opcode {
            0x00 | 0x09 | 0x0c | 0x0d => b"get",
            0x01 | 0x11 => {
                if compares {
                    b"cas"
                } else {
                    b"set"
                }
            }
            0x02 | 0x12 => {
                if compares {
                    b"add cas"
                } else {
                    b"add"
                }
            }
            0x03 | 0x13 => {
                if compares {
                    b"replace cas"
                } else {
                    b"replace"
                }
            }
            0x0e | 0x19 => {
                if compares {
                    b"append cas"
                } else {
                    b"append"
                }
            }
            0x0f | 0x1a => {
                if compares {
                    b"prepend cas"
                } else {
                    b"prepend"
                }
            }
            0x04 | 0x14 => b"delete",
            0x05 | 0x15 => {
                if makes_item(extras) {
                    b"incr add"
                } else {
                    b"incr"
                }
            }
            0x06 | 0x16 => {
                if makes_item(extras) {
                    b"decr add"
                } else {
                    b"decr"
                }
            }
            0x07 | 0x17 => b"quit",
            0x08 | 0x18 => b"flush_all",
            0x0a => b"noop",
            0x0b => b"version",
            0x10 => statistics(key)?,
            0x1c => b"touch",
            0x1d | 0x1e | 0x23 | 0x24 => b"gat",
            _ => b"sasl",
        };
        let reply = match header.opcode {
            0x07 => Reply::Quit,
            0x17 => Reply::QuitQuietly,
            0x0a => Reply::Noop,
            0x10 => Reply::Statistics,
            0x09 | 0x0d | 0x11..=0x16 | 0x18..=0x1a | 0x1e | 0x24 => Reply::Quiet,
            _ => Reply::One,
        };
        // The key of a SASL frame is a mechanism, that of a STAT its arguments.
        let names_key = header.key != 0 && !matches!(header.opcode, 0x10 | 0x20..=0x22);
        Ok(Self { commands, names_key, reply })
    }
}

fn fits(part: Part, there: bool) -> bool {
    match part {
        Absent => !there,
        Present => there,
        Optional => true,
    }
}

/// Whether an increment makes an item where there is none: its expiry says so,
/// with any value but this one.
fn makes_item(extras: &[u8]) -> bool {
    extras.last_chunk() != Some(&[0xff; 4])
}
