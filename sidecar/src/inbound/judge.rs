//! Judges a connection's requests, each by the newest policy, and logs them.

use remora_parsers::{Host, Judge, Protocol, Request, Verdict};
use remora_policy::{self as policy, Decision, TrafficDirection};

use super::connection::Connection;
use crate::{
    access_log::{Event, Outcome},
    snapshot::Snapshot,
};

/// The judge of one connection.
pub(super) struct Court<'s> {
    connection: Connection<'s>,
    protocol: &'static Protocol,
    /// The policy behind the last denial.
    policy: Option<String>,
}

impl<'s> Court<'s> {
    pub(super) fn new(connection: Connection<'s>, protocol: &'static Protocol) -> Self {
        Self { connection, protocol, policy: None }
    }

    fn decide(&self, snapshot: &Snapshot, request: &Request<'_>) -> Decision {
        let Self { connection, protocol, .. } = self;
        snapshot.slice.request(
            TrafficDirection::Ingress,
            connection.port(),
            connection.identity(snapshot),
            protocol.name,
            request,
        )
    }

    fn record(&self, snapshot: &Snapshot, request: &Request<'_>, ruling: &Ruling<'_>) {
        let Self { connection, protocol, .. } = self;
        let shared = connection.shared();
        shared.metrics.request(protocol.name, ruling.outcome);
        shared.record(&Event {
            outcome: ruling.outcome,
            flow: connection.flow(),
            identity: connection.identity(snapshot),
            l7proto: Some(protocol.name),
            request: Some(request),
            rule: ruling.rule,
            reason: ruling.reason,
            error: None,
            policy_version: &snapshot.version,
        });
    }

    /// Records what was decided, and remembers who denied.
    fn rule(&mut self, snapshot: &Snapshot, request: &Request<'_>, decision: &Decision) -> Verdict {
        let (verdict, outcome) = match decision.verdict {
            policy::Verdict::Forwarded => (Verdict::Allow, Outcome::Forwarded),
            policy::Verdict::Audit => (Verdict::Allow, Outcome::Audit),
            policy::Verdict::Dropped => (Verdict::Deny, Outcome::Dropped),
        };
        let (rule, reason) = (decision.rule.as_deref(), decision.reason.to_string());
        self.record(snapshot, request, &Ruling { outcome, rule, reason: &reason });
        if verdict == Verdict::Deny {
            self.policy = decision.policy().map(str::to_owned);
        }
        verdict
    }
}

/// What the log says of a request.
struct Ruling<'a> {
    outcome: Outcome,
    rule: Option<&'a str>,
    reason: &'a str,
}

impl Judge for Court<'_> {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        let snapshot = self.connection.shared().store.load();
        let decision = self.decide(&snapshot, request);
        self.rule(&snapshot, request, &decision)
    }

    /// All by one policy. What would pass falls with what is denied, and the
    /// log says so.
    fn judge_together(&mut self, requests: &[Request<'_>]) -> Option<usize> {
        let snapshot = self.connection.shared().store.load();
        let (decisions, denied) = snapshot.slice.requests(
            TrafficDirection::Ingress,
            self.connection.port(),
            self.connection.identity(&snapshot),
            self.protocol.name,
            requests,
        );
        for (request, decision) in requests.iter().zip(&decisions) {
            let _ = self.rule(&snapshot, request, decision);
        }
        let first = denied.and_then(|denied| decisions.get(denied));
        if let Some(decision) = first {
            self.policy = decision.policy().map(str::to_owned);
        }
        denied
    }

    fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    fn refused(&mut self, request: &Request<'_>, reason: &'static str) {
        let snapshot = self.connection.shared().store.load();
        let outcome = Outcome::Error;
        self.record(&snapshot, request, &Ruling { outcome, rule: None, reason });
    }
}

impl Host for Court<'_> {}
