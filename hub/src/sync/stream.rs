//! The task that runs a session: it steps, sends under the receiver's flow control, waits to be
//! woken, and beats its heart.

use std::time::Duration;

use dancu_proto::{
    Reason, Revision,
    hub::v1::{SyncSliceRequest, SyncSliceResponse, sync_slice_request::Body},
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, MissedTickBehavior, interval_at},
};
use tonic::{Status, Streaming};

use super::session::{Session, Step};
use crate::{
    fleet::Connection,
    registry::Clock,
    router::{Router, Wake},
};

/// A receiver that takes nothing for this long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) type Outbound = mpsc::Sender<Result<SyncSliceResponse, Status>>;

/// What a stream runs with.
pub(super) struct Stream {
    pub(super) connection: Connection,
    pub(super) router: std::sync::Arc<Router>,
    pub(super) wake: Wake,
    pub(super) outbound: Outbound,
    pub(super) clock: Clock,
    pub(super) heartbeat: Duration,
    pub(super) steps: std::sync::Arc<Semaphore>,
}

impl Stream {
    /// Runs until the node goes, the hub refuses, or something fails; says with what status.
    pub(super) async fn run(
        self,
        session: Session,
        first: SyncSliceResponse,
        mut inbound: Streaming<SyncSliceRequest>,
    ) -> Status {
        tokio::select! {
            biased;
            () = self.connection.replaced() => {
                Reason::StreamReplaced.status("this node opened another stream")
            }
            ended = self.listen(&mut inbound) => ended,
            failed = self.send_all(session, first) => failed,
        }
    }

    async fn listen(&self, inbound: &mut Streaming<SyncSliceRequest>) -> Status {
        loop {
            match inbound.message().await {
                Ok(Some(SyncSliceRequest { body: Some(Body::Ack(ack)) })) => {
                    self.connection.acknowledge(Revision(ack.cursor), ack.citizens, (self.clock)());
                }
                Ok(Some(_)) => {
                    return Reason::InvalidRequest
                        .field("body", "only acknowledgements follow the first message");
                }
                Ok(None) => return Status::ok("the node closed the stream"),
                Err(status) => return status,
            }
        }
    }

    async fn send_all(&self, mut session: Session, first: SyncSliceResponse) -> Status {
        let mut followed = session.partitions();
        self.router.follow(&self.wake, &followed);
        if let Err(status) = self.send(first).await {
            return status;
        }
        let mut heartbeats = interval_at(Instant::now(), self.heartbeat);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat = false;
        loop {
            // A closed semaphore would mean that the process ends; the step is then cut anyhow.
            let place = self.steps.acquire().await;
            let outcome = tokio::task::spawn_blocking(move || {
                let step = session.step();
                (session, step)
            });
            let outcome = outcome.await;
            drop(place);
            let step = match outcome {
                Ok((back, Ok(step))) => {
                    session = back;
                    step
                }
                Ok((_, Err(error))) => return error.into(),
                Err(_) => return Reason::Internal.status("the hub failed; its log says why"),
            };
            // Followed before the next look at the registry, so that no change falls in between.
            let partitions = session.partitions();
            if partitions != followed {
                self.router.follow(&self.wake, &partitions);
                followed = partitions;
                if matches!(step, Step::Wait) {
                    continue;
                }
            }
            match step {
                Step::Again => {}
                Step::Send(frame) => {
                    if let Err(status) = self.send(frame).await {
                        return status;
                    }
                }
                Step::Wait => {
                    if std::mem::take(&mut beat) && session.at_rest() {
                        let frame = session.heartbeat((self.clock)(), self.heartbeat);
                        if let Err(status) = self.send(frame).await {
                            return status;
                        }
                    }
                    tokio::select! {
                        biased;
                        () = self.wake.wait() => {}
                        // A step comes first: it finds what no wake told of, and moves the cursor past
                        // what this node does not see.
                        _ = heartbeats.tick() => beat = true,
                    }
                }
            }
        }
    }

    async fn send(&self, frame: SyncSliceResponse) -> Result<(), Status> {
        match tokio::time::timeout(SEND_TIMEOUT, self.outbound.send(Ok(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Status::ok("the node closed the stream")),
            Err(_) => Err(Reason::Overloaded.status("the node took nothing for a minute; connect again")),
        }
    }
}
