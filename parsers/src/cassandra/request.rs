//! The bodies of requests (section 4.1 of the specifications).

use super::{
    MAX_QUERY_BYTES, MAX_SMALL_BYTES, MAX_WAITING_BYTES, MAX_WHOLE_BYTES,
    answer::Refusal,
    frame::{Header, Opcode, Version},
    options::{self, Options},
    startup,
    wire::{Flaw, Reader},
};

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Demand<'a> {
    Options,
    Startup,
    Register,
    AuthResponse,
    Query {
        text: &'a str,
        keyspace: Option<&'a str>,
    },
    Prepare {
        text: &'a str,
        keyspace: Option<&'a str>,
    },
    Execute {
        id: &'a [u8],
    },
    Batch {
        items: Vec<Item<'a>>,
        keyspace: Option<&'a str>,
    },
    /// It can be read, and cannot be had.
    Refused(Refusal),
}

/// A statement of a `BATCH`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Text(&'a str),
    Prepared(&'a [u8]),
}

/// A request as far as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read<'a> {
    pub(super) demand: Demand<'a>,
    /// The values, where they pass by without being looked at.
    pub(super) tail: Option<Tail>,
}

/// The values and the options behind them of a request that is too long to be
/// held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    options: Options,
    /// Bytes of the body that have not been passed.
    pub(super) left: usize,
}

/// Reads a request's body as far as `body` holds it.
pub(super) fn read<'a>(header: &Header, body: &'a [u8]) -> Result<Read<'a>, Flaw> {
    let waits = match header.opcode {
        Opcode::Query | Opcode::Execute if header.body > MAX_WAITING_BYTES => {
            return read_head(header, body);
        }
        Opcode::Query | Opcode::Execute => true,
        Opcode::Batch => header.body <= MAX_WHOLE_BYTES,
        Opcode::Prepare => header.body <= MAX_QUERY_BYTES.saturating_add(MAX_SMALL_BYTES),
        _ if header.body > MAX_SMALL_BYTES => {
            return Err(Flaw::Malformed("a request that is longer than its kind can be"));
        }
        _ => true,
    };
    if !waits {
        let why = "a batch of more than 512 KiB, or a statement of more than 256 KiB";
        return Ok(Read::refused(Refusal::invalid(why)));
    }
    let mut body = Reader::new(Reader::new(body).take(header.body)?);
    let demand = whole(header, &mut body).map_err(|flaw| Flaw::Malformed(flaw.why()))?;
    Ok(Read { demand, tail: None })
}

impl Read<'_> {
    const fn refused(refusal: Refusal) -> Self {
        Self { demand: Demand::Refused(refusal), tail: None }
    }
}

fn whole<'a>(header: &Header, body: &mut Reader<'a>) -> Result<Demand<'a>, Flaw> {
    let version = header.version;
    Ok(match header.opcode {
        Opcode::Options => {
            body.end()?;
            Demand::Options
        }
        Opcode::Startup => match startup::startup(body)? {
            Ok(()) => Demand::Startup,
            Err(refusal) => Demand::Refused(refusal),
        },
        Opcode::Register => {
            startup::register(body)?;
            Demand::Register
        }
        Opcode::AuthResponse => {
            startup::auth_response(body)?;
            Demand::AuthResponse
        }
        Opcode::Query => {
            let text = body.long_string(MAX_QUERY_BYTES)?;
            let keyspace = all_options(body, version)?;
            Demand::Query { text, keyspace }
        }
        Opcode::Execute => {
            let id = id(body, version)?;
            if all_options(body, version)?.is_some() {
                return Err(Flaw::Malformed("EXECUTE with a keyspace"));
            }
            Demand::Execute { id }
        }
        Opcode::Prepare => prepare(body, version)?,
        Opcode::Batch => batch(body, version)?,
        _ => return Err(Flaw::Malformed("a reply from the client")),
    })
}

/// Reads up to the values of a long request.
fn read_head<'a>(header: &Header, body: &'a [u8]) -> Result<Read<'a>, Flaw> {
    let mut reader = Reader::new(body);
    let demand = if header.opcode == Opcode::Query {
        Demand::Query { text: reader.long_string(MAX_QUERY_BYTES)?, keyspace: None }
    } else {
        Demand::Execute { id: id(&mut reader, header.version)? }
    };
    let options = Options::read(&mut reader, header.version)?;
    if options.has_keyspace() {
        // The keyspace stands behind the values.
        if header.opcode == Opcode::Execute {
            return Err(Flaw::Malformed("EXECUTE with a keyspace"));
        }
        if header.body > MAX_WHOLE_BYTES {
            let why = "a query with a keyspace of its own and more than 512 KiB";
            return Ok(Read::refused(Refusal::invalid(why)));
        }
        let mut body = Reader::new(Reader::new(body).take(header.body)?);
        let demand = whole(header, &mut body).map_err(|flaw| Flaw::Malformed(flaw.why()))?;
        return Ok(Read { demand, tail: None });
    }
    let head = body.len().saturating_sub(reader.left());
    let left = header.body.checked_sub(head).ok_or("a body that ends inside a field")?;
    Ok(Read { demand, tail: Some(Tail { options, left }) })
}

impl Tail {
    /// How many bytes of the body pass next, so far as `data` tells.
    pub(super) fn step(&mut self, data: &[u8]) -> Result<usize, Flaw> {
        let shown = data.get(..self.left).unwrap_or(data);
        self.read(shown).map_err(|flaw| match flaw {
            // What is missing would be beyond the body's end.
            Flaw::Short(missing) if shown.len().saturating_add(missing) > self.left => {
                Flaw::Malformed(flaw.why())
            }
            flaw => flaw,
        })
    }

    fn read(&mut self, data: &[u8]) -> Result<usize, Flaw> {
        let mut reader = Reader::new(data);
        let Some(values) = self.options.values.checked_sub(1) else {
            return self.read_last(&mut reader);
        };
        let length = self.options.value(&mut reader)?;
        let passed = data.len().saturating_sub(reader.left()).saturating_add(length);
        self.left = self.left.checked_sub(passed).ok_or("a value that is longer than its body")?;
        self.options.values = values;
        if values == 0 && self.left == 0 {
            self.options.behind_values(&mut Reader::new(&[]))?;
        }
        Ok(passed)
    }

    /// Behind the values: few bytes, which are read as a whole.
    fn read_last(&mut self, reader: &mut Reader<'_>) -> Result<usize, Flaw> {
        if self.left > MAX_WAITING_BYTES {
            return Err(Flaw::Malformed("bytes behind the body's end"));
        }
        let passed = self.left;
        let mut rest = Reader::new(reader.take(passed)?);
        self.options.behind_values(&mut rest).map_err(Flaw::why)?;
        self.left = 0;
        Ok(passed)
    }
}

fn all_options<'a>(body: &mut Reader<'a>, version: Version) -> Result<Option<&'a str>, Flaw> {
    let options = Options::read(body, version)?;
    for _ in 0..options.values {
        let length = options.value(body)?;
        body.take(length)?;
    }
    options.behind_values(body)
}

/// The id of a prepared statement; in v5 that of its result's metadata follows.
fn id<'a>(body: &mut Reader<'a>, version: Version) -> Result<&'a [u8], Flaw> {
    let id = body.short_bytes()?;
    if version >= Version::V5 {
        body.short_bytes()?;
    }
    Ok(id)
}

fn prepare<'a>(body: &mut Reader<'a>, version: Version) -> Result<Demand<'a>, Flaw> {
    const KEYSPACE: i32 = 0x01;
    let text = body.long_string(MAX_QUERY_BYTES)?;
    let keyspace = match if version < Version::V5 { 0 } else { body.int()? } {
        0 => None,
        KEYSPACE => Some(options::keyspace(body)?),
        _ => return Err(Flaw::Malformed("a flag of PREPARE that is unknown")),
    };
    body.end()?;
    Ok(Demand::Prepare { text, keyspace })
}

/// The kinds of batches: logged, unlogged, counter.
const BATCHES: std::ops::RangeInclusive<u8> = 0..=2;

fn batch<'a>(body: &mut Reader<'a>, version: Version) -> Result<Demand<'a>, Flaw> {
    if !BATCHES.contains(&body.byte()?) {
        return Err(Flaw::Malformed("a kind of batch that is unknown"));
    }
    let mut items = Vec::new();
    for _ in 0..body.short()? {
        items.push(match body.byte()? {
            0 => Item::Text(body.long_string(MAX_QUERY_BYTES)?),
            1 => Item::Prepared(body.short_bytes()?),
            _ => return Err(Flaw::Malformed("a kind of statement that is unknown")),
        });
        for _ in 0..body.short()? {
            let length = options::value_length(body, version)?;
            body.take(length)?;
        }
    }
    let keyspace = Options::of_batch(body, version)?;
    Ok(Demand::Batch { items, keyspace })
}
