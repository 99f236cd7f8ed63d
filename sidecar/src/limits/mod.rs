//! What peers may cost: how long they may take, how many they may be, how much
//! may be held for them. Every number has its name, its unit, its range and
//! its default here; `docs/limits.md` has the same table, held to it by a test.

mod commons;
pub(crate) mod deadline;
mod descriptors;
mod ledger;
mod memory;
mod quantum;

#[cfg(test)]
pub(crate) use self::ledger::CONNECTION_BYTES;
use std::{ops::RangeInclusive, time::Duration};

pub use self::quantum::{MOVED_QUANTUM, REPLY_QUANTUM, REQUEST_QUANTUM};
pub(crate) use self::{
    commons::Commons,
    descriptors::Descriptors,
    ledger::{Full, Ledger, Room, Ticket},
    memory::Memory,
    quantum::Quantum,
};

/// One number that an installation, or within its bounds a pod, may choose.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The variable that sets it.
    pub variable: &'static str,
    /// What can be asked for, in the variable's unit.
    pub range: (u64, u64),
    /// What holds where nothing is asked for.
    pub default: u64,
}

impl Limit {
    /// The range, as a reader takes it.
    pub(crate) fn bounds(&self) -> RangeInclusive<u64> {
        self.range.0..=self.range.1
    }
}

/// From the connection to the client's first byte, where requests are judged;
/// in seconds.
pub const FIRST_BYTE: Limit =
    Limit { variable: "REMORA_FIRST_BYTE_SECONDS", range: (1, 3600), default: 10 };

/// From the first byte of what must be held as a whole, a line or a frame's
/// head, to its last; in seconds.
pub const FRAME: Limit = Limit { variable: "REMORA_FRAME_SECONDS", range: (1, 3600), default: 10 };

/// Without a byte in either direction; in seconds.
pub const IDLE: Limit =
    Limit { variable: "REMORA_IDLE_SECONDS", range: (1, 604_800), default: 3600 };

/// What was sent and is neither acknowledged nor taken from a closed window;
/// in seconds (`TCP_USER_TIMEOUT`).
pub const PEER: Limit = Limit { variable: "REMORA_PEER_SECONDS", range: (1, 3600), default: 30 };

/// Connections at a time; fewer where there are fewer file descriptors.
pub const CONNECTIONS: Limit =
    Limit { variable: "REMORA_MAX_CONNECTIONS", range: (1, 1_000_000), default: 10_000 };

/// Connections at a time from one address.
pub const PER_SOURCE: Limit =
    Limit { variable: "REMORA_MAX_CONNECTIONS_PER_SOURCE", range: (1, 1_000_000), default: 5_000 };

/// Bytes that are held for all connections together; less where the
/// container's memory is less.
pub const HELD: Limit =
    Limit { variable: "REMORA_MAX_HELD_BYTES", range: (1 << 20, 64 << 30), default: 256 << 20 };

/// Requests of one connection that are denied within a second.
pub const DENIALS: Limit =
    Limit { variable: "REMORA_MAX_DENIALS_PER_SECOND", range: (1, 10_000_000), default: 10_000 };

/// All of them.
pub const LIMITS: [&Limit; 8] =
    [&FIRST_BYTE, &FRAME, &IDLE, &PEER, &CONNECTIONS, &PER_SOURCE, &HELD, &DENIALS];

/// The limits of one sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// [`FIRST_BYTE`]
    pub first_byte: Duration,
    /// [`FRAME`]
    pub frame: Duration,
    /// [`IDLE`]
    pub idle: Duration,
    /// [`PEER`]
    pub peer: Duration,
    /// [`CONNECTIONS`]
    pub connections: usize,
    /// [`PER_SOURCE`]
    pub per_source: usize,
    /// [`HELD`]
    pub held: usize,
    /// [`DENIALS`]
    pub denials: u64,
}

impl Limits {
    /// What each limit's value is told by `value`.
    pub(crate) fn read(mut value: impl FnMut(&Limit) -> u64) -> Self {
        let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            first_byte: Duration::from_secs(value(&FIRST_BYTE)),
            frame: Duration::from_secs(value(&FRAME)),
            idle: Duration::from_secs(value(&IDLE)),
            peer: Duration::from_secs(value(&PEER)),
            connections: count(value(&CONNECTIONS)),
            per_source: count(value(&PER_SOURCE)),
            held: count(value(&HELD)),
            denials: value(&DENIALS),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::read(|limit| limit.default)
    }
}
