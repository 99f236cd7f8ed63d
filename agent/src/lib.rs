//! The agent: watches pods, namespaces and policies, gives identities, and
//! serves each pod its slice of policy.
//!
//! ```text
//! files ─────directory──┐
//!                       ├─▶ objects ──world──▶ a slice for each pod ──server──▶ sidecars
//! API server─kubernetes─┘
//! ```
//!
//! [`directory`] keeps the last good documents of every file, `kubernetes`
//! follows an API server, [`world`] is pure and makes slices of what they say,
//! [`server`] speaks NPDS and NPHDS, over a unix socket for each pod or over TLS
//! with what [`credentials`] keeps. [`App`] joins them. Whatever cannot be read
//! never leaves a pod more open than before.

// Manifests and requests come from outside: nothing may index, cast or unwrap.
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

mod app;
pub mod crd;
pub mod credentials;
pub mod directory;
mod kubernetes;
mod log;
mod notice;
mod options;
pub mod server;
pub mod world;

pub use app::{App, Config, Running, StartError};
pub use kubernetes::ClusterConfig;
pub use log::start_log;
pub use notice::{Notice, Severity};
pub use options::{EXIT_SOFTWARE, EXIT_UNAVAILABLE, EXIT_USAGE, Mode, Options};
