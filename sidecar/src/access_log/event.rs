//! One event as one line of JSON.

use std::{fmt::Write as _, net::SocketAddr, time::SystemTime};

use remora_parsers::{Request, Value};
use remora_policy::TrafficDirection;

use super::{escape, time};
use crate::config::Pod;

/// The most bytes of one field's value that are logged.
pub const MAX_VALUE_BYTES: usize = 256;

/// The most values of one field that are logged.
pub const MAX_VALUES: usize = 16;

/// The most bytes of a rule's path or of a reason that are logged.
const MAX_TEXT_BYTES: usize = 1024;

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

/// What one line of the access log tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) flow: Flow,
    /// The peer's: of the two, who is not this pod.
    pub(crate) identity: Option<u32>,
    pub(crate) l7proto: Option<&'static str>,
    pub(crate) request: Option<&'a Request<'a>>,
    pub(crate) rule: Option<&'a str>,
    pub(crate) reason: &'a str,
    /// The label of the error that broke the connection.
    pub(crate) error: Option<&'static str>,
    pub(crate) policy_version: &'a str,
}

impl Event<'_> {
    /// The line, without its end.
    pub(super) fn line(&self, pod: &Pod, now: SystemTime) -> String {
        let mut out = String::with_capacity(512);
        // Writing to a String cannot fail; likewise below.
        let _ = write!(
            out,
            "{{\"time\":\"{}\",\"verdict\":\"{}\",\"direction\":\"{}\"",
            time::rfc3339(now),
            self.outcome.as_str(),
            self.flow.direction
        );
        member(&mut out, "namespace", Some(&pod.namespace));
        member(&mut out, "pod", Some(&pod.name));
        self.peers(&mut out);
        member(&mut out, "l7proto", self.l7proto);
        out.push_str(",\"fields\":");
        let whole = self.request.is_none_or(|request| fields(&mut out, request));
        if self.request.is_none() {
            out.push_str("{}");
        }
        if !whole {
            out.push_str(",\"truncated\":true");
        }
        member(&mut out, "rule", self.rule);
        member(&mut out, "reason", Some(self.reason));
        if self.error.is_some() {
            member(&mut out, "error", self.error);
        }
        member(&mut out, "policy_version", Some(self.policy_version));
        out.push('}');
        out
    }

    /// Who talks to whom, with the identity of who is not this pod.
    fn peers(&self, out: &mut String) {
        let Flow { direction, source, destination, backend } = self.flow;
        let _ = write!(out, ",\"source\":\"{source}\"");
        if direction == TrafficDirection::Ingress {
            identity(out, "source_identity", self.identity);
        }
        let destination = destination.map(|address| address.to_string());
        member(out, "destination", destination.as_deref());
        if let Some(backend) = backend {
            member(out, "backend", Some(&backend.to_string()));
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

/// Appends a request's fields as a JSON object: a string for one value, a list
/// of strings for several. Returns whether everything had room, that is
/// [`MAX_VALUES`] values of [`MAX_VALUE_BYTES`] each.
pub fn fields(out: &mut String, request: &Request<'_>) -> bool {
    let mut whole = true;
    out.push('{');
    for (index, field) in request.fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let _ = write!(out, "\"{}\":", field.name);
        whole &= value(out, field.value);
    }
    out.push('}');
    whole
}

fn value(out: &mut String, value: Value<'_>) -> bool {
    let mut values = value.iter();
    let first = values.next().unwrap_or_default();
    let Some(second) = values.next() else {
        return escape::string(out, first, MAX_VALUE_BYTES);
    };
    out.push('[');
    let mut whole = escape::string(out, first, MAX_VALUE_BYTES);
    let mut rest = [second].into_iter().chain(values);
    for next in rest.by_ref().take(MAX_VALUES - 1) {
        out.push(',');
        whole &= escape::string(out, next, MAX_VALUE_BYTES);
    }
    out.push(']');
    whole && rest.next().is_none()
}

/// Appends a text that is no peer's, such as a version, as a JSON string.
pub(crate) fn quote(out: &mut String, text: &str) {
    escape::string(out, text.as_bytes(), MAX_TEXT_BYTES);
}
