//! A server's certificate that somebody else issued, as a Secret of type `kubernetes.io/tls`
//! has it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Error, MAX_BUNDLE_BYTES, MAX_CERTIFICATES, provider};

/// A certificate that can be served, and the times that go with it.
#[derive(Clone, Debug)]
pub struct Given {
    certified: Arc<CertifiedKey>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Given {
    /// Reads a certificate, with the chain that vouches for it, and its key, both in PEM;
    /// `origin` is what errors call their place. No error ever shows the key.
    ///
    /// # Errors
    /// One of them is none, or longer than a bundle may be, or they do not belong together.
    pub fn parse(certificate: &[u8], key: &[u8], origin: &str) -> Result<Self, Error> {
        if certificate.len().max(key.len()) > MAX_BUNDLE_BYTES {
            return Err(Error::content(origin, format!("more than {MAX_BUNDLE_BYTES} bytes")));
        }
        let text = std::str::from_utf8(certificate)
            .map_err(|_| Error::content(origin, "the certificate is no PEM"))?;
        let (not_before, not_after) = validity(text, origin)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .take(MAX_CERTIFICATES.saturating_add(1))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::content(origin, format!("the chain is no PEM: {error}")))?;
        if chain.len() > MAX_CERTIFICATES {
            let problem = format!("more than {MAX_CERTIFICATES} certificates");
            return Err(Error::content(origin, problem));
        }
        let no_key = || Error::content(origin, "the key is no private key in PEM");
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| no_key())?;
        let key = provider().key_provider.load_private_key(key).map_err(|_| no_key())?;
        let certified = CertifiedKey::new(chain, key);
        certified
            .keys_match()
            .map_err(|_| Error::content(origin, "the key is not the certificate's"))?;
        Ok(Self { certified: Arc::new(certified), not_before, not_after })
    }

    /// What rustls serves.
    #[must_use]
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// From when on clients take it.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When they begin to refuse it.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

/// From when to when a certificate in PEM counts.
pub(crate) fn validity(certificate: &str, origin: &str) -> Result<(SystemTime, SystemTime), Error> {
    let problem = "the certificate is none of X.509 in PEM";
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes())
        .map_err(|_| Error::content(origin, problem))?;
    let (_, parsed) =
        X509Certificate::from_der(&pem.contents).map_err(|_| Error::content(origin, problem))?;
    let time = |seconds: i64| {
        let seconds = u64::try_from(seconds).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    };
    let times = parsed.validity();
    time(times.not_before.timestamp())
        .zip(time(times.not_after.timestamp()))
        .ok_or_else(|| Error::content(origin, "the certificate's times are out of range"))
}
