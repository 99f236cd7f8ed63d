//! What can end a connection, by whose doing it is, and what follows: one
//! table for the wire, the access log and whoever counts.

use std::{io, net::SocketAddr};

use remora_parsers::{Blame, Fault};
use remora_policy::Decision;

use crate::access_log::Outcome;

/// Why a connection ended before its peers ended it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    // The client's doing.
    /// Somebody spoke to the proxy's own port.
    #[error("the connection was made to the proxy itself, not redirected to it")]
    NotRedirected,
    /// Following it would make the proxy talk to itself.
    #[error("the original destination is the proxy itself")]
    Loop,
    /// Following it would lend out the pod's identity.
    #[error("the original destination is no address of this pod")]
    Foreign,
    #[error("the client's connection broke: {0}")]
    ClientGone(io::Error),

    // The server's doing.
    #[error("the app does not accept the connection: {0}")]
    Unreachable(io::Error),
    #[error("the app's connection broke: {0}")]
    ServerGone(io::Error),
    #[error("the app ended the connection while requests were waiting")]
    Unanswered,

    // Either's doing: bytes were forwarded unseen.
    #[error("the connection broke: {0}")]
    Cut(io::Error),

    /// The stream is not its protocol; the fault says whose doing that is.
    #[error("{0}")]
    Protocol(Fault),

    // Policy's doing.
    #[error("{}", .0.reason)]
    Denied(Decision),
    #[error("policy has changed: {}", .0.reason)]
    Revoked(Decision),
    /// Requests in mid-stream cannot be told apart any more.
    #[error("policy has changed: requests are judged now, the connection has to be made anew")]
    Refiltered,

    // The installation's doing.
    #[error("the original destination cannot be told: {0}; is the pod's redirection in place?")]
    NoDestination(io::Error),

    // Ours.
    #[error("Panic: {0}")]
    Panic(String),
    #[error("the sidecar stopped")]
    Stopped,
}

/// What the peers get to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// A reset of both connections; nothing more is delivered.
    Reset,
    /// What was decided before the error is delivered, then both end.
    Deliver,
}

/// What follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Consequence {
    /// On the wire.
    pub(crate) close: Close,
    /// In the access log.
    pub(crate) outcome: Outcome,
    /// A stable name, which begins with whose doing it is.
    pub(crate) label: &'static str,
}

impl Error {
    /// The table.
    pub(crate) fn consequence(&self) -> Consequence {
        use Close::{Deliver, Reset};
        use Outcome::{Dropped, Error};
        let (close, outcome, label) = match self {
            Self::NotRedirected => (Reset, Dropped, "client-not-redirected"),
            Self::Loop => (Reset, Dropped, "client-loop"),
            Self::Foreign => (Reset, Dropped, "client-foreign-destination"),
            Self::ClientGone(_) => (Reset, Error, "client-gone"),
            Self::Unreachable(_) => (Reset, Error, "server-unreachable"),
            Self::ServerGone(_) => (Deliver, Error, "server-gone"),
            Self::Unanswered => (Deliver, Error, "server-unanswered"),
            Self::Cut(_) => (Reset, Error, "peer-gone"),
            Self::Protocol(fault) => match fault.blame {
                Blame::Client => (Deliver, Error, "client-protocol"),
                Blame::Server => (Deliver, Error, "server-protocol"),
                Blame::Parser => (Deliver, Error, "internal-parser"),
            },
            Self::Denied(_) => (Reset, Dropped, "policy-denied"),
            Self::Revoked(_) | Self::Refiltered => (Reset, Dropped, "policy-changed"),
            Self::NoDestination(_) => (Reset, Error, "config-redirection"),
            Self::Panic(_) => (Reset, Error, "internal-panic"),
            Self::Stopped => (Reset, Error, "internal-stopped"),
        };
        Consequence { close, outcome, label }
    }

    /// The rule that decided, where one did.
    pub(crate) fn rule(&self) -> Option<&str> {
        match self {
            Self::Denied(decision) | Self::Revoked(decision) => decision.rule.as_deref(),
            _ => None,
        }
    }

    /// A broken connection to the client or to the app.
    pub(crate) fn gone(speaker: Blame, error: io::Error) -> Self {
        match speaker {
            Blame::Server => Self::ServerGone(error),
            Blame::Client | Blame::Parser => Self::ClientGone(error),
        }
    }
}

/// Why a sidecar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken or may not be opened.
    #[error("cannot listen for {what} on {address}: {error}; is another sidecar running here?")]
    Listen {
        /// What would have come in there.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// There can be no thread for the access log.
    #[error("cannot start the access log's thread: {0}")]
    AccessLog(io::Error),
}

#[cfg(test)]
mod tests;
