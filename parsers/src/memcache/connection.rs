//! Which of the two protocols a connection speaks: its first byte says so, once.

use super::{binary::BinaryParser, text::TextParser};
use crate::contract::{Direction, Fault, Judge, Op, Parser};

/// The magic of a binary request. The server takes any other byte, 0x81 to
/// 0xff too, for text.
const BINARY: u8 = 0x80;

/// One connection, of which nothing may have been seen yet.
pub(super) enum MemcacheParser {
    Undecided,
    Text(Box<TextParser>),
    Binary(Box<BinaryParser>),
}

impl Parser for MemcacheParser {
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        end: bool,
        judge: &mut dyn Judge,
    ) -> Op {
        if let Self::Undecided = self {
            match (direction, data.first()) {
                (_, None) => return Op::Nop,
                (Direction::Reply, _) => return Op::Error(Fault::server("reply to no request")),
                (Direction::Request, Some(&BINARY)) => *self = Self::Binary(Box::default()),
                (Direction::Request, Some(b'a'..=b'z')) => *self = Self::Text(Box::default()),
                (Direction::Request, _) => {
                    return Op::Error(Fault::client("the first byte is no protocol's"));
                }
            }
        }
        match self {
            Self::Undecided => Op::Nop,
            Self::Text(parser) => parser.on_data(direction, data, end, judge),
            Self::Binary(parser) => parser.on_data(direction, data, end, judge),
        }
    }

    fn is_idle(&self) -> bool {
        match self {
            Self::Undecided => true,
            Self::Text(parser) => parser.is_idle(),
            Self::Binary(parser) => parser.is_idle(),
        }
    }
}
