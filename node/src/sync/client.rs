//! The loop that keeps a stream to the hub: it says what the node holds, applies what comes, and
//! opens the stream again when it breaks.

use std::{future::Future, pin::Pin, time::Duration};

use dancu_proto::{
    Reason, Revision,
    channel::ConnectError,
    hub::v1::{
        Ack, SyncSliceRequest, SyncSliceResponse, sync_service_client::SyncServiceClient, sync_slice_request,
        sync_slice_response::Body,
    },
};
use time::OffsetDateTime;
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    contact::{Contact, Refusal},
    proof::RepairDesk,
};
use crate::{
    lease::{Lease, LeaseError, Why},
    slice::{Findings, Phase, Slice, SliceError},
};

/// The version of the protocol that this node speaks.
const PROTOCOL: u32 = 1;
/// Frames are at most this large on the wire.
const LARGEST_FRAME: usize = 16 << 20;
/// Waiting before the first attempt after a break, and the most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Between two acknowledgements.
const ACK_EVERY: Duration = Duration::from_secs(1);
/// A suspended node asks this often whether it may come back.
const SUSPENDED: Duration = Duration::from_secs(5);
/// The hub is silent for at most this long before its first heartbeat says how often it beats.
const FIRST_SILENCE: Duration = Duration::from_secs(60);

/// A connection being made.
pub type ConnectFuture =
    Pin<Box<dyn Future<Output = Result<Channel, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

/// Why a stream ended.
enum Ended {
    /// The line broke: try again soon.
    Broken(String),
    /// The hub refuses: it says why.
    Refused(Refusal),
    /// What came could not be stored.
    Slice(SliceError),
    /// The node is going down.
    Cancelled,
}

/// What is kept in step with the hub.
pub struct InStep {
    /// What the node holds.
    pub slice: Slice,
    /// The line to the hub.
    pub contact: Contact,
    /// The key of what it holds.
    pub lease: Lease,
}

/// Keeps the slice in step with the hub until cancelled, or until the node is revoked. `renewed`
/// fires when the node's certificate changes: the stream is then opened anew with it.
pub async fn run(
    InStep { slice, contact, lease }: InStep,
    mut desk: RepairDesk,
    connect: impl Fn() -> ConnectFuture,
    clock: impl Fn() -> OffsetDateTime,
    mut renewed: impl FnMut() -> Pin<Box<dyn Future<Output = ()> + Send>>,
    cancel: CancellationToken,
) {
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = lease.permitted() => {}
        }
        let before = contact.state().last_heard;
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Ended::Cancelled,
            () = lease.ended() => Ended::Broken("the node is sealed by its operator".into()),
            () = renewed() => Ended::Broken("the node's certificate is renewed".into()),
            ended = stream(&slice, &contact, &lease, &mut desk, &connect, &clock) => ended,
        };
        let wait = match ended {
            Ended::Cancelled => {
                contact.lost(clock(), None);
                return;
            }
            Ended::Refused(refusal) if refusal.reason == Reason::NodeRevoked => {
                tracing::error!(reason = refusal.message, "this node is revoked; its slice is erased");
                contact.lost(clock(), Some(refusal));
                lease.forget(Why::Withdrawn);
                // It waits for the disk, and for those who read.
                let erased = spawn_blocking({
                    let slice = slice.clone();
                    move || slice.erase()
                });
                match erased.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(%error, "the slice could not be erased"),
                    Err(error) => tracing::error!(%error, "the slice could not be erased"),
                }
                cancel.cancelled().await;
                return;
            }
            Ended::Refused(refusal) => {
                tracing::warn!(
                    reason = refusal.reason.name(),
                    message = refusal.message,
                    "the hub refuses this node"
                );
                if refusal.reason == Reason::NodeSuspended {
                    lease.forget(Why::Withdrawn);
                }
                contact.lost(clock(), Some(refusal));
                jittered(SUSPENDED)
            }
            Ended::Slice(error) => {
                if contact.stuck(clock(), error.to_string()) {
                    tracing::error!(%error, "what the hub sent cannot be stored; it is tried again");
                }
                jittered(BACKOFF.1)
            }
            Ended::Broken(why) => {
                if contact.state().connected {
                    tracing::info!(why, "the line to the hub is down");
                }
                contact.lost(clock(), None);
                backoff.after(contact.state().last_heard != before)
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// How long to wait before the next attempt.
#[derive(Default)]
struct Backoff(Duration);

impl Backoff {
    /// After an attempt that failed, longer than before; after a line that stood for a moment, as
    /// short as at first.
    fn after(&mut self, stood: bool) -> Duration {
        self.0 = if stood { BACKOFF.0 } else { (self.0 * 2).clamp(BACKOFF.0, BACKOFF.1) };
        jittered(self.0)
    }
}

/// Nodes that lost the hub together do not come back together.
#[must_use]
pub fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness the wait is just not spread.
    let _ = aws_lc_rs::rand::fill(&mut random);
    wait.mul_f64(0.5 + f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX))
}

async fn stream(
    slice: &Slice,
    contact: &Contact,
    lease: &Lease,
    desk: &mut RepairDesk,
    connect: &impl Fn() -> ConnectFuture,
    clock: &impl Fn() -> OffsetDateTime,
) -> Ended {
    let channel = match connect().await {
        Ok(channel) => channel,
        Err(error) => return Ended::Broken(error.to_string()),
    };
    match lease.renew(channel.clone()).await {
        Ok(()) => {}
        Err(LeaseError::Refused(status)) => return refused(&status),
        Err(LeaseError::Slice(error)) => return Ended::Slice(error),
        Err(error) => return Ended::Broken(error.to_string()),
    }
    let (outbound, requests) = mpsc::channel(4);
    let holding = match slice.holding(PROTOCOL, env!("CARGO_PKG_VERSION")) {
        Ok(holding) => holding,
        Err(error) => return Ended::Slice(error),
    };
    let first = SyncSliceRequest { body: Some(sync_slice_request::Body::Holding(holding)) };
    if outbound.send(first).await.is_err() {
        return Ended::Broken("the stream could not be opened".into());
    }
    let mut client = SyncServiceClient::new(channel).max_decoding_message_size(LARGEST_FRAME);
    let opened = timeout(FIRST_SILENCE, client.sync_slice(ReceiverStream::new(requests))).await;
    let mut inbound = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return refused(&status),
        Err(_) => return Ended::Broken("the hub did not answer".into()),
    };
    tracing::info!(cursor = slice.state().cursor.0, "the line to the hub stands");
    let mut silence = FIRST_SILENCE;
    // When the next acknowledgement may go, if one is owed.
    let (mut next_ack, mut owed) = (Instant::now(), false);
    loop {
        let frame = tokio::select! {
            () = sleep_until(next_ack), if owed => {
                acknowledge(slice, &outbound);
                (next_ack, owed) = (Instant::now() + ACK_EVERY, false);
                continue;
            }
            frame = next(&mut inbound, silence) => match frame {
                Ok(frame) => frame,
                Err(ended) => return ended,
            },
            Some(range) = desk.asked.recv() => {
                let ask = SyncSliceRequest { body: Some(sync_slice_request::Body::Repair(range)) };
                if outbound.send(ask).await.is_err() {
                    return Ended::Broken("the hub closed the stream".into());
                }
                continue;
            }
        };
        let mut head = None;
        if let Some(Body::Heartbeat(heartbeat)) = &frame.body {
            head = Some(Revision(heartbeat.head));
            let interval = heartbeat.interval.and_then(|interval| Duration::try_from(interval).ok());
            silence = interval.map_or(FIRST_SILENCE, |interval| interval * 2 + Duration::from_secs(1));
        }
        // A stream that opens with a refusal is not yet a line that stands.
        contact.heard(clock(), head);
        // Every stream opens with a policy: that it was stored does not mean that data can be.
        let policy = matches!(frame.body, Some(Body::Policy(_)));
        match apply(slice.clone(), frame).await {
            // A proof that no longer waits for them finds what is left the next time.
            Ok(Some(findings)) => _ = desk.found.try_send(findings),
            Ok(None) => {}
            Err(error) => return Ended::Slice(error),
        }
        if !policy && contact.stored(clock()) {
            tracing::info!("what the hub sends is stored again");
        }
        owed = true;
    }
}

async fn next(
    inbound: &mut Streaming<SyncSliceResponse>,
    silence: Duration,
) -> Result<SyncSliceResponse, Ended> {
    match timeout(silence, inbound.message()).await {
        Ok(Ok(Some(frame))) => Ok(frame),
        Ok(Ok(None)) => Err(Ended::Broken("the hub closed the stream".into())),
        Ok(Err(status)) => Err(refused(&status)),
        Err(_) => Err(Ended::Broken("the hub fell silent".into())),
    }
}

/// What a status means for this node.
fn refused(status: &Status) -> Ended {
    match Reason::of(status) {
        Some(
            reason @ (Reason::NodeSuspended
            | Reason::NodeRevoked
            | Reason::CertificateSuperseded
            | Reason::CallerUnknown
            | Reason::CallerNotAllowed
            | Reason::ProtocolVersion),
        ) => Ended::Refused(Refusal { reason, message: status.message().to_owned() }),
        _ => match ConnectError::of(status) {
            Some(error) => Ended::Broken(error.to_string()),
            None => Ended::Broken(status.message().to_owned()),
        },
    }
}

/// Stores a frame; of a repair, what it found.
async fn apply(slice: Slice, frame: SyncSliceResponse) -> Result<Option<Findings>, SliceError> {
    let applied = tokio::task::spawn_blocking(move || {
        if let Some(Body::Repair(repair)) = &frame.body {
            return slice.apply_repair(repair).map(Some);
        }
        match frame.body {
            Some(Body::Policy(policy)) => slice.apply_policy(policy),
            Some(Body::Delta(delta)) => slice.apply_delta(&delta),
            Some(Body::Load(load)) => {
                slice.apply_load(load)?;
                if let Phase::Loading { received, remaining, per_second } = slice.state().phase {
                    tracing::info!(received, remaining, per_second, "loading");
                } else {
                    tracing::info!(citizens = slice.state().citizens, "the slice is loaded");
                }
                Ok(())
            }
            Some(Body::Heartbeat(heartbeat)) => slice.apply_heartbeat(&heartbeat),
            Some(Body::Repair(_)) | None => Ok(()),
        }
        .map(|()| None)
    });
    applied.await.unwrap_or(Err(SliceError::Corrupt("a frame from the hub")))
}

/// Tells the hub how far the node is. It is for the operator's eyes: where the queue is full, the
/// next one says it.
fn acknowledge(slice: &Slice, outbound: &mpsc::Sender<SyncSliceRequest>) {
    let state = slice.state();
    let policy = if state.phase == Phase::Settled { state.policy_revision.0 } else { 0 };
    let ack = Ack { cursor: state.cursor.0, citizens: state.citizens, policy };
    let _ = outbound.try_send(SyncSliceRequest { body: Some(sync_slice_request::Body::Ack(ack)) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_herd_comes_back_spread_over_the_time_that_the_hub_was_away() {
        const NODES: usize = 3_400;
        let away = Duration::from_secs(5);
        let mut arrivals = [0; 200];
        for _ in 0..NODES {
            let (mut backoff, mut stood, mut at) = (Backoff::default(), true, Duration::ZERO);
            while at < away {
                at += backoff.after(stood);
                stood = false;
            }
            arrivals[((at - away).as_millis() / 100) as usize] += 1;
        }
        let most = arrivals.iter().max().copied().unwrap_or_default();
        assert!(most < NODES / 10, "{most} of {NODES} come within a tenth of a second");
        assert_eq!(arrivals[100..].iter().sum::<usize>(), 0, "nobody waits longer than ten seconds");
    }

    #[test]
    fn waiting_grows_to_its_limit_and_begins_anew() {
        let mut backoff = Backoff::default();
        let within = |wait: Duration, middle: f64| (0.5..=1.5).contains(&(wait.as_secs_f64() / middle));
        for middle in [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0] {
            assert!(within(backoff.after(false), middle), "about {middle} s");
        }
        assert!(within(backoff.after(true), 0.2));
    }
}
