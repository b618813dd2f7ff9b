//! The task that writes records: what comes at the same time goes into one write, in the order of the
//! chain, and whoever waits is told once it is written.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    chain::Head,
    entry::Entry,
    seal::Sealer,
    store::{LogError, LogStore},
};
use crate::state::Clock;

/// Calls that wait to be recorded; beyond that, callers wait to be taken in.
const QUEUE: usize = 4096;
/// Records of one write.
const TOGETHER: usize = 512;
/// How long the first call of a new node waits for the key of the hub.
const MOMENT: Duration = Duration::from_secs(2);
/// Between two looks at the room on the disk.
const LOOK: Duration = Duration::from_secs(1);

/// When a record is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before the answer leaves: nothing that was answered is lost with the power.
    Always,
    /// Within this time: a record is written before the answer leaves and outlives the process; with
    /// the power, what was answered in this time may be lost.
    Interval(Duration),
}

/// Where services hand in what is to be recorded. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    calls: mpsc::Sender<Call>,
}

#[derive(Debug)]
struct Call {
    entry: Entry,
    written: oneshot::Sender<Result<(), LogError>>,
}

impl AccessLog {
    /// Records a call. When this returns without an error the record is written, and the answer may
    /// leave; with one, it may not.
    ///
    /// # Errors
    /// If the call cannot be recorded.
    pub async fn record(&self, entry: Entry) -> Result<(), LogError> {
        let (written, told) = oneshot::channel();
        self.calls.send(Call { entry, written }).await.map_err(|_| LogError::Closed)?;
        told.await.map_err(|_| LogError::Closed)?
    }
}

/// Starts the log, which runs until `end`: that is when no call is under way any more. What was written
/// tells the number of the last record to whoever follows it.
///
/// # Errors
/// If the disk refuses.
pub fn start(
    store: &LogStore,
    node: &str,
    sync: Sync,
    clock: Clock,
    tasks: &TaskTracker,
    end: &CancellationToken,
) -> Result<(AccessLog, watch::Receiver<u64>), LogError> {
    let (calls, queue) = mpsc::channel(QUEUE);
    let head = store.head()?;
    let (last, follow) = watch::channel(head.sequence);
    let dirty = Arc::new(AtomicBool::new(false));
    let writer = Writer {
        store: store.clone(),
        node: node.to_owned(),
        sealer: None,
        head,
        sync,
        clock,
        last,
        dirty: Arc::clone(&dirty),
    };
    tasks.spawn(writer.run(queue, end.clone()));
    if let Sync::Interval(interval) = sync {
        tasks.spawn(keep_synced(store.clone(), interval, dirty, end.clone()));
    }
    Ok((AccessLog { calls }, follow))
}

struct Writer {
    store: LogStore,
    node: String,
    sealer: Option<Sealer>,
    head: Head,
    sync: Sync,
    clock: Clock,
    last: watch::Sender<u64>,
    dirty: Arc<AtomicBool>,
}

impl Writer {
    /// Runs until the end, and writes what has been handed in by then.
    async fn run(mut self, mut queue: mpsc::Receiver<Call>, end: CancellationToken) {
        let mut calls = Vec::with_capacity(TOGETHER);
        let mut looked = None;
        loop {
            let more = tokio::select! {
                more = queue.recv_many(&mut calls, TOGETHER) => more,
                () = end.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            };
            if more == 0 {
                break;
            }
            let now = tokio::time::Instant::now();
            let due = looked.is_none_or(|at| now - at >= LOOK);
            let room = if due { self.store.check_room() } else { Ok(()) };
            // A full disk is looked at again with the next call.
            looked = room.is_ok().then_some(if due { now } else { looked.unwrap_or(now) });
            let (entries, waiting): (Vec<_>, Vec<_>) =
                calls.drain(..).map(|call| (call.entry, call.written)).unzip();
            let written = match room {
                Ok(()) => self.write(entries).await,
                Err(error) => Err(error),
            };
            if let Err(error) = &written {
                tracing::error!(%error, "calls are refused because they cannot be recorded");
                // A number of a record that was perhaps written must not be sealed with twice.
                self.sealer = None;
            }
            // Who does not wait any more has gone.
            waiting.into_iter().for_each(|waiting| drop(waiting.send(written.clone())));
        }
        if let Err(error) = self.store.sync() {
            tracing::error!(%error, "the last records may not be on the disk");
        }
    }

    /// What numbers are sealed for. A new node has it a moment after its slice.
    async fn recipient(&self) -> Result<Vec<u8>, LogError> {
        let until = tokio::time::Instant::now() + MOMENT;
        loop {
            if let Some(recipient) = self.store.recipient()? {
                return Ok(recipient);
            }
            if tokio::time::Instant::now() >= until {
                return Err(LogError::NoRecipient);
            }
            tokio::time::sleep(MOMENT / 100).await;
        }
    }

    async fn write(&mut self, entries: Vec<Entry>) -> Result<(), LogError> {
        let time_ms = ((self.clock)().unix_timestamp_nanos() / 1_000_000) as u64;
        let mut head = self.head;
        let mut records = Vec::with_capacity(entries.len() + 1);
        if self.sealer.is_none() {
            let recipient = self.recipient().await?;
            if head.sequence == 0 {
                // A log that was lost has been told where to go on.
                head = self.store.head()?;
            }
            let (sealer, told) = Sealer::new(head.sequence + 1, &self.node, &recipient)?;
            let (record, next) = head.key(time_ms, told);
            records.push((next.sequence, record));
            (head, self.sealer) = (next, Some(sealer));
        }
        let Some(sealer) = &self.sealer else { return Err(LogError::Sealing) };
        for entry in entries {
            let (record, next) = head.access(time_ms, entry, sealer)?;
            records.push((next.sequence, record));
            head = next;
        }
        match self.sync {
            Sync::Interval(_) => self.store.append(&records, head, false)?,
            Sync::Always => {
                let store = self.store.clone();
                let written = spawn_blocking(move || store.append(&records, head, true)).await;
                written.map_err(|_| LogError::Closed)??;
            }
        }
        self.head = head;
        self.dirty.store(true, Ordering::Release);
        self.last.send_replace(head.sequence);
        Ok(())
    }
}

/// Brings to the disk what was written, at an interval.
async fn keep_synced(store: LogStore, interval: Duration, dirty: Arc<AtomicBool>, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        if dirty.swap(false, Ordering::AcqRel) {
            let store = store.clone();
            if let Ok(Err(error)) = spawn_blocking(move || store.sync()).await {
                dirty.store(true, Ordering::Release);
                tracing::error!(%error, "records are written but may not be on the disk");
            }
        }
    }
}
