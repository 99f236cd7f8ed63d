//! What the server counts, as Prometheus reads it.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::feed::Kind;

/// Counters of the agent API. Labels come from these enums alone, so that no
/// peer can make them many.
#[derive(Debug, Default)]
pub struct Counters {
    sidecars: AtomicU64,
    pushes: [[AtomicU64; PUSHES.len()]; KINDS.len()],
    reviews: [AtomicU64; REVIEWS.len()],
}

/// What became of a response.
#[derive(Clone, Copy, Debug)]
pub(super) enum Push {
    Sent,
    Accepted,
    Refused,
}

/// What became of a token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Review {
    Accepted,
    Cached,
    Refused,
    Throttled,
    Unavailable,
}

const KINDS: [Kind; 4] = [Kind::Policy, Kind::Hosts, Kind::Services, Kind::Endpoints];
const PUSHES: [Push; 3] = [Push::Sent, Push::Accepted, Push::Refused];
const REVIEWS: [Review; 5] =
    [Review::Accepted, Review::Cached, Review::Refused, Review::Throttled, Review::Unavailable];

impl Push {
    const fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

impl Review {
    const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Cached => "cached",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Counters {
    /// Appends everything in Prometheus' text format (version 0.0.4).
    pub fn render(&self, text: &mut String) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        head(text, "remora_agent_sidecars", "gauge", "Pods whose sidecar has a stream open.");
        line(text, "remora_agent_sidecars", "", read(&self.sidecars));
        let name = "remora_agent_pushes_total";
        head(text, name, "counter", "Responses by type, sent and as answered.");
        for (kind, counters) in KINDS.iter().zip(&self.pushes) {
            for (push, counter) in PUSHES.iter().zip(counters) {
                let labels = format!("{{type=\"{}\",result=\"{}\"}}", kind.name(), push.label());
                line(text, name, &labels, read(counter));
            }
        }
        let name = "remora_agent_token_reviews_total";
        head(text, name, "counter", "Tokens that sidecars showed, by what became of them.");
        for (review, counter) in REVIEWS.iter().zip(&self.reviews) {
            line(text, name, &format!("{{result=\"{}\"}}", review.label()), read(counter));
        }
    }

    pub(super) fn pushed(&self, kind: Kind, push: Push) {
        let at = (
            KINDS.iter().position(|one| *one == kind),
            PUSHES.iter().position(|one| one.label() == push.label()),
        );
        if let (Some(kind), Some(push)) = at
            && let Some(counter) = self.pushes.get(kind).and_then(|kind| kind.get(push))
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn reviewed(&self, review: Review) {
        let at = REVIEWS.iter().position(|one| one.label() == review.label());
        if let Some(counter) = at.and_then(|at| self.reviews.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn sidecar_came(&self) {
        self.sidecars.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sidecar_went(&self) {
        self.sidecars.fetch_sub(1, Ordering::Relaxed);
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(text, "{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_line() {
        let counters = Counters::default();
        counters.pushed(Kind::Hosts, Push::Refused);
        counters.reviewed(Review::Throttled);
        counters.sidecar_came();
        let mut text = String::new();
        counters.render(&mut text);
        assert!(text.contains("\nremora_agent_sidecars 1\n"), "{text}");
        assert!(text.contains("{type=\"hosts\",result=\"refused\"} 1\n"), "{text}");
        assert!(text.contains("reviews_total{result=\"throttled\"} 1\n"), "{text}");
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 18);
    }
}
