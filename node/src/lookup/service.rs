//! `dancu.node.v1.CitizenService`.

use std::{pin::Pin, sync::Arc, time::Duration};

use dancu_proto::{
    area::by_order_in_force,
    channel::Peer,
    node::v1::{
        BatchGetCitizensRequest, BatchGetCitizensResponse, FindCitizenRequest, FindCitizenResponse,
        GetCitizenRequest, GetCitizenResponse, VerifyCitizenRequest, VerifyCitizenResponse,
        citizen_service_server::CitizenService,
    },
};
use futures::Stream;
use tokio::time::{Instant, timeout};
use tonic::{Request, Response, Status};

use super::{
    authorise::{Operation, authorise},
    batch::Batch,
    context, find,
    freshness::freshness,
    get,
    refusal::Refusal,
    verify,
};
use crate::{
    callers::{Caller, Roster},
    slice::{SliceError, SliceReader},
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
}

/// Who calls, and how long they wait.
struct Call {
    caller: Arc<Caller>,
    patience: Duration,
}

impl Lookup {
    /// Over a node, for the callers of a roster.
    #[must_use]
    pub fn new(node: Arc<Node>, roster: Arc<Roster>) -> Lookup {
        Lookup { node, roster }
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<Call, Status> {
        let caller = self.roster.identify(&Peer::of(request), (self.node.clock)())?;
        let deadline = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok());
        // A little is left for the answer to travel.
        let patience = deadline.and_then(grpc_timeout).map_or(PATIENCE, |left| PATIENCE.min(left * 9 / 10));
        Ok(Call { caller, patience })
    }

    /// Reads the slice, waiting a while if it is being narrowed.
    pub(super) async fn read<T>(
        &self,
        patience: Duration,
        answer: impl Fn(&SliceReader<'_>, &Line) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let until = Instant::now() + patience;
        let mut changes = self.node.slice.watch();
        loop {
            let line = self.node.line();
            line.admits()?;
            match self.node.slice.read() {
                Ok(reader) => return answer(&reader, &line),
                Err(SliceError::Narrowing) => {}
                Err(error) => return Err(error.into()),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::Narrowing);
            }
            let _ = timeout(left.min(LOOK), changes.changed()).await;
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
        let call = self.admit(&request)?;
        let request = request.into_inner();
        let purpose = context::check(request.context.as_ref(), &call.caller)?;
        let (id, wanted) = (get::personal_id(&request.personal_id)?, context::wanted(&request.fields)?);
        let response = self.read(call.patience, |reader, line| {
            let state = reader.state();
            let permit = authorise(state, purpose, Operation::Lookup, line.offline)?;
            let answer = get::get(reader, &permit, id, wanted)?.ok_or_else(|| permit.nobody())?;
            Ok(GetCitizenResponse {
                authorised: answer.authorised(),
                citizen: Some(answer.citizen),
                former_number: answer.former_number,
                freshness: Some(freshness(state.cursor, line.last_heard, line.offline)),
            })
        });
        Ok(Response::new(response.await?))
    }

    type BatchGetCitizensStream =
        Pin<Box<dyn Stream<Item = Result<BatchGetCitizensResponse, Status>> + Send>>;

    async fn batch_get_citizens(
        &self,
        request: Request<BatchGetCitizensRequest>,
    ) -> Result<Response<Self::BatchGetCitizensStream>, Status> {
        let call = self.admit(&request)?;
        let batch = Batch::new(self.clone(), request.into_inner(), &call.caller, call.patience)?;
        Ok(Response::new(Box::pin(batch.answers())))
    }

    async fn find_citizen(
        &self,
        request: Request<FindCitizenRequest>,
    ) -> Result<Response<FindCitizenResponse>, Status> {
        let call = self.admit(&request)?;
        let request = request.into_inner();
        let purpose = context::check(request.context.as_ref(), &call.caller)?;
        let wanted = context::wanted(&request.fields)?;
        let criterion = find::check(request.criterion.as_ref())?;
        let response = self.read(call.patience, |reader, line| {
            let state = reader.state();
            let permit = authorise(state, purpose, Operation::Lookup, line.offline)?;
            let found = find::find(reader, &permit, criterion, wanted)?;
            Ok(FindCitizenResponse {
                matches: found.matches,
                more: found.more,
                freshness: Some(freshness(state.cursor, line.last_heard, line.offline)),
            })
        });
        Ok(Response::new(response.await?))
    }

    async fn verify_citizen(
        &self,
        request: Request<VerifyCitizenRequest>,
    ) -> Result<Response<VerifyCitizenResponse>, Status> {
        let call = self.admit(&request)?;
        let request = request.into_inner();
        let purpose = context::check(request.context.as_ref(), &call.caller)?;
        let id = get::personal_id(&request.personal_id)?;
        let claim = request.claim.unwrap_or_default();
        let claimed = verify::claimed(&claim)?;
        let response = self.read(call.patience, |reader, line| {
            let state = reader.state();
            let permit = authorise(state, purpose, Operation::Verify, line.offline)?;
            let held = reader.get(id)?;
            let (held, authorised) = held
                .and_then(|held| permit.fields_for(&held).map(|fields| (held, fields)))
                .ok_or_else(|| permit.nobody())?;
            let mut registered = held.record.decode()?;
            by_order_in_force(&mut registered, state.areas());
            let verdicts = verify::verdicts(&claim, claimed, &registered, held.record.fields(), authorised);
            Ok(VerifyCitizenResponse {
                verdicts,
                former_number: held.former_number,
                freshness: Some(freshness(state.cursor, line.last_heard, line.offline)),
            })
        });
        Ok(Response::new(response.await?))
    }
}
