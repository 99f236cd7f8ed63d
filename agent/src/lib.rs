//! The agent: watches pods, namespaces and policies, gives identities, and
//! serves each pod its slice of policy over a unix socket of its own.
//!
//! ```text
//! files --directory--> documents --world--> a slice for each pod --server--> sidecars
//! ```
//!
//! [`directory`] keeps the last good documents of every file, [`world`] is pure
//! and makes slices of them, the server speaks NPDS and NPHDS. [`App`] joins the
//! three. Whatever cannot be read never leaves a pod more open than before.

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
pub mod directory;
mod notice;
mod options;
mod server;
pub mod world;

pub use app::{App, Config, Running, StartError};
pub use notice::{Notice, Severity};
pub use options::{EXIT_SOFTWARE, EXIT_USAGE, Options};
