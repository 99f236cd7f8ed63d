//! The names that ends of connections go by, and what follows from each: one
//! table for the wire, the access log and the metrics.

use crate::access_log::Outcome;

/// What the peers get to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// A reset of both connections; nothing more is delivered.
    Reset,
    /// What was decided before the end is delivered, then both end.
    Deliver,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// Its peers have ended it.
    Ended,
    NotRedirected,
    Loop,
    Foreign,
    ClientGone,
    ClientProtocol,
    Slow,
    Idle,
    Flood,
    Connections,
    Source,
    Memory,
    Unreachable,
    ServerGone,
    ServerProtocol,
    Unanswered,
    Cut,
    Denied,
    Changed,
    Unknown,
    NoDestination,
    Parser,
    Panic,
    Stopped,
}

impl Label {
    /// All of them: the metrics have one series for each.
    pub(crate) const ALL: [Self; 24] = [
        Self::Ended,
        Self::NotRedirected,
        Self::Loop,
        Self::Foreign,
        Self::ClientGone,
        Self::ClientProtocol,
        Self::Slow,
        Self::Idle,
        Self::Flood,
        Self::Connections,
        Self::Source,
        Self::Memory,
        Self::Unreachable,
        Self::ServerGone,
        Self::ServerProtocol,
        Self::Unanswered,
        Self::Cut,
        Self::Denied,
        Self::Changed,
        Self::Unknown,
        Self::NoDestination,
        Self::Parser,
        Self::Panic,
        Self::Stopped,
    ];

    /// A stable name, which begins with whose doing it is.
    pub(crate) fn name(self) -> &'static str {
        self.row().2
    }

    /// On the wire.
    pub(crate) fn close(self) -> Close {
        self.row().0
    }

    /// In the access log.
    pub(crate) fn outcome(self) -> Outcome {
        self.row().1
    }

    /// The table.
    fn row(self) -> (Close, Outcome, &'static str) {
        use Close::{Deliver, Reset};
        use Outcome::{Dropped, Error, Forwarded};
        match self {
            Self::Ended => (Deliver, Forwarded, "ended"),
            Self::NotRedirected => (Reset, Dropped, "client-not-redirected"),
            Self::Loop => (Reset, Dropped, "client-loop"),
            Self::Foreign => (Reset, Dropped, "client-foreign-destination"),
            Self::ClientGone => (Reset, Error, "client-gone"),
            Self::ClientProtocol => (Deliver, Error, "client-protocol"),
            Self::Slow => (Deliver, Error, "client-slow"),
            Self::Idle => (Deliver, Error, "peer-idle"),
            Self::Flood => (Reset, Dropped, "client-flood"),
            Self::Connections => (Reset, Dropped, "limit-connections"),
            Self::Source => (Reset, Dropped, "limit-source"),
            Self::Memory => (Reset, Dropped, "limit-memory"),
            Self::Unreachable => (Reset, Error, "server-unreachable"),
            Self::ServerGone => (Deliver, Error, "server-gone"),
            Self::ServerProtocol => (Deliver, Error, "server-protocol"),
            Self::Unanswered => (Deliver, Error, "server-unanswered"),
            Self::Cut => (Reset, Error, "peer-gone"),
            Self::Denied => (Reset, Dropped, "policy-denied"),
            Self::Changed => (Reset, Dropped, "policy-changed"),
            Self::Unknown => (Reset, Dropped, "identity-unknown"),
            Self::NoDestination => (Reset, Error, "config-redirection"),
            Self::Parser => (Deliver, Error, "internal-parser"),
            Self::Panic => (Reset, Error, "internal-panic"),
            Self::Stopped => (Reset, Error, "internal-stopped"),
        }
    }
}
