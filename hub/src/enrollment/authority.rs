//! The hub's certificate authority: private, for one kind of server and for its nodes and operators.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::rand;
use dancu_proto::channel::{
    Fingerprint, HUB_SERVER_NAME, IdentityError, PeerCertificate, PeerIdentity, RequestError, SigningRequest,
    file,
    identity::{certificates_from_pem, roots},
    peer::CertificateError,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData, SanType, SerialNumber,
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509CertificationRequest};

/// How long the authority itself lasts.
const LIFETIME: Duration = Duration::from_secs(20 * 366 * 86_400);

/// A certificate begins a little before it is made, because clocks differ.
const BACKDATED: Duration = Duration::from_secs(300);

/// No request of ours comes near it.
const LONGEST_REQUEST: usize = 8 * 1024;

/// The authority cannot do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is one in the directory.
    #[error("{0} holds an authority already; it is never replaced, because every node trusts it")]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The authority's certificate is not usable.
    #[error("the authority's certificate is not usable: {0}")]
    Certificate(#[from] IdentityError),
    /// A certificate cannot be read back.
    #[error("a certificate cannot be read back: {0}")]
    ReadBack(#[from] CertificateError),
    /// The key in the directory is not the certificate's.
    #[error("the authority's key is not the one in its certificate")]
    KeyMismatch,
    /// The certificate library refuses.
    #[error("a certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
    /// A key cannot be made.
    #[error(transparent)]
    Key(#[from] RequestError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The signing request is not acceptable.
    #[error("the signing request is refused: {0}")]
    Request(&'static str),
}

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    fingerprint: Fingerprint,
    not_after: OffsetDateTime,
}

/// A certificate just signed.
#[derive(Clone, Debug)]
pub struct Issued {
    /// DER.
    pub certificate: CertificateDer<'static>,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// End of validity.
    pub expires: OffsetDateTime,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(directory: &Path) -> Files {
        Files { certificate: directory.join("authority.crt"), key: directory.join("authority.key") }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AuthorityError {
    let path = path.to_owned();
    |source| AuthorityError::File { path, source }
}

impl Authority {
    /// Makes the authority of a new hub.
    ///
    /// # Errors
    /// There is one already, or the directory is not writable.
    pub fn create(directory: &Path, now: OffsetDateTime) -> Result<Authority, AuthorityError> {
        let files = Files::of(directory);
        if files.key.try_exists().map_err(at(&files.key))? {
            return Err(AuthorityError::Exists(directory.to_owned()));
        }
        let key = KeyPair::generate()?;
        let fingerprint = Fingerprint::of_key(&key.subject_public_key_info()).to_string();
        // The name differs from one authority to the next, so that none is taken for another.
        let mut params = params(&format!("Dancu authority {}", &fingerprint[..16]))?;
        params.not_before = now - BACKDATED;
        params.not_after = now + LIFETIME;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        fs::create_dir_all(directory).map_err(at(directory))?;
        // The key last: with it the authority exists.
        file::replace(&files.certificate, certificate.pem().as_bytes(), file::PUBLIC)
            .map_err(at(&files.certificate))?;
        file::replace(&files.key, key.serialize_pem().as_bytes(), file::SECRET).map_err(at(&files.key))?;
        Authority::open(directory)
    }

    /// The authority in a directory.
    ///
    /// # Errors
    /// The files are missing or do not fit together.
    pub fn open(directory: &Path) -> Result<Authority, AuthorityError> {
        let files = Files::of(directory);
        let key = fs::read_to_string(&files.key).map_err(at(&files.key))?;
        let key = KeyPair::from_pem(&key)?;
        let pem = fs::read(&files.certificate).map_err(at(&files.certificate))?;
        let certificate = certificates_from_pem(&pem)?.swap_remove(0);
        let fingerprint = Fingerprint::of_certificate(&certificate).ok_or(CertificateError::Malformed)?;
        if fingerprint != Fingerprint::of_key(&key.subject_public_key_info()) {
            return Err(AuthorityError::KeyMismatch);
        }
        let not_after = PeerCertificate::read(vec![certificate.clone()])?.not_after;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Authority { issuer, certificate, fingerprint, not_after })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of its public key, which tokens carry.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// As the trust of a listener.
    ///
    /// # Errors
    /// The certificate is not usable.
    pub fn roots(&self) -> Result<RootCertStore, AuthorityError> {
        Ok(roots([&self.certificate])?)
    }

    /// A key and a certificate to serve with, for [`HUB_SERVER_NAME`] and `names`. The chain holds
    /// the authority too, for nodes that know it by its fingerprint only.
    ///
    /// # Errors
    /// A name cannot stand in a certificate.
    pub fn certify_hub(
        &self,
        names: &[String],
        lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<(Issued, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), AuthorityError> {
        let request = SigningRequest::new(HUB_SERVER_NAME)?;
        let mut alternatives = CertificateParams::new(names)?.subject_alt_names;
        alternatives.push(SanType::DnsName(HUB_SERVER_NAME.try_into()?));
        let issued = self.sign(
            &request.csr,
            HUB_SERVER_NAME,
            &PeerIdentity::Hub,
            ExtendedKeyUsagePurpose::ServerAuth,
            alternatives,
            lifetime,
            now,
        )?;
        let chain = vec![issued.certificate.clone(), self.certificate.clone()];
        Ok((issued, chain, request.key()))
    }

    /// A node's certificate, for the key and name in its signing request.
    ///
    /// # Errors
    /// The request is not signed by its key, or names another node.
    pub fn certify_node(
        &self,
        name: &str,
        csr: &[u8],
        lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<Issued, AuthorityError> {
        self.certify_client(name, PeerIdentity::Node(name.to_owned()), csr, lifetime, now)
    }

    /// An operator's certificate.
    ///
    /// # Errors
    /// As [`certify_node`](Self::certify_node).
    pub fn certify_operator(
        &self,
        name: &str,
        csr: &[u8],
        lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<Issued, AuthorityError> {
        self.certify_client(name, PeerIdentity::Operator(name.to_owned()), csr, lifetime, now)
    }

    fn certify_client(
        &self,
        name: &str,
        identity: PeerIdentity,
        csr: &[u8],
        lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<Issued, AuthorityError> {
        self.sign(csr, name, &identity, ExtendedKeyUsagePurpose::ClientAuth, Vec::new(), lifetime, now)
    }

    #[expect(clippy::too_many_arguments, reason = "what makes a certificate, in one place")]
    fn sign(
        &self,
        csr: &[u8],
        name: &str,
        identity: &PeerIdentity,
        usage: ExtendedKeyUsagePurpose,
        mut alternatives: Vec<SanType>,
        lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<Issued, AuthorityError> {
        let key = requested_key(csr, name)?;
        alternatives.push(SanType::URI(identity.to_string().try_into()?));
        let mut params = params(name)?;
        params.not_before = now - BACKDATED.min(lifetime / 10);
        params.not_after = (now + lifetime).min(self.not_after);
        params.subject_alt_names = alternatives;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let read = PeerCertificate::read(vec![certificate.clone()])?;
        Ok(Issued { certificate, serial: read.serial, expires: read.not_after })
    }
}

fn params(name: &str) -> Result<CertificateParams, AuthorityError> {
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| AuthorityError::Random)?;
    // Positive and of full length, as RFC 5280 wants it.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// The key of a signing request. All else that it asks for is left aside: the authority alone says
/// what a certificate is good for.
fn requested_key(csr: &[u8], name: &str) -> Result<impl PublicKeyData, AuthorityError> {
    let refused = AuthorityError::Request;
    if csr.len() > LONGEST_REQUEST {
        return Err(refused("it is too long"));
    }
    let (rest, request) =
        X509CertificationRequest::from_der(csr).map_err(|_| refused("it is not a PKCS#10 request"))?;
    if !rest.is_empty() {
        return Err(refused("it is not a PKCS#10 request"));
    }
    let mut names = request.certification_request_info.subject.iter_common_name();
    let (subject, another) = (names.next(), names.next());
    if another.is_some() || subject.and_then(|subject| subject.as_str().ok()) != Some(name) {
        return Err(refused("its subject is not the name expected"));
    }
    // Verifies that whoever asks has the key.
    let request = CertificateSigningRequestParams::from_der(&csr.into())
        .map_err(|_| refused("it is not signed by its own key"))?;
    let algorithms = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
    if !algorithms.contains(&request.public_key.algorithm()) {
        return Err(refused("its key is not ECDSA (P-256, P-384) or Ed25519"));
    }
    Ok(request.public_key)
}
