//! Tells the hub: everything that is recorded goes there, in order, with a head that the node signs.

use std::time::Duration;

use dancu_proto::{
    hub::v1::{UploadAccessLogRequest, UploadAccessLogResponse, intake_service_client::IntakeServiceClient},
    signed::SignError,
    v1::{LogHead, Signed},
};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{
    chain::{self, Head},
    store::{LogError, LogStore},
};
use crate::{
    lookup::timestamp,
    state::Clock,
    sync::{ConnectFuture, jittered},
};

/// Bytes of records in a batch.
const BATCH: usize = 512 << 10;
/// The hub answers a batch within this time.
const ANSWER: Duration = Duration::from_secs(30);
/// A moment for more to come, so that a batch is worth its signature.
const GATHER: Duration = Duration::from_millis(200);
/// A node that records nothing says so this often.
const IDLE: Duration = Duration::from_secs(60);
/// Between two looks whether the registry is known.
const NOT_YET: Duration = Duration::from_millis(50);
/// After a break.
const AGAIN: Duration = Duration::from_secs(2);
/// After the hub has refused the log.
const REFUSED: Duration = Duration::from_secs(60);

/// Signs heads with the node's key.
pub type Sign = Box<dyn Fn(&LogHead) -> Result<Signed, SignError> + Send + Sync>;

/// What the log is told with.
pub struct Uploader {
    /// The records.
    pub store: LogStore,
    /// The node.
    pub node: String,
    /// Identity of the registry; empty until it is known.
    pub registry_id: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    /// Signs heads.
    pub sign: Sign,
    /// The last record written.
    pub written: watch::Receiver<u64>,
    /// Records that the hub has are kept for this long: so many, at the least.
    pub keep: u64,
    /// The time.
    pub clock: Clock,
}

/// The log cannot be told now.
#[derive(Debug, thiserror::Error)]
enum UploadError {
    /// The line.
    #[error("the hub cannot be reached: {0}")]
    Offline(String),
    /// The hub's refusal, or the end of the stream.
    #[error("the hub refuses the access log: {}", .0.message())]
    Refused(Box<Status>),
    /// The disk.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The key.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The hub has records that are not here.
    #[error(
        "the hub has {hub} records of this node's access log and the node {node}: it was restored from an older copy, or is another's"
    )]
    Behind {
        /// At the hub.
        hub: u64,
        /// Here.
        node: u64,
    },
}

impl Uploader {
    /// Runs until cancelled.
    pub async fn run(mut self, connect: impl Fn() -> ConnectFuture, cancel: CancellationToken) {
        loop {
            let ended = tokio::select! {
                () = cancel.cancelled() => return,
                ended = self.tell(&connect) => ended,
            };
            let pause = match ended {
                Err(UploadError::Offline(_)) => AGAIN,
                Err(error) => {
                    tracing::error!(%error, "the access log is not taken over");
                    REFUSED
                }
                Ok(()) => AGAIN,
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(jittered(pause)) => {}
            }
        }
    }

    /// Tells all there is, and what comes, until something breaks.
    async fn tell(&mut self, connect: &impl Fn() -> ConnectFuture) -> Result<(), UploadError> {
        // Heads name the registry, which a new node learns with its first policy.
        while (self.registry_id)().is_empty() {
            tokio::time::sleep(NOT_YET).await;
        }
        let channel = connect().await.map_err(|error| UploadError::Offline(error.to_string()))?;
        let (requests, stream) = mpsc::channel(1);
        let head = Some(self.signed(self.store.head()?)?);
        send(&requests, UploadAccessLogRequest { records: Vec::new(), head }).await?;
        let mut client = IntakeServiceClient::new(channel);
        let answers = timeout(ANSWER, client.upload_access_log(ReceiverStream::new(stream))).await;
        let mut answers = answers.map_err(|_| no_answer())?.map_err(refused)?.into_inner();
        let first = answer(&mut answers).await?;
        let mut at = match self.meet(&first) {
            Err(UploadError::Behind { hub, node }) => {
                // The hub is to know of it: it is shown the record that it has another of.
                let records = self.store.record(first.sequence)?.into_iter().collect();
                let head = Some(self.signed(self.store.head()?)?);
                send(&requests, UploadAccessLogRequest { records, head }).await?;
                answer(&mut answers).await?;
                return Err(UploadError::Behind { hub, node });
            }
            met => met?,
        };
        if !first.recipient.is_empty() && self.store.recipient()?.as_deref() != Some(&first.recipient) {
            self.store.set_recipient(&first.recipient)?;
        }
        loop {
            // It reads, and waits for the disk.
            let store = self.store.clone();
            let batch = spawn_blocking(move || batch(&store, at)).await;
            let (records, head) = batch.map_err(|_| LogError::Closed)??;
            let empty = records.is_empty();
            send(&requests, UploadAccessLogRequest { records, head: Some(self.signed(head)?) }).await?;
            let taken = answer(&mut answers).await?;
            if (taken.sequence, &taken.hash[..]) != (head.sequence, &head.hash[..]) {
                return Err(no_answer());
            }
            at = head;
            self.store.set_taken_over(at.sequence, at.sequence.saturating_sub(self.keep))?;
            if empty || *self.written.borrow_and_update() == at.sequence {
                self.more(at.sequence).await;
            }
        }
    }

    /// Where to go on: at what the hub has, if that is a part of this log.
    fn meet(&self, first: &UploadAccessLogResponse) -> Result<Head, UploadError> {
        let own = self.store.head()?;
        if first.sequence == 0 {
            return Ok(Head::default());
        }
        if own.sequence == 0 {
            // The log was lost with its disk. It goes on where the hub has it; the hub knows, and says so
            // to its operators.
            tracing::error!(
                record = first.sequence,
                "the access log was lost: it goes on after what the hub has"
            );
            let hash = first.hash.as_slice().try_into().map_err(|_| no_answer())?;
            let time_ms = (self.clock)().unix_timestamp().max(0) as u64 * 1000;
            let head = Head { sequence: first.sequence, hash, time_ms };
            self.store.go_on_after(head)?;
            return Ok(head);
        }
        let behind = UploadError::Behind { hub: first.sequence, node: own.sequence };
        let Some(record) = self.store.record(first.sequence)? else {
            // What the hub has need not be kept; where the chain stands is.
            let same = own.sequence == first.sequence && own.hash[..] == first.hash[..];
            return if same { Ok(own) } else { Err(behind) };
        };
        let (hash, time_ms) = (chain::hash(&record), chain::time_of(&record));
        if hash[..] == first.hash[..] {
            Ok(Head { sequence: first.sequence, hash, time_ms })
        } else {
            Err(behind)
        }
    }

    fn signed(&self, head: Head) -> Result<Signed, SignError> {
        (self.sign)(&LogHead {
            node: self.node.clone(),
            registry_id: (self.registry_id)(),
            sequence: head.sequence,
            hash: head.hash.to_vec(),
            time: Some(timestamp((self.clock)())),
        })
    }

    /// Waits for more, or until it is time to say that there is none.
    async fn more(&mut self, told: u64) {
        let until = Instant::now() + IDLE;
        let more = async {
            // An end of the writer is the end of the node, which cancels this task.
            while *self.written.borrow_and_update() == told && self.written.changed().await.is_ok() {}
            tokio::time::sleep(GATHER).await;
        };
        let _ = tokio::time::timeout_at(until, more).await;
    }
}

/// The records after a head, and the head that the last of them makes. Records that do not follow each
/// other are told as they are: it is the hub that must know of it, and refuses them.
fn batch(store: &LogStore, at: Head) -> Result<(Vec<Vec<u8>>, Head), LogError> {
    // What the hub has must not be lost here with the power: the chain would fork.
    store.sync()?;
    let records = store.after(at.sequence, BATCH)?;
    let own = store.head()?;
    let mut head = at;
    for record in &records {
        let Some(next) = head.follow(record) else { return Ok((records, own)) };
        head = next;
    }
    let whole = !records.is_empty() || head.sequence == own.sequence;
    Ok((records, if whole { head } else { own }))
}

async fn send(
    requests: &mpsc::Sender<UploadAccessLogRequest>,
    request: UploadAccessLogRequest,
) -> Result<(), UploadError> {
    timeout(ANSWER, requests.send(request)).await.map_err(|_| no_answer())?.map_err(|_| no_answer())
}

async fn answer(
    answers: &mut Streaming<UploadAccessLogResponse>,
) -> Result<UploadAccessLogResponse, UploadError> {
    let answer = timeout(ANSWER, answers.message()).await.map_err(|_| no_answer())?;
    answer.map_err(refused)?.ok_or_else(no_answer)
}

fn no_answer() -> UploadError {
    UploadError::Offline("it did not answer in time".into())
}

/// A break of the line is no refusal.
fn refused(status: Status) -> UploadError {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::Aborted | tonic::Code::Unknown => {
            UploadError::Offline(status.message().to_owned())
        }
        _ => UploadError::Refused(Box::new(status)),
    }
}
