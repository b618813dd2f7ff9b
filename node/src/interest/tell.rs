//! Tells the hub what was named, in order, now or when it is back.

use std::time::Duration;

use dancu_proto::{
    Reason,
    hub::v1::{UpdateInterestsRequest, sync_service_client::SyncServiceClient},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

use super::{
    Interests,
    store::{InterestsError, Told},
};
use crate::sync::{ConnectFuture, jittered};

/// Numbers of one call to the hub.
const NUMBERS: usize = 5_000;
/// One call may take this long.
const CALL: Duration = Duration::from_secs(30);
/// After a break, and while an agreement is not there to be told under.
const AGAIN: Duration = Duration::from_secs(2);
const LATER: Duration = Duration::from_secs(30);

/// Runs until cancelled.
pub async fn tell(interests: Interests, connect: impl Fn() -> ConnectFuture, cancel: CancellationToken) {
    loop {
        let wait = tokio::select! {
            () = cancel.cancelled() => return,
            wait = round(&interests, &connect) => wait,
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = interests.added() => {}
            () = tokio::time::sleep(jittered(wait.unwrap_or(Duration::from_secs(3_600)))) => {}
        }
    }
}

/// Tells all that waits; says when to try again, if something is left.
async fn round(interests: &Interests, connect: &impl Fn() -> ConnectFuture) -> Option<Duration> {
    let mut left = None;
    let mut channel: Option<Channel> = None;
    loop {
        // Read anew each time: more may have come.
        let mut queue = match interests.queue() {
            Ok(queue) => queue,
            Err(InterestsError::Sealed) => return Some(AGAIN),
            Err(error) => return failed(&error),
        };
        let next =
            queue.find(|row| row.as_ref().map_or(true, |(at, _)| left.is_none_or(|(after, _)| *at > after)));
        let (number, told) = match next {
            None => return left.map(|(_, wait)| wait),
            Some(Ok(row)) => row,
            Some(Err(error)) => return failed(&error),
        };
        let hub = match &channel {
            Some(channel) => channel.clone(),
            None => match connect().await {
                Ok(new) => channel.insert(new).clone(),
                Err(_) => return Some(AGAIN),
            },
        };
        match send(hub, told).await {
            Ok(()) => {
                if let Err(error) = interests.told(number) {
                    return failed(&error);
                }
            }
            Err(status) if Reason::of(&status) == Some(Reason::NoAgreement) => {
                tracing::warn!(message = status.message(), "an interest waits for its agreement");
                left = Some((number, LATER));
            }
            Err(status) => {
                tracing::info!(message = status.message(), "interests wait for the hub");
                return Some(AGAIN);
            }
        }
    }
}

fn failed(error: &InterestsError) -> Option<Duration> {
    tracing::error!(%error, "interests cannot be told");
    Some(LATER)
}

/// Repeated parts change nothing at the hub, so a break in between does no harm.
async fn send(channel: Channel, told: Told) -> Result<(), Status> {
    let mut client = SyncServiceClient::new(channel);
    let Told { agreement, add, withdraw } = told;
    let parts = add.chunks(NUMBERS).map(|part| (part.to_vec(), Vec::new()));
    let parts = parts.chain(withdraw.chunks(NUMBERS).map(|part| (Vec::new(), part.to_vec())));
    for (add, withdraw) in parts {
        let request = UpdateInterestsRequest { agreement: agreement.clone(), add, withdraw };
        match timeout(CALL, client.update_interests(request)).await {
            Ok(answer) => _ = answer?,
            Err(_) => return Err(Status::deadline_exceeded("the hub did not answer in time")),
        }
    }
    Ok(())
}
