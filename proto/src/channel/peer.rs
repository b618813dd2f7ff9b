//! Who is at the other end of a connection.

use std::{fmt, net::SocketAddr, sync::Arc};

use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use super::pin::sha256;

/// The start of every name this authority gives, a URI among the certificate's alternative names.
const URN: &str = "dancu:";

/// Who a certificate was issued to, by its URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerIdentity {
    /// The hub: `dancu:hub`.
    Hub,
    /// A node: `dancu:node:<name>`.
    Node(String),
    /// An operator of the hub: `dancu:operator:<name>`.
    Operator(String),
}

impl PeerIdentity {
    /// From the URI in a certificate; none if it is not one of ours.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<PeerIdentity> {
        match uri.strip_prefix(URN)?.split_once(':') {
            None => (uri == "dancu:hub").then_some(PeerIdentity::Hub),
            Some(("node", name)) => is_name(name).then(|| PeerIdentity::Node(name.to_owned())),
            Some(("operator", name)) => is_name(name).then(|| PeerIdentity::Operator(name.to_owned())),
            Some(_) => None,
        }
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerIdentity::Hub => f.write_str("dancu:hub"),
            PeerIdentity::Node(name) => write!(f, "dancu:node:{name}"),
            PeerIdentity::Operator(name) => write!(f, "dancu:operator:{name}"),
        }
    }
}

/// Whether a text can name a node or an operator: 2 to 40 lower-case letters, digits and hyphens.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (2..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The certificate a peer showed. The handshake verified it; what it says is read once.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The certificates shown, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Who it was issued to; none for a certificate of another authority, as an agency's back-end
    /// may show to a node.
    pub identity: Option<PeerIdentity>,
    /// Common name of the subject.
    pub common_name: Option<String>,
    /// Serial number, big-endian without leading zeros.
    pub serial: Vec<u8>,
    /// SHA-256 of the leaf.
    pub sha256: [u8; 32],
    /// Start of validity.
    pub not_before: OffsetDateTime,
    /// End of validity.
    pub not_after: OffsetDateTime,
}

/// A certificate that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Nothing was shown.
    #[error("no certificate was shown")]
    Missing,
    /// Not X.509.
    #[error("the certificate is not readable")]
    Malformed,
    /// It claims more than one of our names.
    #[error("the certificate carries several dancu names")]
    Ambiguous,
}

impl PeerCertificate {
    /// Reads the leaf of a chain.
    ///
    /// # Errors
    /// The leaf is missing, not X.509, or claims several of our names.
    pub fn read(chain: Vec<CertificateDer<'static>>) -> Result<PeerCertificate, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError::Missing)?;
        let (rest, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let names = parsed.subject_alternative_name().map_err(|_| CertificateError::Malformed)?;
        let mut ours =
            names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
                GeneralName::URI(uri) if uri.starts_with(URN) => Some(*uri),
                _ => None,
            });
        let identity = match (ours.next(), ours.next()) {
            (None, _) => None,
            (Some(uri), None) => Some(PeerIdentity::from_uri(uri).ok_or(CertificateError::Malformed)?),
            (Some(_), Some(_)) => return Err(CertificateError::Ambiguous),
        };
        let common_name =
            parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned);
        let raw_serial = parsed.raw_serial();
        let zeros = raw_serial.iter().take_while(|byte| **byte == 0).count();
        Ok(PeerCertificate {
            identity,
            common_name,
            serial: raw_serial[zeros..].to_vec(),
            sha256: sha256(leaf),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            chain,
        })
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Common names of other authorities may be people's.
        f.debug_struct("PeerCertificate").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The process at the other end of a Unix socket, as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixPeer {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Process.
    pub pid: Option<i32>,
}

/// The other end of a connection; in the extensions of every request that came over it.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its certificate, if it came over TLS and showed one.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// Its address, if it came over TCP.
    pub address: Option<SocketAddr>,
    /// Its process, if it came over a Unix socket.
    pub unix: Option<UnixPeer>,
}

impl Peer {
    /// The peer of a request. Nothing is known of one that did not come by our listeners.
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Peer {
        request.extensions().get::<Peer>().cloned().unwrap_or_default()
    }

    /// Who its certificate was issued to.
    #[must_use]
    pub fn identity(&self) -> Option<&PeerIdentity> {
        self.certificate.as_ref()?.identity.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for identity in
            [PeerIdentity::Hub, PeerIdentity::Node("ha-giang".into()), PeerIdentity::Operator("an-2".into())]
        {
            assert_eq!(PeerIdentity::from_uri(&identity.to_string()), Some(identity));
        }
        for uri in
            ["dancu:", "dancu:hub:x", "dancu:node:", "dancu:node:A", "dancu:node:a:b", "urn:x", "dancu:x:ab"]
        {
            assert_eq!(PeerIdentity::from_uri(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_name_is_two_to_forty_plain_characters() {
        assert!(is_name("ab") && is_name(&"a".repeat(40)) && is_name("tinh-02"));
        for name in ["", "a", &"a".repeat(41), "Hà", "a b", "a_b", "AB"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_not_a_certificate_is_refused() {
        let read = |bytes: &[u8]| PeerCertificate::read(vec![CertificateDer::from(bytes.to_vec())]);
        assert_eq!(PeerCertificate::read(Vec::new()), Err(CertificateError::Missing));
        assert_eq!(read(b"nonsense"), Err(CertificateError::Malformed));
    }
}
