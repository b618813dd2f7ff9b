//! What nodes call to be enrolled and to renew their certificates.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use dancu_proto::{
    Reason,
    channel::Peer,
    hub::v1::{
        EnrollRequest, EnrollResponse, RenewCertificateRequest, RenewCertificateResponse,
        enrollment_service_server::EnrollmentService,
    },
};
use prost_types::Timestamp;
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use super::{authority::Authority, error::EnrollmentError, roll::NodeRoll};

/// `dancu.hub.v1.EnrollmentService`.
pub struct Enrollment {
    roll: Arc<NodeRoll>,
    authority: Arc<Authority>,
    clock: fn() -> OffsetDateTime,
    refusals: Mutex<Refusals>,
}

impl Enrollment {
    /// Enrols into a roll.
    #[must_use]
    pub fn new(roll: Arc<NodeRoll>, authority: Arc<Authority>, clock: fn() -> OffsetDateTime) -> Enrollment {
        Enrollment { roll, authority, clock, refusals: Mutex::new(Refusals::new(Instant::now())) }
    }

    fn refusals(&self) -> std::sync::MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl EnrollmentService for Enrollment {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        self.refusals().check(Instant::now())?;
        let EnrollRequest { token_secret, csr } = request.into_inner();
        let (roll, now) = (self.roll.clone(), (self.clock)());
        let enrolled = blocking(move || roll.enroll(&token_secret, &csr, now)).await?;
        let (node, issued) = enrolled.inspect_err(|error| {
            // An honest node's mistakes are few; only guessing is slowed down.
            if matches!(error, EnrollmentError::TokenUnknown) {
                self.refusals().note();
            }
            tracing::warn!(reason = error.reason().name(), "an enrolment was refused");
        })?;
        tracing::info!(node = %node.name, agency = %node.agency, "a node is enrolled");
        Ok(Response::new(EnrollResponse {
            certificate: issued.certificate.to_vec(),
            authority: self.authority.certificate().to_vec(),
            node: node.name.to_string(),
            agency: node.agency.to_string(),
            expires: Some(timestamp(issued.expires)),
        }))
    }

    async fn renew_certificate(
        &self,
        request: Request<RenewCertificateRequest>,
    ) -> Result<Response<RenewCertificateResponse>, Status> {
        let peer = Peer::of(&request);
        let csr = request.into_inner().csr;
        let (roll, now) = (self.roll.clone(), (self.clock)());
        let (node, issued) = blocking(move || roll.renew(&peer, &csr, now)).await??;
        tracing::info!(node = %node.name, "a node's certificate is renewed");
        Ok(Response::new(RenewCertificateResponse {
            certificate: issued.certificate.to_vec(),
            authorities: vec![self.authority.certificate().to_vec()],
            expires: Some(timestamp(issued.expires)),
        }))
    }
}

/// Signing and storing take a while, which the threads that serve streams do not have.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Reason::Internal.status("the hub failed at an enrolment; its log says why"))
}

fn timestamp(time: OffsetDateTime) -> Timestamp {
    Timestamp { seconds: time.unix_timestamp(), nanos: 0 }
}

/// Slows down whoever guesses tokens: so many at once, then one in a while.
struct Refusals {
    left: u32,
    since: Instant,
}

impl Refusals {
    const BURST: u32 = 20;
    const RECOVERY: Duration = Duration::from_secs(1);

    fn new(now: Instant) -> Refusals {
        Refusals { left: Refusals::BURST, since: now }
    }

    fn check(&mut self, now: Instant) -> Result<(), EnrollmentError> {
        let passed = now.saturating_duration_since(self.since);
        let recovered = passed.as_secs() / Refusals::RECOVERY.as_secs();
        self.since += Refusals::RECOVERY * u32::try_from(recovered).unwrap_or(u32::MAX).min(86_400);
        self.left =
            u32::try_from(recovered).unwrap_or(u32::MAX).saturating_add(self.left).min(Refusals::BURST);
        if self.left > 0 { Ok(()) } else { Err(EnrollmentError::TooManyAttempts(Refusals::RECOVERY)) }
    }

    fn note(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_slowed_down() {
        let start = Instant::now();
        let mut refusals = Refusals::new(start);
        for _ in 0..Refusals::BURST {
            refusals.check(start).unwrap();
            refusals.note();
        }
        assert!(matches!(refusals.check(start), Err(EnrollmentError::TooManyAttempts(_))));
        refusals.check(start + Refusals::RECOVERY).unwrap();
        refusals.note();
        assert!(refusals.check(start + Refusals::RECOVERY).is_err());
        refusals.check(start + Duration::from_secs(1_000_000)).unwrap();
        assert_eq!(refusals.left, Refusals::BURST);
    }
}
