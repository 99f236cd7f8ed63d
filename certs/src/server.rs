//! The side that proves itself, with a certificate that may change at any time.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::{ALPN, Error, provider};

/// The certificate that is served now: the next handshake shows what was set
/// last. Without one, handshakes fail.
#[derive(Debug, Default)]
pub struct Serving(ArcSwapOption<CertifiedKey>);

impl Serving {
    /// Shows this certificate from now on.
    pub fn set(&self, certificate: Arc<CertifiedKey>) {
        self.0.store(Some(certificate));
    }

    /// Shows none any more, as when the last has expired.
    pub fn clear(&self) {
        self.0.store(None);
    }

    /// Whether there is one to show.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load().is_some()
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// A server that shows whatever `serving` holds. It asks no client for a
/// certificate: who they are is said inside.
///
/// # Errors
/// rustls refuses the configuration: a bug.
pub fn server_config(serving: Arc<Serving>) -> Result<Arc<ServerConfig>, Error> {
    config(serving, ALPN)
}

/// The same for HTTP/1.1, which an API server speaks to a webhook.
///
/// # Errors
/// As [`server_config`].
pub fn https_config(serving: Arc<Serving>) -> Result<Arc<ServerConfig>, Error> {
    config(serving, b"http/1.1")
}

fn config(serving: Arc<Serving>, protocol: &[u8]) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::make("a server's configuration", &error))?
        .with_no_client_auth()
        .with_cert_resolver(serving);
    config.alpn_protocols = vec![protocol.to_vec()];
    // Every connection is checked against the certificate of its day.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
