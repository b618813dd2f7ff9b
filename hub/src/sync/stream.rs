//! The task that runs a session: it steps, sends under the receiver's flow control, waits to be
//! woken, and beats its heart.

use std::time::Duration;

use dancu_proto::{
    Reason, Revision,
    hub::v1::{Range, SyncSliceRequest, SyncSliceResponse, sync_slice_request::Body},
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, MissedTickBehavior, interval_at},
};
use tonic::{Status, Streaming};

use super::session::{Session, Step};
use crate::{fleet::Connection, registry::Clock, router::Place};

/// A receiver that takes nothing for this long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// Repairs that a node may ask for before it has to wait.
const REPAIRS: usize = 64;

pub(super) type Outbound = mpsc::Sender<Result<SyncSliceResponse, Status>>;

/// What a stream runs with.
pub(super) struct Stream {
    pub(super) connection: Connection,
    pub(super) outbound: Outbound,
    pub(super) clock: Clock,
    pub(super) heartbeat: Duration,
    pub(super) steps: std::sync::Arc<Semaphore>,
}

impl Stream {
    /// Runs until the node goes, the hub refuses, or something fails; says with what status.
    pub(super) async fn run(
        self,
        place: Place,
        session: Session,
        first: SyncSliceResponse,
        mut inbound: Streaming<SyncSliceRequest>,
    ) -> Status {
        let (ask, asked) = mpsc::channel(REPAIRS);
        tokio::select! {
            biased;
            () = self.connection.replaced() => {
                Reason::StreamReplaced.status("this node opened another stream")
            }
            ended = self.listen(&mut inbound, ask) => ended,
            failed = self.send_all(place, session, first, asked) => failed,
        }
    }

    async fn listen(&self, inbound: &mut Streaming<SyncSliceRequest>, ask: mpsc::Sender<Range>) -> Status {
        loop {
            match inbound.message().await {
                Ok(Some(SyncSliceRequest { body: Some(Body::Ack(ack)) })) => {
                    self.connection.acknowledge(Revision(ack.cursor), ack.citizens, (self.clock)());
                }
                Ok(Some(SyncSliceRequest { body: Some(Body::Repair(range)) })) => {
                    // The stream that would take it has ended if this fails.
                    let _ = ask.send(range).await;
                }
                Ok(Some(_)) => {
                    return Reason::InvalidRequest
                        .field("body", "only acknowledgements and repairs follow the first message");
                }
                Ok(None) => return Status::ok("the node closed the stream"),
                Err(status) => return status,
            }
        }
    }

    async fn send_all(
        &self,
        mut place: Place,
        mut session: Session,
        first: SyncSliceResponse,
        mut asked: mpsc::Receiver<Range>,
    ) -> Status {
        place.follow(session.partitions());
        match self.room().await {
            Ok(room) => room.send(Ok(first)),
            Err(status) => return status,
        }
        let mut heartbeats = interval_at(Instant::now(), self.heartbeat);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut beat, mut loading) = (false, false);
        loop {
            // Room comes before the step, so that a slow reader makes the hub hold one frame.
            let asked_for_room = Instant::now();
            let room = match self.room().await {
                Ok(room) => room,
                Err(status) => return status,
            };
            session.pace(asked_for_room.elapsed());
            let (back, step) = match self.step(session).await {
                Ok(outcome) => outcome,
                Err(status) => return status,
            };
            session = back;
            let progress = session.progress();
            if progress.is_some() || loading {
                loading = progress.is_some();
                self.connection.loads(progress);
            }
            // Followed before the next look at the registry, so that no change falls in between.
            let partitions = session.partitions();
            if partitions != place.partitions() {
                place.follow(partitions);
                if matches!(step, Step::Wait) {
                    continue;
                }
            }
            match step {
                Step::Again => {}
                Step::Send(frame) => room.send(Ok(frame)),
                Step::Wait => {
                    if std::mem::take(&mut beat) && session.at_rest() {
                        room.send(Ok(session.heartbeat((self.clock)(), self.heartbeat)));
                    } else {
                        drop(room);
                    }
                    tokio::select! {
                        biased;
                        () = place.touched() => {}
                        Some(range) = asked.recv() => session.ask_repair(range),
                        // A step comes first: it finds what no wake told of, and moves the cursor past
                        // what this node does not see.
                        _ = heartbeats.tick() => beat = true,
                    }
                }
            }
        }
    }

    /// Waits for room for a frame.
    async fn room(&self) -> Result<mpsc::Permit<'_, Result<SyncSliceResponse, Status>>, Status> {
        match tokio::time::timeout(SEND_TIMEOUT, self.outbound.reserve()).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) => Err(Status::ok("the node closed the stream")),
            Err(_) => Err(Reason::Overloaded.status("the node took nothing for a minute; connect again")),
        }
    }

    /// A step. A small one is made here and now: to hand it to another thread would cost more than
    /// the step. What may read much from the disk goes where that holds up no one.
    async fn step(&self, mut session: Session) -> Result<(Session, Step), Status> {
        if session.is_nearly_there() {
            let step = session.step()?;
            return Ok((session, step));
        }
        // A closed semaphore would mean that the process ends; the step is then cut anyhow.
        let _place = self.steps.acquire().await;
        let stepped = tokio::task::spawn_blocking(move || {
            let step = session.step();
            (session, step)
        });
        match stepped.await {
            Ok((session, Ok(step))) => Ok((session, step)),
            Ok((_, Err(error))) => Err(error.into()),
            Err(_) => Err(Reason::Internal.status("the hub failed; its log says why")),
        }
    }
}
