//! The vocabulary between parser and driver.

use std::{borrow::Cow, fmt, num::NonZeroU64};

use super::request::Judge;

/// One of a connection's two byte streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Reply,
}

impl Direction {
    /// The stream the other way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Request => Self::Reply,
            Self::Reply => Self::Request,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Reply => "reply",
        })
    }
}

/// What a parser wants done next. Lengths are in bytes and never zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Forward so many bytes from the head of this direction. More than are
    /// buffered is fine: the rest follows without being shown.
    Pass(NonZeroU64),
    /// Discard so many bytes, likewise.
    Drop(NonZeroU64),
    /// Nothing can be said before so many bytes beyond those shown are there.
    /// Ends the round: nothing follows a MORE until bytes or the end arrive.
    More(NonZeroU64),
    /// Write bytes into either direction, at the place it has reached.
    Inject {
        /// Which stream gets them: `Reply` reaches the client.
        into: Direction,
        /// The bytes; never empty.
        data: Cow<'static, [u8]>,
    },
    /// The stream is not the protocol: close the connection. Final.
    Error(Fault),
    /// Nothing to say now. Bytes that are held are shown again once the other
    /// direction has moved or more have come: this is how a parser pushes back.
    Nop,
}

impl Op {
    /// PASS of `n` bytes; zero is a fault of the parser and says so.
    #[must_use]
    pub fn pass(n: u64) -> Self {
        NonZeroU64::new(n).map_or_else(|| Self::zero("PASS"), Self::Pass)
    }

    /// DROP of `n` bytes; zero is a fault of the parser and says so.
    #[must_use]
    pub fn drop(n: u64) -> Self {
        NonZeroU64::new(n).map_or_else(|| Self::zero("DROP"), Self::Drop)
    }

    /// MORE, by the least amount that can help.
    pub const MORE: Self = Self::More(NonZeroU64::MIN);

    fn zero(op: &str) -> Self {
        Self::Error(Fault::parser(format!("{op} of no bytes")))
    }
}

/// Whose doing an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client sent what is not the protocol's canonical form.
    Client,
    /// The server did.
    Server,
    /// The parser broke the contract: a bug of ours.
    Parser,
}

impl Blame {
    /// Who speaks in a direction.
    #[must_use]
    pub const fn speaker(direction: Direction) -> Self {
        match direction {
            Direction::Request => Self::Client,
            Direction::Reply => Self::Server,
        }
    }
}

/// Why a connection has to be closed. Never holds bytes of the peers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Fault {
    /// Whose doing it is.
    pub blame: Blame,
    /// What was wrong, for the access log.
    pub reason: Cow<'static, str>,
}

impl Fault {
    /// The client's fault.
    #[must_use]
    pub fn client(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { blame: Blame::Client, reason: reason.into() }
    }

    /// The server's fault.
    #[must_use]
    pub fn server(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { blame: Blame::Server, reason: reason.into() }
    }

    /// Our own fault: a law of the contract was broken.
    #[must_use]
    pub fn parser(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { blame: Blame::Parser, reason: reason.into() }
    }
}

/// A protocol's state machine for one connection.
///
/// The [`Driver`](super::Driver) calls it again after every op until it answers
/// MORE, NOP or ERROR. `data` always starts where the last op of that direction
/// left off and may be empty. A parser remembers how far it has looked, so that
/// no byte is scanned twice.
pub trait Parser: Send {
    /// What to do with the bytes at the head of `direction`.
    ///
    /// `end` says that nothing follows `data`. A request is put to `judge`
    /// once, when it is understood and before any of it is passed.
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        end: bool,
        judge: &mut dyn Judge,
    ) -> Op;

    /// Bytes of the peers that the parser itself keeps, beside those that the
    /// driver holds for it.
    fn held(&self) -> usize {
        0
    }

    /// Whether every request so far has had its whole reply, so that nobody
    /// would miss anything if the connection ended before the next. A parser
    /// that cannot tell says no.
    fn is_idle(&self) -> bool {
        false
    }
}
