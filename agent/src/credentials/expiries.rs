//! Until when certificates count, as Prometheus reads it.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The ends of the certificates in use, in unix seconds; 0 while there is none.
#[derive(Debug, Default)]
pub struct Expiries {
    ca: AtomicU64,
    leaf: AtomicU64,
}

impl Expiries {
    /// Appends both in Prometheus' text format (version 0.0.4).
    pub fn render(&self, text: &mut String) {
        let name = "remora_agent_certificate_expiry_timestamp_seconds";
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} When a certificate in use ends; 0 without one.\n# TYPE {name} gauge"
        );
        for (label, end) in [("ca", &self.ca), ("leaf", &self.leaf)] {
            let end = end.load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}{{certificate=\"{label}\"}} {end}");
        }
    }

    pub(super) fn set(&self, ca: SystemTime, leaf: SystemTime) {
        self.ca.store(seconds(ca), Ordering::Relaxed);
        self.leaf.store(seconds(leaf), Ordering::Relaxed);
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
