//! The one writer: it gives each commit its revision, and has those that wait together written in one
//! synced batch (group commit), while it makes the next group.

use std::{
    cell::Cell,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use dancu_proto::Revision;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    AgreementEvent, BulkLoad, Clock, Commit, CommitError, Committed, Content, DayBegins, Origin, Standing,
    Store, StoreError, Subject,
    draft::Draft,
    durable::{self, Answers, Durable, News, Outcome},
    group::Group,
    interest,
    journal::{AppliedAgreement, Content as Journal, JournalEntry},
    known::{self, Known},
    standing::Before,
    store::{Head, Write},
};
use crate::router::{Router, Touched};

/// Senders whose commits may wait; beyond, they wait to be let in.
const QUEUE: usize = 1024;
/// With so many commits a group is full, and no other sender comes into it. One sender's are not parted, if they are
/// no more than this.
const GROUP: usize = 1024;
/// After so long nobody else comes into a group: those in it wait for the disk.
const LONGEST: Duration = Duration::from_millis(50);

enum Command {
    /// Of one sender, who is answered once.
    Commits(Vec<Commit>, oneshot::Sender<Vec<Outcome>>),
    Bulk(Box<BulkLoad>, Origin, oneshot::Sender<Outcome>),
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
        let head = store.snapshot().head()?;
        let (queue, commands) = mpsc::channel(QUEUE);
        let (publish, published) = watch::channel(head.revision);
        let last_time = match store.snapshot().journal(head.revision)? {
            Some(entry) => entry.time(),
            None => time::OffsetDateTime::UNIX_EPOCH,
        };
        let news = News { head: Arc::new(publish), router };
        let durable = Durable::start(Arc::clone(&store), news.clone())?;
        let (known, last_time) = (Known::with_room(known::REMEMBERED), Cell::new(last_time));
        let task = Task { store, news, durable, known, clock, head, last_time };
        let thread = std::thread::Builder::new().name("registry-writer".into());
        let thread = thread.spawn(move || task.run(commands))?;
        Ok(Writer { queue: Mutex::new(Some(queue)), head: published, thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn head(&self) -> watch::Receiver<Revision> {
        self.head.clone()
    }

    /// Queues commits, in their order; the answers come in the same order.
    pub(super) async fn send(
        &self,
        commits: Vec<Commit>,
    ) -> Result<Vec<oneshot::Receiver<Vec<Outcome>>>, CommitError> {
        let mut parts: Vec<Vec<Commit>> = Vec::new();
        for commit in commits {
            let alone = is_alone(&commit);
            match parts.last_mut() {
                Some(part) if part.len() < GROUP && !alone && !part.first().is_some_and(is_alone) => {
                    part.push(commit);
                }
                _ => parts.push(vec![commit]),
            }
        }
        let mut answers = Vec::with_capacity(parts.len());
        for part in parts {
            let (reply, answer) = oneshot::channel();
            self.queue(Command::Commits(part, reply)).await?;
            answers.push(answer);
        }
        Ok(answers)
    }

    pub(super) async fn send_bulk(
        &self,
        load: BulkLoad,
        origin: Origin,
        reply: oneshot::Sender<Outcome>,
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
    news: News,
    durable: Durable,
    known: Known,
    clock: Clock,
    /// Where the registry stands, with the group that is under way.
    head: Head,
    last_time: Cell<time::OffsetDateTime>,
}

impl Task {
    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut next = commands.blocking_recv();
        while let Some(command) = next.take() {
            next = match command {
                Command::Bulk(load, origin, reply) => {
                    let outcome = self.bulk(&load, &origin);
                    let _ = reply.send(outcome);
                    None
                }
                Command::Commits(commits, reply) => self.group(commits, reply, &mut commands),
            };
            if next.is_none() {
                next = commands.blocking_recv();
            }
        }
    }

    /// Makes a group of a sender's commits and of those that wait behind them, and hands it over; every commit in it
    /// succeeds or fails on its own, but for the disk. The next command, if it was taken out and is not in the group.
    fn group(
        &mut self,
        commits: Vec<Commit>,
        reply: oneshot::Sender<Vec<Outcome>>,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Option<Command> {
        let alone = commits.iter().any(is_alone);
        if alone {
            // Whoever rests on what the disk may have refused was told.
            let _ = self.settle();
        }
        if self.durable.settle_if_done(&mut self.head).is_err() {
            self.known.forget();
        }
        let store = Arc::clone(&self.store);
        let before = Before::new(&*store, &self.known, self.durable.under_way());
        let mut group = Group::after(self.head);
        let (mut answers, mut many, begun) = (Vec::new(), 0, Instant::now());
        let (mut taken, mut next) = (Some((commits, reply)), None);
        while let Some((commits, reply)) = taken.take() {
            many += commits.len();
            let commits = commits.into_iter();
            let outcomes: Vec<_> = commits.map(|commit| self.add(&before, &mut group, commit)).collect();
            answers.push((outcomes, reply));
            if alone || many >= GROUP || begun.elapsed() >= LONGEST {
                break;
            }
            match commands.try_recv() {
                Ok(Command::Commits(commits, reply)) if !commits.iter().any(is_alone) => {
                    taken = Some((commits, reply));
                }
                other => next = other.ok(),
            }
        }
        drop(before);
        // What was said here rests on the group before: it holds when the disk has that one.
        let settled = self.settle();
        if settled.is_err() || group.is_empty() {
            durable::answer(answers, &settled);
        } else {
            self.hand_over(group, answers);
        }
        if alone {
            let _ = self.settle();
        }
        next
    }

    fn hand_over(&mut self, group: Group, answers: Answers) {
        self.known.learn_group(&group);
        let before = std::mem::replace(&mut self.head, group.head);
        self.durable.hand_over(group, before, answers);
    }

    /// Waits until nothing is under way to the disk.
    fn settle(&mut self) -> Result<(), StoreError> {
        let settled = self.durable.settle(&mut self.head);
        if settled.is_err() {
            self.known.forget();
        }
        settled
    }

    fn add(&self, before: &Before<'_>, group: &mut Group, commit: Commit) -> Result<Committed, CommitError> {
        let now = self.now();
        let unchanged = |at| Committed { revision: at, added: 0, changed: 0, unchanged: true };
        let (mut origin, mut takes_back) = (commit.origin, None);
        // What is decided looks for itself whether it was carried out.
        let looks = matches!(commit.content, Content::Decided(_));
        if let Some(id) = origin.contribution.filter(|_| !looks) {
            if group.contributions.contains(&id) {
                return Ok(unchanged(group.head.revision));
            }
            if let Some(at) = before.contribution(id)? {
                return Ok(unchanged(at));
            }
        }
        let at = group.head.revision.next();
        let (journal, added, changed) = match commit.content {
            Content::Citizens(updates) => {
                let draft = Draft::of(&Standing::new(before, group, now), updates)?;
                if draft.is_empty() {
                    return Ok(unchanged(group.head.revision));
                }
                let (added, changed) = draft.counts();
                (Journal::Citizens(draft.enter(group)), added, changed)
            }
            Content::Decided(decide) => {
                let standing = Standing::new(before, group, now);
                let decision = (decide.by)(&standing)?;
                let draft = Draft::of(&standing, decision.updates)?;
                group.rows(decision.rows);
                if draft.is_empty() && !decision.counts {
                    return Ok(unchanged(group.head.revision));
                }
                takes_back = decision.takes_back;
                if let Some(other) = decision.origin {
                    origin = other;
                }
                let (added, changed) = draft.counts();
                group.head.citizens -= draft.left().min(group.head.citizens);
                (Journal::Citizens(draft.enter(group)), added, changed)
            }
            Content::Agreement(event) => {
                group.policy(at);
                let (journal, agency) = match event {
                    AgreementEvent::Apply { agreement, agency, document } => {
                        (Journal::Applied(AppliedAgreement { agreement, document }), agency)
                    }
                    AgreementEvent::Withdraw { agreement, agency } => (Journal::Withdrawn(agreement), agency),
                };
                group.touched.agencies.insert(agency);
                (journal, 0, 0)
            }
            Content::Interest(update) => match interest::enter(before, group, at, update)? {
                None => return Ok(unchanged(group.head.revision)),
                Some(change) => {
                    let (joined, left) = (change.joined.len() as u64, change.left.len() as u64);
                    (Journal::Interest(change), 0, joined + left)
                }
            },
            Content::Day(begins) => (self.day(group, at, begins)?, 0, 0),
            Content::Areas(update) => {
                if update.policy != group.head.policy {
                    return Err(CommitError::Stale);
                }
                group.policy(at);
                group.touched.everything = true;
                (Journal::Areas(update.change), 0, 0)
            }
        };
        let entry = JournalEntry::new(&origin, now, journal, takes_back);
        group.entries.insert(at, Arc::new(entry));
        if let Some(id) = origin.contribution.filter(|_| !looks) {
            group.writes.push(Write::Contribution(id, at));
            group.contributions.insert(id);
        }
        group.head.revision = at;
        group.head.citizens += added;
        Ok(Committed { revision: at, added, changed, unchanged: false })
    }

    /// The time. In the journal it never goes back, whatever the machine's clock does.
    fn now(&self) -> time::OffsetDateTime {
        let now = self.last_time.get().max((self.clock)());
        self.last_time.set(now);
        now
    }

    /// A day begins. The commit is the first of its group, so that the indexes tell of everyone.
    fn day(&self, group: &mut Group, at: Revision, begins: DayBegins) -> Result<Journal, CommitError> {
        if begins.policy != group.head.policy {
            return Err(CommitError::Stale);
        }
        group.policy(at);
        group.touched.agencies.extend(begins.agencies);
        let snapshot = self.store.snapshot();
        for date in begins.births {
            for row in snapshot.births(date, date) {
                let (_, key) = row?;
                let citizen = snapshot.citizen(key)?.ok_or(StoreError::Corrupt("the index of births"))?;
                let lists = citizen.lists();
                if (begins.moves)(Subject { record: &citizen.record, lists: &lists }) {
                    group.moves(key, citizen, at);
                }
            }
        }
        Ok(Journal::Day(begins.day.as_number()))
    }

    fn bulk(&mut self, load: &BulkLoad, origin: &Origin) -> Result<Committed, CommitError> {
        let _ = self.settle();
        if self.head.citizens > 0 {
            return Err(CommitError::NotEmpty);
        }
        let at = self.head.revision.next();
        let entry = JournalEntry::new(origin, self.now(), Journal::Founding(load.citizens()), None);
        let head = Head { revision: at, citizens: load.citizens(), founded: Some(at), ..self.head };
        let mut writes = vec![Write::Journal(at, Arc::new(entry)), Write::Head(head)];
        if let Some(id) = origin.contribution {
            writes.push(Write::Contribution(id, at));
        }
        self.known.forget();
        self.store.ingest(load.files(), &writes)?;
        self.head = head;
        // Streams of nodes that came before the citizens start again with a load.
        self.news.tell(at, &Touched { everything: true, ..Touched::default() });
        self.find_awaited()?;
        Ok(Committed { revision: at, added: load.citizens(), changed: 0, unchanged: false })
    }

    /// Who was awaited by interest lists before the founding load comes onto them.
    fn find_awaited(&mut self) -> Result<(), StoreError> {
        for (list, numbers) in interest::awaiting(&*self.store)? {
            let mut group = Group::after(self.head);
            let at = group.head.revision.next();
            let store = Arc::clone(&self.store);
            let before = Before::new(&*store, &self.known, None);
            let found = interest::find(&before, &mut group, at, list, numbers)?;
            drop(before);
            let Some(change) = found else { continue };
            let origin = Origin { source: "interest".into(), ..Origin::default() };
            let entry = JournalEntry::new(&origin, self.now(), Journal::Interest(change), None);
            group.entries.insert(at, Arc::new(entry));
            group.head.revision = at;
            self.hand_over(group, Vec::new());
            self.settle()?;
        }
        Ok(())
    }
}

/// Whether a commit needs all before it, and all after it need the commit, to be in the indexes.
fn is_alone(commit: &Commit) -> bool {
    match &commit.content {
        Content::Day(_) | Content::Interest(_) => true,
        Content::Decided(decide) => decide.alone,
        _ => false,
    }
}
