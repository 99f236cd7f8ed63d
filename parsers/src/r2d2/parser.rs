//! The state machine of one R2-D2 connection.

use super::{DENIED, MAX_LINE_BYTES, MAX_OUTSTANDING};
use crate::{
    contract::{Direction, Fault, Field, Judge, Op, Parser, Request, Value, Verdict},
    line::{Line, LineScanner},
    reply_queue::ReplyQueue,
};

pub(super) struct R2d2Parser {
    request_line: LineScanner,
    reply_line: LineScanner,
    /// Of the server's replies nothing is known but that they come.
    replies: ReplyQueue<()>,
}

impl R2d2Parser {
    pub(super) fn new() -> Self {
        Self {
            request_line: LineScanner::default(),
            reply_line: LineScanner::default(),
            replies: ReplyQueue::new(MAX_OUTSTANDING),
        }
    }
}

impl Parser for R2d2Parser {
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
            Direction::Request => self.request(data, judge),
            Direction::Reply => self.reply(data),
        }
    }

    fn is_idle(&self) -> bool {
        self.replies.is_empty()
    }
}

impl R2d2Parser {
    fn request(&mut self, data: &[u8], judge: &mut dyn Judge) -> Op {
        if self.replies.is_full() {
            return Op::Nop;
        }
        let (text, length) = match self.request_line.scan(data, MAX_LINE_BYTES) {
            Line::Whole { text, length } => (text, length),
            Line::Partial => return Op::MORE,
            Line::Malformed(why) => return Op::Error(Fault::client(why)),
        };
        let (cmd, file) = match read(text) {
            Ok(request) => request,
            Err(why) => return Op::Error(Fault::client(why)),
        };
        let cmd = Field { name: "cmd", value: Value::One(cmd) };
        let verdict = match file {
            Some(file) => {
                let fields = [cmd, Field { name: "file", value: Value::One(file) }];
                judge.judge(&Request::new(&fields))
            }
            None => judge.judge(&Request::new(&[cmd])),
        };
        match verdict {
            Verdict::Allow => {
                self.replies.expect(());
                Op::pass(length)
            }
            Verdict::Deny => {
                self.replies.deny(DENIED);
                Op::drop(length)
            }
        }
    }

    fn reply(&mut self, data: &[u8]) -> Op {
        if self.replies.current().is_none() {
            return Op::Error(Fault::server("reply to no request"));
        }
        match self.reply_line.scan(data, MAX_LINE_BYTES) {
            Line::Whole { length, .. } => {
                self.replies.complete();
                Op::pass(length)
            }
            Line::Partial => Op::MORE,
            Line::Malformed(why) => Op::Error(Fault::server(why)),
        }
    }
}

/// Command and file of a request line.
fn read(text: &[u8]) -> Result<(&[u8], Option<&[u8]>), &'static str> {
    let mut words = text.split(|byte| *byte == b' ');
    match (words.next(), words.next(), words.next()) {
        (Some(cmd @ (b"READ" | b"WRITE")), Some(file), None) => {
            check_file(file)?;
            Ok((cmd, Some(file)))
        }
        (Some(b"READ" | b"WRITE"), _, _) => Err("READ and WRITE take one file"),
        (Some(cmd @ (b"HALT" | b"RESET")), None, _) => Ok((cmd, None)),
        (Some(b"HALT" | b"RESET"), _, _) => Err("HALT and RESET take nothing"),
        _ => Err("unknown command"),
    }
}

/// A file's name says one thing only: no walk up the tree, no white space.
fn check_file(file: &[u8]) -> Result<(), &'static str> {
    let name = std::str::from_utf8(file).map_err(|_| "a file's name is UTF-8")?;
    if name.is_empty() || name.contains(char::is_whitespace) || name.contains(char::is_control) {
        return Err("a file's name is one word");
    }
    if name.split('/').any(|part| part == "..") {
        return Err("a file's name does not climb");
    }
    Ok(())
}
