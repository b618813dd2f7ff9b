//! The one writer: it gives each commit its revision, and writes those that wait together in one
//! synced batch (group commit).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use dancu_proto::{Delta, Field, FieldSet, PersonalId, Record, Revision, v1::Date};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::{
    AgreementEvent, BulkLoad, CitizenKey, CitizenUpdate, Clock, Commit, CommitError, Committed, Content,
    Origin, Partition, Person, Store, StoreError, StoredCitizen,
    journal::{AppliedAgreement, CitizenChange, CitizenChanges, Content as Journal, JournalEntry},
    partition::partitions_of,
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

/// What a group of commits will write, and what it has changed so far.
struct Group {
    revision: Revision,
    citizens: u64,
    writes: Vec<Write>,
    touched: Touched,
    changed: HashMap<CitizenKey, StoredCitizen>,
    numbers: HashMap<PersonalId, CitizenKey>,
    contributions: HashSet<Uuid>,
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
        let mut group = Group {
            revision: self.revision,
            citizens: self.citizens,
            writes: Vec::new(),
            touched: Touched::default(),
            changed: HashMap::new(),
            numbers: HashMap::new(),
            contributions: HashSet::new(),
        };
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

    fn write(&mut self, mut group: Group) -> Result<(), StoreError> {
        for (key, citizen) in group.changed {
            group.writes.push(Write::Citizen(key, citizen));
        }
        group.writes.push(Write::Head(group.revision, group.citizens));
        self.store.apply(&group.writes)?;
        self.revision = group.revision;
        self.citizens = group.citizens;
        self.publish.send_replace(self.revision);
        self.router.wake(&group.touched);
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
                let Some((changes, added)) = self.citizens(group, at, updates)? else {
                    return Ok(unchanged(group.revision));
                };
                let changed = changes.changes.len() as u64 - added;
                (Journal::Citizens(changes), added, changed)
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

    /// The changes of one commit, or none. A commit that is refused leaves the group as it was.
    fn citizens(
        &self,
        group: &mut Group,
        at: Revision,
        updates: Vec<CitizenUpdate>,
    ) -> Result<Option<(CitizenChanges, u64)>, CommitError> {
        let mut draft = Draft { store: &*self.store, group, at, changes: Vec::new(), staged: Vec::new() };
        for update in updates {
            draft.update(update)?;
        }
        let Draft { changes, staged, .. } = draft;
        if changes.is_empty() {
            return Ok(None);
        }
        let added = changes.iter().filter(|change| change.entered).count() as u64;
        for (key, old, new, number) in staged {
            index(group, key, old.as_ref(), &new, at);
            if let Some(number) = number {
                group.writes.push(Write::Number(number, key));
                group.numbers.insert(number, key);
            }
            let citizen = with_feed(group, key, old.as_ref(), new, at);
            group.changed.insert(key, citizen);
        }
        Ok(Some((CitizenChanges { changes }, added)))
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

type Staged = (CitizenKey, Option<StoredCitizen>, StoredCitizen, Option<PersonalId>);

/// One commit's changes, before they are certain.
struct Draft<'a> {
    store: &'a dyn Store,
    group: &'a Group,
    at: Revision,
    changes: Vec<CitizenChange>,
    staged: Vec<Staged>,
}

impl Draft<'_> {
    fn find(&self, number: PersonalId) -> Result<Option<(CitizenKey, StoredCitizen)>, StoreError> {
        let snapshot = self.store.snapshot();
        let key = match self.group.numbers.get(&number) {
            Some(key) => *key,
            None => snapshot.alias(number)?.unwrap_or(number.into()),
        };
        if let Some(citizen) = self.group.changed.get(&key) {
            return Ok(Some((key, citizen.clone())));
        }
        Ok(snapshot.citizen(key)?.map(|citizen| (key, citizen)))
    }

    fn update(&mut self, update: CitizenUpdate) -> Result<(), CommitError> {
        let (number, may_enter) = match update.person {
            Person::Known(number) => (number, false),
            Person::KnownOrNew(number) => (number, true),
        };
        let found = self.find(number)?;
        let (key, old) = match found {
            Some((key, citizen)) => (key, Some(citizen)),
            None if may_enter => (CitizenKey::from(number), None),
            None => return Err(CommitError::NoSuchCitizen),
        };
        if self.staged.iter().any(|(staged, ..)| *staged == key) {
            // Two updates of one person in one commit: the intake never makes such a commit.
            return Err(CommitError::Store(StoreError::Corrupt("a commit that names a person twice")));
        }
        let base = old.as_ref().map(|citizen| citizen.record.clone()).unwrap_or_default();
        let given = Delta { set: update.set.into_bytes(), cleared: update.clear };
        let corrupt = |_| StoreError::Corrupt("a commit's values");
        let record = base.apply(&given).map_err(corrupt)?;
        let delta = base.delta_to(&record);
        if delta.is_empty() {
            return Ok(());
        }
        let number_now = record.personal_id().ok_or(CommitError::NoNumber)?;
        let alias = self.claim(key, old.as_ref(), number_now)?;
        let touched = delta.fields();
        let before = base.project(touched).into_record();
        self.changes.push(CitizenChange {
            key: key.0,
            entered: old.is_none(),
            cleared: delta.cleared.bits(),
            set: delta.set,
            absent_before: touched.difference(before.fields()).bits(),
            before: before.into_bytes(),
        });
        let mut new = StoredCitizen {
            record,
            entered: old.as_ref().map_or(Some(self.at), |citizen| citizen.entered),
            sources: old.as_ref().map(|citizen| citizen.sources.clone()).unwrap_or_default(),
            feed: old.as_ref().map(|citizen| citizen.feed.clone()).unwrap_or_default(),
        };
        if old.is_some() {
            new.set_source(touched, self.at);
        }
        self.staged.push((key, old, new, alias));
        Ok(())
    }

    /// Checks that a person may have a number, and says whether it must be entered as another name
    /// of theirs. Numbers are never reused (DOMAIN).
    fn claim(
        &self,
        key: CitizenKey,
        old: Option<&StoredCitizen>,
        number: PersonalId,
    ) -> Result<Option<PersonalId>, CommitError> {
        if old.is_some_and(|citizen| citizen.record.personal_id() == Some(number)) {
            return Ok(None);
        }
        let staged = self.staged.iter().any(|(other, .., alias)| {
            *other != key && (*other == CitizenKey::from(number) || *alias == Some(number))
        });
        if staged || self.find(number)?.is_some_and(|(owner, _)| owner != key) {
            return Err(CommitError::NumberTaken);
        }
        Ok((CitizenKey::from(number) != key).then_some(number))
    }
}

/// Moves a citizen in the indexes by area and by birth date.
fn index(
    group: &mut Group,
    key: CitizenKey,
    old: Option<&StoredCitizen>,
    new: &StoredCitizen,
    _at: Revision,
) {
    let before = old.map(|citizen| partitions_of(&citizen.record)).unwrap_or_default();
    let after = partitions_of(&new.record);
    for partition in before.iter().filter(|p| !after.contains(p)) {
        group.writes.push(Write::Leave(*partition, key));
    }
    for partition in after.iter().filter(|p| !before.contains(p)) {
        group.writes.push(Write::Join(*partition, key));
    }
    let (born_before, born_after) = (old.and_then(|c| birth_of(&c.record)), birth_of(&new.record));
    if born_before != born_after {
        group.writes.extend(born_before.map(|date| Write::Unbirth(date, key)));
        group.writes.extend(born_after.map(|date| Write::Birth(date, key)));
    }
}

/// Enters the change in the feeds of the old and the new partitions, and takes out the entries that
/// it supersedes, so that each citizen is in each feed at most once.
fn with_feed(
    group: &mut Group,
    key: CitizenKey,
    old: Option<&StoredCitizen>,
    mut new: StoredCitizen,
    at: Revision,
) -> StoredCitizen {
    let mut partitions = old.map(|citizen| partitions_of(&citizen.record)).unwrap_or_default();
    partitions.extend(partitions_of(&new.record));
    partitions.push(Partition::Nation);
    partitions.sort_unstable();
    partitions.dedup();
    for partition in partitions {
        match new.feed.iter_mut().find(|(p, _)| *p == partition) {
            Some((_, position)) => {
                group.writes.push(Write::Unfeed(partition, *position, key));
                *position = at;
            }
            None => new.feed.push((partition, at)),
        }
        group.writes.push(Write::Feed(partition, at, key));
        group.touched.partitions.insert(partition);
    }
    group.writes.push(Write::History(key, at));
    new
}

/// The date of birth in a record.
#[must_use]
pub fn birth_of(record: &Record) -> Option<Date> {
    let only: FieldSet = [Field::DateOfBirth].into_iter().collect();
    record.project(only).record().decode().ok()?.date_of_birth
}

/// A storage error for each caller of a group.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full => StoreError::Full,
        other => StoreError::Database(other.to_string()),
    }
}
