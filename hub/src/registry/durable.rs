//! Makes groups durable, one after the other, on a thread of its own: while the disk is waited for, the writer makes
//! the next group, on top of the one that is under way.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use dancu_proto::Revision;
use tokio::sync::{oneshot, watch};

use super::{
    CommitError, Committed, Store, StoreError,
    group::Group,
    store::{Head, Write},
};
use crate::router::{Router, Touched};

pub(super) type Outcome = Result<Committed, CommitError>;
/// What senders are told once a group is on the disk.
pub(super) type Answers = Vec<(Vec<Outcome>, oneshot::Sender<Vec<Outcome>>)>;

/// Where revisions are told of that are on the disk.
#[derive(Clone)]
pub(super) struct News {
    pub(super) head: Arc<watch::Sender<Revision>>,
    pub(super) router: Arc<Router>,
}

impl News {
    pub(super) fn tell(&self, head: Revision, touched: &Touched) {
        self.head.send_replace(head);
        self.router.wake(touched);
    }
}

struct Job {
    writes: Vec<Write>,
    touched: Touched,
    group: Arc<Group>,
    answers: Answers,
}

/// The thread, and the one group that it may have.
pub(super) struct Durable {
    jobs: Option<mpsc::SyncSender<Box<Job>>>,
    done: mpsc::Receiver<Result<(), StoreError>>,
    under_way: Option<UnderWay>,
    thread: Option<JoinHandle<()>>,
}

/// A group that may not be on the disk yet, and where the registry stood before.
struct UnderWay {
    group: Arc<Group>,
    before: Head,
}

impl Durable {
    pub(super) fn start(store: Arc<dyn Store>, news: News) -> Result<Durable, StoreError> {
        let (jobs, to_do) = mpsc::sync_channel(1);
        let (tell, done) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("registry-disk".into());
        let thread = thread.spawn(move || write(&*store, &news, &to_do, &tell))?;
        Ok(Durable { jobs: Some(jobs), done, under_way: None, thread: Some(thread) })
    }

    /// The group that is under way, whose changes may not be on the disk yet.
    pub(super) fn under_way(&self) -> Option<Arc<Group>> {
        self.under_way.as_ref().map(|under_way| Arc::clone(&under_way.group))
    }

    /// Waits until nothing is under way. If the disk refused, whoever is concerned was told, and the registry stands
    /// where it did before.
    pub(super) fn settle(&mut self, head: &mut Head) -> Result<(), StoreError> {
        if self.under_way.is_none() {
            return Ok(());
        }
        let done = self.done.recv().unwrap_or_else(|_| Err(gone()));
        self.is_done(done, head)
    }

    /// The same, if it is known by now what became of it.
    pub(super) fn settle_if_done(&mut self, head: &mut Head) -> Result<(), StoreError> {
        match self.done.try_recv() {
            Ok(done) => self.is_done(done, head),
            Err(_) => Ok(()),
        }
    }

    fn is_done(&mut self, done: Result<(), StoreError>, head: &mut Head) -> Result<(), StoreError> {
        if let Some(under_way) = self.under_way.take()
            && done.is_err()
        {
            *head = under_way.before;
        }
        done
    }

    /// Hands a group over, when nothing is under way any more; its senders are answered when it is on the disk.
    pub(super) fn hand_over(&mut self, mut group: Group, before: Head, answers: Answers) {
        let (writes, touched) = (std::mem::take(&mut group.writes), std::mem::take(&mut group.touched));
        let group = Arc::new(group);
        self.under_way = Some(UnderWay { group: Arc::clone(&group), before });
        let job = Box::new(Job { writes, touched, group, answers });
        if let Some(Err(mpsc::SendError(job))) = self.jobs.as_ref().map(|jobs| jobs.send(job)) {
            // It has panicked. Settling says so to the next one.
            answer(job.answers, &Err(gone()));
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes the registry had panicked");
        }
    }
}

fn write(
    store: &dyn Store,
    news: &News,
    jobs: &mpsc::Receiver<Box<Job>>,
    tell: &mpsc::SyncSender<Result<(), StoreError>>,
) {
    for job in jobs {
        let Job { writes, touched, group, answers } = *job;
        let written = store.apply(&group.with_rows(writes));
        if written.is_ok() {
            news.tell(group.head.revision, &touched);
        }
        let told = written.as_ref().copied().map_err(again);
        let _ = tell.send(told);
        answer(answers, &written);
    }
}

/// Answers senders. If the disk refused, nothing holds that was said on top of what it did not take.
pub(super) fn answer(answers: Answers, written: &Result<(), StoreError>) {
    for (mut outcomes, reply) in answers {
        if let Err(error) = written {
            outcomes.iter_mut().for_each(|outcome| *outcome = Err(CommitError::Store(again(error))));
        }
        // A caller that gave up does not undo a commit.
        let _ = reply.send(outcomes);
    }
}

/// A storage error for each who is concerned.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full => StoreError::Full,
        other => StoreError::Database(other.to_string()),
    }
}

fn gone() -> StoreError {
    StoreError::Database("the thread that writes it has stopped; start the hub again".into())
}
