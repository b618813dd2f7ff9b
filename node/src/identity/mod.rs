//! The node's identity: its key, its certificate, and how it joins and renews.
//!
//! The key is made here and never leaves. [`store`] keeps the identity, [`join`] gets it with a
//! one-time token, [`renew`] keeps it current while the node serves.

pub mod join;
pub mod renew;
pub mod store;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use dancu_proto::{
    channel::{
        ConnectError, HUB_SERVER_NAME, IdentityError, PeerCertificate, PeerIdentity, SwappableIdentity,
        Timeouts, client_config,
        config::ConfigError,
        connect, connect_lazy,
        identity::{key_from_pem, roots},
        peer::CertificateError,
    },
    signed::{SignError, Statement, VerifyError, gather, sign, verify_by_any},
    v1::Signed,
};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, pem::PemObject},
};
use time::OffsetDateTime;
use tokio::sync::watch;
use tonic::transport::Channel;

use store::{IdentityStore, StoreError, Stored};

/// The identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeIdentityError {
    /// The files fail.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key, the certificate or the authority is not usable.
    #[error("the node's identity is not usable: {0}; join again with a new token")]
    Files(#[from] IdentityError),
    /// The certificate is not readable.
    #[error("the node's certificate is not usable: {0}; join again with a new token")]
    Certificate(#[from] CertificateError),
    /// The certificate is another node's.
    #[error("the certificate is not that of node {0}; join again with a new token")]
    OtherNode(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] ConfigError),
}

/// How long the current certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From.
    pub not_before: OffsetDateTime,
    /// To.
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// Less than a third is left.
    #[must_use]
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        self.not_after - now < (self.not_after - self.not_before) / 3
    }
}

/// Who this node is.
pub struct NodeIdentity {
    store: IdentityStore,
    name: String,
    agency: String,
    hub_url: String,
    shown: Arc<SwappableIdentity>,
    trust: Mutex<Vec<CertificateDer<'static>>>,
    validity: watch::Sender<Validity>,
}

impl NodeIdentity {
    /// The identity in the node's data directory.
    ///
    /// # Errors
    /// The node has not joined, or its files are not usable.
    pub fn load(data: &Path) -> Result<NodeIdentity, NodeIdentityError> {
        let store = IdentityStore::of(data);
        let Stored { settings, key, certificate, authorities } = store.load()?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|source| IdentityError::Pem { what: "certificate", source })?;
        let validity = checked(&certificate, &settings.name)?;
        let shown = SwappableIdentity::new(vec![certificate], key_from_pem(key.as_bytes())?)?;
        roots(&authorities)?;
        Ok(NodeIdentity {
            store,
            name: settings.name,
            agency: settings.agency,
            hub_url: settings.hub,
            shown,
            trust: Mutex::new(authorities),
            validity: watch::Sender::new(validity),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The agency it serves.
    #[must_use]
    pub fn agency(&self) -> &str {
        &self.agency
    }

    /// Where its hub is.
    #[must_use]
    pub fn hub_url(&self) -> &str {
        &self.hub_url
    }

    /// Signs a statement with the node's key.
    ///
    /// # Errors
    /// The key refuses.
    pub fn sign<S: Statement>(&self, statement: &S) -> Result<Signed, SignError> {
        sign(statement, &self.shown)
    }

    /// Puts one signature of this node in the place of many: see [`gather`].
    ///
    /// # Errors
    /// The key refuses.
    pub fn gather<S: Statement>(&self, signed: Vec<Signed>) -> Result<Vec<Signed>, SignError> {
        gather::<S>(signed, &self.shown)
    }

    /// A statement and who signed it, if an authority that this node trusts certified that.
    ///
    /// # Errors
    /// It is not to be believed.
    pub fn verify<S: Statement>(&self, signed: &Signed) -> Result<(S, PeerIdentity), VerifyError> {
        let authorities = self.trust.lock().unwrap_or_else(PoisonError::into_inner).clone();
        verify_by_any(signed, &authorities)
    }

    /// When the current certificate expires.
    #[must_use]
    pub fn expires(&self) -> OffsetDateTime {
        self.validity.borrow().not_after
    }

    /// Tells of every renewal: a connection made before goes on, but only as long as the certificate
    /// it was made with, so that it is good to connect again at a quiet moment.
    #[must_use]
    pub fn renewals(&self) -> watch::Receiver<Validity> {
        self.validity.subscribe()
    }

    /// TLS towards the hub. Every handshake shows the certificate that is current then.
    ///
    /// # Errors
    /// The authority is not usable.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, NodeIdentityError> {
        let roots = roots(&*self.trust.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(client_config(roots, Some(self.shown.clone()))?)
    }

    /// Connects to the hub.
    ///
    /// # Errors
    /// The hub is out of reach or not the hub this node joined.
    pub async fn connect(&self, timeouts: &Timeouts) -> Result<Channel, ConnectHubError> {
        Ok(connect(&self.hub_url, self.client_config()?, HUB_SERVER_NAME, timeouts).await?)
    }

    /// A channel to the hub that connects with its first call.
    ///
    /// # Errors
    /// The hub's address is malformed.
    pub fn connect_lazy(&self, timeouts: &Timeouts) -> Result<Channel, ConnectHubError> {
        Ok(connect_lazy(&self.hub_url, self.client_config()?, HUB_SERVER_NAME, timeouts)?)
    }
}

/// The hub cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectHubError {
    /// The node's own identity fails.
    #[error(transparent)]
    Identity(#[from] NodeIdentityError),
    /// The connection fails.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// A certificate's validity, if it is the named node's.
fn checked(certificate: &CertificateDer<'static>, name: &str) -> Result<Validity, NodeIdentityError> {
    let certificate = PeerCertificate::read(vec![certificate.clone()])?;
    match certificate.identity {
        Some(PeerIdentity::Node(node)) if node == name => {
            Ok(Validity { not_before: certificate.not_before, not_after: certificate.not_after })
        }
        _ => Err(NodeIdentityError::OtherNode(name.to_owned())),
    }
}
