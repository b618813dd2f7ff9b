//! The line: hands over to the hub, on a connection of its own beside the slice's, one batch at a time, so
//! that neither waits for the other.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dancu_proto::hub::v1::{
    SubmitContributionsRequest, SubmitContributionsResponse, intake_service_client::IntakeServiceClient,
};
use metrics::gauge;
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::{
    protocol::{Input, Protocol, ProtocolError},
    store::{Outbox, OutboxError},
};
use crate::{
    metrics::{OLDEST, QUEUED},
    slice::{Phase, Slice},
    state::Clock,
    sync::{ConnectFuture, ContactState, jittered},
};

/// The hub answers within this time.
const ANSWER: Duration = Duration::from_secs(60);
/// After a break, doubled with each that follows, up to the last.
const AGAIN: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(30);
/// What the hub refused is sent again after so long, with a new connection: a clock may have been put right
/// meanwhile, or a certificate renewed.
const REFUSED: Duration = Duration::from_secs(600);
/// Between two looks whether the registry is known.
const NOT_YET: Duration = Duration::from_millis(100);
/// Between two looks at what is too old to be kept.
const PRUNE: Duration = Duration::from_secs(3600);
/// Between two looks at what monitoring is told.
const LOOK: Duration = Duration::from_secs(5);

/// Hands over what is queued.
pub struct Deliverer {
    outbox: Outbox,
    slice: Slice,
    line: watch::Receiver<ContactState>,
    protocol: Arc<Mutex<Protocol>>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the hub cannot be reached: {0}")]
    Offline(String),
    #[error("the hub takes nothing over: {}", .0.message())]
    Refused(Box<Status>),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("the slice was opened: mail can be kept from now on")]
    Opened,
    #[error("what the hub refused is sent again")]
    Again,
}

impl Deliverer {
    /// From an outbox; mail is asked for while the slice, which has the key for it, is open. It tries again when the
    /// slice's line to the hub stands again.
    #[must_use]
    pub fn new(
        outbox: Outbox,
        slice: Slice,
        line: watch::Receiver<ContactState>,
        protocol: Protocol,
    ) -> Deliverer {
        Deliverer { outbox, slice, line, protocol: Arc::new(Mutex::new(protocol)) }
    }

    /// Runs until cancelled.
    pub async fn run(self, connect: impl Fn() -> ConnectFuture, cancel: CancellationToken) {
        let mut pause = AGAIN;
        let (mut line, mut stands_to_tell) = (self.line.clone(), true);
        loop {
            // What is queued names the registry, which a new node learns with its first policy.
            while self.slice.state().registry_id.is_empty() {
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = sleep(NOT_YET) => {}
                }
            }
            let begun = Instant::now();
            let ended = tokio::select! {
                () = cancel.cancelled() => return,
                ended = self.session(&connect) => ended,
            };
            // A connection that lasted is no sign of a hub in need of rest.
            if begun.elapsed() > LATER {
                pause = AGAIN;
            }
            match ended {
                Ended::Opened | Ended::Again => continue,
                Ended::Offline(why) => tracing::debug!(why, "contributions wait for the hub"),
                ended => tracing::warn!(error = %ended, "contributions are not handed over"),
            }
            let cut = !line.borrow_and_update().connected;
            pause = tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(jittered(pause)) => (pause * 2).min(LATER),
                stands = line.wait_for(|line| line.connected), if cut && stands_to_tell => {
                    stands_to_tell = stands.is_ok();
                    AGAIN
                }
            };
        }
    }

    /// One connection, to its end.
    async fn session(&self, connect: &impl Fn() -> ConnectFuture) -> Ended {
        let ended = match self.exchange(connect).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        // It only forgets what was under way.
        let _ = lock(&self.protocol).step(Input::Disconnected);
        ended
    }

    async fn exchange(
        &self,
        connect: &impl Fn() -> ConnectFuture,
    ) -> Result<std::convert::Infallible, Ended> {
        let channel = timeout(ANSWER, connect()).await.map_err(|_| no_answer())?;
        let channel = channel.map_err(|error| Ended::Offline(error.to_string()))?;
        let (requests, stream) = mpsc::channel(4);
        let mut states = self.slice.watch();
        let mail = states.borrow_and_update().phase != Phase::Sealed;
        self.step(Input::Connected { mail }, &requests).await?;
        let mut client = IntakeServiceClient::new(channel);
        let answers = timeout(ANSWER, client.submit_contributions(ReceiverStream::new(stream))).await;
        let mut answers = answers.map_err(|_| no_answer())?.map_err(refused)?.into_inner();
        let outbox = self.outbox.clone();
        let mut due = Instant::now() + ANSWER;
        let again = Instant::now() + REFUSED;
        loop {
            let (awaits, refused) = {
                let protocol = lock(&self.protocol);
                (protocol.awaits(), protocol.has_refused())
            };
            let input = tokio::select! {
                answer = answer(&mut answers) => Input::Response(answer?),
                () = outbox.added() => Input::Queued,
                () = sleep_until(due), if awaits => return Err(no_answer()),
                () = sleep_until(again), if refused && !awaits => return Err(Ended::Again),
                opened = states.wait_for(|state| state.phase != Phase::Sealed), if !mail => {
                    drop(opened);
                    return Err(Ended::Opened);
                }
            };
            let heard = !matches!(input, Input::Queued);
            self.step(input, &requests).await?;
            if heard || !awaits {
                due = Instant::now() + ANSWER;
            }
        }
    }

    /// What happens changes the outbox, which waits for the disk.
    async fn step(
        &self,
        input: Input,
        requests: &mpsc::Sender<SubmitContributionsRequest>,
    ) -> Result<(), Ended> {
        let protocol = Arc::clone(&self.protocol);
        let said = spawn_blocking(move || lock(&protocol).step(input)).await;
        let said = said.map_err(|_| ProtocolError::Outbox(OutboxError::Closed))?;
        for request in said? {
            let sent = timeout(ANSWER, requests.send(request)).await;
            sent.map_err(|_| no_answer())?.map_err(|_| no_answer())?;
        }
        Ok(())
    }
}

fn lock(protocol: &Mutex<Protocol>) -> MutexGuard<'_, Protocol> {
    // One that broke off begins anew with the next connection.
    protocol.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    answers: &mut Streaming<SubmitContributionsResponse>,
) -> Result<SubmitContributionsResponse, Ended> {
    answers.message().await.map_err(refused)?.ok_or_else(no_answer)
}

fn no_answer() -> Ended {
    Ended::Offline("it did not answer in time".into())
}

/// A break of the line is no refusal.
fn refused(status: Status) -> Ended {
    match status.code() {
        Code::Unavailable | Code::Cancelled | Code::Aborted | Code::Unknown => {
            Ended::Offline(status.message().to_owned())
        }
        _ => Ended::Refused(Box::new(status)),
    }
}

/// Forgets contributions that were concluded long ago, and the key of those before, and tells monitoring how many wait, until cancelled.
pub async fn keep_for(outbox: Outbox, keep: Duration, clock: Clock, cancel: CancellationToken) {
    let mut pruned: Option<Instant> = None;
    loop {
        let now = clock().unix_timestamp();
        let due = pruned.is_none_or(|at| at.elapsed() >= PRUNE);
        let looked = outbox.clone();
        let before = now - i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
        let oldest = spawn_blocking(move || {
            if due {
                looked.prune(before)?;
            }
            looked.oldest()
        });
        match oldest.await {
            Ok(Ok(oldest)) => {
                gauge!(QUEUED).set(outbox.standing().tally.queued as f64);
                gauge!(OLDEST).set(oldest.map_or(0, |since| (now - since.seconds).max(0)) as f64);
            }
            Ok(Err(error)) => tracing::error!(%error, "the outbox cannot be looked at"),
            Err(_) => {}
        }
        if due {
            pruned = Some(Instant::now());
        }
        outbox.0.sealer.expire();
        tokio::select! {
            () = cancel.cancelled() => return,
            () = sleep(LOOK) => {}
        }
    }
}
