//! Parsers that are wrong on purpose, each in the one thing that a row of the
//! threats is about. The test must notice every one of them.

use std::{collections::VecDeque, str::FromStr};

use remora_parsers::{Direction, Fault, Field, Judge, Op, Parser, Request, Value, Verdict, Words};

/// The one thing that a mutant gets wrong, by the row that says what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slip {
    /// Row 30: a lone LF is a letter like any other.
    LineFeed,
    /// Row 31: a key may have any length.
    LongKey,
    /// Row 32: flags and expiry are not looked at.
    Numbers,
    /// Row 33: tabs separate words.
    Tabs,
    /// Row 34: every byte from 0x80 on begins the binary protocol.
    Magic,
    /// Row 35: an opcode that is not known is passed by its length.
    UnknownOpcode,
    /// Row 36: any last word stands for `noreply`.
    LastWord,
    /// Row 37: a reply ends where `END` is found.
    EndInValue,
    /// Row 38: flags of a meta command change nothing.
    MetaFlags,
}

pub(crate) const SLIPS: [Slip; 9] = [
    Slip::LineFeed,
    Slip::LongKey,
    Slip::Numbers,
    Slip::Tabs,
    Slip::Magic,
    Slip::UnknownOpcode,
    Slip::LastWord,
    Slip::EndInValue,
    Slip::MetaFlags,
];

impl Slip {
    /// Whether it passes headers that servers reject. The harm lies in what
    /// they do with the value behind one.
    pub(crate) fn is_about_rejected_headers(self) -> bool {
        matches!(self, Self::LongKey | Self::Numbers)
    }
}

/// Follows requests by lines and lengths, and replies where the slip is there.
pub(crate) struct Mutant {
    slip: Slip,
    binary: Option<bool>,
    answers: VecDeque<Answer>,
}

/// How the server's reply ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Line,
    Values,
    None,
}

impl Mutant {
    pub(crate) const fn new(slip: Slip) -> Self {
        Self { slip, binary: None, answers: VecDeque::new() }
    }
}

impl Parser for Mutant {
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        _end: bool,
        judge: &mut dyn Judge,
    ) -> Op {
        let Some(first) = data.first() else { return Op::Nop };
        if direction == Direction::Reply {
            return self.reply(data);
        }
        let magic = if self.slip == Slip::Magic { 0x80..=0xff } else { 0x80..=0x80 };
        if *self.binary.get_or_insert(magic.contains(first)) {
            return match self.slip {
                Slip::Magic | Slip::UnknownOpcode => self.frame(data, judge),
                _ => Op::Error(Fault::client("the binary protocol is not spoken")),
            };
        }
        let Some(end) = self.line_end(data) else { return Op::MORE };
        let Some((words, value, answer)) = self.read(&data[..end]) else {
            return Op::Error(Fault::client("malformed"));
        };
        let length = end as u64 + 1 + value;
        match judge_words(&words, judge) {
            Verdict::Allow => {
                self.answers.extend(Some(answer).filter(|answer| *answer != Answer::None));
                Op::pass(length)
            }
            Verdict::Deny => Op::drop(length),
        }
    }
}

impl Mutant {
    fn line_end(&self, data: &[u8]) -> Option<usize> {
        if self.slip == Slip::LineFeed {
            return data.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 1);
        }
        data.iter().position(|byte| *byte == b'\n')
    }

    /// The words of a line, the length of what follows it, and its reply. All
    /// is checked but the one thing.
    fn read<'a>(&self, line: &'a [u8]) -> Option<(Vec<&'a [u8]>, u64, Answer)> {
        let line = line.strip_suffix(b"\r")?;
        let (tabs, feeds) = (self.slip == Slip::Tabs, self.slip == Slip::LineFeed);
        let odd = |byte: &u8| {
            byte.is_ascii_control() && !(*byte == b'\t' && tabs) && !(*byte == b'\n' && feeds)
        };
        if line.iter().any(odd) {
            return None;
        }
        let words: Vec<_> = line.split(|byte| *byte == b' ' || (*byte == b'\t' && tabs)).collect();
        let long = |word: &&[u8]| word.len() > 250 && self.slip != Slip::LongKey;
        if words.iter().any(|word| word.is_empty() || long(word)) {
            return None;
        }
        let (value, rest, answer) = match words.as_slice() {
            [b"set" | b"add" | b"replace", _key, flags, expiry, length, rest @ ..] => {
                if self.slip != Slip::Numbers {
                    let _: (u32, i32) = (number(flags)?, number(expiry)?);
                }
                (number::<u64>(length)? + 2, rest, Answer::Line)
            }
            [b"get" | b"gets", _, ..] => (0, &[][..], Answer::Values),
            [b"delete", _, rest @ ..] | [b"incr" | b"decr", _, _, rest @ ..] => {
                (0, rest, Answer::Line)
            }
            [b"version" | b"quit"] => (0, &[][..], Answer::Line),
            [b"mg", _, ..] if self.slip == Slip::MetaFlags => (0, &[][..], Answer::Line),
            _ => return None,
        };
        let answer = match rest {
            [] => answer,
            [b"noreply"] => Answer::None,
            [_] if self.slip == Slip::LastWord => Answer::None,
            // What the server sees behind its own length is left to it.
            _ if tabs => Answer::None,
            _ => return None,
        };
        Some((words, value, answer))
    }

    /// A frame, by its lengths.
    fn frame(&self, data: &[u8], judge: &mut dyn Judge) -> Op {
        let [magic, opcode, k1, k0, extras, data_type, v1, v0, b3, b2, b1, b0, ..] = *data else {
            return Op::MORE;
        };
        let lowest = if self.slip == Slip::Magic { 0x80 } else { magic };
        let key = usize::from(u16::from_be_bytes([k1, k0]));
        let body = u32::from_be_bytes([b3, b2, b1, b0]);
        let head = usize::from(extras) + key;
        if magic < lowest || (data_type, v1, v0) != (0, 0, 0) || head > body as usize {
            return Op::Error(Fault::client("malformed"));
        }
        let Some(head) = data.get(24..24 + head) else { return Op::MORE };
        let name: &[u8] = match (opcode, extras, key) {
            (0x00 | 0x0c, 0, 1..=250) if body as usize == key => b"get",
            (0x01, 8, 1..=250) => b"set",
            (0x1b | 0x1f | 0x25.., ..) if self.slip == Slip::UnknownOpcode => {
                return Op::pass(24 + u64::from(body));
            }
            _ => return Op::Error(Fault::client("malformed")),
        };
        match judge_words(&[name, &head[usize::from(extras)..]], judge) {
            Verdict::Allow => Op::pass(24 + u64::from(body)),
            Verdict::Deny => Op::drop(24 + u64::from(body)),
        }
    }

    fn reply(&mut self, data: &[u8]) -> Op {
        if !matches!(self.slip, Slip::LastWord | Slip::EndInValue) {
            return Op::pass(data.len() as u64);
        }
        let Some(answer) = self.answers.front().copied() else {
            return Op::Error(Fault::server("reply to no request"));
        };
        let Some(line) = find(data, b"\r\n") else { return Op::MORE };
        let error = data.starts_with(b"ERROR") || data.starts_with(b"CLIENT_ERROR");
        let mut length = line + 2;
        if answer == Answer::Values && !error {
            if self.slip == Slip::EndInValue {
                let Some(end) = find(data, b"END\r\n") else { return Op::MORE };
                length = end + 5;
            } else if data.starts_with(b"VALUE ") {
                let words: Vec<_> = data[..line].split(|byte| *byte == b' ').collect();
                let value: usize = number(words[3]).unwrap_or_default();
                return Op::pass((length + value + 2) as u64);
            }
        }
        self.answers.pop_front();
        Op::pass(length as u64)
    }
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|window| window == what)
}

fn number<N: FromStr>(word: &[u8]) -> Option<N> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn judge_words(words: &[&[u8]], judge: &mut dyn Judge) -> Verdict {
    let Some((name, arguments)) = words.split_first() else { return Verdict::Deny };
    let name: &[u8] = if *name == b"mg" { b"get" } else { name };
    let command = Field { name: "command", value: Value::One(name) };
    let protocol = Field { name: "protocol", value: Value::One(b"text") };
    match (name, arguments.first()) {
        (b"get" | b"gets", Some(_)) if words[0] != b"mg" => {
            let keys = arguments.join(&b' ');
            let keys = Field { name: "key", value: Value::Words(Words::new(&keys)) };
            judge.judge(&Request::new(&[command, keys, protocol]))
        }
        (b"version" | b"quit", _) | (_, None) => judge.judge(&Request::new(&[command, protocol])),
        (_, Some(key)) => {
            let key = Field { name: "key", value: Value::One(key) };
            judge.judge(&Request::new(&[command, key, protocol]))
        }
    }
}
