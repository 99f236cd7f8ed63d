//! The state machine of one connection that speaks the text protocol.
//!
//! ```text
//! request:  Line --command with a value--> Tail --CRLF--> Line
//!           Line --allowed quit or watch--> Closed
//! reply:    Line --VALUE or VA--> Tail --CRLF--> Line
//!           Line --OK of a watch--> Stream
//! ```
//!
//! Of a quiet meta command nobody can tell whether it will be answered: that
//! depends on the item, and on the server's version. Before any request whose
//! place among the replies matters, a run of them is therefore closed with a
//! *mark*: a `mn` of our own, whose `MN` says that the run is over and does not
//! reach the client. A denial that waits behind the mark so keeps its turn.

use std::borrow::Cow;

use super::{
    super::{
        DENIED, MAX_GET_LINE_BYTES, MAX_LINE_BYTES, MAX_OUTSTANDING,
        question::{ask, forward},
    },
    command::{Command, Reply},
    reply::{Expected, ReplyLine},
};
use crate::{
    contract::{Direction, Fault, Judge, Op, Parser, Verdict},
    line::{Line, LineScanner},
    reply_queue::ReplyQueue,
};

/// What closes a run of quiet requests.
const MARK: &[u8] = b"mn\r\n";

pub(in super::super) struct TextParser {
    request: RequestState,
    request_line: LineScanner,
    /// What becomes of a request once the mark before it is written.
    behind_mark: Option<Op>,
    reply: ReplyState,
    reply_line: LineScanner,
    replies: ReplyQueue<Expected>,
}

impl Default for TextParser {
    fn default() -> Self {
        Self {
            request: RequestState::Line,
            request_line: LineScanner::default(),
            behind_mark: None,
            reply: ReplyState::Line,
            reply_line: LineScanner::default(),
            replies: ReplyQueue::new(MAX_OUTSTANDING),
        }
    }
}

#[derive(Clone, Copy)]
enum RequestState {
    /// At the start of a line.
    Line,
    /// Behind a value: its CRLF goes the way that the request went.
    Tail(Verdict),
    /// Behind a `quit` or `watch`.
    Closed,
}

#[derive(Clone, Copy)]
enum ReplyState {
    Line,
    /// Behind a value, which may be the last of its reply.
    Tail {
        last: bool,
    },
    Stream,
}

impl Parser for TextParser {
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
            Direction::Request => self.on_request(data, judge),
            Direction::Reply => self.on_reply(data),
        }
    }

    fn is_idle(&self) -> bool {
        self.replies.is_empty()
            && self.behind_mark.is_none()
            && matches!(self.request, RequestState::Line)
    }
}

impl TextParser {
    fn on_request(&mut self, data: &[u8], judge: &mut dyn Judge) -> Op {
        if let Some(op) = self.behind_mark.take() {
            return op;
        }
        match self.request {
            RequestState::Line => self.request_line(data, judge),
            RequestState::Tail(verdict) => match tail(data) {
                Tail::Whole(length) => {
                    self.request = RequestState::Line;
                    forward(verdict, length)
                }
                Tail::Partial => Op::MORE,
                Tail::Wrong => Op::Error(Fault::client("a value longer than its length")),
            },
            RequestState::Closed => Op::Error(Fault::client("a request after quit or watch")),
        }
    }

    fn request_line(&mut self, data: &[u8], judge: &mut dyn Judge) -> Op {
        if self.replies.is_full() {
            return Op::Nop;
        }
        let (line, length) = match self.request_line.scan(data, line_cap(data)) {
            Line::Whole { text, length } => (text, length),
            Line::Partial => return Op::MORE,
            Line::Malformed(why) => return Op::Error(Fault::client(why)),
        };
        let command = match Command::read(line) {
            Ok(command) => command,
            Err(why) => return Op::Error(Fault::client(why)),
        };
        let verdict = ask(judge, command.commands, &command.keys, command.dialect);
        if command.value.is_some() {
            self.request = RequestState::Tail(verdict);
        }
        let op = forward(verdict, length.saturating_add(command.value.unwrap_or(0)));
        if self.expect(command.reply, verdict) {
            self.behind_mark = Some(op);
            return Op::Inject { into: Direction::Request, data: Cow::Borrowed(MARK) };
        }
        op
    }

    /// Queues what the request will be answered with. Returns whether a mark
    /// has to go before it.
    fn expect(&mut self, reply: Reply, verdict: Verdict) -> bool {
        let expected = match (reply, verdict) {
            (Reply::Silent, _) => return false,
            (_, Verdict::Deny) => {
                let marked = self.mark();
                self.replies.deny(DENIED);
                return marked;
            }
            (Reply::Quiet, Verdict::Allow) => {
                match self.replies.last() {
                    Some(Expected::Quiet(run)) => *run = run.saturating_add(1),
                    _ => self.replies.expect(Expected::Quiet(1)),
                }
                return false;
            }
            (Reply::Close, Verdict::Allow) => {
                self.request = RequestState::Closed;
                return false;
            }
            (Reply::Stream, Verdict::Allow) => {
                self.request = RequestState::Closed;
                Expected::Stream
            }
            (Reply::Expected(expected), Verdict::Allow) => expected,
        };
        let marked = expected != Expected::Noop && self.mark();
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

    fn on_reply(&mut self, data: &[u8]) -> Op {
        match self.reply {
            ReplyState::Line => self.reply_line(data),
            ReplyState::Tail { last } => match tail(data) {
                Tail::Whole(length) => {
                    self.reply = ReplyState::Line;
                    if last {
                        self.complete();
                    }
                    Op::pass(length)
                }
                Tail::Partial => Op::MORE,
                Tail::Wrong => Op::Error(Fault::server("a value longer than its length")),
            },
            ReplyState::Stream => Op::pass(u64::try_from(data.len()).unwrap_or(u64::MAX)),
        }
    }

    fn reply_line(&mut self, data: &[u8]) -> Op {
        const TO_NOTHING: &str = "reply to no request";
        let Some(mut expected) = self.replies.current().copied() else {
            return Op::Error(Fault::server(TO_NOTHING));
        };
        let scanned = match expected {
            Expected::Dump(_) => self.reply_line.scan_loose(data, MAX_LINE_BYTES),
            _ => self.reply_line.scan(data, MAX_LINE_BYTES),
        };
        let (line, length) = match scanned {
            Line::Whole { text, length } => (text, length),
            Line::Partial => return Op::MORE,
            Line::Malformed(why) => return Op::Error(Fault::server(why)),
        };
        if matches!(expected, Expected::Quiet(_)) && line == b"MN" {
            self.replies.complete();
            match self.replies.current() {
                Some(behind) => expected = *behind,
                None => return Op::Error(Fault::server(TO_NOTHING)),
            }
        }
        match expected.read(line) {
            Ok(meaning) => self.follow(expected, &meaning, length),
            Err(why) => Op::Error(Fault::server(why)),
        }
    }

    /// Takes note of a line of `length` bytes, and passes it with its value.
    fn follow(&mut self, expected: Expected, meaning: &ReplyLine, length: u64) -> Op {
        if expected == Expected::Quiet(0) {
            return Op::Error(Fault::server("more replies than quiet requests"));
        }
        match meaning {
            ReplyLine::More => {}
            ReplyLine::Value(value) => {
                self.reply = ReplyState::Tail { last: false };
                return Op::pass(length.saturating_add(*value));
            }
            ReplyLine::LastValue(value) => {
                self.reply = ReplyState::Tail { last: true };
                return Op::pass(length.saturating_add(*value));
            }
            ReplyLine::Last => {
                self.complete();
                if expected == Expected::Mark {
                    return Op::drop(length);
                }
                if expected == Expected::Stream {
                    self.reply = ReplyState::Stream;
                }
            }
        }
        Op::pass(length)
    }

    /// The reply under way is complete; a run of quiet requests goes on.
    fn complete(&mut self) {
        if let Some(Expected::Quiet(run)) = self.replies.current() {
            *run = run.saturating_sub(1);
        } else {
            self.replies.complete();
        }
    }
}

/// Only retrievals may be long: the server cuts other lines.
fn line_cap(data: &[u8]) -> usize {
    if data.starts_with(b"get ") || data.starts_with(b"gets ") {
        MAX_GET_LINE_BYTES
    } else {
        MAX_LINE_BYTES
    }
}

enum Tail {
    Whole(u64),
    Partial,
    Wrong,
}

/// The CRLF behind a value.
fn tail(data: &[u8]) -> Tail {
    match data {
        [b'\r', b'\n', ..] => Tail::Whole(2),
        [b'\r'] => Tail::Partial,
        _ => Tail::Wrong,
    }
}
