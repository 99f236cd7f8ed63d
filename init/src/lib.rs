//! Programs the redirection of a pod's traffic, and verifies it.
//!
//! Inbound TCP, IPv4 and IPv6, is sent to the sidecar by one chain of our own in each
//! family's `nat` table:
//!
//! ```text
//! PREROUTING ─ tcp ─> REMORA_INBOUND ─ from lo ──────────────> return
//!                                    ─ to a port of ours ────> return
//!                                    ─ to an excluded port ──> return
//!                                    ─ everything else ──────> REDIRECT to the sidecar
//! ```
//!
//! Each family is changed by a single `iptables-restore --noflush`, which the kernel takes
//! whole or not at all; if one family fails, the other is put back and everything fails.
//! Running again gives the same rules: our chain is filled anew, and jumps to it that are
//! missing, doubled or not first are put right in the same transaction.

mod app;
mod args;
mod error;
mod iptables;
mod rules;

pub use app::{InitError, Outcome, Pod, Tables};
pub use args::{Args, Command, Program};
pub use error::{Cause, TableError};
pub use iptables::{Family, Iptables, has_ipv6_address};
pub use rules::{CHAIN, Redirection, State};
