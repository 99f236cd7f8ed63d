//! Prometheus' text format, version 0.0.4.

use std::{
    fmt::{Display, Write as _},
    sync::atomic::Ordering,
};

use super::Metrics;
use crate::limits::Ledger;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every series; `waiting` is how many clients of unknown identity wait. No
/// value of a label needs escaping: they are all our own.
pub(super) fn page(metrics: &Metrics, waiting: usize, ledger: &Ledger) -> String {
    let mut page = Page(String::with_capacity(4 << 10));
    page.family("remora_requests_total", "counter", "Requests that were judged.");
    for ((protocol, verdict), count) in metrics.requests.each() {
        let labels = format_args!("{{l7proto=\"{protocol}\",verdict=\"{}\"}}", verdict.as_str());
        page.sample("remora_requests_total", labels, count);
    }
    page.family("remora_connections_total", "counter", "Connections that have ended, and why.");
    for (label, count) in metrics.connections.each() {
        let (verdict, reason) = (label.outcome().as_str(), label.name());
        let labels = format_args!("{{verdict=\"{verdict}\",reason=\"{reason}\"}}");
        page.sample("remora_connections_total", labels, count);
    }
    page.single(
        "remora_connections_waiting",
        "gauge",
        "Connections of clients whose identity is not known yet.",
        u64::try_from(waiting).unwrap_or(u64::MAX),
    );
    page.single(
        "remora_connections",
        "gauge",
        "Connections there are.",
        u64::try_from(ledger.connections()).unwrap_or(u64::MAX),
    );
    page.single(
        "remora_held_bytes",
        "gauge",
        "Bytes that are held for connections, with what each takes anyway.",
        u64::try_from(ledger.held()).unwrap_or(u64::MAX),
    );
    page.single(
        "remora_policy_version",
        "gauge",
        "The policy in force, as the agent counts; 0 before the first.",
        metrics.policy_version.load(Ordering::Relaxed),
    );
    page.single(
        "remora_policy_version_timestamp_seconds",
        "gauge",
        "Since when the policy in force is in force; 0 before the first.",
        metrics.policy_since.load(Ordering::Relaxed),
    );
    page.single(
        "remora_agent_connected",
        "gauge",
        "Whether the agent answers.",
        metrics.connected.load(Ordering::Relaxed).into(),
    );
    page.single(
        "remora_connections_audited_total",
        "counter",
        "Connections that passed though a policy in audit mode would have denied them.",
        metrics.audited.load(Ordering::Relaxed),
    );
    page.single(
        "remora_snapshot_saved",
        "gauge",
        "Whether the policy in force is on disk for the next start.",
        metrics.snapshot_saved.load(Ordering::Relaxed).into(),
    );
    page.single(
        "remora_snapshot_refused",
        "gauge",
        "Whether the policy that was on disk at the start was refused.",
        metrics.snapshot_refused.load(Ordering::Relaxed).into(),
    );
    page.single(
        "remora_access_log_lost_total",
        "counter",
        "Events that the access log had no room for.",
        metrics.log_lost.load(Ordering::Relaxed),
    );
    page.single(
        "remora_access_log_left_out_total",
        "counter",
        "Events of floods that the access log left out.",
        metrics.log_left_out.load(Ordering::Relaxed),
    );
    page.0
}

/// Writing to its String cannot fail.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: impl Display, value: u64) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }
}
