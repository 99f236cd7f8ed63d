//! Judges a connection's requests, each by the newest policy, and logs them.

use remora_parsers::{Host, Judge, Protocol, Request, Verdict};
use remora_policy as policy;

use super::connection::Connection;
use crate::access_log::{Event, Outcome};

/// The judge of one connection.
pub(super) struct Court<'s> {
    connection: Connection<'s>,
    protocol: &'static Protocol,
}

impl<'s> Court<'s> {
    pub(super) fn new(connection: Connection<'s>, protocol: &'static Protocol) -> Self {
        Self { connection, protocol }
    }
}

impl Judge for Court<'_> {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        let Self { connection, protocol } = self;
        let snapshot = connection.shared().store.load();
        let identity = connection.identity(&snapshot);
        let decision = snapshot.slice.request(
            connection.direction(),
            connection.port(),
            identity,
            protocol.name,
            request,
        );
        let (verdict, outcome) = match decision.verdict {
            policy::Verdict::Forwarded => (Verdict::Allow, Outcome::Forwarded),
            policy::Verdict::Audit => (Verdict::Allow, Outcome::Audit),
            policy::Verdict::Dropped => (Verdict::Deny, Outcome::Dropped),
        };
        let shared = connection.shared();
        shared.metrics.request(protocol.name, outcome);
        shared.record(&Event {
            outcome,
            flow: connection.flow(),
            identity,
            l7proto: Some(protocol.name),
            request: Some(request),
            rule: decision.rule.as_deref(),
            reason: &decision.reason.to_string(),
            error: None,
            policy_version: &snapshot.version,
        });
        verdict
    }
}

impl Host for Court<'_> {}
