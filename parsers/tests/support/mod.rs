//! Toy parsers and a host that watches.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod native;
pub mod watched;

use std::collections::VecDeque;

use remora_parsers::{
    Direction, Driver, Fault, Field, Host, Judge, Op, Parser, Protocol, Request, Verdict,
};

/// Answers ops from a list, then NOP, whatever the bytes.
pub struct Scripted(VecDeque<Op>);

impl Scripted {
    pub fn new(ops: impl IntoIterator<Item = Op>) -> Self {
        Self(ops.into_iter().collect())
    }
}

impl Parser for Scripted {
    fn on_data(&mut self, _: Direction, data: &[u8], _: bool, _: &mut dyn Judge) -> Op {
        // Like a real parser it has nothing to say about nothing.
        match self.0.front() {
            Some(Op::Inject { .. }) => self.0.pop_front().unwrap_or(Op::Nop),
            _ if data.is_empty() => Op::Nop,
            _ => self.0.pop_front().unwrap_or(Op::Nop),
        }
    }
}

/// Wants one byte more, for ever.
pub struct NeverEnough;

impl Parser for NeverEnough {
    fn on_data(&mut self, _: Direction, data: &[u8], _: bool, _: &mut dyn Judge) -> Op {
        if data.len() >= remora_parsers::MAX_HELD_BYTES { Op::Nop } else { Op::MORE }
    }
}

/// Decides by a function of the request's fields, and notes what it saw.
pub struct Watcher {
    decide: Box<dyn FnMut(&str) -> Verdict>,
    pub ops: Vec<(Direction, Op)>,
    /// `VERDICT field=value …` of each request.
    pub log: Vec<String>,
    /// Why the parser refused what was not judged, and the request's fields.
    pub refused: Vec<String>,
}

impl Watcher {
    pub fn deciding(decide: impl FnMut(&str) -> Verdict + 'static) -> Self {
        Self { decide: Box::new(decide), ops: Vec::new(), log: Vec::new(), refused: Vec::new() }
    }

    pub fn answering(verdict: Verdict) -> Self {
        Self::deciding(move |_| verdict)
    }

    pub fn allowing() -> Self {
        Self::answering(Verdict::Allow)
    }
}

fn fields<'a>(fields: impl IntoIterator<Item = &'a Field<'a>>) -> String {
    let mut text = String::new();
    for field in fields {
        for value in field.value.iter() {
            text += &format!(" {}={}", field.name, value.escape_ascii());
        }
    }
    text
}

impl Judge for Watcher {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        let text = fields(request.fields);
        let verdict = (self.decide)(&text);
        self.log.push(format!("{verdict:?}{text}"));
        verdict
    }

    fn refused(&mut self, request: &Request<'_>, reason: &'static str) {
        self.refused.push(format!("{reason}{}", fields(request.fields)));
    }
}

impl Host for Watcher {
    fn op(&mut self, direction: Direction, op: &Op) {
        self.ops.push((direction, op.clone()));
    }
}

/// A connection under a protocol's parser, for scripts of a few lines.
pub struct Conversation {
    driver: Driver,
    pub host: Watcher,
    pub to_server: Vec<u8>,
    pub to_client: Vec<u8>,
    pub closed: Option<Fault>,
}

impl Conversation {
    pub fn new(protocol: &Protocol, host: Watcher) -> Self {
        Self {
            driver: Driver::new((protocol.parser)()),
            host,
            to_server: Vec::new(),
            to_client: Vec::new(),
            closed: None,
        }
    }

    pub fn client(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.arrive(Direction::Request, bytes.as_ref())
    }

    pub fn server(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.arrive(Direction::Reply, bytes.as_ref())
    }

    pub fn end(&mut self, direction: Direction) -> &mut Self {
        if self.closed.is_none() {
            self.closed = self.driver.end(direction, &mut self.host).err();
        }
        self
    }

    fn arrive(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        if self.closed.is_none() {
            self.closed = self.driver.data(direction, bytes, &mut self.host).err();
        }
        self.to_server.append(self.driver.output(Direction::Request));
        self.to_client.append(self.driver.output(Direction::Reply));
        self
    }

    pub fn wants(&self, direction: Direction) -> bool {
        self.driver.wants(direction)
    }

    pub fn at_rest(&self) -> bool {
        self.driver.at_rest()
    }

    pub fn held(&self) -> usize {
        self.driver.held()
    }

    pub fn reason(&self) -> &str {
        self.closed.as_ref().map_or("", |fault| fault.reason.as_ref())
    }
}
