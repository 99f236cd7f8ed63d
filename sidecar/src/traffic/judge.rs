//! Judges a connection's requests, each by the newest policy, and logs them.

use std::time::{Duration, Instant};

use remora_parsers::{Host, Judge, Protocol, Request, Verdict};
use remora_policy as policy;

use super::{Shared, connection::Connection};
use crate::access_log::{Event, Outcome};

const SECOND: Duration = Duration::from_secs(1);

/// The judge of one connection.
pub(super) struct Court<'s> {
    connection: Connection<'s>,
    protocol: &'static Protocol,
    denials: Denials,
}

impl<'s> Court<'s> {
    pub(super) fn new(connection: Connection<'s>, protocol: &'static Protocol) -> Self {
        let most = connection.shared().config.limits.denials;
        Self { connection, protocol, denials: Denials::new(most) }
    }

    pub(super) fn shared(&self) -> &'s Shared {
        self.connection.shared()
    }

    /// How many denials a second are borne, if there were more.
    pub(super) fn flood(&self) -> Option<u64> {
        self.denials.exceeded()
    }
}

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

impl Judge for Court<'_> {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        let Self { connection, protocol, denials } = self;
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
            policy::Verdict::Dropped => {
                denials.count();
                (Verdict::Deny, Outcome::Dropped)
            }
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
            reason: &decision.reason,
            error: None,
            policy_version: &snapshot.version,
        });
        verdict
    }
}

impl Host for Court<'_> {}
