//! Load generators: one thread, one epoll, as little work per request as can
//! be, because client and server share a core and what the client spends is
//! taken from both sides of every ratio.

mod bulk;
mod connection;
mod drive;
mod script;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

pub(crate) use bulk::{Direction, bulk};
pub(crate) use connection::{ask, hold, play};
pub(crate) use drive::drive;
pub(crate) use script::Script;

/// How long an answer may take before the load counts as stalled.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// When the next request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As soon as fewer than `depth` requests of a connection are unanswered.
    Closed { depth: u32 },
    /// Likewise one at a time, and each on a connection of its own.
    Reconnect,
    /// At this rate, whatever the answers do. Latency counts from the moment
    /// at which a request was due, not from when there was a connection free
    /// to send it: a stall costs every request that it delays.
    Fixed { per_second: u32 },
}

/// A load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// Connections are spread over these.
    pub(crate) addresses: &'a [SocketAddr],
    pub(crate) connections: usize,
    pub(crate) script: &'a Script,
    pub(crate) pace: Pace,
    pub(crate) window: Window,
}

/// How long is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Under load, before anything counts.
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What a load came to, in its window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Requests that were answered, or bytes.
    pub(crate) amount: u64,
    pub(crate) elapsed: Duration,
    /// What the meter counted meanwhile.
    pub(crate) cpu: Duration,
    /// Of a fixed rate, ascending.
    pub(crate) latencies: Vec<Duration>,
}

impl Outcome {
    /// Per second.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub(crate) fn rate(&self) -> f64 {
        self.amount as f64 / self.elapsed.as_secs_f64()
    }

    /// CPU time for each, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub(crate) fn microseconds_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.amount as f64
    }
}

/// Reads the CPU time that the proxy has used so far.
pub(crate) type Meter<'a> = &'a (dyn Fn() -> Result<Duration> + Sync);
