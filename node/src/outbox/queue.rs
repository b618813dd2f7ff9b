//! Taking contributions in: what comes at the same time gets its places and is written together, so that a
//! place is never on the disk without the one before.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use dancu_proto::{
    contribution::Place,
    node::v1::ContributionStatus,
    v1::{Contribution, ContributionState},
};
use prost::Message;
use prost_types::Timestamp;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::spawn_blocking,
};
use uuid::Uuid;

use super::{
    draft::Draft,
    rows::{self, QueueRow, StatusRow},
    store::{Outbox, OutboxError},
};

/// Contributions that wait to be written; beyond that, callers wait to be taken in.
const WAITING: usize = 4096;
/// Contributions of one write.
const TOGETHER: usize = 256;

/// A contribution that a caller hands in.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Who.
    pub(super) caller: String,
    /// The hash of what the caller said: how it is read may change with the administrative order.
    said: [u8; 32],
    /// What, brought to its normal form where it was checked since.
    pub(super) contribution: Contribution,
}

impl Submission {
    /// What a caller says, as it is said.
    #[must_use]
    pub fn new(caller: String, contribution: Contribution) -> Submission {
        let said = blake3::hash(&contribution.encode_to_vec()).into();
        Submission { caller, said, contribution }
    }
}

struct Waiting {
    submission: Submission,
    told: oneshot::Sender<Result<ContributionStatus, OutboxError>>,
    /// Held as long as it waits, whether its caller still does or not.
    _place: OwnedSemaphorePermit,
}

/// Where contributions wait to be written.
pub(super) struct Desk {
    queue: Mutex<Vec<Waiting>>,
    pub(super) places: Arc<Semaphore>,
    /// A thread is on its way to write.
    on_its_way: AtomicBool,
}

impl Default for Desk {
    fn default() -> Desk {
        let places = Arc::new(Semaphore::new(WAITING));
        Desk { queue: Mutex::default(), places, on_its_way: AtomicBool::new(false) }
    }
}

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Vec<Waiting>> {
        // It is put in and taken out whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// Queues a contribution: when this returns without an error it is on the disk, and counts once. One that
    /// came before is told as it stands by now.
    ///
    /// # Errors
    /// Nothing was queued: the id is another contribution's, there is no room, or the disk refuses.
    pub async fn submit(&self, submission: Submission) -> Result<ContributionStatus, OutboxError> {
        let desk = &self.0.desk;
        let places = Arc::clone(&desk.places);
        let place = places.acquire_owned().await.map_err(|_| OutboxError::Closed)?;
        let (told, answer) = oneshot::channel();
        desk.queue().push(Waiting { submission, told, _place: place });
        if !desk.on_its_way.swap(true, Ordering::AcqRel) {
            let outbox = self.clone();
            spawn_blocking(move || {
                outbox.0.desk.on_its_way.store(false, Ordering::Release);
                outbox.write_waiting();
            });
        }
        answer.await.map_err(|_| OutboxError::Closed)?
    }

    fn write_waiting(&self) {
        let mut waiting = mem::take(&mut *self.0.desk.queue());
        while !waiting.is_empty() {
            let rest = waiting.split_off(waiting.len().min(TOGETHER));
            let (submissions, told): (Vec<_>, Vec<_>) =
                waiting.into_iter().map(|one| (one.submission, (one.told, one._place))).unzip();
            let answers = self.submit_all(&submissions);
            // Who does not wait any more has gone; the contribution stays.
            told.into_iter().zip(answers).for_each(|((told, _place), answer)| drop(told.send(answer)));
            waiting = rest;
        }
    }

    /// Queues contributions in their order, in one write.
    pub fn submit_all(&self, submissions: &[Submission]) -> Vec<Result<ContributionStatus, OutboxError>> {
        let written = self.check_room().and_then(|()| {
            let (registry, recipient) = (self.0.setup.slice.state().registry_id.clone(), self.recipient()?);
            if registry.is_empty() {
                return Err(OutboxError::NotReady);
            }
            self.change(|draft| {
                Ok(submissions.iter().map(|one| self.queue(draft, one, &registry, &recipient)).collect())
            })
        });
        self.notify();
        match written {
            Ok(answers) => answers,
            Err(error) => {
                let error = if error == OutboxError::NoSpace { OutboxError::Full } else { error };
                tracing::error!(%error, "contributions are refused because they cannot be queued");
                // One that is here already can be told of without room.
                submissions.iter().map(|one| self.known(one).unwrap_or(Err(error.clone()))).collect()
            }
        }
    }

    fn known(&self, submission: &Submission) -> Option<Result<ContributionStatus, OutboxError>> {
        let id = Uuid::try_parse(&submission.contribution.id).ok()?;
        let row = self.row(id).ok().flatten().filter(StatusRow::is_handed_in)?;
        Some(self.same(id, row, submission))
    }

    fn same(
        &self,
        id: Uuid,
        row: StatusRow,
        submission: &Submission,
    ) -> Result<ContributionStatus, OutboxError> {
        let content = self.content(&submission.said);
        if row.caller != submission.caller || row.content != content {
            return Err(OutboxError::Reused);
        }
        self.told(id, row)
    }

    /// Queues one. What is wrong with it alone leaves the others as they are.
    fn queue(
        &self,
        draft: &mut Draft<'_>,
        submission: &Submission,
        registry: &[u8],
        recipient: &[u8],
    ) -> Result<ContributionStatus, OutboxError> {
        let Submission { caller, said, contribution } = submission;
        let id =
            Uuid::try_parse(&contribution.id).map_err(|_| OutboxError::Sealing("it has no id".into()))?;
        if let Some(row) = draft.row(id)?.filter(StatusRow::is_handed_in) {
            return self.same(id, row, submission);
        }
        let setup = &self.0.setup;
        let (sequence, now) = (draft.standing.last_sequence + 1, (setup.clock)());
        let time = Timestamp { seconds: now.unix_timestamp(), nanos: now.nanosecond() as i32 };
        let place =
            Place { node: &setup.node, registry_id: registry, outbox: &self.0.outbox, sequence, time };
        let queued = self.0.sealer.seal(contribution, &place, recipient);
        let queued = queued.map_err(|error| OutboxError::Sealing(error.to_string()))?;
        let signed = self.sign(&queued, now)?;
        let row = QueueRow { id: id.as_bytes().to_vec(), signed: signed.encode_to_vec() };
        draft.batch.put(rows::numbered(rows::QUEUE, sequence), row.encode_to_vec());
        draft.batch.put(rows::numbered(rows::UNSENT, sequence), []);
        draft.standing.last_sequence = sequence;
        let row = StatusRow {
            caller: caller.clone(),
            sequence,
            queued: time.seconds,
            state: ContributionState::Queued.into(),
            content: self.content(said),
            context: contribution.context.clone(),
            ..StatusRow::default()
        };
        let row = draft.put(id, row)?;
        self.told(id, row)
    }
}
