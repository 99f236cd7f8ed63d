//! The state machine of one connection, over whole envelopes.
//!
//! ```text
//! Opening --STARTUP--> Starting --READY--> Ready
//!                      Starting --AUTHENTICATE--> Authenticating --AUTH_SUCCESS--> Ready
//!                      Starting --ERROR--> Refused
//! ```
//!
//! The server carries out the requests of a connection side by side, so the
//! keyspace that an unqualified table is in must not change under it: `USE`
//! waits until no such request is under way, and whatever follows waits for the
//! answer to `USE`. Only that answer changes the keyspace.

use std::{num::NonZeroU64, sync::Arc};

use super::{
    MAX_PREPARING, MAX_WHOLE_BYTES,
    answer::{self, Refusal},
    cql::{self, Part, Statement},
    frame::{HEADER, Header, Opcode, Version},
    prepared::Prepared,
    question,
    reply::{self, Learnt},
    request::{self, Demand, Item, Tail},
    streams::{Awaited, Streams},
    wire::Flaw,
};
use crate::contract::{Blame, Direction, Fault, Judge, Op, Parser};

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    version: Option<Version>,
    phase: Phase,
    keyspace: Option<String>,
    streams: Streams,
    prepared: Prepared,
    /// The client has asked for events.
    registered: bool,
    /// `USE` is under way.
    using: bool,
    /// `USE` is next, and waits for what depends on the keyspace.
    holds_use: bool,
    /// The values of the request under way.
    tail: Option<Tail>,
    /// What becomes of a message whose answer has just been written.
    behind_answer: Option<Op>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Opening,
    Starting,
    Refused,
    Authenticating,
    Ready,
}

impl Parser for Connection {
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        _end: bool,
        judge: &mut dyn Judge,
    ) -> Op {
        if let Some(op) = self.behind_answer.take() {
            return op;
        }
        if data.is_empty() {
            return Op::Nop;
        }
        let op = match direction {
            Direction::Request => self.on_request(data, judge),
            Direction::Reply => self.on_reply(data),
        };
        op.unwrap_or_else(|flaw| match flaw {
            Flaw::Short(missing) => wait(missing),
            Flaw::Malformed(why) => {
                Op::Error(Fault { blame: Blame::speaker(direction), reason: why.into() })
            }
        })
    }

    fn is_idle(&self) -> bool {
        let written = self.tail.is_none() && self.behind_answer.is_none();
        written && !self.holds_use && self.streams.are_free()
    }
}

impl Connection {
    /// Whether everything behind the message that has just been passed comes in
    /// v5's segments.
    pub(super) fn is_segmented(&self) -> bool {
        self.version == Some(Version::V5)
            && matches!(self.phase, Phase::Authenticating | Phase::Ready)
    }

    fn on_request(&mut self, data: &[u8], judge: &mut dyn Judge) -> Result<Op, Flaw> {
        if let Some(tail) = &mut self.tail {
            let passed = tail.step(data)?;
            if tail.left == 0 {
                self.tail = None;
            }
            return Ok(pass(passed));
        }
        if self.waits() {
            return Ok(Op::Nop);
        }
        if let Some(op) = self.other_version(data)? {
            return Ok(op);
        }
        let Some(header) = Header::of_request(data) else { return Err(short_of_header(data)) };
        let header = header?;
        if *self.version.get_or_insert(header.version) != header.version {
            return Err("another version than the connection's".into());
        }
        self.check_phase(header.opcode)?;
        if self.streams.is_busy(header.stream) {
            return Err("a stream that is busy".into());
        }
        let read = request::read(&header, data.get(HEADER..).unwrap_or_default())?;
        let head = read.tail.map_or(header.envelope(), |tail| {
            header.envelope().saturating_sub(u64::try_from(tail.left).unwrap_or(u64::MAX))
        });
        Ok(match self.weigh(&header, &read.demand, judge) {
            Fate::Pass(awaited, unqualified) => {
                self.using = matches!(awaited, Awaited::Keyspace);
                self.streams.begin(header.stream, awaited, unqualified);
                self.tail = read.tail.filter(|tail| tail.left > 0);
                Op::pass(head)
            }
            Fate::Answer(data) => self.answer(data, &header),
            Fate::Wait => {
                self.holds_use = true;
                Op::Nop
            }
        })
    }

    /// Whether replies have to come before the next request can be looked at.
    /// Behind `STARTUP` it is not even known how it is spoken.
    fn waits(&mut self) -> bool {
        self.holds_use &= self.streams.depend_on_keyspace();
        let full = self.streams.preparing() >= MAX_PREPARING;
        self.phase == Phase::Starting || self.using || self.holds_use || full
    }

    /// Answers a version that is not spoken as a server does, and hangs up:
    /// drivers then try a lower one. Only the first request can have one.
    fn other_version(&mut self, data: &[u8]) -> Result<Option<Op>, Flaw> {
        const LEAST: usize = 8;
        let Some((first, _)) = data.split_first() else { return Ok(None) };
        if self.version.is_some() || *first >= 0x80 || Version::read(*first).is_some() {
            return Ok(None);
        }
        let Some([_, _, s1, s0, ..]) = data.first_chunk::<LEAST>() else {
            return Err(Flaw::Short(LEAST.saturating_sub(data.len())));
        };
        // Before v3 a stream was one byte.
        let stream = if *first < 3 { i16::from(*s1) } else { i16::from_be_bytes([*s1, *s0]) };
        self.behind_answer = Some(Op::Error(Fault::client("a version that is not spoken")));
        let data = answer::unsupported_version(*first, stream).into();
        Ok(Some(Op::Inject { into: Direction::Reply, data }))
    }

    fn check_phase(&self, opcode: Opcode) -> Result<(), Flaw> {
        let fits = match self.phase {
            Phase::Opening => matches!(opcode, Opcode::Options | Opcode::Startup),
            Phase::Starting => false,
            Phase::Refused => return Err("a request after a refused STARTUP".into()),
            Phase::Authenticating => matches!(opcode, Opcode::AuthResponse | Opcode::Options),
            Phase::Ready => !matches!(opcode, Opcode::Startup | Opcode::AuthResponse),
        };
        if fits { Ok(()) } else { Err("a request that is out of turn".into()) }
    }

    /// Decides what becomes of a request.
    fn weigh(&mut self, header: &Header, demand: &Demand<'_>, judge: &mut dyn Judge) -> Fate {
        let known = match demand {
            Demand::Options => return Fate::Pass(Awaited::Supported, false),
            Demand::AuthResponse => return Fate::Pass(Awaited::Authenticated, false),
            Demand::Startup => {
                self.phase = Phase::Starting;
                return Fate::Pass(Awaited::Started, false);
            }
            Demand::Register => {
                self.registered = true;
                return Fate::Pass(Awaited::Registered, false);
            }
            Demand::Refused(refusal) => Err(Unknown::Refused(*refusal)),
            Demand::Query { text, keyspace } => self.read(text, *keyspace),
            Demand::Prepare { text, keyspace } => self.read(text, *keyspace).and_then(|reading| {
                let why = "USE cannot be prepared here: send it as a query";
                if reading.statement.uses { Err(Refusal::invalid(why).into()) } else { Ok(reading) }
            }),
            Demand::Execute { id } => self.find(id).map(|statement| {
                // Its tables are those of its PREPARE, whatever is in use now.
                Reading { statement, depends: false }
            }),
            Demand::Batch { items, keyspace } => self.read_batch(items, *keyspace),
        };
        match known {
            Ok(reading) => self.judge(header, reading, judge),
            Err(Unknown::Refused(refusal)) => {
                question::refuse(judge, header.opcode, refusal.why);
                Fate::Answer(refusal.answer(header.version, header.stream))
            }
            Err(Unknown::Id(id)) => {
                question::refuse(judge, header.opcode, "an id that was not prepared here");
                Fate::Answer(answer::unprepared(header.version, header.stream, &id))
            }
        }
    }

    fn judge(&self, header: &Header, reading: Reading, judge: &mut dyn Judge) -> Fate {
        let Reading { statement, depends } = reading;
        if statement.uses && self.streams.depend_on_keyspace() {
            return Fate::Wait;
        }
        if let Some(Part { action, tables }) = question::ask(judge, header.opcode, &statement.parts)
        {
            let what = (*action, tables.as_str());
            let policy = judge.policy();
            return Fate::Answer(answer::denial(header.version, header.stream, what, policy));
        }
        let awaited = match header.opcode {
            Opcode::Prepare => Awaited::Prepared(statement),
            _ if statement.uses => Awaited::Keyspace,
            _ => Awaited::Result,
        };
        Fate::Pass(awaited, depends)
    }

    /// Reads a statement; `own` is the keyspace that its request names.
    fn read(&self, text: &str, own: Option<&str>) -> Result<Reading, Unknown> {
        let statement = cql::read(text, own.or(self.keyspace.as_deref()))?;
        let depends = statement.unqualified && own.is_none();
        Ok(Reading { statement: Arc::new(statement), depends })
    }

    fn find(&mut self, id: &[u8]) -> Result<Arc<Statement>, Unknown> {
        self.prepared.find(id).ok_or_else(|| Unknown::Id(id.to_vec()))
    }

    /// Reads all statements of a batch as one.
    fn read_batch(&mut self, items: &[Item<'_>], own: Option<&str>) -> Result<Reading, Unknown> {
        let mut all = Statement::default();
        let mut depends = false;
        for item in items {
            let reading = match item {
                Item::Text(text) => self.read(text, own)?,
                Item::Prepared(id) => Reading { statement: self.find(id)?, depends: false },
            };
            if !reading.statement.modifies {
                return Err(
                    Refusal::invalid("a batch of other than INSERT, UPDATE and DELETE").into()
                );
            }
            depends |= reading.depends;
            all.merge(&reading.statement)?;
        }
        if all.parts.is_empty() {
            return Err(Refusal::invalid("an empty batch").into());
        }
        Ok(Reading { statement: Arc::new(all), depends })
    }

    fn answer(&mut self, data: Vec<u8>, header: &Header) -> Op {
        self.behind_answer = Some(Op::drop(header.envelope()));
        Op::Inject { into: Direction::Reply, data: data.into() }
    }

    fn on_reply(&mut self, data: &[u8]) -> Result<Op, Flaw> {
        if self.version.is_none() {
            return Err("reply to no request".into());
        }
        let Some(header) = Header::of_reply(data) else { return Err(short_of_header(data)) };
        let header = header?;
        if self.version != Some(header.version) {
            return Err("another version than the connection's".into());
        }
        if header.opcode == Opcode::Event {
            return if self.registered && header.stream == -1 {
                Ok(Op::pass(header.envelope()))
            } else {
                Err("an event that nobody asked for".into())
            };
        }
        let awaited = self.streams.awaited(header.stream).ok_or("reply to no request")?;
        if !reply::fits(awaited, header.opcode) {
            return Err("a reply that the request cannot have".into());
        }
        self.take(&header, data)
    }

    /// Takes in a reply that fits: changes what it changes.
    fn take(&mut self, header: &Header, data: &[u8]) -> Result<Op, Flaw> {
        let answers = header.opcode == Opcode::Result;
        let learns = match self.streams.awaited(header.stream) {
            Some(Awaited::Prepared(_) | Awaited::Keyspace) => answers,
            Some(Awaited::Supported) => header.opcode == Opcode::Supported,
            Some(Awaited::Result) if answers && !reply::is_plain(header, data)? => {
                return Err("a reply that the request cannot have".into());
            }
            _ => false,
        };
        let body = if learns { whole(header, data)? } else { &[] };
        let mut op = Op::pass(header.envelope());
        match self.streams.awaited(header.stream) {
            Some(Awaited::Supported) if learns => {
                let data = reply::supported(header, body).map_err(Flaw::why)?.into();
                self.behind_answer = Some(Op::drop(header.envelope()));
                op = Op::Inject { into: Direction::Reply, data };
            }
            Some(Awaited::Prepared(statement)) if learns => {
                match reply::result(header, body).map_err(Flaw::why)? {
                    Learnt::Id(id) => self.prepared.learn(id, Arc::clone(statement)),
                    _ => return Err("a reply that the request cannot have".into()),
                }
            }
            Some(Awaited::Keyspace) => {
                self.using = false;
                if learns {
                    match reply::result(header, body).map_err(Flaw::why)? {
                        Learnt::Keyspace(name) if cql::is_name(name) => {
                            self.keyspace = Some(name.to_owned());
                        }
                        _ => return Err("a reply that the request cannot have".into()),
                    }
                }
            }
            Some(Awaited::Started) => {
                self.phase = match header.opcode {
                    Opcode::Ready => Phase::Ready,
                    Opcode::Authenticate => Phase::Authenticating,
                    _ => Phase::Refused,
                };
            }
            Some(Awaited::Authenticated) if header.opcode == Opcode::AuthSuccess => {
                self.phase = Phase::Ready;
            }
            _ => {}
        }
        self.streams.end(header.stream);
        Ok(op)
    }
}

/// What becomes of a request.
enum Fate {
    /// It passes, and awaits this; whether the keyspace in use matters to it.
    Pass(Awaited, bool),
    /// It is answered in the server's stead.
    Answer(Vec<u8>),
    /// Replies have to come first.
    Wait,
}

/// What a request does, and whether that depends on the keyspace in use.
struct Reading {
    statement: Arc<Statement>,
    depends: bool,
}

/// Why it is not known what a request does.
enum Unknown {
    Refused(Refusal),
    Id(Vec<u8>),
}

impl From<Refusal> for Unknown {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The body of a reply that is read as a whole.
fn whole<'a>(header: &Header, data: &'a [u8]) -> Result<&'a [u8], Flaw> {
    if header.body > MAX_WHOLE_BYTES {
        return Err("a reply that is longer than its kind can be".into());
    }
    let envelope = header.body.saturating_add(HEADER);
    let missing = envelope.saturating_sub(data.len());
    data.get(HEADER..envelope).ok_or(Flaw::Short(missing))
}

fn short_of_header(data: &[u8]) -> Flaw {
    Flaw::Short(HEADER.saturating_sub(data.len()))
}

fn pass(length: usize) -> Op {
    Op::pass(u64::try_from(length).unwrap_or(u64::MAX))
}

fn wait(missing: usize) -> Op {
    u64::try_from(missing).ok().and_then(NonZeroU64::new).map_or(Op::MORE, Op::More)
}
