//! The proxy that stands in a pod: takes redirected connections, judges them
//! and their requests by the pod's slice of policy, and logs what it did.
//!
//! ```text
//! agent ── NPDS, NPHDS, services ──> agent ──> snapshot (swapped whole, read per request)
//!                           saved ─────┤   (on disk, for a start without the agent)
//! client ──> traffic: original destination, L4 decision, then
//!              opaque: bytes as they are │ session: driver + parser ──> server
//!                                        │
//!                                   access log (stdout)
//!
//! Of what comes in, the client is another pod and the server this pod's app;
//! of what goes out, the client is the app.
//!
//! kubelet ──> health: its probes, made from inside the pod
//! Prometheus ──> metrics        the pod's own containers ──> admin
//! ```
//!
//! [`App`] is the whole of it, for the binary and for tests.

// Peers choose the bytes in here and the agent the policy.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod access_log;
mod admin;
mod agent;
mod app;
pub mod command;
pub mod config;
mod drain;
mod endpoint;
mod errors;
pub mod finder;
mod health;
mod http;
pub mod limits;
mod metrics;
mod network;
pub mod node;
mod process;
pub mod ready;
mod relay;
mod saved;
mod services;
mod snapshot;
mod traffic;

pub use app::{App, Bound};
pub use config::{Config, ConfigError};
pub use endpoint::Addresses;
pub use errors::StartError;
pub use network::Network;
