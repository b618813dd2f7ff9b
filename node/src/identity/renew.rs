//! Renewal: a new key and certificate well before the old one ends, under live connections.

use std::{sync::PoisonError, time::Duration};

use dancu_proto::{
    channel::{ConnectError, Fingerprint, IdentityError, RequestError, SigningRequest, identity::roots},
    hub::v1::{RenewCertificateRequest, enrollment_service_client::EnrollmentServiceClient},
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, transport::Channel};

use super::{NodeIdentity, NodeIdentityError, Validity, checked, store::StoreError};

/// How long the hub may take to sign.
const DEADLINE: Duration = Duration::from_secs(20);

/// How often it is looked whether a renewal is due: clocks are set and machines sleep, so that no
/// timer of weeks is to be trusted.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// A failed renewal is tried again after this, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The certificate is not renewed; the one before is still in use.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// No connection.
    #[error("no connection to the hub: {0}")]
    Connect(Box<dyn std::error::Error + Send + Sync>),
    /// The hub says no.
    #[error("the hub refuses: {}", .0.message())]
    Refused(Box<Status>),
    /// The key cannot be made.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The hub's answer does not fit the request.
    #[error("the hub's answer is not usable: {0}")]
    Answer(String),
    /// The files fail.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NodeIdentityError> for RenewError {
    fn from(error: NodeIdentityError) -> RenewError {
        RenewError::Answer(error.to_string())
    }
}

impl From<IdentityError> for RenewError {
    fn from(error: IdentityError) -> RenewError {
        RenewError::Answer(error.to_string())
    }
}

impl NodeIdentity {
    /// Gets a certificate for a new key, stores both and shows them from the next connection on.
    /// `channel` must have been made with the certificate that is current.
    ///
    /// # Errors
    /// The hub refuses or is out of reach, its answer is not usable, the disk fails. The identity
    /// is then what it was.
    pub async fn renew(&self, channel: Channel) -> Result<Validity, RenewError> {
        let request = SigningRequest::new(&self.name)?;
        let mut call = Request::new(RenewCertificateRequest { csr: request.csr.clone() });
        call.set_timeout(DEADLINE);
        let response = EnrollmentServiceClient::new(channel)
            .renew_certificate(call)
            .await
            .map_err(|status| match ConnectError::of(&status) {
                Some(error) => RenewError::Connect(error.into()),
                None => RenewError::Refused(Box::new(status)),
            })?
            .into_inner();
        let certificate = CertificateDer::from(response.certificate);
        let authorities: Vec<_> = response.authorities.into_iter().map(CertificateDer::from).collect();
        let validity = checked(&certificate, &self.name)?;
        self.check_authorities(&authorities)?;
        // Fails before anything is stored, if the certificate is not for the new key.
        dancu_proto::channel::SwappableIdentity::new(vec![certificate.clone()], request.key())?;
        self.store.renew(&request.key_pem(), &certificate, &authorities)?;
        self.shown.replace(vec![certificate], request.key())?;
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = authorities;
        self.validity.send_replace(validity);
        Ok(validity)
    }

    /// The hub may add an authority before it replaces one, never drop all that are trusted: a node
    /// would be led to another hub.
    fn check_authorities(&self, authorities: &[CertificateDer<'static>]) -> Result<(), RenewError> {
        roots(authorities)?;
        let trusted = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<_> = trusted.iter().map(Fingerprint::of_certificate).collect();
        if authorities.iter().any(|authority| known.contains(&Fingerprint::of_certificate(authority))) {
            Ok(())
        } else {
            Err(RenewError::Answer("it names no authority that is trusted here".to_owned()))
        }
    }
}

/// Renews whenever less than a third of the lifetime is left, until cancelled. A failure is tried
/// again, at longer and longer intervals; nothing that is in service ends by it.
pub async fn renew_loop<F>(
    identity: &NodeIdentity,
    connect: impl Fn() -> F,
    clock: fn() -> OffsetDateTime,
    cancel: CancellationToken,
) where
    F: Future<Output = Result<Channel, Box<dyn std::error::Error + Send + Sync>>>,
{
    let mut failures = 0;
    loop {
        let validity = *identity.validity.borrow();
        let lifetime = positive(validity.not_after - validity.not_before);
        let wait = if failures == 0 {
            lifetime / 20
        } else {
            (FIRST_RETRY * 2_u32.saturating_pow(failures - 1)).min(lifetime / 20)
        };
        let wait = tokio::time::sleep(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT));
        if cancel.run_until_cancelled(wait).await.is_none() {
            return;
        }
        if !validity.is_due(clock()) {
            continue;
        }
        let renewal = async {
            let channel = connect().await.map_err(RenewError::Connect)?;
            identity.renew(channel).await
        };
        match cancel.run_until_cancelled(renewal).await {
            None => return,
            Some(Ok(validity)) => {
                failures = 0;
                tracing::info!(expires = %validity.not_after, "the node's certificate is renewed");
            }
            Some(Err(error)) => {
                failures = (failures + 1).min(16);
                tracing::warn!(%error, expires = %validity.not_after, "the certificate is not renewed yet");
            }
        }
    }
}

fn positive(duration: time::Duration) -> Duration {
    duration.try_into().unwrap_or(Duration::ZERO)
}
