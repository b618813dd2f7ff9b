//! A signing request as this protocol has it: a new key, a name, and nothing else.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A new key and the request to certify it. The key stays where it is made.
pub struct SigningRequest {
    key: KeyPair,
    /// PKCS#10, DER.
    pub csr: Vec<u8>,
}

/// A key or request cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("a key and signing request cannot be made: {0}")]
pub struct RequestError(#[from] rcgen::Error);

impl SigningRequest {
    /// A new key (ECDSA P-256) and a request whose subject is `name`.
    ///
    /// # Errors
    /// The name cannot stand in a certificate.
    pub fn new(name: &str) -> Result<SigningRequest, RequestError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let csr = params.serialize_request(&key)?.der().to_vec();
        Ok(SigningRequest { key, csr })
    }

    /// The key, PKCS#8.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// The key, PEM, to be kept in a file that only its owner reads.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}
