//! The side that checks who answers before it says anything.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;

use crate::{ALPN, Bundle, Error, provider};

/// A client that trusts the bundle's CAs and nobody else. The server's name is
/// the caller's to give: rustls checks the certificate against it before a byte
/// of the caller's leaves.
///
/// # Errors
/// None with a bundle that was read by [`Bundle::parse`]; rustls may refuse one.
pub fn client_config(bundle: &Bundle) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::make("a client's configuration", &error))?
        .with_root_certificates(bundle.roots("the bundle")?)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A session would outlive the CA that vouched for it.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
