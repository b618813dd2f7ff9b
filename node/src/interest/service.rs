//! `dancu.node.v1.InterestService`. Every call is recorded: who is named is held from then on.

use std::{pin::Pin, sync::Arc};

use dancu_proto::{
    FieldSet, PersonalId, Reason,
    channel::Peer,
    node::v1::{
        ListInterestsRequest, ListInterestsResponse, RegisterInterestRequest, RegisterInterestResponse,
        WithdrawInterestRequest, WithdrawInterestResponse, interest_service_server::InterestService,
    },
    v1::{AccessContext, AccessOperation, SubjectOutcome},
};
use futures::{Stream, future::try_join_all};
use tonic::{Request, Response, Status};

use super::{Interests, InterestsError};
use crate::{
    access_log::{AccessLog, Entry},
    callers::Roster,
    lookup::{self, Refusal},
    officers::Officers,
    slice::Phase,
    state::Node,
};

/// Numbers of one call, and of one message of a list.
const NUMBERS: usize = 10_000;
/// Numbers of one record in the access log.
const RECORDED: usize = 128;

/// Takes names from back-ends.
#[derive(Clone)]
pub struct InterestLists {
    node: Arc<Node>,
    roster: Arc<Roster>,
    officers: Arc<Officers>,
    interests: Interests,
    log: AccessLog,
}

/// Behind whom a part of a list begins; nobody for the first part.
type After = Option<PersonalId>;

impl InterestLists {
    /// Over a node, for the callers of a roster; calls are recorded in a log.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        roster: Arc<Roster>,
        officers: Arc<Officers>,
        interests: Interests,
        log: AccessLog,
    ) -> InterestLists {
        InterestLists { node, roster, officers, interests, log }
    }

    /// The agreement that a caller may name people under for a purpose.
    fn agreement(
        &self,
        peer: &Peer,
        context: Option<&AccessContext>,
        entry: &mut Entry,
    ) -> Result<String, Status> {
        let caller = self.roster.identify(peer, (self.node.clock)())?;
        entry.caller.clone_from(&caller.name);
        self.node.line().admits()?;
        let purpose = lookup::purpose(context, &caller)?;
        let officer = context.map(|context| context.officer.as_str()).unwrap_or_default();
        let listed = self.officers.may(officer, purpose, (self.node.clock)());
        let state = self.node.slice.state();
        if state.phase == Phase::Sealed {
            return Err(InterestsError::Sealed.into());
        }
        let mut lists = state
            .target
            .iter()
            .filter(|grant| grant.interest && grant.purposes.iter().any(|agreed| agreed == purpose));
        match (lists.next(), lists.next()) {
            (Some(grant), None) if listed || grant.officers_vouched => Ok(grant.agreement.clone()),
            (Some(_), None) => Err(Refusal::OfficerNotAllowed.into()),
            (None, _) => {
                Err(Refusal::PurposeNotAgreed(
                    "no agreement with an interest list has that purpose; check its code, or ask the hub's operator for an agreement",
                ).into())
            }
            (Some(_), Some(_)) => Err(Reason::Conflict.status(
                "several agreements with an interest list have that purpose; use one that only one has",
            )),
        }
    }

    /// Records a call about people, in parts.
    async fn record(&self, entry: &Entry, ids: &[PersonalId]) -> Result<(), Status> {
        let of = |ids: &[PersonalId]| {
            let mut entry = entry.clone();
            ids.iter().for_each(|id| entry.tells(*id, FieldSet::EMPTY, SubjectOutcome::Unspecified));
            self.log.record(entry)
        };
        // Of nobody too.
        let parts = ids.chunks(RECORDED).chain(ids.is_empty().then_some(ids));
        try_join_all(parts.map(of)).await?;
        Ok(())
    }

    /// Names people, or withdraws them, once that is recorded.
    async fn change(
        &self,
        peer: &Peer,
        context: Option<&AccessContext>,
        ids: &[String],
        add: bool,
    ) -> Result<(String, u64), Status> {
        let mut entry = Entry::new(AccessOperation::Interest, context);
        let agreement = self.agreement(peer, context, &mut entry);
        let agreed = agreement.and_then(|agreement| Ok((agreement, numbers(ids)?)));
        let (agreement, ids) = match agreed {
            Ok(agreed) => agreed,
            Err(status) => return self.log.conclude(entry, Err(status)).await,
        };
        self.record(&entry, &ids).await?;
        let interests = self.interests.clone();
        let noted = tokio::task::spawn_blocking(move || -> Result<_, InterestsError> {
            let (add, withdraw): (&[_], &[_]) = if add { (&ids, &[]) } else { (&[], &ids) };
            interests.note(&agreement, add, withdraw)?;
            let waiting = interests.waiting(&agreement)?;
            Ok((agreement, waiting))
        });
        let noted = noted
            .await
            .map_err(|_| Reason::Internal.status("the node failed; tell its operator, whose log says why"));
        match noted.and_then(|noted| Ok(noted?)) {
            Ok(noted) => Ok(noted),
            Err(status) => self.log.conclude(entry, Err(status)).await,
        }
    }

    /// A part of a list, recorded, and where the next begins.
    async fn part(
        &self,
        entry: &Entry,
        agreement: &str,
        after: After,
    ) -> Result<(ListInterestsResponse, Option<After>), Status> {
        let read = || -> Result<_, InterestsError> {
            Ok((self.interests.named(agreement, after, NUMBERS)?, self.interests.waiting(agreement)?))
        };
        let (ids, waiting) = match read() {
            Ok(read) => read,
            Err(error) => return self.log.conclude(entry.clone(), Err(error.into())).await,
        };
        self.record(entry, &ids).await?;
        let next = (ids.len() == NUMBERS).then(|| ids.last().copied());
        let personal_ids = ids.iter().map(ToString::to_string).collect();
        Ok((ListInterestsResponse { personal_ids, waiting }, next))
    }
}

#[tonic::async_trait]
impl InterestService for InterestLists {
    async fn register_interest(
        &self,
        request: Request<RegisterInterestRequest>,
    ) -> Result<Response<RegisterInterestResponse>, Status> {
        let (peer, request) = (Peer::of(&request), request.into_inner());
        let changed = self.change(&peer, request.context.as_ref(), &request.personal_ids, true);
        let (agreement, waiting) = changed.await?;
        Ok(Response::new(RegisterInterestResponse { agreement, waiting }))
    }

    async fn withdraw_interest(
        &self,
        request: Request<WithdrawInterestRequest>,
    ) -> Result<Response<WithdrawInterestResponse>, Status> {
        let (peer, request) = (Peer::of(&request), request.into_inner());
        let changed = self.change(&peer, request.context.as_ref(), &request.personal_ids, false);
        let (agreement, waiting) = changed.await?;
        Ok(Response::new(WithdrawInterestResponse { agreement, waiting }))
    }

    type ListInterestsStream = Pin<Box<dyn Stream<Item = Result<ListInterestsResponse, Status>> + Send>>;

    async fn list_interests(
        &self,
        request: Request<ListInterestsRequest>,
    ) -> Result<Response<Self::ListInterestsStream>, Status> {
        let context = request.get_ref().context.as_ref();
        let mut entry = Entry::new(AccessOperation::Interest, context);
        let agreement = match self.agreement(&Peer::of(&request), context, &mut entry) {
            Ok(agreement) => agreement,
            Err(status) => return self.log.conclude(entry, Err(status)).await,
        };
        let lists = self.clone();
        // A part at a time, as the caller takes them.
        let parts = futures::stream::try_unfold(Some(None), move |at: Option<After>| {
            let (lists, entry, agreement) = (lists.clone(), entry.clone(), agreement.clone());
            async move {
                let Some(after) = at else { return Ok(None) };
                lists.part(&entry, &agreement, after).await.map(Some)
            }
        });
        Ok(Response::new(Box::pin(parts)))
    }
}

fn numbers(ids: &[String]) -> Result<Vec<PersonalId>, Status> {
    if ids.is_empty() || ids.len() > NUMBERS {
        return Err(Reason::InvalidRequest.field("personal_ids", format!("1 to {NUMBERS} numbers in a call")));
    }
    let mut numbers = Vec::with_capacity(ids.len());
    let mut faults = Vec::new();
    for (position, id) in ids.iter().enumerate() {
        match id.parse::<PersonalId>() {
            Ok(id) => numbers.push(id),
            Err(error) => faults.push((format!("personal_ids[{position}]"), error.to_string())),
        }
    }
    if faults.is_empty() { Ok(numbers) } else { Err(Reason::InvalidRequest.fields(&faults)) }
}
