//! `dancu.node.v1.ContributionService`. Every call is recorded: whom a contribution names, and who is told a
//! number.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::Arc,
};

use dancu_proto::{
    Field, FieldSet, PersonalId, Reason,
    channel::Peer,
    contribution::{persons, validate},
    node::v1::{
        ContributionStatus, GetContributionRequest, GetContributionResponse, SubmitContributionRequest,
        SubmitContributionResponse, WatchContributionsRequest, WatchContributionsResponse,
        contribution_service_server::ContributionService,
    },
    v1::{
        AccessContext, AccessOperation, Contribution, ContributionState, Date, SubjectOutcome, person_ref::By,
    },
};
use futures::Stream;
use time::{OffsetDateTime, macros::offset};
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    agreed::Agreed,
    queue::Submission,
    store::{Outbox, OutboxError},
};
use crate::{
    access_log::{AccessLog, Entry},
    callers::{Caller, Roster},
    lookup::{self, Refusal},
    officers::Officers,
    slice::Phase,
    state::Node,
};

/// Statuses that wait for a caller who follows.
const WAITING: usize = 64;
/// Statuses that are read together.
const TOGETHER: usize = 64;
/// Contributions that one call follows by name.
const NAMED: usize = 10_000;

/// What a caller who follows is told.
type Followed = Result<WatchContributionsResponse, Status>;

/// Takes contributions from back-ends. Cheap to clone.
#[derive(Clone)]
pub struct Contributions {
    node: Arc<Node>,
    roster: Arc<Roster>,
    officers: Arc<Officers>,
    outbox: Outbox,
    log: AccessLog,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Contributions {
    /// Over an outbox, for the callers of a roster; calls are recorded in a log. Who follows does so among
    /// `tasks`, until `closing`.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        roster: Arc<Roster>,
        officers: Arc<Officers>,
        outbox: Outbox,
        log: AccessLog,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> Contributions {
        Contributions { node, roster, officers, outbox, log, tasks, closing }
    }

    fn caller(&self, peer: &Peer, entry: &mut Entry) -> Result<Arc<Caller>, Status> {
        let caller = self.roster.identify(peer, (self.node.clock)())?;
        entry.caller.clone_from(&caller.name);
        self.node.line().admits()?;
        Ok(caller)
    }

    /// Whether a caller may hand in, and what; the contribution in its normal form.
    fn admit(
        &self,
        peer: &Peer,
        contribution: Option<Contribution>,
        entry: &mut Entry,
    ) -> Result<Submission, Status> {
        let caller = self.caller(peer, entry)?;
        let missing = || Reason::InvalidRequest.field("contribution", "is missing");
        let contribution = contribution.ok_or_else(missing)?;
        let purpose = lookup::purpose(contribution.context.as_ref(), &caller).map_err(below)?;
        let officer = contribution.context.as_ref().map(|context| context.officer.as_str());
        let listed = self.officers.may(officer.unwrap_or_default(), purpose, (self.node.clock)());
        let state = self.node.slice.state();
        let agreed = match Agreed::of(&state) {
            Some(agreed) => agreed,
            None => self.outbox.agreed()?.ok_or(Refusal::Loading)?,
        };
        agreed.check(purpose, listed)?;
        for id in numbers(&contribution) {
            entry.concerns(id);
        }
        // Of a sealed slice the administrative order is not known; the hub looks again.
        let open = !matches!(state.phase, Phase::Sealed | Phase::Empty);
        let areas = open.then(|| state.areas());
        let mut submission = Submission::new(caller.name.clone(), contribution);
        validate(&mut submission.contribution, areas, today((self.node.clock)())).map_err(|violations| {
            let faults: Vec<_> = violations
                .into_iter()
                .map(|violation| (format!("contribution.{}", violation.field), violation.reason))
                .collect();
            Reason::InvalidRequest.fields(&faults)
        })?;
        Ok(submission)
    }

    /// Checks a contribution of whoever is at the other end, and queues it. Recorded before it is queued: what
    /// cannot be recorded is not taken in.
    ///
    /// # Errors
    /// It may not, what it says cannot be, or there is no room.
    pub async fn hand_in(
        &self,
        peer: &Peer,
        contribution: Option<Contribution>,
    ) -> Result<ContributionStatus, Status> {
        let context = contribution.as_ref().and_then(|contribution| contribution.context.as_ref());
        let mut entry = Entry::new(AccessOperation::Contribute, context);
        entry.revision = self.node.slice.state().cursor.0;
        let submission = match self.admit(peer, contribution, &mut entry) {
            Ok(submission) => submission,
            Err(status) => return self.log.conclude(entry, Err(status)).await,
        };
        // Nothing is told of them.
        let subjects: Vec<_> = entry.subjects.iter().map(|subject| subject.id).collect();
        subjects.into_iter().for_each(|id| entry.tells(id, FieldSet::EMPTY, SubjectOutcome::Unspecified));
        self.log.record(entry.clone()).await?;
        match self.outbox.submit(submission).await {
            Ok(status) => {
                // One that came before may have got a number since.
                if told_number(&status).is_some() {
                    self.record_told(&entry.caller, Some(&entry.context), &status).await?;
                }
                Ok(status)
            }
            Err(error) => self.log.conclude(entry, Err(error.into())).await,
        }
    }

    /// Whether whoever is at the other end has handed in a contribution of that id before. Nothing is told of it.
    pub(crate) async fn has(&self, peer: &Peer, id: &str) -> bool {
        let caller = self.caller(peer, &mut Entry::new(AccessOperation::Contribute, None));
        let (Ok(caller), Ok(id)) = (caller, Uuid::try_parse(id)) else { return false };
        let outbox = self.outbox.clone();
        let found = spawn_blocking(move || outbox.status(id, &caller.name).is_ok()).await;
        found.unwrap_or_default()
    }

    /// Those of some contributions that nobody has concluded, and where they stand.
    pub(crate) async fn open_ones(&self, ids: Vec<String>) -> HashMap<String, ContributionState> {
        let outbox = self.outbox.clone();
        let open = spawn_blocking(move || outbox.open_ones(ids));
        // What cannot be read now is not known.
        open.await.unwrap_or_default()
    }

    /// Records that a caller is told where a contribution stands.
    async fn record_told(
        &self,
        caller: &str,
        context: Option<&AccessContext>,
        status: &ContributionStatus,
    ) -> Result<(), Status> {
        let mut entry = Entry::new(AccessOperation::Contribute, context);
        entry.caller = caller.to_owned();
        entry.revision = status.outcome.as_ref().map_or(0, |outcome| outcome.revision);
        if let Some(id) = told_number(status) {
            let number = [Field::PersonalId].into_iter().collect();
            entry.tells(id, number, SubjectOutcome::Answered);
        }
        Ok(self.log.record(entry).await?)
    }

    async fn get(&self, peer: &Peer, id: &str) -> Result<ContributionStatus, Status> {
        let mut entry = Entry::new(AccessOperation::Contribute, None);
        let found = self.caller(peer, &mut entry).and_then(|caller| {
            let (status, context) = self.outbox.status(uuid("contribution_id", id)?, &caller.name)?;
            Ok((caller, status, context))
        });
        match found {
            Ok((caller, status, context)) => {
                self.record_told(&caller.name, context.as_ref(), &status).await?;
                Ok(status)
            }
            Err(status) => self.log.conclude(entry, Err(status)).await,
        }
    }

    /// Those that a caller named and of which something is still to be told; each is there.
    fn open(outbox: &Outbox, caller: &str, ids: &[String], after: u64) -> Result<HashSet<Uuid>, Status> {
        let mut open = HashSet::new();
        for (place, id) in ids.iter().enumerate() {
            let id = uuid(&format!("contribution_ids[{place}]"), id)?;
            let (status, _) = outbox.status(id, caller)?;
            // What was concluded before is not told again, and not waited for.
            if status.change > after || !is_final(&status) {
                open.insert(id);
            }
        }
        Ok(open)
    }

    /// What a caller wants to follow: some that it names, or all.
    async fn followed(
        &self,
        caller: &Caller,
        ids: Vec<String>,
        after: u64,
    ) -> Result<Option<HashSet<Uuid>>, Status> {
        if ids.len() > NAMED {
            let fault = format!("at most {NAMED} in a call");
            return Err(Reason::InvalidRequest.field("contribution_ids", fault));
        }
        if ids.is_empty() {
            return Ok(None);
        }
        let (outbox, caller) = (self.outbox.clone(), caller.name.clone());
        let open = spawn_blocking(move || Contributions::open(&outbox, &caller, &ids, after)).await;
        open.map_err(|_| Status::from(OutboxError::Closed))?.map(Some)
    }

    /// Tells a caller who follows, as soon as it reads; whether it goes on. Nobody waits for it when the node
    /// closes.
    async fn tell(&self, to: &mpsc::Sender<Followed>, told: Followed) -> bool {
        tokio::select! {
            sent = to.send(told) => sent.is_ok(),
            () = self.closing.cancelled() => false,
        }
    }

    /// Tells what changes, until all that were named are concluded, nobody listens, or the node closes; once, if
    /// nothing more is wanted.
    async fn follow(
        self,
        caller: Arc<Caller>,
        peer: Peer,
        mut open: Option<HashSet<Uuid>>,
        (mut after, once): (u64, bool),
        to: mpsc::Sender<Followed>,
    ) {
        let mut changes = self.outbox.changes();
        while open.as_ref().is_none_or(|open| !open.is_empty()) {
            changes.mark_unchanged();
            let (outbox, name) = (self.outbox.clone(), caller.name.clone());
            let read = spawn_blocking(move || outbox.changed(after, &name, TOGETHER)).await;
            let (found, looked) = match read {
                Ok(Ok(read)) => read,
                Ok(Err(error)) => {
                    self.tell(&to, Err(error.into())).await;
                    return;
                }
                Err(_) => return,
            };
            let more = found.len() >= TOGETHER;
            for (status, context) in found {
                let id = Uuid::try_parse(&status.contribution_id).unwrap_or_default();
                if open.as_ref().is_some_and(|open| !open.contains(&id)) {
                    continue;
                }
                // A caller that was taken off the list is told nothing more.
                let admitted = self.caller(&peer, &mut Entry::new(AccessOperation::Contribute, None));
                let recorded = match admitted {
                    Ok(_) if told_number(&status).is_none() => Ok(()),
                    Ok(_) => self.record_told(&caller.name, context.as_ref(), &status).await,
                    Err(refused) => Err(refused),
                };
                let last = recorded.is_err();
                let concluded = is_final(&status);
                let told = recorded.map(|()| WatchContributionsResponse { status: Some(status) });
                if !self.tell(&to, told).await || last {
                    return;
                }
                if let Some(open) = open.as_mut().filter(|_| concluded) {
                    open.remove(&id);
                }
            }
            after = looked;
            if more || open.as_ref().is_some_and(HashSet::is_empty) {
                continue;
            }
            if once {
                return;
            }
            tokio::select! {
                () = self.closing.cancelled() => {
                    let going = Reason::ShuttingDown.status(OutboxError::Closed.to_string());
                    return drop(to.try_send(Err(going)));
                }
                () = to.closed() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }
}

#[tonic::async_trait]
impl ContributionService for Contributions {
    async fn submit_contribution(
        &self,
        request: Request<SubmitContributionRequest>,
    ) -> Result<Response<SubmitContributionResponse>, Status> {
        let peer = Peer::of(&request);
        let status = self.hand_in(&peer, request.into_inner().contribution).await?;
        Ok(Response::new(SubmitContributionResponse { status: Some(status) }))
    }

    async fn get_contribution(
        &self,
        request: Request<GetContributionRequest>,
    ) -> Result<Response<GetContributionResponse>, Status> {
        let peer = Peer::of(&request);
        let status = self.get(&peer, &request.get_ref().contribution_id).await?;
        Ok(Response::new(GetContributionResponse { status: Some(status) }))
    }

    type WatchContributionsStream = Pin<Box<dyn Stream<Item = Followed> + Send>>;

    async fn watch_contributions(
        &self,
        request: Request<WatchContributionsRequest>,
    ) -> Result<Response<Self::WatchContributionsStream>, Status> {
        let (peer, request) = (Peer::of(&request), request.into_inner());
        let mut entry = Entry::new(AccessOperation::Contribute, None);
        let admitted = match self.caller(&peer, &mut entry) {
            Ok(caller) => {
                let open = self.followed(&caller, request.contribution_ids, request.after).await;
                open.map(|open| (caller, open))
            }
            Err(status) => Err(status),
        };
        let (caller, open) = self.log.conclude(entry, admitted).await?;
        let (to, answers) = mpsc::channel(WAITING);
        self.tasks.spawn(self.clone().follow(caller, peer, open, (request.after, request.once), to));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// The day in Vietnam.
fn today(now: OffsetDateTime) -> Date {
    let day = now.to_offset(offset!(+7)).date();
    Date { year: day.year().unsigned_abs(), month: u8::from(day.month()).into(), day: day.day().into() }
}

/// The personal numbers that a contribution names.
fn numbers(contribution: &Contribution) -> Vec<PersonalId> {
    let named = contribution.event.as_ref().map(persons).unwrap_or_default();
    let number = |by: Option<&By>| match by {
        Some(By::PersonalId(number)) => number.parse().ok(),
        _ => None,
    };
    named.into_iter().filter_map(|person| number(person.by.as_ref())).take(MOST).collect()
}

/// Numbers of one record in the access log.
const MOST: usize = dancu_proto::contribution::MOST_PERSONS;

fn told_number(status: &ContributionStatus) -> Option<PersonalId> {
    status.outcome.as_ref()?.personal_id.parse().ok()
}

fn is_final(status: &ContributionStatus) -> bool {
    matches!(status.state(), ContributionState::Accepted | ContributionState::Rejected)
}

fn uuid(field: &str, text: &str) -> Result<Uuid, Status> {
    let none = |_| Reason::InvalidRequest.field(field, "is no UUID (RFC 9562)");
    Uuid::try_parse(text).map_err(none)
}

/// The context stands below the contribution.
fn below(refusal: Refusal) -> Refusal {
    let Refusal::Invalid(mut faults) = refusal else { return refusal };
    for fault in &mut faults {
        fault.field = format!("contribution.{}", fault.field);
    }
    Refusal::Invalid(faults)
}
