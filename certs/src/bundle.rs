//! The CA certificates that a client trusts, as the agent publishes them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::Error;

/// The longest bundle that is read, in bytes: a few certificates of less than 1 KiB each.
pub const MAX_BUNDLE_BYTES: usize = 64 << 10;
/// The most certificates in a bundle. The agent never publishes more than two.
pub const MAX_CERTIFICATES: usize = 16;

/// One or more CA certificates. Equal bundles hold the same certificates in the
/// same order, so that a reader can tell whether its file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    certificates: Vec<CertificateDer<'static>>,
}

impl Bundle {
    /// Reads a file of PEM certificates.
    ///
    /// # Errors
    /// It cannot be read, is longer than [`MAX_BUNDLE_BYTES`], or is no bundle.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let origin = path.display().to_string();
        let limit = u64::try_from(MAX_BUNDLE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let mut pem = Vec::new();
        File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut pem))
            .map_err(|error| Error::Read { origin: origin.clone(), error })?;
        Self::parse(&pem, &origin)
    }

    /// Reads PEM certificates; `origin` is what errors call their place.
    ///
    /// # Errors
    /// It is no PEM, holds no certificate, or more than [`MAX_CERTIFICATES`], or
    /// one of them can be no CA's.
    pub fn parse(pem: &[u8], origin: &str) -> Result<Self, Error> {
        if pem.len() > MAX_BUNDLE_BYTES {
            return Err(Error::content(origin, format!("more than {MAX_BUNDLE_BYTES} bytes")));
        }
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let number = certificates.len().saturating_add(1);
            let certificate = certificate.map_err(|error| {
                Error::content(origin, format!("certificate {number} is no PEM: {error}"))
            })?;
            certificates.push(certificate);
            if certificates.len() > MAX_CERTIFICATES {
                let problem = format!("more than {MAX_CERTIFICATES} certificates");
                return Err(Error::content(origin, problem));
            }
        }
        if certificates.is_empty() {
            return Err(Error::content(origin, "it holds no certificate in PEM"));
        }
        let bundle = Self { certificates };
        bundle.roots(origin)?;
        Ok(bundle)
    }

    /// How many certificates it holds: at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.certificates.len()
    }

    pub(crate) fn roots(&self, origin: &str) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for (number, certificate) in (1_usize..).zip(&self.certificates) {
            roots.add(certificate.clone()).map_err(|error| {
                Error::content(origin, format!("certificate {number} is none of X.509: {error}"))
            })?;
        }
        Ok(roots)
    }
}
