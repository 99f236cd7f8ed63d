//! What is counted, as Prometheus reads it. Every label is one of a few words of ours.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::admission::{Outcome, Reason};

/// Upper ends of the buckets of a review's duration, in microseconds.
const BUCKETS: [u64; 10] =
    [250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 200_000, 1_000_000];

/// Reviews, by what became of them.
#[derive(Debug, Default)]
pub struct Counters {
    reviews: [[AtomicU64; Reason::ALL.len()]; Outcome::ALL.len()],
    buckets: [AtomicU64; BUCKETS.len()],
    slower: AtomicU64,
    microseconds: AtomicU64,
    /// Events that found the queue full, or that the API server did not take.
    pub(crate) events_lost: AtomicU64,
    /// Connections that were turned away.
    pub(crate) turned_away: AtomicU64,
}

impl Counters {
    /// A review that was answered.
    pub fn review(&self, outcome: Outcome, reason: Reason, took: Duration) {
        let row = Outcome::ALL.iter().position(|one| *one == outcome);
        let column = Reason::ALL.iter().position(|one| *one == reason);
        let cell = row.zip(column).and_then(|(row, column)| self.reviews.get(row)?.get(column));
        if let Some(cell) = cell {
            cell.fetch_add(1, Ordering::Relaxed);
        }
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().zip(&self.buckets).find(|(end, _)| took <= **end);
        bucket.map_or(&self.slower, |(_, bucket)| bucket).fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(took, Ordering::Relaxed);
    }

    /// Appends everything in Prometheus' text format (version 0.0.4).
    pub fn render(&self, text: &mut String) {
        let name = "remora_injector_reviews_total";
        family(text, name, "counter", "Reviews of pods, by what became of them and why.");
        for (outcome, row) in Outcome::ALL.iter().zip(&self.reviews) {
            for (reason, cell) in Reason::ALL.iter().zip(row) {
                let count = cell.load(Ordering::Relaxed);
                if count > 0 {
                    let (result, reason) = (outcome.word(), reason.word());
                    line(
                        text,
                        format_args!("{name}{{result=\"{result}\",reason=\"{reason}\"}} {count}"),
                    );
                }
            }
        }
        self.render_duration(text);
        for (name, help, count) in [
            (
                "remora_injector_events_lost_total",
                "Events that could not be told.",
                &self.events_lost,
            ),
            (
                "remora_injector_connections_refused_total",
                "Connections beyond what one source, or all, may hold.",
                &self.turned_away,
            ),
        ] {
            family(text, name, "counter", help);
            line(text, format_args!("{name} {}", count.load(Ordering::Relaxed)));
        }
    }

    fn render_duration(&self, text: &mut String) {
        let name = "remora_injector_review_duration_seconds";
        family(text, name, "histogram", "From a review's last byte to its answer's first.");
        let mut sum: u64 = 0;
        for (end, bucket) in BUCKETS.iter().zip(&self.buckets) {
            sum = sum.saturating_add(bucket.load(Ordering::Relaxed));
            line(text, format_args!("{name}_bucket{{le=\"{}\"}} {sum}", Seconds(*end)));
        }
        sum = sum.saturating_add(self.slower.load(Ordering::Relaxed));
        line(text, format_args!("{name}_bucket{{le=\"+Inf\"}} {sum}"));
        let total = Seconds(self.microseconds.load(Ordering::Relaxed));
        line(text, format_args!("{name}_sum {total}"));
        line(text, format_args!("{name}_count {sum}"));
    }
}

/// Microseconds, printed as seconds without rounding.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let digits = format!("{rest:06}");
        match digits.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            digits => write!(f, "{whole}.{digits}"),
        }
    }
}

pub(crate) fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

pub(crate) fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
