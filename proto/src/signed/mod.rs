//! Statements that are signed with the key of a certificate, so that they can be checked later and
//! elsewhere: what a node says of its slice.
//!
//! The kind is signed with the content, so that no statement can be taken for one of another kind. Statements
//! that travel together can have one signature ([`sign_together`]).

mod batch;
#[cfg(test)]
mod tests;
mod text;
mod together;

use std::{ops::RangeInclusive, sync::Arc};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use quick_cache::sync::Cache;
use rustls::{
    RootCertStore, SignatureScheme,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, UnixTime},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use time::OffsetDateTime;
use x509_parser::{
    oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_SIG_ED25519},
    prelude::{FromDer, X509Certificate},
};

use crate::{
    channel::{
        HUB_SERVER_NAME, PeerCertificate, PeerIdentity, SwappableIdentity, config::provider,
        peer::CertificateError, pin::sha256,
    },
    v1::{ContributionReceipt, LogHead, QueuedContribution, Signed, SliceReport, TreeHead},
};

use together::signed_message;
pub use together::{gather, sign_together};

/// What can be signed.
pub trait Statement: prost::Message + Default {
    /// Full name of the message.
    const KIND: &'static str;

    /// When it was made: its signer's certificate was valid then.
    fn time(&self) -> Option<OffsetDateTime>;
}

macro_rules! statements {
    ($($message:ident = $kind:literal;)*) => {$(
        impl Statement for $message {
            const KIND: &'static str = $kind;

            fn time(&self) -> Option<OffsetDateTime> {
                OffsetDateTime::from_unix_timestamp(self.time.as_ref()?.seconds).ok()
            }
        }
    )*};
}

statements! {
    SliceReport = "dancu.v1.SliceReport";
    LogHead = "dancu.v1.LogHead";
    TreeHead = "dancu.v1.TreeHead";
    QueuedContribution = "dancu.v1.QueuedContribution";
    ContributionReceipt = "dancu.v1.ContributionReceipt";
}

/// A statement cannot be signed.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot sign: {0}")]
pub struct SignError(#[from] rustls::Error);

/// A signed statement is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something else was signed.
    // It may be anything.
    #[error("this is {found:?}, not a {wanted}")]
    Kind {
        /// What it is.
        found: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// Not readable.
    #[error("the statement cannot be read")]
    Content,
    /// Its signer's certificate is not readable.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its signer's certificate is of another authority, or was not valid then.
    #[error("the signer's certificate does not hold for the time of the statement: {0}")]
    Untrusted(rustls::Error),
    /// The key is of a kind that is not used here.
    #[error("the signer's key is not ECDSA (P-256, P-384) or Ed25519")]
    Algorithm,
    /// It was altered, or another key signed it.
    #[error("the signature is not right: the statement was altered, or another key signed it")]
    Signature,
}

/// Signs a statement with the key of an identity.
///
/// # Errors
/// The key refuses.
pub fn sign<S: Statement>(statement: &S, identity: &SwappableIdentity) -> Result<Signed, SignError> {
    let content = statement.encode_to_vec();
    let (certificate, signature) = identity.sign(&message(S::KIND, &content))?;
    let (kind, certificate) = (S::KIND.to_owned(), certificate.to_vec());
    Ok(Signed { kind, content, signature, certificate, together: None })
}

/// A statement and who signed it, if it is to be believed.
///
/// # Errors
/// It is not what is asked for, was altered, or the signer had no certificate of the authority then.
pub fn verify<S: Statement>(
    signed: &Signed,
    authority: &CertificateDer<'static>,
) -> Result<(S, PeerIdentity), VerifyError> {
    let (statement, time) = content::<S>(&signed.kind, &signed.content)?;
    let certificate = CertificateDer::from(signed.certificate.clone());
    let signer = Signer::trusted(&certificate, authority, time)?;
    signer.check(&signed_message(signed)?, &signed.signature)?;
    Ok((statement, signer.identity))
}

/// The same, by any of several authorities.
///
/// # Errors
/// As above: what is wrong with the statement, where one of them has certified its signer.
pub fn verify_by_any<S: Statement>(
    signed: &Signed,
    authorities: &[CertificateDer<'static>],
) -> Result<(S, PeerIdentity), VerifyError> {
    let mut refused = VerifyError::Content;
    for authority in authorities {
        match verify(signed, authority) {
            Err(VerifyError::Untrusted(error)) => refused = VerifyError::Untrusted(error),
            done => return done,
        }
    }
    Err(refused)
}

/// When the certificate holds that a statement was signed with; none if it cannot be read.
#[must_use]
pub fn validity(signed: &Signed) -> Option<RangeInclusive<OffsetDateTime>> {
    validity_of(&CertificateDer::from(signed.certificate.clone()))
}

fn validity_of(certificate: &CertificateDer<'static>) -> Option<RangeInclusive<OffsetDateTime>> {
    let read = PeerCertificate::read(vec![certificate.clone()]).ok()?;
    Some(read.not_before..=read.not_after)
}

/// Whether a statement is of a time when the certificate that it was signed with did not hold: nobody will
/// believe it, whatever else is right.
#[must_use]
pub fn is_untimely<S: Statement>(signed: &Signed) -> bool {
    let time = S::decode(signed.content.as_slice()).ok().and_then(|statement| statement.time());
    time.zip(validity(signed)).is_some_and(|(time, validity)| !validity.contains(&time))
}

/// Checks many statements of the same signers: the certificate of each is looked into once, and so is a signature
/// that many statements have together.
pub struct Verifier {
    authority: CertificateDer<'static>,
    /// By the hash of the certificate.
    signers: Cache<[u8; 32], Arc<Signer>>,
    /// Hashes of a signature, its certificate and what was signed, where it was right.
    right: Cache<[u8; 32], ()>,
}

/// Signers that a [`Verifier`] remembers.
const SIGNERS: usize = 1024;
/// Signatures of many statements that it remembers.
const SIGNATURES: usize = 1024;

impl Verifier {
    /// Checks statements of the signers of an authority.
    #[must_use]
    pub fn new(authority: CertificateDer<'static>) -> Verifier {
        Verifier { authority, signers: Cache::new(SIGNERS), right: Cache::new(SIGNATURES) }
    }

    /// A statement and who signed it, if it is to be believed: as [`verify`] has it.
    ///
    /// # Errors
    /// It is not what is asked for, was altered, or the signer had no certificate of the authority then.
    pub fn verify<S: Statement>(&self, signed: &Signed) -> Result<(S, PeerIdentity), VerifyError> {
        let (statement, time) = content::<S>(&signed.kind, &signed.content)?;
        let hash = sha256(&signed.certificate);
        let signer = self.signer(hash, &signed.certificate, time)?;
        let message = signed_message(signed)?;
        if signed.together.is_none() {
            signer.check(&message, &signed.signature)?;
            return Ok((statement, signer.identity.clone()));
        }
        let right = sha256(&[&hash[..], &sha256(&signed.signature), &message].concat());
        if self.right.get(&right).is_none() {
            signer.check(&message, &signed.signature)?;
            self.right.insert(right, ());
        }
        Ok((statement, signer.identity.clone()))
    }

    fn signer(
        &self,
        hash: [u8; 32],
        certificate: &[u8],
        at: OffsetDateTime,
    ) -> Result<Arc<Signer>, VerifyError> {
        // One that was not valid then is looked into again, which says what is wrong with it.
        if let Some(known) = self.signers.get(&hash).filter(|known| known.validity.contains(&at)) {
            return Ok(known);
        }
        let certificate = CertificateDer::from(certificate.to_vec());
        let signer = Arc::new(Signer::trusted(&certificate, &self.authority, at)?);
        self.signers.insert(hash, Arc::clone(&signer));
        Ok(signer)
    }
}

/// What was signed, and when.
fn content<S: Statement>(kind: &str, content: &[u8]) -> Result<(S, OffsetDateTime), VerifyError> {
    if kind != S::KIND {
        return Err(VerifyError::Kind { found: kind.to_owned(), wanted: S::KIND });
    }
    let statement = S::decode(content).map_err(|_| VerifyError::Content)?;
    let time = statement.time().ok_or(VerifyError::Content)?;
    Ok((statement, time))
}

/// Who has a certificate of the authority.
struct Signer {
    key: Vec<u8>,
    algorithm: &'static dyn VerificationAlgorithm,
    identity: PeerIdentity,
    validity: RangeInclusive<OffsetDateTime>,
}

impl Signer {
    /// Whose certificate this is, if it was valid then.
    fn trusted(
        certificate: &CertificateDer<'static>,
        authority: &CertificateDer<'static>,
        at: OffsetDateTime,
    ) -> Result<Signer, VerifyError> {
        trusted(certificate, authority, at).map_err(VerifyError::Untrusted)?;
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::Malformed)?;
        let key = parsed.public_key();
        let curve = || key.algorithm.parameters.as_ref().and_then(|of| of.as_oid().ok());
        let algorithm: &'static dyn VerificationAlgorithm = if key.algorithm.algorithm == OID_SIG_ED25519 {
            &ED25519
        } else if curve() == Some(OID_EC_P256) {
            &ECDSA_P256_SHA256_ASN1
        } else if curve() == Some(OID_NIST_EC_P384) {
            &ECDSA_P384_SHA384_ASN1
        } else {
            return Err(VerifyError::Algorithm);
        };
        let key = key.subject_public_key.data.to_vec();
        let read = PeerCertificate::read(vec![certificate.clone()])?;
        let identity = read.identity.ok_or(CertificateError::Malformed)?;
        Ok(Signer { key, algorithm, identity, validity: read.not_before..=read.not_after })
    }

    /// Whether this signer signed it.
    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        UnparsedPublicKey::new(self.algorithm, &self.key)
            .verify(message, signature)
            .map_err(|_| VerifyError::Signature)
    }
}

fn message(kind: &str, content: &[u8]) -> Vec<u8> {
    [kind.as_bytes(), b"\0", content].concat()
}

fn trusted(
    certificate: &CertificateDer<'static>,
    authority: &CertificateDer<'static>,
    at: OffsetDateTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let roots = Arc::new(roots);
    let since = std::time::Duration::from_secs(at.unix_timestamp().try_into().unwrap_or(0));
    let at = UnixTime::since_unix_epoch(since);
    let unusable = |error: VerifierBuilderError| rustls::Error::General(error.to_string());
    // Nodes and operators have certificates of clients, the hub has one of a server.
    let client = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider());
    let as_client = client.build().map_err(unusable)?.verify_client_cert(certificate, &[], at);
    as_client.map(|_| ()).or_else(|of_client| {
        let server =
            WebPkiServerVerifier::builder_with_provider(roots, provider()).build().map_err(unusable)?;
        let name = HUB_SERVER_NAME.try_into().map_err(|_| rustls::Error::General("no name".into()))?;
        // What is wrong with a client's certificate is what is wrong, unless it is the hub's.
        server.verify_server_cert(certificate, &[], &name, &[], at).map(|_| ()).map_err(|_| of_client)
    })
}

/// What the keys of this authority sign with.
pub(crate) const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
];
