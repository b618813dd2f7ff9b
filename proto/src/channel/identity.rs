//! The certificate a side shows, which can be replaced while connections are served with it.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::config::provider;
use crate::signed::SCHEMES;

/// A certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not PEM, or not the PEM that is asked for.
    #[error("the {what} is not readable as PEM: {source}")]
    Pem {
        /// "certificate" or "key".
        what: &'static str,
        /// What the reader says.
        source: rustls::pki_types::pem::Error,
    },
    /// No certificate in the file.
    #[error("there is no certificate in the file")]
    Empty,
    /// The key is not the certificate's, or of a kind that is not supported.
    #[error("the key does not fit the certificate: {0}")]
    Key(rustls::Error),
    /// The certificate cannot serve as an authority.
    #[error("the authority's certificate is not usable: {0}")]
    Authority(rustls::Error),
}

/// The certificate chain and key a side shows.
pub struct SwappableIdentity(ArcSwap<CertifiedKey>);

impl SwappableIdentity {
    /// From DER. The leaf comes first.
    ///
    /// # Errors
    /// The key is not the leaf's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<SwappableIdentity>, IdentityError> {
        Ok(Arc::new(SwappableIdentity(ArcSwap::new(certified(chain, key)?))))
    }

    /// From PEM. The leaf comes first.
    ///
    /// # Errors
    /// Not PEM, or the key is not the leaf's.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Arc<SwappableIdentity>, IdentityError> {
        SwappableIdentity::new(certificates_from_pem(chain)?, key_from_pem(key)?)
    }

    /// Shows another certificate from the next handshake on; connections that live go on.
    ///
    /// # Errors
    /// The key is not the leaf's; then nothing is replaced.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), IdentityError> {
        self.0.store(certified(chain, key)?);
        Ok(())
    }

    /// Signs with the key shown now; the certificate that the signature is checked with.
    ///
    /// # Errors
    /// The key refuses.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<(CertificateDer<'static>, Vec<u8>), rustls::Error> {
        let identity = self.0.load_full();
        let refused = || rustls::Error::General("the key is of a kind that does not sign statements".into());
        let signer = identity.key.choose_scheme(SCHEMES).ok_or_else(refused)?;
        let certificate = identity.cert.first().ok_or_else(refused)?.clone();
        Ok((certificate, signer.sign(message)?))
    }

    /// The chain shown now.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.0.load().cert.clone()
    }
}

impl fmt::Debug for SwappableIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SwappableIdentity")
    }
}

impl ResolvesServerCert for SwappableIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for SwappableIdentity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let identity = self.0.load_full();
        identity.key.choose_scheme(schemes).is_some().then_some(identity)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, IdentityError> {
    if chain.is_empty() {
        return Err(IdentityError::Empty);
    }
    CertifiedKey::from_der(chain, key, &provider()).map(Arc::new).map_err(IdentityError::Key)
}

/// The certificates of a PEM file.
///
/// # Errors
/// Not PEM, or no certificate in it.
pub fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| IdentityError::Pem { what: "certificate", source })?;
    if certificates.is_empty() { Err(IdentityError::Empty) } else { Ok(certificates) }
}

/// The first private key of a PEM file.
///
/// # Errors
/// Not PEM, or no key in it.
pub fn key_from_pem(pem: &[u8]) -> Result<PrivateKeyDer<'static>, IdentityError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|source| IdentityError::Pem { what: "key", source })
}

/// The authorities to trust.
///
/// # Errors
/// A certificate cannot serve as an authority.
pub fn roots<'a>(
    authorities: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(IdentityError::Authority)?;
    }
    Ok(roots)
}
