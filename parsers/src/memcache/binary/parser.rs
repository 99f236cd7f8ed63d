//! The state machine of one connection that speaks the binary protocol.
//!
//! ```text
//! request:  Frame --> Frame
//!           Frame --allowed quit--> Closed
//! reply:    frames, each by the length in its header
//! ```
//!
//! As in the text protocol, a run of quiet requests is closed with a *mark*
//! before a request whose place among the replies matters: a NOOP of our own,
//! whose reply says that the run is over and does not reach the client.

use std::borrow::Cow;

use super::{
    super::{
        MAX_OUTSTANDING,
        question::{Dialect, Keys, ask, forward},
    },
    header::{HEADER, Header},
    opcode::{Reply, Request},
};
use crate::{
    contract::{Direction, Fault, Judge, Op, Parser, Verdict},
    reply_queue::ReplyQueue,
};

/// The magic of requests and of replies.
const REQUEST: u8 = 0x80;
pub(super) const REPLY: u8 = 0x81;

const NOOP: u8 = 0x0a;

/// What closes a run of quiet requests: a NOOP.
const MARK: &[u8; HEADER] =
    &[REQUEST, NOOP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(in super::super) struct BinaryParser {
    closed: bool,
    /// What becomes of a request once the mark before it is written.
    behind_mark: Option<Op>,
    replies: ReplyQueue<Expected>,
}

impl Default for BinaryParser {
    fn default() -> Self {
        Self { closed: false, behind_mark: None, replies: ReplyQueue::new(MAX_OUTSTANDING) }
    }
}

/// The reply that a request will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// One frame with this opcode.
    One(u8),
    /// Frames with this opcode up to one without a key, or with an error.
    Statistics(u8),
    /// The reply to a NOOP of our own.
    Mark,
    /// At most so many replies to quiet requests. A NOOP's reply follows.
    Quiet(u64),
}

impl Parser for BinaryParser {
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        _end: bool,
        judge: &mut dyn Judge,
    ) -> Op {
        if let Some(denial) = self.replies.due() {
            return denial;
        }
        if data.is_empty() {
            return Op::Nop;
        }
        match direction {
            Direction::Request => {
                self.on_request(data, judge).unwrap_or_else(|why| Op::Error(Fault::client(why)))
            }
            Direction::Reply => {
                self.on_reply(data).unwrap_or_else(|why| Op::Error(Fault::server(why)))
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.replies.is_empty() && self.behind_mark.is_none()
    }
}

impl BinaryParser {
    fn on_request(&mut self, data: &[u8], judge: &mut dyn Judge) -> Result<Op, &'static str> {
        if let Some(op) = self.behind_mark.take() {
            return Ok(op);
        }
        if self.closed {
            return Err("a request after quit");
        }
        if self.replies.is_full() {
            return Ok(Op::Nop);
        }
        let Some(header) = Header::read(data) else { return wait(data, HEADER, REQUEST) };
        header.check(REQUEST)?;
        let Some(head) = data.get(HEADER..header.head()) else {
            return wait(data, header.head(), REQUEST);
        };
        let (extras, key) =
            head.split_at_checked(usize::from(header.extras)).unwrap_or((head, &[]));
        let request = Request::read(&header, extras, key)?;
        let keys = if request.names_key { Keys::One(key) } else { Keys::None };
        let verdict = ask(judge, request.commands, &keys, Dialect::Binary);
        let op = forward(verdict, header.frame());
        if self.expect(&header, request.reply, verdict) {
            self.behind_mark = Some(op);
            return Ok(Op::Inject { into: Direction::Request, data: Cow::Borrowed(MARK) });
        }
        Ok(op)
    }

    /// Queues what the request will be answered with. Returns whether a mark
    /// has to go before it.
    fn expect(&mut self, header: &Header, reply: Reply, verdict: Verdict) -> bool {
        if verdict == Verdict::Deny {
            let marked = self.mark();
            self.replies.deny(header.denial());
            return marked;
        }
        let expected = match reply {
            Reply::Quiet => {
                match self.replies.last() {
                    Some(Expected::Quiet(run)) => *run = run.saturating_add(1),
                    _ => self.replies.expect(Expected::Quiet(1)),
                }
                return false;
            }
            Reply::QuitQuietly => {
                self.closed = true;
                return false;
            }
            Reply::Quit => {
                self.closed = true;
                Expected::One(header.opcode)
            }
            Reply::One | Reply::Noop => Expected::One(header.opcode),
            Reply::Statistics => Expected::Statistics(header.opcode),
        };
        let marked = reply != Reply::Noop && self.mark();
        self.replies.expect(expected);
        marked
    }

    /// Closes a run of quiet requests, where one is open.
    fn mark(&mut self) -> bool {
        let open = matches!(self.replies.last(), Some(Expected::Quiet(_)));
        if open {
            self.replies.expect(Expected::Mark);
        }
        open
    }

    fn on_reply(&mut self, data: &[u8]) -> Result<Op, &'static str> {
        const TO_NOTHING: &str = "reply to no request";
        if self.replies.current().is_none() {
            return Err(TO_NOTHING);
        }
        let Some(header) = Header::read(data) else { return wait(data, HEADER, REPLY) };
        header.check(REPLY)?;
        if header.opcode == NOOP && matches!(self.replies.current(), Some(Expected::Quiet(_))) {
            self.replies.complete();
        }
        let ends = match self.replies.current().ok_or(TO_NOTHING)? {
            Expected::One(opcode) if *opcode == header.opcode => true,
            Expected::Statistics(opcode) if *opcode == header.opcode => {
                header.key == 0 || header.status != 0
            }
            Expected::Mark if header.opcode == NOOP => {
                self.replies.complete();
                return Ok(Op::drop(header.frame()));
            }
            Expected::Quiet(0) => return Err("more replies than quiet requests"),
            Expected::Quiet(run) => {
                *run = run.saturating_sub(1);
                false
            }
            _ => return Err("a reply that the request cannot have"),
        };
        if ends {
            self.replies.complete();
        }
        Ok(Op::pass(header.frame()))
    }
}

/// Asks for what is missing of `needed` bytes; a wrong magic is wrong at once.
fn wait(data: &[u8], needed: usize, magic: u8) -> Result<Op, &'static str> {
    if data.first() != Some(&magic) {
        return Err("a frame with another magic than its side's");
    }
    let missing = needed.saturating_sub(data.len());
    let missing = u64::try_from(missing).ok().and_then(std::num::NonZeroU64::new);
    Ok(missing.map_or(Op::MORE, Op::More))
}
