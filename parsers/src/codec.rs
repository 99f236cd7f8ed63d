//! A codec under a parser: what is on the wire is decoded, judged and encoded
//! anew. To the driver it is a parser as well, which drops what came and writes
//! what may leave.

use std::collections::VecDeque;

use crate::contract::{Blame, Direction, Driver, Fault, Host, Judge, Op, Parser, Request, Verdict};

/// Turns the wire's bytes into a protocol's, and back. Directions have nothing
/// to do with each other.
pub trait Codec: Send {
    /// Decodes the unit at the front of `wire`, of which some bytes are there.
    ///
    /// # Errors
    /// Why the bytes are none.
    fn decode<'w>(
        &mut self,
        direction: Direction,
        wire: &'w [u8],
    ) -> Result<Decoded<'w>, &'static str>;

    /// Encodes what there is of `plain`, and takes it out. What cannot be
    /// encoded before more has come stays.
    fn encode(&mut self, direction: Direction, plain: &mut Vec<u8>) -> Vec<u8>;
}

/// What a codec makes of the front of the wire.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'w> {
    /// So many bytes of the wire are a unit, and stand for these.
    Unit {
        /// The unit's length on the wire; not zero.
        length: u64,
        /// What it says.
        plain: &'w [u8],
    },
    /// So many bytes are missing; not zero.
    Short(u64),
}

/// A parser with a codec under it.
pub(crate) struct Coded<C> {
    codec: C,
    inner: Driver,
    /// What is to be done before the next unit is looked at.
    due: VecDeque<Op>,
    ended: [bool; 2],
}

impl<C: Codec> Coded<C> {
    pub(crate) fn new(codec: C, parser: Box<dyn Parser>) -> Self {
        Self { codec, inner: Driver::new(parser), due: VecDeque::new(), ended: [false; 2] }
    }

    /// Writes what the parser lets leave, then says what was wrong, if anything.
    fn settle(&mut self, result: Result<(), Fault>) {
        for into in [Direction::Request, Direction::Reply] {
            let data = self.codec.encode(into, self.inner.output(into));
            if !data.is_empty() {
                self.due.push_back(Op::Inject { into, data: data.into() });
            }
        }
        self.due.extend(result.err().map(Op::Error));
    }

    fn end(&mut self, direction: Direction, judge: &mut dyn Judge) -> Op {
        let [request, reply] = &mut self.ended;
        let ended = if direction == Direction::Request { request } else { reply };
        if !std::mem::replace(ended, true) {
            let result = self.inner.end(direction, &mut Unwatched(judge));
            self.settle(result);
        }
        self.due.pop_front().unwrap_or(Op::Nop)
    }
}

impl<C: Codec> Parser for Coded<C> {
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        end: bool,
        judge: &mut dyn Judge,
    ) -> Op {
        if let Some(op) = self.due.pop_front() {
            return op;
        }
        if data.is_empty() {
            return if end { self.end(direction, judge) } else { Op::Nop };
        }
        if !self.inner.wants(direction) {
            return Op::Nop;
        }
        match self.codec.decode(direction, data) {
            Ok(Decoded::Unit { length, plain }) => {
                let result = self.inner.data(direction, plain, &mut Unwatched(judge));
                self.settle(result);
                Op::drop(length)
            }
            Ok(Decoded::Short(missing)) => {
                std::num::NonZeroU64::new(missing).map_or(Op::MORE, Op::More)
            }
            Err(why) => Op::Error(Fault { blame: Blame::speaker(direction), reason: why.into() }),
        }
    }

    fn held(&self) -> usize {
        self.inner.held()
    }

    fn is_idle(&self) -> bool {
        self.due.is_empty() && self.inner.at_rest()
    }
}

/// The ops of the parser above are nobody's concern: those of the codec are.
struct Unwatched<'j>(&'j mut dyn Judge);

impl Judge for Unwatched<'_> {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        self.0.judge(request)
    }

    fn judge_together(&mut self, requests: &[Request<'_>]) -> Option<usize> {
        self.0.judge_together(requests)
    }

    fn policy(&self) -> Option<&str> {
        self.0.policy()
    }

    fn refused(&mut self, request: &Request<'_>, reason: &'static str) {
        self.0.refused(request, reason);
    }
}

impl Host for Unwatched<'_> {}
