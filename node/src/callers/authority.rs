//! The agency's own authority, for the line between its back-ends and its node: it certifies the
//! node's serving side and the callers. It has nothing to do with the hub's authority.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA256, digest};
use dancu_proto::channel::file;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

/// How long the authority is valid.
const AUTHORITY_LIFETIME: Duration = Duration::days(3650);

/// Clocks of back-ends may lag behind the node's.
const BACKDATED: Duration = Duration::minutes(5);

/// The authority cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its files.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Only one of key and certificate is there.
    #[error("{} holds a part of an agency authority; restore authority.key and authority.crt together", .0.display())]
    Incomplete(PathBuf),
    /// A signing request is none, or not signed by its own key.
    #[error("{}: not a PKCS#10 signing request that is signed by its own key ({source})", path.display())]
    Request {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rcgen::Error,
    },
    /// A certificate cannot be made, or the files are damaged.
    #[error("the agency's authority: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// SHA-256 of a certificate, hexadecimal.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    digest(&SHA256, certificate).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The agency's authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

/// A certificate and its key.
pub struct Issued {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// The certificate, PEM.
    pub certificate_pem: String,
    key: KeyPair,
}

impl Issued {
    /// SHA-256 of the certificate, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        fingerprint(&self.certificate)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// The key, PEM, for a file that only its owner reads.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

impl Authority {
    /// The authority kept in a directory, made at first need.
    ///
    /// # Errors
    /// The directory is not writable, or what is in it is damaged.
    pub fn open_or_create(directory: &Path, now: OffsetDateTime) -> Result<Authority, AuthorityError> {
        let (key, certificate) = (directory.join("authority.key"), directory.join("authority.crt"));
        match (key.exists(), certificate.exists()) {
            (true, true) => {
                let certificate_pem = read(&certificate)?;
                let key = KeyPair::from_pem(&read(&key)?)?;
                let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)?;
                Ok(Authority { issuer, certificate_pem })
            }
            // The certificate is written last: a key alone is what a crash left of the first try.
            (_, false) => Authority::create(directory, &key, &certificate, now),
            (false, true) => Err(AuthorityError::Incomplete(directory.to_owned())),
        }
    }

    fn create(
        directory: &Path,
        key_path: &Path,
        certificate_path: &Path,
        now: OffsetDateTime,
    ) -> Result<Authority, AuthorityError> {
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |source| AuthorityError::File { path, source }
        };
        fs::create_dir_all(directory).map_err(file_error(directory))?;
        let key = KeyPair::generate()?;
        let key_pem = key.serialize_pem();
        let mut params = params("Dancu agency authority", now, AUTHORITY_LIFETIME)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = CertifiedIssuer::self_signed(params, key)?.pem();
        file::replace(key_path, key_pem.as_bytes(), file::SECRET).map_err(file_error(key_path))?;
        file::replace(certificate_path, certificate_pem.as_bytes(), file::PUBLIC)
            .map_err(file_error(certificate_path))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, KeyPair::from_pem(&key_pem)?)?;
        Ok(Authority { issuer, certificate_pem })
    }

    /// Its certificate, PEM, which callers trust the node by.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate for the node's serving side.
    ///
    /// # Errors
    /// A name cannot stand in a certificate.
    pub fn server(
        &self,
        names: &[String],
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Issued, AuthorityError> {
        let mut params = params("dancu-node", now, lifetime)?;
        params.subject_alt_names = CertificateParams::new(names.to_vec())?.subject_alt_names;
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a caller.
    ///
    /// # Errors
    /// The name cannot stand in a certificate.
    pub fn caller(
        &self,
        name: &str,
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Issued, AuthorityError> {
        self.issue(params(name, now, lifetime)?, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate for the key of a signing request (RFC 2986), PEM, and the SHA-256 of it. All else that
    /// the request asks for is left aside: the authority alone says what a certificate is good for.
    ///
    /// # Errors
    /// The file is no request, or is not signed by its own key.
    pub fn caller_by_request(
        &self,
        request: &Path,
        name: &str,
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<(String, String), AuthorityError> {
        let refused = |source| AuthorityError::Request { path: request.to_owned(), source };
        let asked = CertificateSigningRequestParams::from_pem(&read(request)?).map_err(refused)?;
        let mut params = params(name, now, lifetime)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&asked.public_key, &self.issuer)?;
        Ok((certificate.pem(), fingerprint(certificate.der())))
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Issued, AuthorityError> {
        let key = KeyPair::generate()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate_pem: certificate.pem(), certificate: certificate.der().clone(), key })
    }
}

fn params(name: &str, now: OffsetDateTime, lifetime: Duration) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - BACKDATED;
    params.not_after = now + lifetime;
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| rcgen::Error::RemoteKeyError)?;
    // A serial number is positive.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(|source| AuthorityError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use dancu_proto::channel::PeerCertificate;

    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-23 08:00 UTC);

    #[test]
    fn the_authority_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agency");
        let made = Authority::open_or_create(&path, NOW).unwrap().certificate_pem().to_owned();
        assert_eq!(Authority::open_or_create(&path, NOW).unwrap().certificate_pem(), made);
        fs::remove_file(path.join("authority.key")).unwrap();
        assert!(matches!(Authority::open_or_create(&path, NOW), Err(AuthorityError::Incomplete(_))));
    }

    #[test]
    fn a_caller_is_certified_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(directory.path(), NOW).unwrap();
        let issued = authority.caller("portal", NOW, Duration::days(30)).unwrap();
        let read = PeerCertificate::read(vec![issued.certificate.clone()]).unwrap();
        assert_eq!(read.common_name.as_deref(), Some("portal"));
        assert_eq!(read.not_after, NOW + Duration::days(30));
        assert_eq!(read.sha256.iter().map(|b| format!("{b:02x}")).collect::<String>(), issued.sha256());
    }
}
