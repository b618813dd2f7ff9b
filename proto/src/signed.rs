//! Statements that are signed with the key of a certificate, so that they can be checked later and
//! elsewhere: what a node says of its slice.
//!
//! The kind is signed with the content, so that no statement can be taken for one of another kind.

use std::{ops::RangeInclusive, sync::Arc};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use prost::Message;
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
    #[error("this is a {found}, not a {wanted}")]
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
    Ok(Signed { kind: S::KIND.to_owned(), content, signature, certificate: certificate.to_vec() })
}

/// A statement and who signed it, if it is to be believed.
///
/// # Errors
/// It is not what is asked for, was altered, or the signer had no certificate of the authority then.
pub fn verify<S: Statement>(
    signed: &Signed,
    authority: &CertificateDer<'static>,
) -> Result<(S, PeerIdentity), VerifyError> {
    let (statement, time) = content::<S>(signed)?;
    let certificate = CertificateDer::from(signed.certificate.clone());
    let signer = Signer::trusted(&certificate, authority, time)?;
    signer.check::<S>(signed)?;
    Ok((statement, signer.identity))
}

/// When the certificate holds that a statement was signed with; none if it cannot be read.
#[must_use]
pub fn validity(signed: &Signed) -> Option<RangeInclusive<OffsetDateTime>> {
    let certificate = CertificateDer::from(signed.certificate.clone());
    let read = PeerCertificate::read(vec![certificate]).ok()?;
    Some(read.not_before..=read.not_after)
}

/// Whether a statement is of a time when the certificate that it was signed with did not hold: nobody will
/// believe it, whatever else is right.
#[must_use]
pub fn is_untimely<S: Statement>(signed: &Signed) -> bool {
    let time = S::decode(signed.content.as_slice()).ok().and_then(|statement| statement.time());
    time.zip(validity(signed)).is_some_and(|(time, validity)| !validity.contains(&time))
}

/// Checks many statements of the same signers: the certificate of each is looked into once.
pub struct Verifier {
    authority: CertificateDer<'static>,
    /// By the hash of the certificate.
    signers: Cache<[u8; 32], Arc<Signer>>,
}

/// Signers that a [`Verifier`] remembers.
const SIGNERS: usize = 1024;

impl Verifier {
    /// Checks statements of the signers of an authority.
    #[must_use]
    pub fn new(authority: CertificateDer<'static>) -> Verifier {
        Verifier { authority, signers: Cache::new(SIGNERS) }
    }

    /// A statement and who signed it, if it is to be believed: as [`verify`] has it.
    ///
    /// # Errors
    /// It is not what is asked for, was altered, or the signer had no certificate of the authority then.
    pub fn verify<S: Statement>(&self, signed: &Signed) -> Result<(S, PeerIdentity), VerifyError> {
        let (statement, time) = content::<S>(signed)?;
        let signer = self.signer(&signed.certificate, time)?;
        signer.check::<S>(signed)?;
        Ok((statement, signer.identity.clone()))
    }

    fn signer(&self, certificate: &[u8], at: OffsetDateTime) -> Result<Arc<Signer>, VerifyError> {
        let hash = sha256(certificate);
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
fn content<S: Statement>(signed: &Signed) -> Result<(S, OffsetDateTime), VerifyError> {
    if signed.kind != S::KIND {
        return Err(VerifyError::Kind { found: signed.kind.clone(), wanted: S::KIND });
    }
    let statement = S::decode(signed.content.as_slice()).map_err(|_| VerifyError::Content)?;
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
    fn check<S: Statement>(&self, signed: &Signed) -> Result<(), VerifyError> {
        UnparsedPublicKey::new(self.algorithm, &self.key)
            .verify(&message(S::KIND, &signed.content), &signed.signature)
            .map_err(|_| VerifyError::Signature)
    }
}

/// The armour of a statement in a file.
const ARMOUR: (&str, &str) = ("-----BEGIN DANCU STATEMENT-----", "-----END DANCU STATEMENT-----");
/// Characters of a line, as RFC 7468 has them.
const LINE: usize = 64;

impl Signed {
    /// As text for a file: Base64 between two lines, as RFC 7468 has it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let packed = STANDARD.encode(self.encode_to_vec());
        let mut text = format!("{}\n", ARMOUR.0);
        for line in packed.as_bytes().chunks(LINE) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text + ARMOUR.1 + "\n"
    }

    /// From text.
    ///
    /// # Errors
    /// It is not such a text.
    pub fn from_text(text: &str) -> Result<Signed, VerifyError> {
        let (_, rest) = text.split_once(ARMOUR.0).ok_or(VerifyError::Content)?;
        let (packed, _) = rest.split_once(ARMOUR.1).ok_or(VerifyError::Content)?;
        let packed: String = packed.split_whitespace().collect();
        let bytes = STANDARD.decode(packed).map_err(|_| VerifyError::Content)?;
        Signed::decode(bytes.as_slice()).map_err(|_| VerifyError::Content)
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

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};

    use super::*;

    struct Authority(CertificateDer<'static>, Issuer<'static, KeyPair>);

    fn authority() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap();
        Authority(certificate.der().clone(), Issuer::new(params, key))
    }

    /// The identity of a node, valid in 2026.
    fn node(authority: &Authority, algorithm: &'static rcgen::SignatureAlgorithm) -> SwappableIdentity {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI("dancu:node:ha-noi".try_into().unwrap())];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 12, 31);
        let certificate = params.signed_by(&key, &authority.1).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let identity = SwappableIdentity::new(vec![certificate.der().clone()], key).unwrap();
        std::sync::Arc::into_inner(identity).unwrap()
    }

    #[test]
    fn a_verifier_believes_what_one_look_would() {
        let (ours, theirs) = (authority(), authority());
        let verifier = Verifier::new(ours.0.clone());
        let check = |signed: &Signed| verifier.verify::<SliceReport>(signed);
        let (first, second) =
            (node(&ours, &rcgen::PKCS_ECDSA_P256_SHA256), node(&ours, &rcgen::PKCS_ED25519));
        for identity in [&first, &second, &first] {
            for cursor in 0..3 {
                let said = SliceReport { cursor, ..report(THEN) };
                let (read, signer) = check(&sign(&said, identity).unwrap()).unwrap();
                assert_eq!((read, signer), (said, PeerIdentity::Node("ha-noi".into())));
            }
        }
        assert_eq!(verifier.signers.len(), 2);
        // The certificate is known by now, and still nothing else is believed.
        let mut altered = sign(&report(THEN), &first).unwrap();
        altered.content = SliceReport { citizens: 4, ..report(THEN) }.encode_to_vec();
        assert!(matches!(check(&altered), Err(VerifyError::Signature)));
        let mut swapped = sign(&report(THEN), &first).unwrap();
        swapped.certificate = sign(&report(THEN), &second).unwrap().certificate;
        assert!(matches!(check(&swapped), Err(VerifyError::Signature)));
        let expired = sign(&report(THEN + 365 * 86_400), &first).unwrap();
        assert!(matches!(check(&expired), Err(VerifyError::Untrusted(_))));
        let other = sign(&report(THEN), &node(&theirs, &rcgen::PKCS_ED25519)).unwrap();
        assert!(matches!(check(&other), Err(VerifyError::Untrusted(_))));
        assert!(check(&sign(&report(THEN), &first).unwrap()).is_ok());
    }

    fn report(seconds: i64) -> SliceReport {
        let time = Some(Timestamp { seconds, nanos: 0 });
        SliceReport { node: "ha-noi".into(), cursor: 7, citizens: 3, time, ..SliceReport::default() }
    }

    /// In the middle of 2026.
    const THEN: i64 = 1_780_000_000;

    #[test]
    fn a_statement_is_read_back_with_its_signer() {
        let authority = authority();
        for algorithm in
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
        {
            let signed = sign(&report(THEN), &node(&authority, algorithm)).unwrap();
            let text = format!("before\n{}after\n", signed.to_text());
            let (read, signer) = verify(&Signed::from_text(&text).unwrap(), &authority.0).unwrap();
            assert_eq!((read, signer), (report(THEN), PeerIdentity::Node("ha-noi".into())));
        }
    }

    #[test]
    fn a_statement_of_before_or_after_its_certificate_is_untimely() {
        let node = node(&authority(), &rcgen::PKCS_ED25519);
        let untimely = |time| is_untimely::<SliceReport>(&sign(&report(time), &node).unwrap());
        assert!(!untimely(THEN));
        assert!(untimely(0));
        assert!(untimely(THEN + 365 * 86_400));
    }

    #[test]
    fn what_was_altered_is_not_believed() {
        let authority = authority();
        let signed = sign(&report(THEN), &node(&authority, &rcgen::PKCS_ECDSA_P256_SHA256)).unwrap();
        let check = |signed: &Signed| verify::<SliceReport>(signed, &authority.0).unwrap_err();
        let mut other = signed.clone();
        other.content = SliceReport { citizens: 4, ..report(THEN) }.encode_to_vec();
        assert!(matches!(check(&other), VerifyError::Signature));
        let mut other = signed.clone();
        other.kind = "dancu.v1.Else".into();
        assert!(matches!(check(&other), VerifyError::Kind { .. }));
        let mut other = signed.clone();
        *other.signature.last_mut().unwrap() ^= 1;
        assert!(matches!(check(&other), VerifyError::Signature));
        // Another node's certificate does not make it another node's word.
        let mut other = signed;
        other.certificate = sign(&report(THEN), &node(&authority, &rcgen::PKCS_ED25519)).unwrap().certificate;
        assert!(matches!(check(&other), VerifyError::Signature));
    }

    #[test]
    fn a_signer_of_another_authority_or_time_is_not_believed() {
        let (ours, theirs) = (authority(), authority());
        let check = |signed: &Signed| verify::<SliceReport>(signed, &ours.0).unwrap_err();
        let signed = sign(&report(THEN), &node(&theirs, &rcgen::PKCS_ED25519)).unwrap();
        assert!(matches!(check(&signed), VerifyError::Untrusted(_)));
        let of_2027 = report(THEN + 365 * 86_400);
        let signed = sign(&of_2027, &node(&ours, &rcgen::PKCS_ED25519)).unwrap();
        assert!(matches!(check(&signed), VerifyError::Untrusted(_)));
        let timeless = SliceReport { time: None, ..report(THEN) };
        let signed = sign(&timeless, &node(&ours, &rcgen::PKCS_ED25519)).unwrap();
        assert!(matches!(check(&signed), VerifyError::Content));
    }

    #[test]
    fn what_is_not_a_statement_is_refused() {
        for text in [
            "",
            "-----BEGIN DANCU STATEMENT-----",
            "-----BEGIN DANCU STATEMENT-----\n!\n-----END DANCU STATEMENT-----",
        ] {
            assert!(matches!(Signed::from_text(text), Err(VerifyError::Content)));
        }
    }
}
