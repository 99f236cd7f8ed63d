//! Programs the redirection of a pod's traffic, and verifies it.
//!
//! TCP, IPv4 and IPv6, is sent to the sidecar by chains of our own in each family's `nat`
//! table, which sees the first packet of every connection:
//!
//! ```text
//! PREROUTING ─ tcp ─> REMORA_INBOUND ─ from lo ───────────────────> return
//!                                    ─ to a port of ours ─────────> return
//!                                    ─ to a skipped port ─────────> return
//!                                    ─ everything else ───────────> REDIRECT to the sidecar
//! OUTPUT ─ tcp ─> REMORA_OUTBOUND ─ over lo ──────────────────────> return
//!                                 ─ of the proxy's uid ───────────> return
//!                                 ─ to a skipped network or port ─> return
//!                                 ─ everything else ──────────────> REDIRECT to the sidecar
//! ```
//!
//! Chains of the same names in `mangle` guard what `nat` does not get to see: they drop what
//! connection tracking takes for invalid, and connections that are older than the rules,
//! which lack the mark that the `nat` chains set.
//!
//! Each family is changed by a single `iptables-restore --noflush`, which the kernel takes
//! table by table, each whole or not at all; if anything fails, what was changed is put back
//! and everything fails. Running again gives the same rules: our chains are filled anew, and
//! jumps to them that are missing, doubled or not first are put right.

mod app;
mod args;
mod error;
mod iptables;
mod rules;
mod skip;
mod state;

pub use app::{InitError, Outcome, Pod, Tables};
pub use args::{Args, Command, Rules};
pub use error::{Cause, TableError};
pub use iptables::{Family, Iptables, has_ipv6_address};
pub use rules::Redirection;
pub use skip::{Cidr, Ports, SkipError};
pub use state::State;
