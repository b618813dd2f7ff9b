//! `dancu.node.v1.InterestService`.

use std::{pin::Pin, sync::Arc};

use dancu_proto::{
    PersonalId, Reason,
    channel::Peer,
    node::v1::{
        ListInterestsRequest, ListInterestsResponse, RegisterInterestRequest, RegisterInterestResponse,
        WithdrawInterestRequest, WithdrawInterestResponse, interest_service_server::InterestService,
    },
    v1::AccessContext,
};
use futures::Stream;
use tonic::{Request, Response, Status};

use super::{Interests, InterestsError};
use crate::{
    callers::Roster,
    lookup::{self, Refusal},
    officers::Officers,
    slice::Phase,
    state::Node,
};

/// Numbers of one call, and of one message of a list.
const NUMBERS: usize = 10_000;

/// Takes names from back-ends.
pub struct InterestLists {
    node: Arc<Node>,
    roster: Arc<Roster>,
    officers: Arc<Officers>,
    interests: Interests,
}

impl InterestLists {
    /// Over a node, for the callers of a roster.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        roster: Arc<Roster>,
        officers: Arc<Officers>,
        interests: Interests,
    ) -> InterestLists {
        InterestLists { node, roster, officers, interests }
    }

    /// The agreement that a caller may name people under for a purpose.
    fn agreement(&self, peer: &Peer, context: Option<&AccessContext>) -> Result<String, Status> {
        let caller = self.roster.identify(peer, (self.node.clock)())?;
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
                Err(Reason::PurposeNotAgreed.status("no agreement with an interest list has that purpose"))
            }
            (Some(_), Some(_)) => Err(Reason::Conflict.status(
                "several agreements with an interest list have that purpose; use one that only one has",
            )),
        }
    }

    async fn note(
        &self,
        agreement: String,
        add: Vec<PersonalId>,
        withdraw: Vec<PersonalId>,
    ) -> Result<(String, u64), Status> {
        let interests = self.interests.clone();
        let noted = tokio::task::spawn_blocking(move || -> Result<_, InterestsError> {
            interests.note(&agreement, &add, &withdraw)?;
            Ok((agreement, interests.waiting()?))
        });
        Ok(noted.await.map_err(|_| Reason::Internal.status("the node failed; its log says why"))??)
    }
}

#[tonic::async_trait]
impl InterestService for InterestLists {
    async fn register_interest(
        &self,
        request: Request<RegisterInterestRequest>,
    ) -> Result<Response<RegisterInterestResponse>, Status> {
        let agreement = self.agreement(&Peer::of(&request), request.get_ref().context.as_ref())?;
        let ids = numbers(&request.get_ref().personal_ids)?;
        let (agreement, waiting) = self.note(agreement, ids, Vec::new()).await?;
        Ok(Response::new(RegisterInterestResponse { agreement, waiting }))
    }

    async fn withdraw_interest(
        &self,
        request: Request<WithdrawInterestRequest>,
    ) -> Result<Response<WithdrawInterestResponse>, Status> {
        let agreement = self.agreement(&Peer::of(&request), request.get_ref().context.as_ref())?;
        let ids = numbers(&request.get_ref().personal_ids)?;
        let (agreement, waiting) = self.note(agreement, Vec::new(), ids).await?;
        Ok(Response::new(WithdrawInterestResponse { agreement, waiting }))
    }

    type ListInterestsStream = Pin<Box<dyn Stream<Item = Result<ListInterestsResponse, Status>> + Send>>;

    async fn list_interests(
        &self,
        request: Request<ListInterestsRequest>,
    ) -> Result<Response<Self::ListInterestsStream>, Status> {
        let agreement = self.agreement(&Peer::of(&request), request.get_ref().context.as_ref())?;
        let interests = self.interests.clone();
        // A part at a time, as the caller takes them.
        let parts = futures::stream::try_unfold(Some(None), move |at: Option<Option<PersonalId>>| {
            let (interests, agreement) = (interests.clone(), agreement.clone());
            async move {
                let Some(after) = at else { return Ok(None) };
                let ids = interests.named(&agreement, after, NUMBERS)?;
                let next = (ids.len() == NUMBERS).then(|| ids.last().copied());
                let personal_ids = ids.iter().map(ToString::to_string).collect();
                let part = ListInterestsResponse { personal_ids, waiting: interests.waiting()? };
                Ok::<_, Status>(Some((part, next)))
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
