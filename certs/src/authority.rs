//! One certificate authority: its certificate and its key.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::given::validity;
use crate::{Error, Leaf};

/// How far other clocks may be behind ours: certificates begin that much early.
const SKEW: Duration = Duration::from_secs(300);

/// A CA that can sign.
#[derive(Debug)]
pub struct Ca {
    certificate: String,
    issued: SystemTime,
    not_after: SystemTime,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// A new CA with a key of its own (ECDSA on P-256), for `life` from `now` on.
    ///
    /// # Errors
    /// The times cannot be written in a certificate, or there is no randomness.
    pub fn generate(now: SystemTime, life: Duration) -> Result<Self, Error> {
        let what = "a CA's certificate";
        let key = new_key()?;
        let mut params = CertificateParams::default();
        // A name of its own, so that a bundle of several never confuses two.
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        params.distinguished_name = name(&format!("Remora CA {}", since.as_nanos()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = before(now)?.into();
        params.not_after = after(now, life)?.into();
        let certificate = params.self_signed(&key).map_err(|error| Error::make(what, &error))?;
        Self::parse(&certificate.pem(), &key.serialize_pem(), what)
    }

    /// A CA from its certificate and key in PEM; `origin` is what errors call
    /// their place.
    ///
    /// # Errors
    /// One of them is no PEM or not a CA's, or they do not belong together.
    pub fn parse(certificate: &str, key: &str, origin: &str) -> Result<Self, Error> {
        let (not_before, not_after) = validity(certificate, origin)?;
        // rcgen's error may quote its input: a key never gets into a message.
        let key = KeyPair::from_pem(key)
            .map_err(|_| Error::content(origin, "the key is no private key in PEM"))?;
        if !holds_key(certificate, &key) {
            return Err(Error::content(origin, "the key is not the certificate's"));
        }
        let issuer = Issuer::from_ca_cert_pem(certificate, key)
            .map_err(|error| Error::content(origin, format!("no CA's certificate: {error}")))?;
        let issued = not_before.checked_add(SKEW).unwrap_or(not_before);
        Ok(Self { certificate: certificate.to_owned(), issued, not_after, issuer })
    }

    /// Its certificate in PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its key in PEM, for the store that only the agent reads.
    #[must_use]
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// When it was made, to the second.
    #[must_use]
    pub fn issued(&self) -> SystemTime {
        self.issued
    }

    /// Until when it counts.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// A leaf with a key of its own for a server of these DNS names or
    /// addresses, for `life` from `now` on, but no longer than the CA itself.
    ///
    /// # Errors
    /// A name is none, the CA is over, or the times cannot be written.
    pub fn issue(&self, names: &[String], now: SystemTime, life: Duration) -> Result<Leaf, Error> {
        let what = "a server's certificate";
        if now >= self.not_after {
            return Err(Error::make(what, &"the CA's own certificate has expired"));
        }
        let key = new_key()?;
        let mut params =
            CertificateParams::new(names.to_vec()).map_err(|error| Error::make(what, &error))?;
        params.distinguished_name = name(names.first().map_or("Remora", String::as_str));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let not_after = after(now, life)?.min(self.not_after);
        params.not_before = before(now)?.into();
        params.not_after = not_after.into();
        let signed =
            params.signed_by(&key, &self.issuer).map_err(|error| Error::make(what, &error))?;
        let certified = certified(signed.der().clone(), &key)?;
        Ok(Leaf::new(certified, (signed.pem(), key.serialize_pem()), now, not_after))
    }
}

fn holds_key(certificate: &str, key: &KeyPair) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()) else {
        return false;
    };
    X509Certificate::from_der(&pem.contents)
        .is_ok_and(|(_, own)| own.public_key().subject_public_key.data == key.public_key_raw())
}

fn certified(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
) -> Result<Arc<CertifiedKey>, Error> {
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = rustls::crypto::ring::sign::any_ecdsa_type(&der)
        .map_err(|error| Error::make("a server's key", &error))?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate], key)))
}

fn new_key() -> Result<KeyPair, Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| Error::make("a key", &error))
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn before(now: SystemTime) -> Result<SystemTime, Error> {
    now.checked_sub(SKEW).ok_or_else(|| Error::make("a certificate", &"the time is out of range"))
}

fn after(now: SystemTime, life: Duration) -> Result<SystemTime, Error> {
    now.checked_add(life).ok_or_else(|| Error::make("a certificate", &"the time is out of range"))
}
