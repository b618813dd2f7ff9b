//! Trust in an authority of which only the fingerprint is known, as a node has it when it enrols.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::{
    DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::config::provider;

/// SHA-256 of a public key (SubjectPublicKeyInfo): it outlives the certificates made for the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of the key in a certificate; none if it does not parse.
    #[must_use]
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Fingerprint> {
        let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
        rest.is_empty().then(|| Fingerprint::of_key(parsed.tbs_certificate.subject_pki.raw))
    }

    /// Of a SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn of_key(spki: &[u8]) -> Fingerprint {
        Fingerprint(sha256(spki))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}

/// The server's chain does not lead to the pinned authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is not of the expected authority")]
pub struct WrongAuthority;

/// Accepts a server whose chain leads to the authority with the pinned key. The server sends the
/// authority's certificate along; whoever sends a copy of it without having been signed by it fails
/// the ordinary verification, which comes after.
#[derive(Debug)]
pub struct PinnedAuthority {
    pin: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    /// Trusts the authority with this key, and no other.
    #[must_use]
    pub fn new(pin: Fingerprint) -> PinnedAuthority {
        PinnedAuthority { pin, provider: provider() }
    }
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = intermediates
            .iter()
            .find(|certificate| Fingerprint::of_certificate(certificate) == Some(self.pin))
            .ok_or_else(|| Error::Other(OtherError(Arc::new(WrongAuthority))))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
