//! Writing records, in the order of the chain: what comes at the same time goes into one write.
//!
//! No task stands between a call and its record, which would cost each call two turns from one processor
//! to another. Whoever has handed in a record lets others hand in theirs, where calls come together, and
//! then writes all there are, unless somebody is about it already: who writes looks again afterwards, so that
//! nobody is forgotten.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dancu_proto::Reason;
use tokio::{
    sync::{
        Semaphore,
        oneshot::{self, error::TryRecvError},
        watch,
    },
    task::{spawn_blocking, yield_now},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;

use super::{
    chain::{Head, Leaf},
    entry::Entry,
    seal::Sealer,
    store::{LogError, LogStore, Rows},
};
use crate::state::Clock;

/// Calls that wait to be recorded; beyond that, callers wait to be taken in.
const QUEUE: usize = 4096;
/// Records of one write.
const TOGETHER: usize = 512;
/// After so many writes of one record each, a call does not wait for others to hand in theirs,
const ALONE: usize = 8;
/// except before each so-manieth write. Waiting costs a lone call half as much again as it takes.
const TRIED: usize = 256;
/// Room for where the log stands, bytes.
const HEAD: usize = 128;
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
    /// So many writes in a row had the record of one call each.
    alone: AtomicUsize,
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
        let (written, mut told) = oneshot::channel();
        desk.queue().as_mut().ok_or(LogError::Closed)?.push(Call { entry, written });
        let given_up = GivenUp(Some(self));
        // Where calls come together, others who are about to hand in theirs do so meanwhile.
        if desk.come_together() {
            yield_now().await;
        }
        match told.try_recv() {
            // One of those others saw to it.
            Ok(written) => {
                given_up.stays();
                return written;
            }
            Err(TryRecvError::Closed) => return Err(LogError::Closed),
            Err(TryRecvError::Empty) => {}
        }
        match desk.sync {
            // Whoever comes next must not keep this call at work for ever.
            Sync::Interval(_) if desk.write(ROUNDS) => {}
            _ => self.write_elsewhere(),
        }
        given_up.stays();
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
            let log = self.clone();
            spawn_blocking(move || {
                log.0.on_its_way.store(false, Ordering::Release);
                let given_up = GivenUp(Some(&log));
                log.0.write(usize::MAX);
                given_up.stays();
            });
        }
    }
}

/// A call that has handed in its record and may be dropped, or panic, before it has seen to it that all
/// that wait are written.
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
        room: Vec::with_capacity(TOGETHER),
        waiting: Vec::with_capacity(TOGETHER),
        leaf: Leaf::default(),
        size: 0,
    };
    let desk = Arc::new(Desk {
        sync,
        store: store.clone(),
        queue: Mutex::new(Some(Vec::with_capacity(TOGETHER))),
        places: Semaphore::new(QUEUE),
        writer: Mutex::new(writer),
        has_recipient: AtomicBool::new(false),
        alone: AtomicUsize::new(0),
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
    /// Whether calls come together, as far as the last writes tell; where they told that none do, it is
    /// tried now and then.
    fn come_together(&self) -> bool {
        let alone = self.alone.load(Ordering::Relaxed);
        alone < ALONE || alone.is_multiple_of(TRIED)
    }

    /// Writes what waits, unless somebody does, in so many rounds; whether nothing is left to see to.
    fn write(&self, rounds: usize) -> bool {
        for _ in 0..rounds {
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::WouldBlock) => return true,
                Err(TryLockError::Poisoned(poisoned)) => self.recovered(poisoned),
            };
            let mut calls = mem::take(&mut writer.room);
            match self.queue().as_mut() {
                Some(queue) => mem::swap(queue, &mut calls),
                None => return true,
            }
            self.write_all(&mut writer, &mut calls);
            writer.room = calls;
            drop(writer);
            // Who came while the writer was taken relies on this look.
            if self.queue().as_ref().is_none_or(Vec::is_empty) {
                return true;
            }
        }
        false
    }

    /// Writes some calls and tells them; none are left.
    fn write_all(&self, writer: &mut Writer, calls: &mut Vec<Call>) {
        if calls.is_empty() {
            // Somebody has just written what there was: that says nothing of how calls come.
            return;
        }
        let alone = if calls.len() > 1 { 0 } else { self.alone.load(Ordering::Relaxed).wrapping_add(1) };
        self.alone.store(alone, Ordering::Relaxed);
        let mut waiting = mem::take(&mut writer.waiting);
        while !calls.is_empty() {
            let mut some = calls.drain(..calls.len().min(TOGETHER)).map(|call| {
                waiting.push(call.written);
                call.entry
            });
            let written = writer.write(&mut some);
            // Those that were not even looked at are told so too.
            some.for_each(drop);
            self.dirty.store(true, Ordering::Release);
            // Who does not wait any more has gone.
            waiting.drain(..).for_each(|waiting| drop(waiting.send(written.clone())));
        }
        writer.waiting = waiting;
    }

    /// Takes in no more, and brings to the disk what there is.
    fn close(&self) {
        let mut calls = self.queue().take().unwrap_or_default();
        let writer = self.writer.lock();
        self.write_all(&mut writer.unwrap_or_else(|poisoned| self.recovered(poisoned)), &mut calls);
        if let Err(error) = self.store.sync() {
            tracing::error!(%error, "the last records may not be on the disk");
        }
    }

    /// The writer after a panic.
    fn recovered<'a>(&'a self, poisoned: PoisonError<MutexGuard<'a, Writer>>) -> MutexGuard<'a, Writer> {
        let mut writer = poisoned.into_inner();
        writer.begin_anew();
        self.writer.clear_poison();
        writer
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
    /// Memory for the next queue, for those who wait for a write, and for a record.
    room: Vec<Call>,
    waiting: Vec<oneshot::Sender<Result<(), LogError>>>,
    leaf: Leaf,
    /// Bytes of the last write: the next is likely to be like it.
    size: usize,
}

impl Writer {
    fn write(&mut self, entries: impl Iterator<Item = Entry>) -> Result<(), LogError> {
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

    fn append(&mut self, entries: impl Iterator<Item = Entry>) -> Result<(), LogError> {
        let time_ms = ((self.clock)().unix_timestamp_nanos() / 1_000_000) as u64;
        let mut head = self.head;
        let mut rows = Rows::with_capacity(self.size);
        if self.sealer.is_none() {
            let recipient = self.store.recipient()?.ok_or(LogError::NoRecipient)?;
            if head.sequence == 0 {
                // A log that was lost has been told where to go on.
                head = self.store.head()?;
            }
            let (sealer, told) = Sealer::new(head.sequence + 1, &self.node, &recipient)?;
            head = head.key(time_ms, told, &mut self.leaf);
            rows.add(head.sequence, self.leaf.record());
            self.sealer = Some(sealer);
        }
        let Some(sealer) = &self.sealer else { return Err(LogError::Sealing) };
        for entry in entries {
            head = head.access(time_ms, entry, sealer, &mut self.leaf)?;
            rows.add(head.sequence, self.leaf.record());
        }
        self.size = rows.size() + HEAD;
        self.store.append(rows, head, self.sync == Sync::Always)?;
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
