//! What is decided, and why. Reasons hold no byte that a peer chose.

use std::{fmt, sync::Arc};

use remora_parsers::Protocol;

/// Whose connections: those that come in, or those that go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrafficDirection {
    /// To the endpoint; the peer is the client.
    Ingress,
    /// From the endpoint; the peer is the server.
    Egress,
}

impl fmt::Display for TrafficDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// What became of a connection or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may pass.
    Forwarded,
    /// It may not.
    Dropped,
    /// It may not, but passes because its policy only watches.
    Audit,
}

impl fmt::Display for Verdict {
    /// As it stands in the access log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forwarded => "FORWARDED",
            Self::Dropped => "DROPPED",
            Self::Audit => "AUDIT",
        })
    }
}

/// A verdict, the rule that made it and the reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The path of the rule that allowed or denied; none where no rule did.
    pub rule: Option<Arc<str>>,
    /// Why; `to_string` gives the text for the log.
    pub reason: Reason,
}

impl Decision {
    pub(super) fn forwarded(rule: Option<&Arc<str>>, reason: Reason) -> Self {
        Self { verdict: Verdict::Forwarded, rule: rule.cloned(), reason }
    }

    pub(super) fn dropped(rule: Option<&Arc<str>>, reason: Reason) -> Self {
        Self { verdict: Verdict::Dropped, rule: rule.cloned(), reason }
    }

    /// The policy, as `namespace/name`, whose rule decided or came nearest.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        let nearest = match &self.reason {
            Reason::RequestUnmatched { nearest: Some((rule, _)), .. } => Some(rule),
            _ => None,
        };
        self.rule.as_ref().or(nearest)?.split(' ').next()
    }

    /// Whether it may pass.
    #[must_use]
    pub fn is_forwarded(&self) -> bool {
        self.verdict != Verdict::Dropped
    }
}

/// What a connection may do.
#[derive(Debug, Clone)]
pub enum Admission {
    /// Reset it.
    Deny(Decision),
    /// Forward its bytes as they are: nothing judges its requests.
    Opaque(Decision),
    /// Every request is judged, in this protocol.
    Parse(&'static Protocol),
}

/// Why a connection or a request was allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A rule allows it without looking at requests.
    PortAllowed,
    /// A rule allows this very request.
    RequestAllowed,
    /// Nothing restricts this direction, or this port.
    Unrestricted,
    /// A rule denies the peer.
    PeerDenied,
    /// A rule denies this very request.
    RequestDenied,
    /// A request that it would have passed with is denied.
    OtherDenied,
    /// The endpoint has no policy yet.
    NoPolicy,
    /// No rule is about this port.
    PortClosed {
        /// The port.
        port: u16,
        /// The direction.
        direction: TrafficDirection,
    },
    /// Rules are about this port, but none about this peer.
    PeerUnmatched {
        /// The port.
        port: u16,
        /// The peer's identity, if it is known.
        peer: Option<u32>,
    },
    /// The rules that are about this peer see two protocols on one port.
    ProtocolsClash {
        /// The port.
        port: u16,
        /// One protocol.
        one: &'static str,
        /// Another.
        other: &'static str,
    },
    /// The connection began as one protocol, and policy has changed to another.
    ProtocolChanged {
        /// What policy says now.
        now: &'static str,
    },
    /// The peer may send requests, but not this one.
    RequestUnmatched {
        /// The request's fixed words, such as its command, as key and value.
        words: Vec<(&'static str, &'static str)>,
        /// The rule that came nearest, and its first key that did not match.
        nearest: Option<(Arc<str>, &'static str)>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortAllowed => f.write_str("a rule allows the connection"),
            Self::RequestAllowed => f.write_str("an l7 rule allows the request"),
            Self::Unrestricted => f.write_str("no policy restricts the port"),
            Self::PeerDenied => f.write_str("a rule denies the peer"),
            Self::RequestDenied => f.write_str("an l7 rule denies the request"),
            Self::OtherDenied => f.write_str("another statement of its batch is denied"),
            Self::NoPolicy => f.write_str("no policy has come for this endpoint yet"),
            Self::PortClosed { port, direction } => {
                write!(f, "no {direction} rule opens port {port} to anybody")
            }
            Self::PeerUnmatched { port, peer: Some(peer) } => {
                write!(f, "no rule of port {port} allows identity {peer}")
            }
            Self::PeerUnmatched { port, peer: None } => {
                write!(f, "no rule of port {port} allows a peer of unknown identity")
            }
            Self::ProtocolsClash { port, one, other } => {
                write!(f, "rules see both {one} and {other} on port {port}")
            }
            Self::ProtocolChanged { now } => {
                write!(f, "policy says {now} now: the connection has to be made anew")
            }
            Self::RequestUnmatched { words, nearest } => unmatched(f, words, nearest.as_ref()),
        }
    }
}

fn unmatched(
    f: &mut fmt::Formatter<'_>,
    words: &[(&str, &str)],
    nearest: Option<&(Arc<str>, &'static str)>,
) -> fmt::Result {
    f.write_str("no l7 rule matches")?;
    if words.is_empty() {
        f.write_str(" the request")?;
    }
    for (key, value) in words {
        write!(f, " {key}={value}")?;
    }
    match nearest {
        Some((rule, key)) => write!(f, "; nearest is {rule}, but for its {key}"),
        None => Ok(()),
    }
}
