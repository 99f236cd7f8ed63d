//! Who the agent is: a certificate authority of its own, short-lived leaves,
//! and the TLS configurations of both sides.
//!
//! ```text
//! Authority ─issue▶ Leaf ─▶ Serving ─▶ server_config     (the agent, feature `issue`)
//!     └─bundle▶ PEM ─▶ Bundle ─▶ client_config           (whoever asks it)
//!
//! Given ─▶ Serving ─▶ https_config                        (the injector, feature `read`)
//! ```
//!
//! Pure but for reading a bundle's file: no sockets, and the time is handed in.
//! TLS 1.3 alone, by rustls with ring; no root of the system is trusted.
//!
//! A client reads the bundle anew for each connection:
//!
//! ```no_run
//! # fn main() -> Result<(), remora_certs::Error> {
//! let bundle = remora_certs::Bundle::read(std::path::Path::new("/run/remora/ca/ca.crt"))?;
//! let config = remora_certs::client_config(&bundle)?;
//! # Ok(())
//! # }
//! ```

// Certificates come from outside: nothing may index, cast or unwrap.
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

mod bundle;
mod client;
mod error;
mod server;

#[cfg(feature = "issue")]
mod authority;
#[cfg(feature = "read")]
mod given;
#[cfg(feature = "issue")]
mod leaf;
#[cfg(feature = "issue")]
mod rotation;

pub use bundle::{Bundle, MAX_BUNDLE_BYTES, MAX_CERTIFICATES};
pub use client::client_config;
pub use error::Error;
pub use server::{Serving, https_config, server_config};

#[cfg(feature = "read")]
pub use given::Given;

#[cfg(feature = "issue")]
pub use authority::Ca;
#[cfg(feature = "issue")]
pub use leaf::Leaf;
#[cfg(feature = "issue")]
pub use rotation::{Authority, Phase, Schedule};

/// The protocol that both sides speak inside TLS (RFC 9113 section 3.2).
const ALPN: &[u8] = b"h2";

/// The primitives that everything here uses.
fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}
