//! Judges a connection's requests, each by the newest policy, and logs them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use remora_parsers::{Host, Judge, Protocol, Request, Verdict};
use remora_policy::{self as policy, Decision};

use super::{Shared, connection::Connection};
use crate::{
    access_log::{Event, Outcome},
    snapshot::Snapshot,
};

const SECOND: Duration = Duration::from_secs(1);

/// The judge of one connection.
pub(super) struct Court<'s> {
    connection: Connection<'s>,
    protocol: &'static Protocol,
    denials: Denials,
    /// The policy behind the last denial.
    policy: Option<String>,
}

impl<'s> Court<'s> {
    pub(super) fn new(connection: Connection<'s>, protocol: &'static Protocol) -> Self {
        let most = connection.shared().config.limits.denials;
        Self { connection, protocol, denials: Denials::new(most), policy: None }
    }

    pub(super) fn shared(&self) -> &'s Shared {
        self.connection.shared()
    }

    /// How many denials a second are borne, if there were more.
    pub(super) fn flood(&self) -> Option<u64> {
        self.denials.exceeded()
    }

    /// The newest policy, and who the peer is by it.
    fn law(&self) -> Law {
        let snapshot = self.connection.shared().store.load();
        let peer = self.connection.identity(&snapshot);
        Law { snapshot, peer }
    }

    fn record(&self, law: &Law, request: &Request<'_>, ruling: &Ruling<'_>) {
        let Self { connection, protocol, .. } = self;
        let shared = connection.shared();
        shared.metrics.request(protocol.name, ruling.outcome);
        shared.record(&Event {
            outcome: ruling.outcome,
            flow: connection.flow(),
            identity: law.peer,
            l7proto: Some(protocol.name),
            request: Some(request),
            rule: ruling.rule,
            reason: ruling.reason,
            error: None,
            policy_version: &law.snapshot.version,
        });
    }

    /// Records what was decided, and remembers who denied.
    fn rule(&mut self, law: &Law, request: &Request<'_>, decision: &Decision) -> Verdict {
        let (verdict, outcome) = match decision.verdict {
            policy::Verdict::Forwarded => (Verdict::Allow, Outcome::Forwarded),
            policy::Verdict::Audit => (Verdict::Allow, Outcome::Audit),
            policy::Verdict::Dropped => (Verdict::Deny, Outcome::Dropped),
        };
        let (rule, reason) = (decision.rule.as_deref(), &decision.reason);
        self.record(law, request, &Ruling { outcome, rule, reason });
        if verdict == Verdict::Deny {
            self.denials.count();
            self.policy = decision.policy().map(str::to_owned);
        }
        verdict
    }
}

/// By what requests that come together are judged.
struct Law {
    snapshot: Arc<Snapshot>,
    peer: Option<u32>,
}

/// What the log says of a request.
struct Ruling<'a> {
    outcome: Outcome,
    rule: Option<&'a str>,
    reason: &'a dyn fmt::Display,
}

impl Judge for Court<'_> {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        let law = self.law();
        let (direction, port) = (self.connection.direction(), self.connection.port());
        let slice = &law.snapshot.slice;
        let decision = slice.request(direction, port, law.peer, self.protocol.name, request);
        self.rule(&law, request, &decision)
    }

    /// All by one policy. What would pass falls with what is denied, and the
    /// log says so.
    fn judge_together(&mut self, requests: &[Request<'_>]) -> Option<usize> {
        let law = self.law();
        let (direction, port) = (self.connection.direction(), self.connection.port());
        let slice = &law.snapshot.slice;
        let (decisions, denied) =
            slice.requests(direction, port, law.peer, self.protocol.name, requests);
        for (request, decision) in requests.iter().zip(&decisions) {
            let _ = self.rule(&law, request, decision);
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
        let outcome = Outcome::Error;
        self.record(&self.law(), request, &Ruling { outcome, rule: None, reason: &reason });
    }
}

impl Host for Court<'_> {}

/// The denials of a connection within a second.
struct Denials {
    most: u64,
    count: u64,
    since: Instant,
}

impl Denials {
    fn new(most: u64) -> Self {
        Self { most, count: 0, since: Instant::now() }
    }

    fn count(&mut self) {
        let now = Instant::now();
        // Once exceeded it stays so: the connection is to end.
        if self.exceeded().is_none() && now.duration_since(self.since) >= SECOND {
            (self.count, self.since) = (0, now);
        }
        self.count = self.count.saturating_add(1);
    }

    fn exceeded(&self) -> Option<u64> {
        (self.count > self.most).then_some(self.most)
    }
}
