//! The state machine of one connection that speaks the text protocol.
//!
//! ```text
//! request:  Line --command with a value--> Tail --CRLF--> Line
//!           Line --allowed quit--> Closed
//! reply:    Line --VALUE--> Tail --CRLF--> Line
//! ```

use super::{
    DENIED, MAX_GET_LINE_BYTES, MAX_LINE_BYTES, MAX_OUTSTANDING,
    command::{Command, Reply},
    reply::{Expected, ReplyLine},
};
use crate::{
    contract::{Direction, Fault, Field, Judge, Op, Parser, Request, Value, Verdict},
    line::{Line, LineScanner},
    reply_queue::ReplyQueue,
};

pub(super) struct TextParser {
    request: RequestState,
    request_line: LineScanner,
    reply: ReplyState,
    reply_line: LineScanner,
    replies: ReplyQueue<Expected>,
}

impl TextParser {
    pub(super) fn new() -> Self {
        Self {
            request: RequestState::default(),
            request_line: LineScanner::default(),
            reply: ReplyState::default(),
            reply_line: LineScanner::default(),
            replies: ReplyQueue::new(MAX_OUTSTANDING, DENIED),
        }
    }
}

#[derive(Default, Clone, Copy)]
enum RequestState {
    /// At the start of a line.
    #[default]
    Line,
    /// Behind a value: its CRLF goes the way that the request went.
    Tail(Verdict),
    /// Behind a `quit`.
    Closed,
}

#[derive(Default, Clone, Copy)]
enum ReplyState {
    #[default]
    Line,
    Tail,
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
}

impl TextParser {
    fn on_request(&mut self, data: &[u8], judge: &mut dyn Judge) -> Op {
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
            RequestState::Closed => Op::Error(Fault::client("a request after quit")),
        }
    }

    fn request_line(&mut self, data: &[u8], judge: &mut dyn Judge) -> Op {
        if self.replies.is_full() {
            return Op::Nop;
        }
        if !data.first().is_some_and(u8::is_ascii_lowercase) {
            return Op::Error(Fault::client("the first byte is not the text protocol's"));
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
        let verdict = judge_command(&command, judge);
        self.expect(&command, verdict);
        if command.value.is_some() {
            self.request = RequestState::Tail(verdict);
        }
        forward(verdict, length.saturating_add(command.value.unwrap_or(0)))
    }

    fn expect(&mut self, command: &Command<'_>, verdict: Verdict) {
        match (command.reply, verdict) {
            (Reply::Silent, _) => {}
            (_, Verdict::Deny) => self.replies.deny(),
            (Reply::Expected(reply), Verdict::Allow) => self.replies.expect(reply),
            (Reply::Close, Verdict::Allow) => self.request = RequestState::Closed,
        }
    }

    fn on_reply(&mut self, data: &[u8]) -> Op {
        match self.reply {
            ReplyState::Line => self.reply_line(data),
            ReplyState::Tail => match tail(data) {
                Tail::Whole(length) => {
                    self.reply = ReplyState::Line;
                    Op::pass(length)
                }
                Tail::Partial => Op::MORE,
                Tail::Wrong => Op::Error(Fault::server("a value longer than its length")),
            },
        }
    }

    fn reply_line(&mut self, data: &[u8]) -> Op {
        let Some(expected) = self.replies.current() else {
            return Op::Error(Fault::server("reply to no request"));
        };
        let (line, length) = match self.reply_line.scan(data, MAX_LINE_BYTES) {
            Line::Whole { text, length } => (text, length),
            Line::Partial => return Op::MORE,
            Line::Malformed(why) => return Op::Error(Fault::server(why)),
        };
        match expected.read(line) {
            Ok(ReplyLine::Last) => {
                self.replies.complete();
                Op::pass(length)
            }
            Ok(ReplyLine::Value(value)) => {
                self.reply = ReplyState::Tail;
                Op::pass(length.saturating_add(value))
            }
            Err(why) => Op::Error(Fault::server(why)),
        }
    }
}

fn judge_command(command: &Command<'_>, judge: &mut dyn Judge) -> Verdict {
    let name = Field { name: "command", value: Value::One(command.name) };
    if command.keys.is_empty() {
        return judge.judge(&Request { fields: &[name] });
    }
    let keys = Field { name: "key", value: Value::Words(command.keys()) };
    judge.judge(&Request { fields: &[name, keys] })
}

fn forward(verdict: Verdict, length: u64) -> Op {
    match verdict {
        Verdict::Allow => Op::pass(length),
        Verdict::Deny => Op::drop(length),
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
