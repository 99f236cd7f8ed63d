//! The webhook as a program: admission over TLS, and what goes with it.
//!
//! ```text
//! API server ─TLS▶ server ─bytes▶ admission ─answer▶ API server
//!                     │               └─story▶ events ─▶ Event on the owner
//! Secret ─certificate─┘
//! pods, namespaces ─▶ reconcile ─▶ who should be injected and is not
//! ```
//!
//! The handler asks nobody anything: what it needs is in the review and on the command line.

// Reviews come from the network: nothing may index, cast or unwrap.
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
mod certificate;
mod counters;
mod desk;
mod door;
mod events;
mod log;
mod options;
mod pages;
mod reconcile;
mod server;
mod tasks;

pub use self::app::{App, Running, StartError, WebhookConfig};
pub use self::certificate::Expiry;
pub use self::counters::Counters;
pub use self::desk::{Desk, Path};
pub use self::events::{Mailbox, deliver, event};
pub use self::log::start_log;
pub use self::options::{Command, EXIT_SOFTWARE, EXIT_UNAVAILABLE, EXIT_USAGE, Options};
pub use self::reconcile::{Finding, Ledger};
pub use self::server::serve;
pub use self::tasks::{remove_webhooks, try_out};
