//! Parsers that are wrong on purpose, each in the one thing that a row of the
//! threats is about. What they misread they show to the real parser as they
//! read it; for the rest they are as right as that.

use std::collections::HashMap;

use remora_parsers::{
    Direction, Driver, Host, Judge, Op, Parser, Request, Verdict,
    cassandra::{PROTOCOL, Segments},
    codec::{Codec, Decoded},
};

use crate::native::{
    BATCH, CQL, EXECUTE, PREPARE, QUERY, READY, RESULT, STARTUP, batch, envelope, query, ready,
    set_keyspace, startup, text_item,
};

/// The one thing that a mutant gets wrong, by the row that says what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slip {
    /// Row 49: the table stands behind the last `from`, wherever that is.
    LastFrom,
    /// Row 50: `TRUNCATE` names no table, so none is looked at.
    Truncate,
    /// Row 51: `IF EXISTS` is taken for the table's name.
    IfExists,
    /// Row 52: `USE` takes effect when it is asked for, however it is asked.
    UseAtOnce,
    /// Row 53: the query begins where it always does, whatever the flags say.
    Payload,
    /// Row 54: v5's keyspace of a request is not known.
    OwnKeyspace,
    /// Row 55: what is compressed cannot be read, and passes.
    Compressed,
    /// Row 56: a prepared statement is judged when it is prepared alone.
    Prepared,
    /// Row 57: of a batch only the first statement is read.
    FirstOfBatch,
    /// Row 58: quotes and case mean nothing.
    Case,
    /// Row 59: what names no table of its own satisfies every rule.
    SideDoors,
}

pub(crate) const SLIPS: [Slip; 11] = [
    Slip::LastFrom,
    Slip::Truncate,
    Slip::IfExists,
    Slip::UseAtOnce,
    Slip::Payload,
    Slip::OwnKeyspace,
    Slip::Compressed,
    Slip::Prepared,
    Slip::FirstOfBatch,
    Slip::Case,
    Slip::SideDoors,
];

pub(crate) struct Mutant {
    slip: Slip,
    segments: Segments,
    segmented: bool,
    keyspace: Option<String>,
    /// `USE` is under way.
    using: bool,
    preparing: HashMap<[u8; 2], String>,
    prepared: HashMap<Vec<u8>, String>,
}

impl Mutant {
    pub(crate) fn new(slip: Slip) -> Self {
        Self {
            slip,
            segments: Segments::default(),
            segmented: false,
            keyspace: None,
            using: false,
            preparing: HashMap::new(),
            prepared: HashMap::new(),
        }
    }
}

impl Parser for Mutant {
    fn on_data(&mut self, direction: Direction, data: &[u8], _: bool, judge: &mut dyn Judge) -> Op {
        if data.is_empty() || (direction == Direction::Request && self.using) {
            return Op::Nop;
        }
        let (length, plain) = if self.segmented {
            match self.segments.decode(direction, data) {
                Ok(Decoded::Unit { length, plain }) => (length, plain.to_vec()),
                Ok(Decoded::Short(_)) => return Op::MORE,
                Err(_) => return Op::drop(data.len() as u64),
            }
        } else {
            let [_, _, _, _, _, b3, b2, b1, b0, ..] = *data else { return Op::MORE };
            let length = 9 + u32::from_be_bytes([b3, b2, b1, b0]) as usize;
            let Some(whole) = data.get(..length) else { return Op::MORE };
            (length as u64, whole.to_vec())
        };
        if direction == Direction::Reply {
            self.learn(&plain);
            return Op::pass(length);
        }
        if self.passes(&plain, judge) { Op::pass(length) } else { Op::drop(length) }
    }
}

impl Mutant {
    fn learn(&mut self, reply: &[u8]) {
        let [version, flags, s1, s0, opcode, ..] = *reply else { return };
        self.segmented |= version == 0x85 && opcode == READY;
        self.using = false;
        if opcode != RESULT || flags != 0 {
            return;
        }
        let length = || usize::from(u16::from_be_bytes([reply[13], reply[14]]));
        match reply[9..13] {
            [0, 0, 0, 3] => {
                let name = String::from_utf8_lossy(&reply[15..15 + length()]).into_owned();
                if self.slip != Slip::UseAtOnce {
                    self.keyspace = Some(name);
                }
            }
            [0, 0, 0, 4] => {
                if let Some(text) = self.preparing.remove(&[s1, s0]) {
                    self.prepared.insert(reply[15..15 + length()].to_vec(), text);
                }
            }
            _ => {}
        }
    }

    /// Whether a request passes: as it is read, would it be allowed?
    fn passes(&mut self, request: &[u8], judge: &mut dyn Judge) -> bool {
        let [version, flags, s1, s0, opcode, ..] = *request else { return false };
        let body = &request[9..];
        let public = query(version, 1, "SELECT * FROM pub.t");
        let text = |at: usize| -> Option<String> {
            let length = u32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?);
            let text = body.get(at + 4..at + 4 + length as usize)?;
            String::from_utf8(text.to_vec()).ok()
        };
        let shown = match (self.slip, opcode, flags) {
            (Slip::Compressed, STARTUP, _) => return true,
            (Slip::Compressed, _, 1) => return true,
            (_, STARTUP, _) => envelope(version, 0, STARTUP, body),
            (Slip::Payload, QUERY, 4) => public,
            (Slip::Prepared, EXECUTE, 0) => return true,
            (Slip::FirstOfBatch, BATCH, 0) if body.get(3) == Some(&0) => {
                let Some(text) = text(4) else { return false };
                batch(version, 1, &[text_item(&text)])
            }
            (Slip::OwnKeyspace, QUERY, 0) => {
                let Some(text) = text(0) else { return false };
                query(version, 1, &text)
            }
            (Slip::UseAtOnce, PREPARE | QUERY | BATCH, 0)
                if text(if opcode == BATCH { 4 } else { 0 })
                    .is_some_and(|text| text.starts_with("USE ")) =>
            {
                let text = text(if opcode == BATCH { 4 } else { 0 }).unwrap_or_default();
                let name = text.split(' ').nth(1).unwrap_or_default();
                self.keyspace = Some(name.trim_matches('"').to_lowercase());
                return true;
            }
            (_, QUERY, 0) => {
                let Some(text) = text(0) else { return false };
                match self.misread(&text) {
                    Some(text) => query(version, 1, &text),
                    None if text == self.unmistaken(&text) => request.to_vec(),
                    None => return true,
                }
            }
            (_, PREPARE, 0) => {
                self.preparing.extend(text(0).map(|text| ([s1, s0], text)));
                request.to_vec()
            }
            (_, EXECUTE, 0) => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let known = body.get(2..2 + length).and_then(|id| self.prepared.get(id));
                let Some(text) = known else { return false };
                query(version, 1, text)
            }
            _ => request.to_vec(),
        };
        let allowed = self.allows(version, &shown, judge);
        let uses = opcode == QUERY && body.get(4..8) == Some(b"USE ");
        self.using = allowed && uses;
        allowed
    }

    /// Texts that pass without being looked at are not what they were.
    fn unmistaken(&self, text: &str) -> String {
        let side_door =
            ["CREATE TYPE", "CREATE INDEX", "DESCRIBE"].iter().any(|start| text.starts_with(start));
        match self.slip {
            Slip::SideDoors if side_door => String::new(),
            Slip::Truncate if text.starts_with("TRUNCATE") => String::new(),
            _ => text.to_owned(),
        }
    }

    /// The text as it is misread; none where it is not.
    fn misread(&self, text: &str) -> Option<String> {
        match self.slip {
            Slip::LastFrom if text.starts_with("SELECT") => {
                let lower = text.to_lowercase();
                let behind = &text[lower.rfind("from")? + 4..];
                let table = behind.split_whitespace().next()?.trim_end_matches([';', '\'']);
                Some(format!("SELECT * FROM {table}"))
            }
            Slip::IfExists if text.contains("IF EXISTS") => {
                Some("ALTER TABLE pub.t ADD extra int".to_owned())
            }
            Slip::Case => Some(text.replace('"', "").to_lowercase()),
            _ => None,
        }
    }

    /// Asks the real parser, in a conversation of its own.
    fn allows(&self, version: u8, shown: &[u8], judge: &mut dyn Judge) -> bool {
        let mut driver = Driver::new((PROTOCOL.parser)());
        let mut host = Unheard(judge);
        let mut client = Segments::default();
        let mut server = Segments::default();
        let mut say = |driver: &mut Driver, host: &mut Unheard<'_>, from, bytes: &[u8], coded| {
            let codec = if from == Direction::Request { &mut client } else { &mut server };
            let mut plain = bytes.to_vec();
            let wire = if coded { codec.encode(from, &mut plain) } else { plain };
            let _ = driver.data(from, &wire, host);
        };
        if shown.get(4) == Some(&STARTUP) {
            say(&mut driver, &mut host, Direction::Request, shown, false);
            return !driver.output(Direction::Request).is_empty();
        }
        let coded = version == 5;
        say(&mut driver, &mut host, Direction::Request, &startup(version, &[CQL]), false);
        say(&mut driver, &mut host, Direction::Reply, &ready(version), false);
        if let Some(keyspace) = &self.keyspace {
            let quiet = &mut Unheard(&mut Yes);
            let used = query(version, 0, &format!("USE \"{keyspace}\""));
            say(&mut driver, quiet, Direction::Request, &used, coded);
            say(&mut driver, quiet, Direction::Reply, &set_keyspace(version, 0, keyspace), coded);
        }
        driver.output(Direction::Request).clear();
        say(&mut driver, &mut host, Direction::Request, shown, coded);
        !driver.output(Direction::Request).is_empty()
    }
}

/// Allows everything.
struct Yes;

impl Judge for Yes {
    fn judge(&mut self, _: &Request<'_>) -> Verdict {
        Verdict::Allow
    }
}

struct Unheard<'j>(&'j mut dyn Judge);

impl Judge for Unheard<'_> {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        self.0.judge(request)
    }
}

impl Host for Unheard<'_> {}
