//! A toy protocol: a request is a word on a line, and so is a reply. A denied
//! request is answered `denied` in reply order; `magic` makes the parser panic.

use remora_parsers::{
    Direction, Fault, Field, Judge, KeyKind, Op, Parser, Protocol, Registry, Request, RuleKey,
    Value, Verdict,
};

pub(crate) const REGISTRY: Registry = Registry::new(&PROTOCOLS);

static PROTOCOLS: [&Protocol; 1] = [&LINE];

static LINE: Protocol = Protocol {
    name: "line",
    keys: &[RuleKey { name: "word", field: "word", kind: KeyKind::Exact }],
    check: |_| Ok(()),
    parser: || Box::new(Line::default()),
};

#[derive(Default)]
struct Line {
    /// Requests that the server has still to answer.
    unanswered: usize,
    denial: Denial,
}

#[derive(Default, PartialEq)]
enum Denial {
    #[default]
    None,
    /// Waits for the replies before it.
    Due,
    Sent,
}

fn length(data: &[u8]) -> Option<u64> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    u64::try_from(end + 1).ok()
}

impl Line {
    fn request(&mut self, data: &[u8], judge: &mut dyn Judge) -> Op {
        let Some(length) = length(data) else { return Op::MORE };
        if self.denial == Denial::None {
            let word = data.split(|byte| *byte == b'\n').next().unwrap();
            match word {
                b"magic" => panic!("the magic word"),
                b"garbage" => return Op::Error(Fault::client("garbage is no word")),
                _ => {}
            }
            let fields = [Field { name: "word", value: Value::One(word) }];
            match judge.judge(&Request::new(&fields)) {
                Verdict::Allow => {
                    self.unanswered += 1;
                    return Op::pass(length);
                }
                Verdict::Deny => self.denial = Denial::Due,
            }
        }
        if self.denial == Denial::Sent {
            self.denial = Denial::None;
            return Op::drop(length);
        }
        if self.unanswered > 0 {
            return Op::Nop;
        }
        self.denial = Denial::Sent;
        Op::Inject { into: Direction::Reply, data: b"denied\n".as_slice().into() }
    }

    fn reply(&mut self, data: &[u8]) -> Op {
        if data.is_empty() {
            return Op::MORE;
        }
        if self.unanswered == 0 {
            return Op::Error(Fault::server("a reply to nothing"));
        }
        let Some(length) = length(data) else { return Op::MORE };
        self.unanswered -= 1;
        Op::pass(length)
    }
}

impl Parser for Line {
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        _end: bool,
        judge: &mut dyn Judge,
    ) -> Op {
        match direction {
            Direction::Request => self.request(data, judge),
            Direction::Reply => self.reply(data),
        }
    }

    fn is_idle(&self) -> bool {
        self.unanswered == 0 && self.denial == Denial::None
    }
}
