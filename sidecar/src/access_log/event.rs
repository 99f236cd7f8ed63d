//! One event as one line of JSON.

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
    time::SystemTime,
};

use remora_parsers::{Field, Request};
use remora_policy::TrafficDirection;

use super::{escape, hidden::Hidden, time};
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

impl Event<'_> {
    /// Appends the event as a line of JSON, without its end.
    pub(super) fn json(&self, out: &mut String, pod: &Pod, hidden: &Hidden, now: SystemTime) {
        // Writing to a String cannot fail; likewise below.
        let _ = write!(
            out,
            "{{\"time\":\"{}\",\"verdict\":\"{}\",\"direction\":\"{}\"",
            time::Rfc3339(now),
            self.outcome.as_str(),
            self.flow.direction
        );
        member(out, "namespace", Some(&pod.namespace));
        member(out, "pod", Some(&pod.name));
        self.peers(out);
        member(out, "l7proto", self.l7proto);
        out.push_str(",\"fields\":{");
        let whole = self.request.is_none_or(|request| fields(out, request, hidden));
        out.push('}');
        if !whole {
            out.push_str(",\"truncated\":true");
        }
        member(out, "rule", self.rule);
        out.push_str(",\"reason\":");
        escape::display(out, self.reason, MAX_TEXT_BYTES);
        if self.error.is_some() {
            member(out, "error", self.error);
        }
        member(out, "policy_version", Some(self.policy_version));
        out.push('}');
    }

    /// Who talks to whom, with the identity of who is not this pod.
    fn peers(&self, out: &mut String) {
        let Flow { direction, source, destination, backend } = self.flow;
        let _ = write!(out, ",\"source\":\"{source}\"");
        if direction == TrafficDirection::Ingress {
            identity(out, "source_identity", self.identity);
        }
        match destination {
            Some(destination) => _ = write!(out, ",\"destination\":\"{destination}\""),
            None => out.push_str(",\"destination\":null"),
        }
        if let Some(backend) = backend {
            let _ = write!(out, ",\"backend\":\"{backend}\"");
        }
        if direction == TrafficDirection::Egress {
            identity(out, "destination_identity", self.identity);
        }
    }
}

fn identity(out: &mut String, name: &str, identity: Option<u32>) {
    match identity {
        Some(identity) => _ = write!(out, ",\"{name}\":{identity}"),
        None => _ = write!(out, ",\"{name}\":null"),
    }
}

/// `,"name":"value"`, or `null` where there is none.
fn member(out: &mut String, name: &str, value: Option<&str>) {
    let _ = write!(out, ",\"{name}\":");
    match value {
        Some(value) => _ = escape::string(out, value.as_bytes(), MAX_TEXT_BYTES),
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
        let _ = write!(out, "\"{}\":", field.name);
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
            Some(hash) => _ = write!(out, "\"#{hash:016x}\""),
            None => whole &= escape::string(out, value, MAX_VALUE_BYTES),
        }
    }
    whole && values.next().is_none()
}

/// Appends a text that is no peer's, such as a version, as a JSON string.
pub(crate) fn quote(out: &mut String, text: &str) {
    escape::string(out, text.as_bytes(), MAX_TEXT_BYTES);
}
