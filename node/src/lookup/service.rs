//! `dancu.node.v1.CitizenService`.

use std::{pin::Pin, sync::Arc, time::Duration};

use dancu_proto::{
    CitizenBytes, FieldSet, PersonalId, Revision,
    channel::Peer,
    node::{
        served::{
            BatchGetCitizensResponse, FindCitizenResponse, GetCitizenResponse, ReconcileCitizensRequest,
            ReconcileCitizensResponse, VerifyCitizenRequest, citizen_service_server::CitizenService,
        },
        v1::{
            BatchGetCitizensRequest, FindCitizenRequest, GetCitizenRequest, VerifyCitizenResponse,
            WatchCitizensRequest,
        },
    },
    v1::{AccessContext, AccessOperation, SubjectOutcome},
};
use futures::Stream;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    authorise::{Operation, Permit, authorise},
    batch::Batch,
    context::{self, Asked},
    find,
    freshness::freshness,
    get,
    project::listed,
    reconcile::Reconcile,
    refusal::{Fault, Refusal},
    remote::Remote,
    verify,
    watch::{Responses, Watch},
};
use crate::{
    access_log::{AccessLog, Entry},
    callers::{Caller, Roster, UnknownCaller},
    lease::Why,
    officers::Officers,
    quota::{Account, Quota, Quotas},
    slice::{SliceError, SliceReader, SliceState},
    state::{Line, Node},
};

/// The longest a call waits for a narrowing to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a waiting call looks whether the slice can be read again.
const LOOK: Duration = Duration::from_millis(20);

/// Answers about citizens.
#[derive(Clone, Debug)]
pub struct Lookup {
    node: Arc<Node>,
    roster: Arc<Roster>,
    officers: Arc<Officers>,
    quotas: Arc<Quotas>,
    log: AccessLog,
    remote: Remote,
    /// The process goes down: who follows is told so.
    pub(super) closing: CancellationToken,
}

/// Who calls, and how long they wait.
pub(super) struct Call {
    pub(super) caller: Arc<Caller>,
    pub(super) patience: Duration,
}

impl Lookup {
    /// Over a node, for the callers of a roster; calls are recorded in a log, and the hub is asked about
    /// people outside the slice.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        roster: Arc<Roster>,
        officers: Arc<Officers>,
        quotas: Arc<Quotas>,
        log: AccessLog,
        remote: Remote,
    ) -> Lookup {
        Lookup { node, roster, officers, quotas, log, remote, closing: CancellationToken::new() }
    }

    /// Those who follow are told when a token is cancelled.
    #[must_use]
    pub fn closing_with(self, closing: CancellationToken) -> Lookup {
        Lookup { closing, ..self }
    }

    /// Who is at the other end.
    pub(super) fn caller(&self, peer: &Peer) -> Result<Arc<Caller>, UnknownCaller> {
        self.roster.identify(peer, (self.node.clock)())
    }

    /// Tells when the slice is another.
    pub(super) fn news(&self) -> watch::Receiver<Arc<SliceState>> {
        self.node.slice.watch()
    }

    pub(super) fn admit<T>(&self, request: &Request<T>, entry: &mut Entry) -> Result<Call, Status> {
        let caller = self.caller(&Peer::of(request))?;
        entry.caller.clone_from(&caller.name);
        let deadline = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok());
        // A little is left for the answer to travel.
        let patience = deadline.and_then(grpc_timeout).map_or(PATIENCE, |left| PATIENCE.min(left * 9 / 10));
        Ok(Call { caller, patience })
    }

    /// The hub.
    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// What a call is made for, if its context is whole and its caller bound to the purpose.
    pub(super) fn asked(&self, context: Option<&AccessContext>, caller: &Caller) -> Result<Asked, Refusal> {
        let purpose = context::check(context, caller)?.to_owned();
        let officer = context.map(|context| context.officer.as_str()).unwrap_or_default();
        let listed = self.officers.may(officer, &purpose, (self.node.clock)());
        Ok(Asked { purpose, listed })
    }

    /// Counts people to the quotas of the agreements that a call uses, and of its caller.
    pub(super) fn spend(&self, permit: &Permit, caller: &Caller, people: u64) -> Result<(), Refusal> {
        let own =
            (caller.quota != Quota::default()).then(|| (Account::Caller(caller.name.clone()), caller.quota));
        let accounts: Vec<_> = permit.quotas().chain(own).collect();
        if accounts.is_empty() {
            return Ok(());
        }
        Ok(self.quotas.spend(&accounts, people, (self.node.clock)(), std::time::Instant::now())?)
    }

    /// Reads the slice, waiting a while if it is being narrowed.
    pub(super) async fn read<T>(
        &self,
        patience: Duration,
        answer: impl Fn(&SliceReader<'_>, &Line) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let until = Instant::now() + patience;
        let mut changes = None;
        loop {
            let line = self.node.line();
            line.admits()?;
            match self.node.slice.read() {
                Ok(reader) => return answer(&reader, &line),
                Err(SliceError::Narrowing) => {}
                Err(SliceError::Sealed) => return Err(self.sealed(&line)),
                Err(error) => return Err(error.into()),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::Narrowing);
            }
            // What changed since the look is seen by the next one.
            let changes = changes.get_or_insert_with(|| self.node.slice.watch());
            let _ = timeout(left.min(LOOK), changes.changed()).await;
        }
    }
}

impl Lookup {
    /// What a call is told while the slice is sealed.
    fn sealed(&self, line: &Line) -> Refusal {
        match line.sealed {
            Some(Why::Expired) => Refusal::OfflineLimitPassed,
            // Never opened: there is nothing yet.
            Some(Why::Restarted) | None if self.node.slice.state().registry_id.is_empty() => Refusal::Loading,
            why => Refusal::Sealed(why.unwrap_or(Why::Restarted).words()),
        }
    }

    /// Records a call and lets its answer go: without a record there is none.
    pub(super) async fn conclude<T>(&self, entry: Entry, answer: Result<T, Status>) -> Result<T, Status> {
        self.log.conclude(entry, answer).await
    }

    async fn get(
        &self,
        request: Request<GetCitizenRequest>,
        entry: &mut Entry,
    ) -> Result<GetCitizenResponse, Status> {
        let call = self.admit(&request, entry)?;
        let request = request.into_inner();
        let id = get::personal_id(&request.personal_id);
        id.iter().for_each(|id| entry.concerns(*id));
        let asked = self.asked(request.context.as_ref(), &call.caller)?;
        let (id, wanted) = (id?, context::wanted(&request.fields)?);
        let until = Instant::now() + call.patience;
        let answer = self.read(call.patience, |reader, line| {
            let state = reader.state();
            if request.remote {
                // Before it is known whether the hub is needed: that must not show.
                let permit = authorise(state, &asked, Operation::Remote, None)?;
                self.spend(&permit, &call.caller, 1)?;
            }
            let answer = || {
                let permit = authorise(state, &asked, Operation::Lookup, line.offline)?;
                self.spend(&permit, &call.caller, 1)?;
                get::get(reader, &permit, id, wanted)?.ok_or_else(|| permit.nobody())
            };
            match answer() {
                Ok(answer) => Ok(Some((answer, freshness(state.cursor, line.last_heard, line.offline)))),
                Err(refusal) if request.remote && refusal.is_of_absence() => Ok(None),
                Err(refusal) => Err(refusal),
            }
        });
        let Some((answer, freshness)) = answer.await? else {
            let left = until.saturating_duration_since(Instant::now());
            let context = request.context.clone().unwrap_or_default();
            // Apart, so that a look-up of somebody who is here does not carry its room about.
            return Box::pin(self.get_remotely(context, id, wanted, left, entry)).await;
        };
        entry.tells(id, answer.authorised, SubjectOutcome::Answered);
        entry.revision = freshness.revision;
        Ok(GetCitizenResponse {
            authorised: answer.authorised(),
            citizen: Some(answer.citizen),
            former_number: answer.former_number,
            freshness: Some(freshness),
            remote: false,
        })
    }

    async fn get_remotely(
        &self,
        context: AccessContext,
        id: PersonalId,
        wanted: FieldSet,
        patience: Duration,
        entry: &mut Entry,
    ) -> Result<GetCitizenResponse, Status> {
        entry.operation = AccessOperation::Remote;
        let answer = self.remote.look_up(context, id, wanted, patience).await?;
        entry.tells(id, answer.authorised, SubjectOutcome::Answered);
        entry.revision = answer.revision;
        Ok(GetCitizenResponse {
            authorised: listed(answer.authorised),
            citizen: Some(CitizenBytes::from(&answer.citizen)),
            former_number: answer.former_number,
            freshness: Some(freshness(Revision(answer.revision), Some((self.node.clock)()), None)),
            remote: true,
        })
    }

    async fn find(
        &self,
        request: Request<FindCitizenRequest>,
        entry: &mut Entry,
    ) -> Result<FindCitizenResponse, Status> {
        let call = self.admit(&request, entry)?;
        let request = request.into_inner();
        let asked = self.asked(request.context.as_ref(), &call.caller)?;
        let wanted = context::wanted(&request.fields)?;
        let criterion = find::check(request.criterion.as_ref())?;
        let found = self.read(call.patience, |reader, line| {
            let state = reader.state();
            let permit = authorise(state, &asked, Operation::Lookup, line.offline)?;
            self.spend(&permit, &call.caller, 1)?;
            let found = find::find(reader, &permit, criterion, wanted)?;
            Ok((found, freshness(state.cursor, line.last_heard, line.offline)))
        });
        let (found, freshness) = found.await?;
        for (id, fields) in &found.people {
            entry.tells(*id, *fields, SubjectOutcome::Answered);
        }
        entry.revision = freshness.revision;
        Ok(FindCitizenResponse { matches: found.matches, more: found.more, freshness: Some(freshness) })
    }

    async fn verify(
        &self,
        request: Request<VerifyCitizenRequest>,
        entry: &mut Entry,
    ) -> Result<VerifyCitizenResponse, Status> {
        let call = self.admit(&request, entry)?;
        let request = request.into_inner();
        let id = get::personal_id(&request.personal_id);
        id.iter().for_each(|id| entry.concerns(*id));
        let asked = self.asked(request.context.as_ref(), &call.caller)?;
        let id = id?;
        let claim = verify::claim(&request.claim.unwrap_or_default())?;
        let claimed = verify::claimed(&claim)?;
        let compared = self.read(call.patience, |reader, line| {
            let state = reader.state();
            let permit = authorise(state, &asked, Operation::Verify, line.offline)?;
            self.spend(&permit, &call.caller, 1)?;
            let held = reader.see(id, |held| permit.fields_for(held))?;
            let (held, authorised) = held.ok_or_else(|| permit.nobody())?;
            let registered = held.record.decode()?;
            let verdicts = verify::verdicts(&claim, claimed, &registered, &held.record, authorised);
            let freshness = freshness(state.cursor, line.last_heard, line.offline);
            Ok((verdicts, authorised.intersection(claimed), held.former_number, freshness))
        });
        let (verdicts, fields, former_number, freshness) = compared.await?;
        entry.tells(id, fields, SubjectOutcome::Answered);
        entry.revision = freshness.revision;
        Ok(VerifyCitizenResponse { verdicts, former_number, freshness: Some(freshness) })
    }
}

/// The first message of a stream: it has the context.
async fn first<T>(requests: &mut Streaming<T>, patience: Duration) -> Result<T, Status> {
    let missing = |what| Status::from(Refusal::Invalid(vec![Fault::new("context", what)]));
    match timeout(patience, requests.message()).await {
        Ok(first) => first?.ok_or_else(|| missing("the stream ended without a message".into())),
        Err(_) => {
            let patience = humantime::format_duration(Duration::from_millis(patience.as_millis() as u64));
            Err(missing(format!("no first message within {patience}; send it with the call")))
        }
    }
}

/// The deadline a call brings: up to eight digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[tonic::async_trait]
impl CitizenService for Lookup {
    async fn get_citizen(
        &self,
        request: Request<GetCitizenRequest>,
    ) -> Result<Response<GetCitizenResponse>, Status> {
        let mut entry = Entry::new(AccessOperation::Get, request.get_ref().context.as_ref());
        let answer = self.get(request, &mut entry).await;
        self.conclude(entry, answer).await.map(Response::new)
    }

    type BatchGetCitizensStream =
        Pin<Box<dyn Stream<Item = Result<BatchGetCitizensResponse, Status>> + Send>>;

    async fn batch_get_citizens(
        &self,
        request: Request<BatchGetCitizensRequest>,
    ) -> Result<Response<Self::BatchGetCitizensStream>, Status> {
        let mut entry = Entry::new(AccessOperation::Batch, request.get_ref().context.as_ref());
        let batch = self.admit(&request, &mut entry).and_then(|call| {
            let recorded = entry.clone();
            Ok(Batch::new(self.clone(), request.into_inner(), call.caller, call.patience, recorded)?)
        });
        match batch {
            // Each part is recorded before it leaves.
            Ok(batch) => Ok(Response::new(Box::pin(batch.answers()))),
            Err(status) => self.conclude(entry, Err(status)).await,
        }
    }

    type ReconcileCitizensStream =
        Pin<Box<dyn Stream<Item = Result<ReconcileCitizensResponse, Status>> + Send>>;

    async fn reconcile_citizens(
        &self,
        request: Request<Streaming<ReconcileCitizensRequest>>,
    ) -> Result<Response<Self::ReconcileCitizensStream>, Status> {
        let mut entry = Entry::new(AccessOperation::Reconcile, None);
        let call = match self.admit(&request, &mut entry) {
            Ok(call) => call,
            Err(status) => return self.conclude(entry, Err(status)).await,
        };
        let mut requests = request.into_inner();
        let first = match first(&mut requests, call.patience).await {
            Ok(first) => first,
            Err(status) => return self.conclude(entry, Err(status)).await,
        };
        let entry = entry.with_context(first.context.as_ref());
        let recorded = entry.clone();
        match Reconcile::new(self.clone(), &first, call.caller, call.patience, recorded) {
            // Each part is recorded before it leaves.
            Ok(reconcile) => Ok(Response::new(Box::pin(reconcile.answers(first, requests)))),
            Err(refusal) => self.conclude(entry, Err(refusal.into())).await,
        }
    }

    type WatchCitizensStream = Responses;

    async fn watch_citizens(
        &self,
        request: Request<WatchCitizensRequest>,
    ) -> Result<Response<Self::WatchCitizensStream>, Status> {
        let mut entry = Entry::new(AccessOperation::Watch, request.get_ref().context.as_ref());
        let peer = Peer::of(&request);
        let watch = self.admit(&request, &mut entry).and_then(|call| {
            let recorded = entry.clone();
            Ok(Watch::new(self.clone(), request.into_inner(), peer, call.patience, recorded)?)
        });
        match watch {
            // Each part is recorded before it leaves.
            Ok(watch) => watch.responses().await.map(Response::new),
            Err(status) => self.conclude(entry, Err(status)).await,
        }
    }

    async fn find_citizen(
        &self,
        request: Request<FindCitizenRequest>,
    ) -> Result<Response<FindCitizenResponse>, Status> {
        let mut entry = Entry::new(AccessOperation::Find, request.get_ref().context.as_ref());
        let answer = self.find(request, &mut entry).await;
        self.conclude(entry, answer).await.map(Response::new)
    }

    async fn verify_citizen(
        &self,
        request: Request<VerifyCitizenRequest>,
    ) -> Result<Response<VerifyCitizenResponse>, Status> {
        let mut entry = Entry::new(AccessOperation::Verify, request.get_ref().context.as_ref());
        let answer = self.verify(request, &mut entry).await;
        self.conclude(entry, answer).await.map(Response::new)
    }
}
