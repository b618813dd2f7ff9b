//! Proof that the slice is what it should be: its digests are compared with the hub's from the whole
//! down, and the ranges that differ are repaired over the stream. Runs by itself at a low rate, after
//! an unclean start, and when the operator asks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dancu_proto::{
    Digest, PersonalId,
    hub::v1::{CompareDigestsRequest, Range, RangeDigest, sync_service_client::SyncServiceClient},
    node::v1::SliceProof,
};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::{
    runtime::Handle,
    sync::{Mutex, Notify, mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

use super::ConnectFuture;
use crate::{
    lookup::timestamp,
    metrics,
    slice::{Examination, Examined, Findings, RangeOfSlice, Slice, SliceError},
};

/// Citizens of a range that is compared first, and of one that is repaired.
const RANGE: (usize, usize) = (2048, 64);
/// Ranges of one call.
const RANGES: usize = 32;
/// One call may take this long; the hub takes one proof after the other.
const CALL: Duration = Duration::from_secs(90);
/// A repair that makes no progress for this long is left for the next proof.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a start that found no clean end, and after a proof that could not be made.
const SOON: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(60);
/// Repairs on their way.
const QUEUE: usize = 64;

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProofError {
    /// Nothing to compare yet.
    #[error("the slice is still being loaded or narrowed; try again when it is settled")]
    NotSettled,
    /// No line.
    #[error("the hub cannot be reached: {0}")]
    Offline(String),
    /// The hub refuses.
    #[error("the hub refuses: {}", .0.message())]
    Refused(Box<Status>),
    /// The disk.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// The node is going down.
    #[error("the node is going down; connect again and repeat the call")]
    Cancelled,
}

/// The latest outcome, and how to ask for one. Cheap to clone.
#[derive(Clone)]
pub struct Prover(Arc<Inner>);

struct Inner {
    slice: Slice,
    connect: Box<dyn Fn() -> ConnectFuture + Send + Sync>,
    clock: Box<dyn Fn() -> OffsetDateTime + Send + Sync>,
    repairs: mpsc::Sender<Range>,
    /// Held by whoever proves: one proof at a time.
    findings: Mutex<mpsc::Receiver<Findings>>,
    damaged: Notify,
    latest: watch::Sender<Option<SliceProof>>,
    repaired: AtomicU64,
}

/// What a comparison found.
struct Compared {
    proof: SliceProof,
    differing: Vec<RangeOfSlice>,
    /// Kept for the repairs.
    found: Arc<Examined>,
}

/// The stream's side: what it is asked to have repaired, and what it found.
pub struct RepairDesk {
    pub(super) asked: mpsc::Receiver<Range>,
    pub(super) found: mpsc::Sender<Findings>,
}

impl Prover {
    /// Over a slice, with a way to reach the hub.
    pub fn new(
        slice: Slice,
        connect: impl Fn() -> ConnectFuture + Send + Sync + 'static,
        clock: impl Fn() -> OffsetDateTime + Send + Sync + 'static,
    ) -> (Prover, RepairDesk) {
        let (repairs, asked) = mpsc::channel(QUEUE);
        let (found, findings) = mpsc::channel(QUEUE);
        let prover = Prover(Arc::new(Inner {
            slice,
            connect: Box::new(connect),
            clock: Box::new(clock),
            repairs,
            findings: Mutex::new(findings),
            damaged: Notify::new(),
            latest: watch::Sender::new(None),
            repaired: AtomicU64::new(0),
        }));
        (prover, RepairDesk { asked, found })
    }

    /// Ends when a proof has found that the slice cannot be read from the disk.
    pub async fn damaged(&self) {
        self.0.damaged.notified().await;
    }

    /// The latest proof.
    #[must_use]
    pub fn latest(&self) -> Option<SliceProof> {
        self.0.latest.borrow().clone()
    }

    /// Differences repaired since the node started.
    #[must_use]
    pub fn repaired(&self) -> u64 {
        self.0.repaired.load(Ordering::Relaxed)
    }

    /// Proves at an interval, the first time soon if the node was not ended properly.
    pub async fn keep(self, every: Duration, unclean: bool, cancel: CancellationToken) {
        let mut due = Instant::now() + if unclean { SOON } else { super::jittered(every) };
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
            }
            due = Instant::now()
                + match self.prove(|_, _| {}, &cancel).await {
                    Ok(_) => super::jittered(every),
                    Err(ProofError::Cancelled) => return,
                    Err(ProofError::NotSettled) if unclean => SOON,
                    Err(error) => {
                        tracing::info!(%error, "the slice could not be proved; it is tried again");
                        AGAIN
                    }
                };
        }
    }

    /// Compares the slice, and repairs what differs. Tells how many citizens of how many are compared.
    ///
    /// # Errors
    /// If the slice is not settled, the hub cannot be reached or refuses, or the disk does.
    pub async fn prove(
        &self,
        progress: impl Fn(u64, u64) + Send + 'static,
        cancel: &CancellationToken,
    ) -> Result<SliceProof, ProofError> {
        let mut findings = self.0.findings.lock().await;
        let connected = cancel.run_until_cancelled((self.0.connect)()).await;
        let channel = connected.ok_or(ProofError::Cancelled)?;
        let channel = channel.map_err(|error| ProofError::Offline(error.to_string()))?;
        let (inner, cancelled) = (Arc::clone(&self.0), cancel.clone());
        let compared =
            tokio::task::spawn_blocking(move || inner.compare(&channel, &progress, &cancelled)).await;
        let Compared { mut proof, differing, found } = match compared.unwrap_or(Err(ProofError::Cancelled)) {
            Err(ProofError::Slice(SliceError::Corrupt(what))) => {
                tracing::error!(what, "the slice cannot be read from the disk; it is loaded anew");
                let time = Some(timestamp((self.0.clock)()));
                let proof = SliceProof { reloading: true, time, ..SliceProof::default() };
                self.conclude(&proof);
                self.0.damaged.notify_one();
                return Ok(proof);
            }
            compared => compared?,
        };
        self.repair(&differing, &mut findings, &mut proof, cancel).await?;
        drop(found);
        proof.time = Some(timestamp((self.0.clock)()));
        self.conclude(&proof);
        Ok(proof)
    }

    async fn repair(
        &self,
        ranges: &[RangeOfSlice],
        findings: &mut mpsc::Receiver<Findings>,
        proof: &mut SliceProof,
        cancel: &CancellationToken,
    ) -> Result<(), ProofError> {
        // What an earlier proof gave up waiting for.
        while findings.try_recv().is_ok() {}
        let mut left = ranges.len();
        for range in ranges {
            let ask = self.0.repairs.send(Range { after: range.after, up_to: range.up_to });
            let asked = tokio::select! {
                () = cancel.cancelled() => return Err(ProofError::Cancelled),
                asked = timeout(PATIENCE, ask) => asked,
            };
            if !matches!(asked, Ok(Ok(()))) {
                break;
            }
            // A range with many citizens comes in parts.
            while let Ok(Some(found)) = timeout(PATIENCE, findings.recv()).await {
                let names = |ids: &[PersonalId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
                proof.missing.extend(names(&found.missing));
                proof.different.extend(names(&found.different));
                proof.foreign.extend(names(&found.foreign));
                if found.up_to == range.up_to {
                    left -= 1;
                    break;
                }
            }
        }
        proof.unrepaired = left as u64;
        let slice = self.0.slice.clone();
        let (miscounted, indexes) =
            (!ranges.is_empty() || proof.citizens != slice.state().citizens, proof.index_entries);
        let repaired = tokio::task::spawn_blocking(move || -> Result<u64, SliceError> {
            if miscounted {
                slice.recount()?;
            }
            if indexes > 0 || miscounted { slice.repair_indexes() } else { Ok(0) }
        });
        proof.index_entries = repaired.await.unwrap_or(Ok(0))?;
        Ok(())
    }

    fn conclude(&self, proof: &SliceProof) {
        let people = proof.missing.len() + proof.different.len() + proof.foreign.len();
        let wrong = people as u64 + proof.index_entries;
        self.0.repaired.fetch_add(wrong, Ordering::Relaxed);
        metrics::proved(proof);
        if wrong + proof.unrepaired > 0 {
            tracing::error!(
                missing = proof.missing.len(),
                different = proof.different.len(),
                foreign = proof.foreign.len(),
                index_entries = proof.index_entries,
                unrepaired = proof.unrepaired,
                "the slice was not what it should be; it is repaired"
            );
        } else if !proof.reloading {
            tracing::info!(citizens = proof.citizens, cursor = proof.cursor, "the slice is proved");
        }
        self.0.latest.send_replace(Some(proof.clone()));
    }
}

impl Inner {
    /// Finds the ranges that differ.
    fn compare(
        &self,
        channel: &Channel,
        progress: &dyn Fn(u64, u64),
        cancel: &CancellationToken,
    ) -> Result<Compared, ProofError> {
        let examination = self.slice.examine()?.ok_or(ProofError::NotSettled)?;
        let state = examination.state();
        let mut whole = Digest::default();
        let ask = Ask { examination: &examination, channel, cancel };
        let suspects = ask.differing(&examination.ranges(RANGE.0)?, &mut |range| {
            whole += range.digest;
            progress(whole.citizens, state.citizens);
        })?;
        let mut differing = Vec::new();
        for suspect in suspects {
            differing.extend(ask.differing(&examination.within(&suspect, RANGE.1)?, &mut |_| {})?);
        }
        let proof = SliceProof {
            cursor: state.cursor.0,
            policy: state.policy_revision.0,
            citizens: whole.citizens,
            digest: whole.to_bytes().to_vec(),
            // Looked at in full when the records are right.
            index_entries: u64::from(!examination.indexes_agree()?),
            registry_id: state.registry_id.clone(),
            ..SliceProof::default()
        };
        Ok(Compared { proof, differing, found: examination.found() })
    }
}

/// Asks the hub.
struct Ask<'a> {
    examination: &'a Examination<'a>,
    channel: &'a Channel,
    cancel: &'a CancellationToken,
}

impl Ask<'_> {
    /// Of ranges that follow each other, those that differ from what they should be.
    fn differing(
        &self,
        ranges: &[RangeOfSlice],
        compared: &mut dyn FnMut(&RangeOfSlice),
    ) -> Result<Vec<RangeOfSlice>, ProofError> {
        let mut differing = Vec::new();
        for part in ranges.chunks(RANGES) {
            let right = self.right(part)?;
            for (range, right) in part.iter().zip(right) {
                compared(range);
                if Digest::from_parts(right.citizens, &right.sum) != Some(range.digest) {
                    differing.push(*range);
                }
            }
        }
        Ok(differing)
    }

    fn right(&self, ranges: &[RangeOfSlice]) -> Result<Vec<RangeDigest>, ProofError> {
        let state = self.examination.state();
        let request = CompareDigestsRequest {
            registry_id: state.registry_id.clone(),
            cursor: state.cursor.0,
            policy: state.policy_revision.0,
            after: ranges.first().map_or(0, |range| range.after),
            ranges: ranges
                .iter()
                .map(|range| RangeDigest {
                    up_to: range.up_to,
                    citizens: range.digest.citizens,
                    sum: range.digest.to_bytes().to_vec(),
                })
                .collect(),
        };
        let mut client = SyncServiceClient::new(self.channel.clone());
        let answer = Handle::current().block_on(async {
            tokio::select! {
                () = self.cancel.cancelled() => Err(ProofError::Cancelled),
                answer = timeout(CALL, client.compare_digests(request)) => match answer {
                    Ok(Ok(answer)) => Ok(answer.into_inner().ranges),
                    Ok(Err(status)) => Err(ProofError::Refused(Box::new(status))),
                    Err(_) => Err(ProofError::Offline("it did not answer in time".into())),
                },
            }
        })?;
        if answer.len() == ranges.len() {
            Ok(answer)
        } else {
            Err(ProofError::Offline("it answered something else".into()))
        }
    }
}
