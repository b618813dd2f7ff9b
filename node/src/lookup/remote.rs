//! Look-ups outside the slice: the hub is asked about one person, and nothing is kept.

use std::{fmt, sync::Arc, time::Duration};

use dancu_proto::{
    Field, FieldSet, PersonalId, Reason,
    hub::v1::{LookUpCitizenRequest, lookup_service_client::LookupServiceClient},
    v1::{AccessContext, Citizen},
};
use tokio::{
    sync::{Mutex, Semaphore},
    time::timeout,
};
use tonic::{Code, Response, Status, transport::Channel};

use super::{project::listed, refusal::Refusal};
use crate::sync::ConnectFuture;

/// Look-ups at the hub at once; others wait their turn.
const AT_ONCE: usize = 32;

/// The hub, as it is asked about single people. Cheap to clone.
#[derive(Clone)]
pub struct Remote(Arc<Inner>);

struct Inner {
    connect: Box<dyn Fn() -> ConnectFuture + Send + Sync>,
    /// The connection of the last look-up; made anew when it fails.
    channel: Mutex<Option<Channel>>,
    at_once: Semaphore,
}

/// What the hub answered.
#[derive(Debug)]
pub(super) struct RemoteAnswer {
    pub(super) citizen: Citizen,
    pub(super) authorised: FieldSet,
    pub(super) former_number: bool,
    pub(super) revision: u64,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

impl Remote {
    /// The hub, which is reached so.
    pub fn new(connect: impl Fn() -> ConnectFuture + Send + Sync + 'static) -> Remote {
        let connect = Box::new(connect);
        Remote(Arc::new(Inner { connect, channel: Mutex::default(), at_once: Semaphore::new(AT_ONCE) }))
    }

    /// Asks about one person, for at most so long.
    pub(super) async fn look_up(
        &self,
        context: AccessContext,
        id: PersonalId,
        wanted: FieldSet,
        patience: Duration,
    ) -> Result<RemoteAnswer, Status> {
        let request = LookUpCitizenRequest {
            context: Some(context),
            personal_id: id.to_string(),
            fields: listed(wanted),
        };
        let call = |channel| {
            let request = request.clone();
            async move { LookupServiceClient::new(channel).look_up_citizen(request).await }
        };
        let answer = self.call(patience, call).await?;
        let citizen = answer.citizen.unwrap_or_default();
        let authorised = answer.authorised.iter().filter_map(|number| Field::try_from(*number).ok());
        let authorised = authorised.collect();
        Ok(RemoteAnswer {
            citizen,
            authorised,
            former_number: answer.former_number,
            revision: answer.revision,
        })
    }

    /// Calls the hub, for at most so long.
    pub(super) async fn call<T, F>(
        &self,
        patience: Duration,
        call: impl Fn(Channel) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        match timeout(patience, self.try_twice(call)).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(as_here),
            Err(_) => Err(Refusal::HubUnreachable.into()),
        }
    }

    async fn try_twice<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<Response<T>, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        // Never closed.
        let _place = self.0.at_once.acquire().await.map_err(|_| Refusal::HubUnreachable)?;
        let kept = self.0.channel.lock().await.clone();
        if let Some(channel) = kept {
            match call(channel).await {
                Err(status) if is_of_the_line(&status) => *self.0.channel.lock().await = None,
                answered => return answered,
            }
        }
        // The connection may have been of a certificate that is renewed since, or of a hub that was
        // restarted: once more, with a new one.
        let channel = (self.0.connect)().await.map_err(|_| Refusal::HubUnreachable)?;
        *self.0.channel.lock().await = Some(channel.clone());
        call(channel).await
    }
}

/// Whether a call failed for the line, and may go through on another.
fn is_of_the_line(status: &Status) -> bool {
    match Reason::of(status) {
        Some(reason) => matches!(reason, Reason::CertificateSuperseded | Reason::ShuttingDown),
        None => status.code() != Code::DeadlineExceeded,
    }
}

/// The hub's refusal as the node says it: nobody is the same answer wherever it comes from.
fn as_here(status: Status) -> Status {
    match Reason::of(&status) {
        Some(Reason::CitizenNotFound) => Refusal::NotFound.into(),
        Some(reason) if reason != Reason::ShuttingDown => status,
        _ => Refusal::HubUnreachable.into(),
    }
}
