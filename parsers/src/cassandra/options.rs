//! The options of `QUERY`, `EXECUTE` and `BATCH` (section 4.1.4 of the
//! specifications): each flag's field is read, and nothing may be left.

use super::{
    cql::is_name,
    frame::Version,
    wire::{Flaw, Reader},
};

const VALUES: u32 = 0x01;
const SKIP_METADATA: u32 = 0x02;
const PAGE_SIZE: u32 = 0x04;
const PAGING_STATE: u32 = 0x08;
const SERIAL_CONSISTENCY: u32 = 0x10;
const TIMESTAMP: u32 = 0x20;
const NAMES: u32 = 0x40;
const KEYSPACE: u32 = 0x80;
const NOW: u32 = 0x100;

const OF_V3: u32 =
    VALUES | SKIP_METADATA | PAGE_SIZE | PAGING_STATE | SERIAL_CONSISTENCY | TIMESTAMP | NAMES;
const OF_V5: u32 = OF_V3 | KEYSPACE | NOW;
const OF_BATCHES: u32 = SERIAL_CONSISTENCY | TIMESTAMP | KEYSPACE | NOW;

/// The last of the consistencies, `LOCAL_ONE`, and the two serial ones.
const LAST_CONSISTENCY: u16 = 0x0a;
const SERIAL: [u16; 2] = [0x08, 0x09];

/// The flags of a request, and how many values it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    version: Version,
    flags: u32,
    pub(super) values: u16,
}

impl Options {
    /// Reads up to the values of a `QUERY` or an `EXECUTE`.
    pub(super) fn read(body: &mut Reader<'_>, version: Version) -> Result<Self, Flaw> {
        consistency(body)?;
        let flags = flags(body, version, if version < Version::V5 { OF_V3 } else { OF_V5 })?;
        if flags & VALUES == 0 {
            if flags & NAMES != 0 {
                return Err(Flaw::Malformed("names of no values"));
            }
            return Ok(Self { version, flags, values: 0 });
        }
        Ok(Self { version, flags, values: body.short()? })
    }

    /// Reads those of a `BATCH`, which come last. Gives its keyspace.
    pub(super) fn of_batch<'a>(
        body: &mut Reader<'a>,
        version: Version,
    ) -> Result<Option<&'a str>, Flaw> {
        consistency(body)?;
        let all = if version < Version::V5 { OF_BATCHES & OF_V3 } else { OF_BATCHES };
        let flags = flags(body, version, all)?;
        Self { version, flags, values: 0 }.behind_values(body)
    }

    /// Whether unqualified tables are in a keyspace of the request's own.
    pub(super) const fn has_keyspace(self) -> bool {
        self.flags & KEYSPACE != 0
    }

    /// Reads one value up to its bytes, with its name where it has one. Gives
    /// how many bytes follow.
    pub(super) fn value(self, body: &mut Reader<'_>) -> Result<usize, Flaw> {
        if self.flags & NAMES != 0 {
            body.string()?;
        }
        value_length(body, self.version)
    }

    /// Reads what stands behind the values, up to the end of the body. Gives
    /// the keyspace.
    pub(super) fn behind_values<'a>(self, body: &mut Reader<'a>) -> Result<Option<&'a str>, Flaw> {
        let has = |flag| self.flags & flag != 0;
        if has(PAGE_SIZE) {
            body.int()?;
        }
        if has(PAGING_STATE) {
            let length = usize::try_from(body.int()?).map_err(|_| "no paging state")?;
            body.take(length)?;
        }
        if has(SERIAL_CONSISTENCY) && !SERIAL.contains(&body.short()?) {
            return Err(Flaw::Malformed("a serial consistency that is none"));
        }
        if has(TIMESTAMP) {
            body.take(8)?;
        }
        let keyspace = if has(KEYSPACE) { Some(keyspace(body)?) } else { None };
        if has(NOW) {
            body.int()?;
        }
        body.end()?;
        Ok(keyspace)
    }
}

/// A keyspace that a request names for its unqualified tables.
pub(super) fn keyspace<'a>(body: &mut Reader<'a>) -> Result<&'a str, Flaw> {
    let keyspace = body.string()?;
    if is_name(keyspace) { Ok(keyspace) } else { Err(Flaw::Malformed("a keyspace that is none")) }
}

/// The length of a `[value]`: null (-1) and, from v4, not set (-2) have none.
pub(super) fn value_length(body: &mut Reader<'_>, version: Version) -> Result<usize, Flaw> {
    match body.int()? {
        -1 => Ok(0),
        -2 if version >= Version::V4 => Ok(0),
        length => {
            usize::try_from(length).map_err(|_| Flaw::Malformed("a value of negative length"))
        }
    }
}

fn consistency(body: &mut Reader<'_>) -> Result<(), Flaw> {
    if body.short()? > LAST_CONSISTENCY {
        return Err(Flaw::Malformed("a consistency that is none"));
    }
    Ok(())
}

fn flags(body: &mut Reader<'_>, version: Version, all: u32) -> Result<u32, Flaw> {
    let flags = if version < Version::V5 {
        u32::from(body.byte()?)
    } else {
        u32::from_be_bytes(body.int()?.to_be_bytes())
    };
    if flags & !all == 0 { Ok(flags) } else { Err(Flaw::Malformed("a query flag that is unknown")) }
}
