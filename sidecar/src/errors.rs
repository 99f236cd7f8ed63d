//! What can end a connection, by whose doing it is, and what follows: one
//! table for the wire, the access log and whoever counts.

mod label;

use std::{fmt, io, net::SocketAddr, time::Duration};

use remora_parsers::{Blame, Fault};
use remora_policy::Decision;
use rustix::io::Errno;

use crate::{
    limits::{Full, deadline::Late},
    relay::Broken,
};

pub(crate) use self::label::{Close, Label};

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
    /// It holds a place and does nothing with it.
    #[error("{0}")]
    Late(Late),
    #[error("more than {0} requests of this connection were denied within a second")]
    Flood(u64),
    /// Too much is asked of this sidecar, by this client or by all.
    #[error("{0}")]
    Full(Full),
    #[error("out of file descriptors: {0}")]
    NoDescriptors(io::Error),

    // The server's doing.
    #[error("the server does not accept the connection: {0}")]
    Unreachable(io::Error),
    #[error("nobody stands behind the service's port")]
    NoBackend,
    #[error("the server's connection broke: {0}")]
    ServerGone(io::Error),
    #[error("the server ended the connection while requests were waiting")]
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
    #[error("the peer's identity is unknown: {0}")]
    Unknown(Unknown),

    // The installation's doing.
    #[error("the original destination cannot be told: {0}; is the pod's redirection in place?")]
    NoDestination(io::Error),

    // Ours.
    #[error("Panic: {0}")]
    Panic(String),
    #[error("the sidecar stopped")]
    Stopped,
}

/// Why it stayed unknown who a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It was waited for.
    Late(Duration),
    /// So many are waited for already.
    Crowded(usize),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(patience) => {
                write!(f, "no update of {} s told it", patience.as_secs())
            }
            Self::Crowded(others) => write!(f, "{others} others wait for theirs already"),
        }
    }
}

impl Error {
    /// By what name it is logged and counted, and what follows from it.
    pub(crate) fn label(&self) -> Label {
        match self {
            Self::NotRedirected => Label::NotRedirected,
            Self::Loop => Label::Loop,
            Self::Foreign => Label::Foreign,
            Self::ClientGone(_) => Label::ClientGone,
            Self::Late(Late::FirstByte(_) | Late::Frame(_)) => Label::Slow,
            Self::Late(Late::Idle(_)) => Label::Idle,
            Self::Flood(_) => Label::Flood,
            Self::Full(Full::Connections(_)) | Self::NoDescriptors(_) => Label::Connections,
            Self::Full(Full::Source(_)) => Label::Source,
            Self::Full(Full::Held(_) | Full::Memory) => Label::Memory,
            Self::Unreachable(_) | Self::NoBackend => Label::Unreachable,
            Self::ServerGone(_) => Label::ServerGone,
            Self::Unanswered => Label::Unanswered,
            Self::Cut(_) => Label::Cut,
            Self::Protocol(fault) => match fault.blame {
                Blame::Client => Label::ClientProtocol,
                Blame::Server => Label::ServerProtocol,
                Blame::Parser => Label::Parser,
            },
            Self::Denied(_) => Label::Denied,
            Self::Revoked(_) | Self::Refiltered => Label::Changed,
            Self::Unknown(_) => Label::Unknown,
            Self::NoDestination(_) => Label::NoDestination,
            Self::Panic(_) => Label::Panic,
            Self::Stopped => Label::Stopped,
        }
    }

    /// The rule that decided, where one did.
    pub(crate) fn rule(&self) -> Option<&str> {
        match self {
            Self::Denied(decision) | Self::Revoked(decision) => decision.rule.as_deref(),
            _ => None,
        }
    }

    /// Why bytes were no longer relayed.
    pub(crate) fn relaying(broken: Broken) -> Self {
        match broken {
            Broken::Io(error) => Self::Cut(error),
            Broken::Late(late) => Self::Late(late),
            Broken::Full(full) => Self::Full(full),
        }
    }

    /// Why the server could not be dialled.
    pub(crate) fn dialling(error: io::Error) -> Self {
        // Ours, or the machine's: the server was not even asked.
        if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
            Self::NoDescriptors(error)
        } else {
            Self::Unreachable(error)
        }
    }

    /// A broken connection to the client or to the server.
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
