//! The certificate the hub serves with. Its key lives in memory only: a new one at every start.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dancu_proto::channel::SwappableIdentity;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::authority::{Authority, AuthorityError};

/// How often it is looked whether the certificate is due.
const INTERVAL: Duration = Duration::from_secs(60);

/// The hub's server certificate, which renews itself.
pub struct HubCertificate {
    authority: Arc<Authority>,
    names: Vec<String>,
    lifetime: Duration,
    identity: Arc<SwappableIdentity>,
    expires: Mutex<OffsetDateTime>,
}

impl HubCertificate {
    /// The first one, for `names` beside the name every hub answers to.
    ///
    /// # Errors
    /// A name cannot stand in a certificate.
    pub fn issue(
        authority: Arc<Authority>,
        names: Vec<String>,
        lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<HubCertificate, AuthorityError> {
        let (issued, chain, key) = authority.certify_hub(&names, lifetime, now)?;
        let identity = SwappableIdentity::new(chain, key)?;
        Ok(HubCertificate { authority, names, lifetime, identity, expires: Mutex::new(issued.expires) })
    }

    /// What a listener serves with; it follows every renewal.
    #[must_use]
    pub fn identity(&self) -> Arc<SwappableIdentity> {
        self.identity.clone()
    }

    /// When the current one expires.
    #[must_use]
    pub fn expires(&self) -> OffsetDateTime {
        *self.expires.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews when less than a third of the lifetime is left; says whether it did.
    ///
    /// # Errors
    /// The authority cannot sign; the current certificate stays.
    pub fn renew_if_due(&self, now: OffsetDateTime) -> Result<bool, AuthorityError> {
        if self.expires() - now > self.lifetime / 3 {
            return Ok(false);
        }
        let (issued, chain, key) = self.authority.certify_hub(&self.names, self.lifetime, now)?;
        self.identity.replace(chain, key)?;
        *self.expires.lock().unwrap_or_else(PoisonError::into_inner) = issued.expires;
        Ok(true)
    }

    /// Renews whenever due, until cancelled.
    pub async fn keep_current(&self, clock: fn() -> OffsetDateTime, cancel: CancellationToken) {
        let interval = INTERVAL.min(self.lifetime / 10).max(Duration::from_millis(100));
        while cancel.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            match self.renew_if_due(clock()) {
                Ok(true) => tracing::info!(expires = %self.expires(), "the hub's certificate is renewed"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the hub's certificate cannot be renewed"),
            }
        }
    }
}
