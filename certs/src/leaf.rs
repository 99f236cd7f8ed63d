//! A server's certificate and the times that go with it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::sign::CertifiedKey;

/// A certificate with its key.
#[derive(Clone)]
pub struct Leaf {
    certified: Arc<CertifiedKey>,
    certificate: String,
    key: String,
    renew_at: SystemTime,
    not_after: SystemTime,
}

impl Leaf {
    pub(crate) fn new(
        certified: Arc<CertifiedKey>,
        (certificate, key): (String, String),
        issued: SystemTime,
        not_after: SystemTime,
    ) -> Self {
        let life = not_after.duration_since(issued).unwrap_or_default();
        Self { certified, certificate, key, renew_at: two_thirds(issued, life), not_after }
    }

    /// What rustls serves.
    #[must_use]
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its key in PEM, for a server that is another program.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// When to issue the next: at two thirds of its life.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        self.renew_at
    }

    /// When clients begin to refuse it.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

/// It holds a key.
impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// The moment at two thirds of a life.
pub(crate) fn two_thirds(start: SystemTime, life: Duration) -> SystemTime {
    start.checked_add(life / 3 * 2).unwrap_or(start)
}
