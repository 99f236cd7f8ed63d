//! How a connection is spoken: plain envelopes, and behind v5's `STARTUP`
//! segments.

use super::{connection::Connection, segment::Segments};
use crate::{
    codec::Coded,
    contract::{Direction, Judge, Op, Parser},
};

/// One connection, of which nothing may have been seen yet.
pub(super) enum CassandraParser {
    Plain(Box<Connection>),
    Segmented(Box<Coded<Segments>>),
}

impl Default for CassandraParser {
    fn default() -> Self {
        Self::Plain(Box::default())
    }
}

impl Parser for CassandraParser {
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        end: bool,
        judge: &mut dyn Judge,
    ) -> Op {
        match self {
            Self::Plain(connection) => {
                let op = connection.on_data(direction, data, end, judge);
                if connection.is_segmented() {
                    // The op is that of the reply to STARTUP, the last envelope
                    // without a segment.
                    let connection = std::mem::take(connection);
                    *self = Self::Segmented(Box::new(Coded::new(Segments::default(), connection)));
                }
                op
            }
            Self::Segmented(coded) => coded.on_data(direction, data, end, judge),
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Segmented(coded) => coded.held(),
        }
    }

    fn is_idle(&self) -> bool {
        match self {
            Self::Plain(connection) => connection.is_idle(),
            Self::Segmented(coded) => coded.is_idle(),
        }
    }
}
