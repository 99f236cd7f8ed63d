//! Audit: what is enforced decides; what would be enforced besides is told.
//!
//! A policy in audit mode neither denies nor allows. So whatever the enforcing
//! policies deny is denied, and what they let through passes, as an AUDIT if
//! all policies together would have denied it.

use remora_parsers::Request;

use super::{Admission, Decision, Reason, Slice, TrafficDirection, Verdict};

impl Slice {
    /// What a connection may do. `peer` is `None` where its identity is
    /// unknown: then only rules that are about everybody are about it, and
    /// where some are denied by name it is denied.
    #[must_use]
    pub fn connection(
        &self,
        direction: TrafficDirection,
        port: u16,
        peer: Option<u32>,
    ) -> Admission {
        let enforced = self.enforced.connection(direction, port, peer);
        let Some(audited) = &self.audited else { return enforced };
        let Admission::Opaque(allowed) = enforced else { return enforced };
        match audited.connection(direction, port, peer) {
            Admission::Deny(denied) => Admission::Opaque(audit(denied)),
            Admission::Opaque(also) => Admission::Opaque(telling(allowed, also)),
            // Its requests are looked at, and all of them pass.
            Admission::Parse(protocol) => Admission::Parse(protocol),
        }
    }

    /// Whether whatever a connection sends is forwarded, be it looked at or
    /// not: no enforcing policy is about it, or one opens the port to it.
    #[must_use]
    pub fn forwards(&self, direction: TrafficDirection, port: u16, peer: Option<u32>) -> bool {
        matches!(self.enforced.connection(direction, port, peer), Admission::Opaque(_))
    }

    /// Whether a request may pass. Port and peer are judged anew, so that a
    /// connection that began under another slice is held to this one.
    #[must_use]
    pub fn request(
        &self,
        direction: TrafficDirection,
        port: u16,
        peer: Option<u32>,
        protocol: &str,
        request: &Request<'_>,
    ) -> Decision {
        let enforced = self.enforced.request(direction, port, peer, protocol, request);
        let Some(audited) = self.audited.as_ref().filter(|_| enforced.is_forwarded()) else {
            return enforced;
        };
        let all = audited.request(direction, port, peer, protocol, request);
        if all.is_forwarded() { telling(enforced, all) } else { audit(all) }
    }

    /// Decides requests that stand or fall together: where one is denied, none
    /// passes. Says which one is denied first.
    #[must_use]
    pub fn requests(
        &self,
        direction: TrafficDirection,
        port: u16,
        peer: Option<u32>,
        protocol: &str,
        requests: &[Request<'_>],
    ) -> (Vec<Decision>, Option<usize>) {
        let decide = |request| self.request(direction, port, peer, protocol, request);
        let mut decisions: Vec<_> = requests.iter().map(decide).collect();
        let denied = decisions.iter().position(|decision| !decision.is_forwarded());
        if denied.is_some() {
            for decision in decisions.iter_mut().filter(|decision| decision.is_forwarded()) {
                *decision = Decision::dropped(None, Reason::OtherDenied);
            }
        }
        (decisions, denied)
    }
}

/// A denial by policies of which some only watch.
fn audit(denied: Decision) -> Decision {
    Decision { verdict: Verdict::Audit, ..denied }
}

/// Of two that allow, the one that names a rule.
fn telling(enforced: Decision, all: Decision) -> Decision {
    if enforced.rule.is_none() { all } else { enforced }
}
