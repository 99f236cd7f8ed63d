//! One event as one line of JSON.

use std::{fmt, net::SocketAddr, time::SystemTime};

use remora_parsers::{Field, Request};
use remora_policy::TrafficDirection;

use super::{
    digits::{address, hash, number},
    escape,
    hidden::Hidden,
    time::rfc3339,
};
use crate::config::Pod;

/// The most bytes of one field's value that are logged.
pub const MAX_VALUE_BYTES: usize = 256;

/// The most values of one field that are logged.
pub const MAX_VALUES: usize = 16;

/// The most bytes of a rule's path or of a reason that are logged.
pub(super) const MAX_TEXT_BYTES: usize = 1024;

/// What became of a request or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Policy allows it.
    Forwarded,
    /// Policy denies it.
    Dropped,
    /// Policy would deny it, and only watches.
    Audit,
    /// Something broke.
    Error,
}

impl Outcome {
    /// As it stands in the access log and in the metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "FORWARDED",
            Self::Dropped => "DROPPED",
            Self::Audit => "AUDIT",
            Self::Error => "ERROR",
        }
    }
}

/// Who talks to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    /// Seen from this pod.
    pub(crate) direction: TrafficDirection,
    /// The client's address.
    pub(crate) source: SocketAddr,
    /// Where the client wanted to go, once that is known.
    pub(crate) destination: Option<SocketAddr>,
    /// Who stands behind it, where that is a service.
    pub(crate) backend: Option<SocketAddr>,
}

/// What one record of the access log tells.
#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) flow: Flow,
    /// The peer's: of the two, who is not this pod.
    pub(crate) identity: Option<u32>,
    pub(crate) l7proto: Option<&'static str>,
    pub(crate) request: Option<&'a Request<'a>>,
    pub(crate) rule: Option<&'a str>,
    pub(crate) reason: &'a dyn fmt::Display,
    /// The label of the error that broke the connection.
    pub(crate) error: Option<&'static str>,
    pub(crate) policy_version: &'a str,
}

/// Whose records they are, as each of them says it.
#[derive(Debug)]
pub(super) struct Of(String);

impl Of {
    pub(super) fn pod(pod: &Pod) -> Self {
        let mut text = String::new();
        member(&mut text, ",\"namespace\":", Some(&pod.namespace));
        member(&mut text, ",\"pod\":", Some(&pod.name));
        Self(text)
    }
}

impl Event<'_> {
    /// Appends the event as a line of JSON, without its end.
    pub(super) fn json(&self, out: &mut String, of: &Of, hidden: &Hidden, now: SystemTime) {
        out.push_str("{\"time\":\"");
        rfc3339(out, now);
        out.push_str("\",\"verdict\":\"");
        out.push_str(self.outcome.as_str());
        out.push_str("\",\"direction\":\"");
        out.push_str(direction(self.flow));
        out.push('"');
        out.push_str(&of.0);
        self.peers(out);
        member(out, ",\"l7proto\":", self.l7proto);
        out.push_str(",\"fields\":{");
        let whole = self.request.is_none_or(|request| fields(out, request, hidden));
        out.push('}');
        if !whole {
            out.push_str(",\"truncated\":true");
        }
        member(out, ",\"rule\":", self.rule);
        out.push_str(",\"reason\":");
        escape::display(out, self.reason, MAX_TEXT_BYTES);
        if self.error.is_some() {
            member(out, ",\"error\":", self.error);
        }
        member(out, ",\"policy_version\":", Some(self.policy_version));
        out.push('}');
    }

    /// Who talks to whom, with the identity of who is not this pod.
    fn peers(&self, out: &mut String) {
        let Flow { direction, source, destination, backend } = self.flow;
        peer(out, ",\"source\":", Some(source));
        if direction == TrafficDirection::Ingress {
            identity(out, ",\"source_identity\":", self.identity);
        }
        peer(out, ",\"destination\":", destination);
        if backend.is_some() {
            peer(out, ",\"backend\":", backend);
        }
        if direction == TrafficDirection::Egress {
            identity(out, ",\"destination_identity\":", self.identity);
        }
    }
}

/// As it stands in the access log.
pub(super) fn direction(flow: Flow) -> &'static str {
    match flow.direction {
        TrafficDirection::Ingress => "ingress",
        TrafficDirection::Egress => "egress",
    }
}

fn identity(out: &mut String, title: &str, identity: Option<u32>) {
    out.push_str(title);
    match identity {
        Some(identity) => number(out, identity),
        None => out.push_str("null"),
    }
}

fn peer(out: &mut String, title: &str, peer: Option<SocketAddr>) {
    out.push_str(title);
    match peer {
        Some(peer) => {
            out.push('"');
            address(out, peer);
            out.push('"');
        }
        None => out.push_str("null"),
    }
}

/// Appends `,"name":`, which is the title, and the value, or `null` where there
/// is none.
fn member(out: &mut String, title: &str, value: Option<&str>) {
    out.push_str(title);
    match value {
        Some(value) => escape::string_of(out, value, MAX_TEXT_BYTES),
        None => out.push_str("null"),
    }
}

/// Appends a request's fields as members of a JSON object: a string for one
/// value, a list of strings for several. Returns whether everything had room,
/// that is [`MAX_VALUES`] values of [`MAX_VALUE_BYTES`] each.
fn fields(out: &mut String, request: &Request<'_>, hidden: &Hidden) -> bool {
    let mut whole = true;
    for (index, field) in request.fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push('"');
        out.push_str(field.name);
        out.push_str("\":");
        let several = field.value.iter().nth(1).is_some();
        if several {
            out.push('[');
        }
        whole &= each_value(out, field, hidden, |out, first| {
            if !first {
                out.push(',');
            }
        });
        if several {
            out.push(']');
        }
    }
    whole
}

/// Appends a field's values as strings, each after what `before` appends, which
/// is told whether it is the first. Returns whether everything had room.
pub(super) fn each_value(
    out: &mut String,
    field: &Field<'_>,
    hidden: &Hidden,
    before: impl Fn(&mut String, bool),
) -> bool {
    let mut whole = true;
    let mut values = field.value.iter();
    for (index, value) in values.by_ref().take(MAX_VALUES).enumerate() {
        before(out, index == 0);
        match hidden.hash(field.name, value) {
            Some(hashed) => {
                out.push_str("\"#");
                hash(out, hashed);
                out.push('"');
            }
            None => whole &= escape::string(out, value, MAX_VALUE_BYTES),
        }
    }
    whole && values.next().is_none()
}

/// Appends a text that is no peer's, such as a version, as a JSON string.
pub(crate) fn quote(out: &mut String, text: &str) {
    escape::string_of(out, text, MAX_TEXT_BYTES);
}
