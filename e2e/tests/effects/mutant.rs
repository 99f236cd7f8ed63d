//! A parser that is wrong on purpose: it takes any white space for a separator.
//! Threats row 33 says what that costs.

use std::str::FromStr;

use remora_parsers::{Direction, Fault, Field, Judge, Op, Parser, Request, Value, Verdict, Words};

/// Follows requests by lines and lengths, and passes replies unseen.
pub(crate) struct SplitsOnTabs;

impl Parser for SplitsOnTabs {
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        _end: bool,
        judge: &mut dyn Judge,
    ) -> Op {
        if data.is_empty() {
            return Op::Nop;
        }
        if direction == Direction::Reply {
            return Op::pass(data.len() as u64);
        }
        let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return Op::MORE };
        let Some((words, value)) = read(&data[..end]) else {
            return Op::Error(Fault::client("malformed"));
        };
        let length = end as u64 + 1 + value;
        match judge_words(&words, judge) {
            Verdict::Allow => Op::pass(length),
            Verdict::Deny => Op::drop(length),
        }
    }
}

/// The words of a line, and the length of what follows it. All is checked but
/// the one thing: tabs pass for spaces.
fn read(line: &[u8]) -> Option<(Vec<&[u8]>, u64)> {
    let line = line.strip_suffix(b"\r")?;
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return None;
    }
    let words: Vec<_> =
        line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| word.len() > 250) {
        return None;
    }
    let value = match words.as_slice() {
        [b"set" | b"add" | b"replace", _key, flags, expiry, length, rest @ ..] => {
            let _: (u32, i32) = (number(flags)?, number(expiry)?);
            // A hasty reading: whatever comes behind the length is left to the server.
            let _ = rest;
            number::<u64>(length)? + 2
        }
        [b"get" | b"gets", _, ..]
        | [b"delete", _]
        | [b"delete", _, b"noreply"]
        | [b"incr" | b"decr", _, _]
        | [b"incr" | b"decr", _, _, b"noreply"]
        | [b"version" | b"quit"] => 0,
        _ => return None,
    };
    Some((words, value))
}

fn number<N: FromStr>(word: &[u8]) -> Option<N> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn judge_words(words: &[&[u8]], judge: &mut dyn Judge) -> Verdict {
    let Some((name, arguments)) = words.split_first() else { return Verdict::Deny };
    let command = Field { name: "command", value: Value::One(name) };
    match (*name, arguments.first()) {
        (b"get" | b"gets", Some(_)) => {
            let keys = arguments.join(&b' ');
            let keys = Field { name: "key", value: Value::Words(Words::new(&keys)) };
            judge.judge(&Request { fields: &[command, keys] })
        }
        (b"version" | b"quit", _) | (_, None) => judge.judge(&Request { fields: &[command] }),
        (_, Some(key)) => {
            let key = Field { name: "key", value: Value::One(key) };
            judge.judge(&Request { fields: &[command, key] })
        }
    }
}
