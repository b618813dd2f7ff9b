//! Writing records, in the order of the chain: what comes at the same time goes into one write.
//!
//! No task stands between a call and its record, which would cost each call two turns from one processor
//! to another. Whoever has handed in a record lets others hand in theirs, and then writes all there are,
//! unless somebody is about it already: who writes looks again afterwards, so that nobody is forgotten.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use dancu_proto::Reason;
use tokio::{
    sync::{Semaphore, oneshot, watch},
    task::{spawn_blocking, yield_now},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;

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
/// Writes that one call sees to.
const ROUNDS: usize = 4;
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
#[derive(Clone)]
pub struct AccessLog(Arc<Desk>);

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessLog")
    }
}

struct Desk {
    sync: Sync,
    store: LogStore,
    /// Who waits; none after the end.
    queue: Mutex<Option<Vec<Call>>>,
    places: Semaphore,
    writer: Mutex<Writer>,
    /// The key that numbers are sealed for has come.
    has_recipient: AtomicBool,
    /// The last write had records of several calls.
    together: AtomicBool,
    /// A thread is on its way to write.
    on_its_way: AtomicBool,
    dirty: Arc<AtomicBool>,
}

struct Call {
    entry: Entry,
    written: oneshot::Sender<Result<(), LogError>>,
}

impl AccessLog {
    /// Records a call. When this returns without an error the record is written, and the answer may
    /// leave; with one, it may not. A call that is given up meanwhile is recorded all the same.
    ///
    /// # Errors
    /// If the call cannot be recorded.
    pub async fn record(&self, entry: Entry) -> Result<(), LogError> {
        let desk = &self.0;
        let _place = desk.places.acquire().await.map_err(|_| LogError::Closed)?;
        if !desk.has_recipient.load(Ordering::Acquire) {
            desk.await_recipient().await?;
        }
        let (written, told) = oneshot::channel();
        desk.queue().as_mut().ok_or(LogError::Closed)?.push(Call { entry, written });
        let given_up = GivenUp(Some(self));
        // Where calls come together, others who are about to hand in theirs do so meanwhile.
        if desk.together.load(Ordering::Relaxed) {
            yield_now().await;
        }
        given_up.stays();
        match desk.sync {
            // Whoever comes next must not keep this call at work for ever.
            Sync::Interval(_) if desk.write(ROUNDS) => {}
            _ => self.write_elsewhere(),
        }
        told.await.map_err(|_| LogError::Closed)?
    }

    /// Records a call and lets its answer go: without a record there is none.
    ///
    /// # Errors
    /// The refusal that the answer is; or the call cannot be recorded.
    pub async fn conclude<T>(&self, mut entry: Entry, answer: Result<T, Status>) -> Result<T, Status> {
        if let Err(status) = &answer {
            entry.refused(Reason::of(status).unwrap_or(Reason::Internal));
        }
        self.record(entry).await?;
        answer
    }

    /// Writes on a thread that may wait for the disk.
    fn write_elsewhere(&self) {
        if !self.0.on_its_way.swap(true, Ordering::AcqRel) {
            let desk = Arc::clone(&self.0);
            spawn_blocking(move || {
                desk.on_its_way.store(false, Ordering::Release);
                desk.write(usize::MAX);
            });
        }
    }
}

/// A call that has handed in its record and may be dropped before it sees to it that it is written.
struct GivenUp<'a>(Option<&'a AccessLog>);

impl GivenUp<'_> {
    fn stays(mut self) {
        self.0 = None;
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(log) = self.0 {
            log.write_elsewhere();
        }
    }
}

/// Starts the log, which takes calls in until `end`: that is when no call is under way any more. What was
/// written tells the number of the last record to whoever follows it.
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
    let head = store.head()?;
    let (last, follow) = watch::channel(head.sequence);
    let writer = Writer {
        store: store.clone(),
        node: node.to_owned(),
        sealer: None,
        head,
        sync,
        clock,
        last,
        looked: None,
    };
    let desk = Arc::new(Desk {
        sync,
        store: store.clone(),
        queue: Mutex::new(Some(Vec::with_capacity(TOGETHER))),
        places: Semaphore::new(QUEUE),
        writer: Mutex::new(writer),
        has_recipient: AtomicBool::new(false),
        together: AtomicBool::new(false),
        on_its_way: AtomicBool::new(false),
        dirty: Arc::default(),
    });
    if let Sync::Interval(interval) = sync {
        tasks.spawn(keep_synced(store.clone(), interval, Arc::clone(&desk.dirty), end.clone()));
    }
    tasks.spawn({
        let (desk, end) = (Arc::clone(&desk), end.clone());
        async move {
            end.cancelled().await;
            desk.close();
        }
    });
    Ok((AccessLog(desk), follow))
}

impl Desk {
    /// Writes what waits, unless somebody does, in so many rounds; whether nothing is left to see to.
    fn write(&self, rounds: usize) -> bool {
        for _ in 0..rounds {
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::WouldBlock) => return true,
                Err(TryLockError::Poisoned(poisoned)) => {
                    let mut writer = poisoned.into_inner();
                    writer.begin_anew();
                    self.writer.clear_poison();
                    writer
                }
            };
            let Some(calls) = self.queue().as_mut().map(|queue| mem::replace(queue, Vec::with_capacity(64)))
            else {
                return true;
            };
            self.write_all(&mut writer, calls);
            drop(writer);
            // Who came while the writer was taken relies on this look.
            if self.queue().as_ref().is_none_or(Vec::is_empty) {
                return true;
            }
        }
        false
    }

    fn write_all(&self, writer: &mut Writer, mut calls: Vec<Call>) {
        self.together.store(calls.len() > 1, Ordering::Relaxed);
        while !calls.is_empty() {
            let rest = calls.split_off(calls.len().min(TOGETHER));
            let (entries, waiting): (Vec<_>, Vec<_>) =
                calls.into_iter().map(|call| (call.entry, call.written)).unzip();
            let written = writer.write(entries);
            self.dirty.store(true, Ordering::Release);
            // Who does not wait any more has gone.
            waiting.into_iter().for_each(|waiting| drop(waiting.send(written.clone())));
            calls = rest;
        }
    }

    /// Takes in no more, and brings to the disk what there is.
    fn close(&self) {
        let calls = self.queue().take().unwrap_or_default();
        self.write_all(&mut self.writer.lock().unwrap_or_else(PoisonError::into_inner), calls);
        if let Err(error) = self.store.sync() {
            tracing::error!(%error, "the last records may not be on the disk");
        }
    }

    /// Waits for what numbers are sealed for. A new node has it a moment after its slice.
    async fn await_recipient(&self) -> Result<(), LogError> {
        let until = tokio::time::Instant::now() + MOMENT;
        while self.store.recipient()?.is_none() {
            if tokio::time::Instant::now() >= until {
                return Err(LogError::NoRecipient);
            }
            tokio::time::sleep(MOMENT / 100).await;
        }
        self.has_recipient.store(true, Ordering::Release);
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Option<Vec<Call>>> {
        // Calls are put in and taken out whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    store: LogStore,
    node: String,
    sealer: Option<Sealer>,
    head: Head,
    sync: Sync,
    clock: Clock,
    last: watch::Sender<u64>,
    /// When there was last found to be room on the disk.
    looked: Option<Instant>,
}

impl Writer {
    fn write(&mut self, entries: Vec<Entry>) -> Result<(), LogError> {
        let written = self.check_room().and_then(|()| self.append(entries));
        if let Err(error) = &written {
            tracing::error!(%error, "calls are refused because they cannot be recorded");
            self.begin_anew();
        }
        written
    }

    /// After a write of which it is not known how it went: what is on the disk counts, and the number of a
    /// record that was perhaps written must not be sealed with twice.
    fn begin_anew(&mut self) {
        self.sealer = None;
        match self.store.head() {
            Ok(head) => self.head = head,
            Err(error) => tracing::error!(%error, "it cannot be read where the access log stands"),
        }
    }

    fn check_room(&mut self) -> Result<(), LogError> {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK) {
            // A full disk is looked at again with the next call.
            self.looked = None;
            self.store.check_room()?;
            self.looked = Some(Instant::now());
        }
        Ok(())
    }

    fn append(&mut self, entries: Vec<Entry>) -> Result<(), LogError> {
        let time_ms = ((self.clock)().unix_timestamp_nanos() / 1_000_000) as u64;
        let mut head = self.head;
        let mut records = Vec::with_capacity(entries.len() + 1);
        if self.sealer.is_none() {
            let recipient = self.store.recipient()?.ok_or(LogError::NoRecipient)?;
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
        self.store.append(&records, head, self.sync == Sync::Always)?;
        self.head = head;
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
