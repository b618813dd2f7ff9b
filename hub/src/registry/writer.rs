//! The one writer: it gives each commit its revision, and writes those that wait together in one
//! synced batch (group commit).

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use dancu_proto::Revision;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    AgreementEvent, BulkLoad, Clock, Commit, CommitError, Committed, Content, Origin, Store, StoreError,
    draft::Draft,
    group::Group,
    journal::{AppliedAgreement, Content as Journal, JournalEntry},
    store::Write,
};
use crate::router::{Router, Touched};

/// Commits that may wait; beyond, senders wait.
const QUEUE: usize = 1024;
/// Commits that share one write at the most.
const GROUP: usize = 256;

type Reply = oneshot::Sender<Result<Committed, CommitError>>;

enum Command {
    Commit(Box<Commit>, Reply),
    Bulk(Box<BulkLoad>, Origin, Reply),
}

/// The handle to the writer's thread.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Command>>>,
    head: watch::Receiver<Revision>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        store: Arc<dyn Store>,
        router: Arc<Router>,
        clock: Clock,
    ) -> Result<Writer, StoreError> {
        let (revision, citizens) = store.snapshot().head()?;
        let (queue, commands) = mpsc::channel(QUEUE);
        let (publish, head) = watch::channel(revision);
        let last_time = match store.snapshot().journal(revision)? {
            Some(entry) => entry.time(),
            None => time::OffsetDateTime::UNIX_EPOCH,
        };
        let task = Task { store, router, clock, publish, revision, citizens, last_time };
        let thread = std::thread::Builder::new().name("registry-writer".into());
        let thread = thread.spawn(move || task.run(commands))?;
        Ok(Writer { queue: Mutex::new(Some(queue)), head, thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn head(&self) -> watch::Receiver<Revision> {
        self.head.clone()
    }

    pub(super) async fn send(&self, commit: Commit, reply: Reply) -> Result<(), CommitError> {
        self.queue(Command::Commit(Box::new(commit), reply)).await
    }

    pub(super) async fn send_bulk(
        &self,
        load: BulkLoad,
        origin: Origin,
        reply: Reply,
    ) -> Result<(), CommitError> {
        self.queue(Command::Bulk(Box::new(load), origin, reply)).await
    }

    async fn queue(&self, command: Command) -> Result<(), CommitError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or(CommitError::Closed)?;
        queue.send(command).await.map_err(|_| CommitError::Closed)
    }

    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the registry's writer had panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

struct Task {
    store: Arc<dyn Store>,
    router: Arc<Router>,
    clock: Clock,
    publish: watch::Sender<Revision>,
    revision: Revision,
    citizens: u64,
    last_time: time::OffsetDateTime,
}

impl Task {
    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut next = commands.blocking_recv();
        while let Some(command) = next.take() {
            match command {
                Command::Bulk(load, origin, reply) => {
                    let outcome = self.bulk(&load, &origin);
                    let _ = reply.send(outcome);
                }
                Command::Commit(commit, reply) => {
                    let mut waiting = vec![(commit, reply)];
                    while waiting.len() < GROUP {
                        match commands.try_recv() {
                            Ok(Command::Commit(commit, reply)) => waiting.push((commit, reply)),
                            Ok(bulk @ Command::Bulk(..)) => {
                                next = Some(bulk);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.group(waiting);
                }
            }
            if next.is_none() {
                next = commands.blocking_recv();
            }
        }
    }

    /// Writes a group; every commit in it succeeds or fails on its own, but for the disk.
    fn group(&mut self, waiting: Vec<(Box<Commit>, Reply)>) {
        let mut group = Group::after(self.revision, self.citizens);
        let mut outcomes = Vec::with_capacity(waiting.len());
        for (commit, reply) in waiting {
            outcomes.push((self.add(&mut group, *commit), reply));
        }
        let written = if group.revision == self.revision { Ok(()) } else { self.write(group) };
        for (outcome, reply) in outcomes {
            let outcome = match (&written, outcome) {
                (Err(error), Ok(_)) => Err(CommitError::Store(again(error))),
                (_, outcome) => outcome,
            };
            // A caller that gave up does not undo a commit.
            let _ = reply.send(outcome);
        }
    }

    fn write(&mut self, group: Group) -> Result<(), StoreError> {
        let (revision, citizens) = (group.revision, group.citizens);
        let (writes, touched) = group.into_writes();
        self.store.apply(&writes)?;
        (self.revision, self.citizens) = (revision, citizens);
        self.publish.send_replace(self.revision);
        self.router.wake(&touched);
        Ok(())
    }

    fn add(&mut self, group: &mut Group, commit: Commit) -> Result<Committed, CommitError> {
        let unchanged = |at| Committed { revision: at, added: 0, changed: 0, unchanged: true };
        if let Some(id) = commit.origin.contribution {
            if group.contributions.contains(&id) {
                return Ok(unchanged(group.revision));
            }
            if let Some(at) = self.store.snapshot().contribution(id)? {
                return Ok(unchanged(at));
            }
        }
        let at = group.revision.next();
        let (journal, added, changed) = match commit.content {
            Content::Citizens(updates) => {
                let draft = Draft::of(&*self.store, group, at, updates)?;
                if draft.is_empty() {
                    return Ok(unchanged(group.revision));
                }
                let (added, changed) = draft.counts();
                (Journal::Citizens(draft.enter(group)), added, changed)
            }
            Content::Agreement(event) => {
                group.writes.push(Write::PolicyEvent(at));
                group.touched.policy = true;
                let journal = match event {
                    AgreementEvent::Apply { agreement, document } => {
                        Journal::Applied(AppliedAgreement { agreement, document })
                    }
                    AgreementEvent::Withdraw { agreement } => Journal::Withdrawn(agreement),
                };
                (journal, 0, 0)
            }
            Content::Day(date) => {
                group.writes.push(Write::PolicyEvent(at));
                group.touched.policy = true;
                (Journal::Day(date.as_number()), 0, 0)
            }
        };
        // Time in the journal never goes back, whatever the machine's clock does.
        self.last_time = self.last_time.max((self.clock)());
        let entry = JournalEntry::new(&commit.origin, self.last_time, journal);
        group.writes.push(Write::Journal(at, entry));
        if let Some(id) = commit.origin.contribution {
            group.writes.push(Write::Contribution(id, at));
            group.contributions.insert(id);
        }
        group.revision = at;
        group.citizens += added;
        Ok(Committed { revision: at, added, changed, unchanged: false })
    }

    fn bulk(&mut self, load: &BulkLoad, origin: &Origin) -> Result<Committed, CommitError> {
        if self.citizens > 0 {
            return Err(CommitError::NotEmpty);
        }
        let at = self.revision.next();
        self.last_time = self.last_time.max((self.clock)());
        let entry = JournalEntry::new(origin, self.last_time, Journal::Founding(load.citizens()));
        let mut writes = vec![
            Write::Journal(at, entry),
            Write::Founded(at),
            Write::Head(at, load.citizens()),
            // Streams of nodes that came before the citizens start again with a load.
            Write::PolicyEvent(at),
        ];
        if let Some(id) = origin.contribution {
            writes.push(Write::Contribution(id, at));
        }
        self.store.ingest(load.files(), &writes)?;
        self.revision = at;
        self.citizens = load.citizens();
        self.publish.send_replace(at);
        self.router.wake(&Touched { policy: true, ..Touched::default() });
        Ok(Committed { revision: at, added: load.citizens(), changed: 0, unchanged: false })
    }
}

/// A storage error for each caller of a group.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full => StoreError::Full,
        other => StoreError::Database(other.to_string()),
    }
}
