//! `dancu.hub.v1.ReviewService`: the hub's operators look and decide.

use std::sync::Arc;

use dancu_proto::{
    Field, Reason, Revision,
    hub::v1::{
        DecideReviewRequest, DecideReviewResponse, GetContributionRequest, GetContributionResponse,
        GetReviewRequest, GetReviewResponse, ImportContributionsRequest, ImportContributionsResponse,
        ListOutboxesRequest, ListOutboxesResponse, ListReviewsRequest, ListReviewsResponse, Review as Shown,
        ReviewDecision, review_service_server::ReviewService,
    },
};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::{Deciding, Review, Sides, derived};
use crate::{
    admin::operator,
    intake::handover::{Barred, Handover, Shared, Told, evidence, handed_in, outbox},
    registry::{Commit, Content, Decide, Origin, Standing, StoreError, View},
    sync::timestamp,
};

/// Reviews that wait for the network.
const QUEUE: usize = 64;

/// What nodes handed in, for operators.
#[derive(Clone)]
pub struct ReviewServer {
    /// Has it all.
    pub handover: Handover,
    /// The user who owns the hub's data, beside root.
    pub owner: u32,
}

pub(super) fn moment(milliseconds: i64) -> Option<prost_types::Timestamp> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok().map(timestamp)
}

fn damaged() -> StoreError {
    StoreError::Corrupt("a citizen's record")
}

impl ReviewServer {
    fn admit<T>(&self, request: &Request<T>) -> Result<String, Status> {
        operator(request, self.owner, self.handover.now())
    }

    fn shown(&self, view: &View<'_>, review: &Review) -> Result<Shown, Status> {
        let row = handed_in::by_name(view, &review.contribution)?.ok_or_else(damaged)?;
        let decision = review.decision.as_ref().map(|decision| ReviewDecision {
            accepted: decision.accepted,
            reason: decision.reason.clone(),
            operator: decision.operator.clone(),
            time: moment(decision.time_ms),
            document_number: decision.document.clone(),
        });
        Ok(Shown {
            number: review.number,
            contribution_id: row.uuid().to_string(),
            event: row.event.clone(),
            node: row.node.clone(),
            agency: row.agency.clone(),
            reason: review.reason,
            message: review.message.clone(),
            fields: review.fields(),
            since: moment(review.since_ms),
            dependent: review.dependent,
            decision,
        })
    }

    /// What a contribution says, what became of it, and what others derived from the time before it.
    fn contribution(&self, id: Uuid) -> Result<GetContributionResponse, Status> {
        let view = self.handover.registry.view();
        let row = handed_in::in_view(&view, id)?.ok_or_else(|| unknown("contribution"))?;
        let unaware = derived::accesses(&view, &self.handover, &row)?;
        let taken_back = match row.taken_back {
            0 => None,
            revision => view.journal(Revision(revision))?,
        };
        let taken_back_by = taken_back.and_then(|entry| entry.origin().contribution);
        let evidence = evidence::evidence(&view, &row)?;
        Ok(GetContributionResponse {
            outcome: Some(self.handover.with_receipt(&row)?),
            agency: row.agency.clone(),
            role: row.role.clone(),
            taken_at: moment(row.taken_ms),
            derived: derived::events(&view, &row)?,
            review: row.review,
            contribution: row.contribution.map(Shared::into_inner),
            accesses: unaware.calls.into_iter().map(derived::shown).collect(),
            accesses_left_off: unaware.left_off,
            taken_back: row.taken_back,
            evidence,
            taken_back_by: taken_back_by.map(|id| id.to_string()).unwrap_or_default(),
        })
    }
}

fn unknown(what: &str) -> Status {
    Reason::NotFound.status(format!("there is no {what} of that name or number"))
}

#[tonic::async_trait]
impl ReviewService for ReviewServer {
    type ListReviewsStream = ReceiverStream<Result<ListReviewsResponse, Status>>;

    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> Result<Response<Self::ListReviewsStream>, Status> {
        self.admit(&request)?;
        let (server, decided) = (self.clone(), request.into_inner().decided);
        let (rows, stream) = mpsc::channel(QUEUE);
        tokio::task::spawn_blocking(move || {
            let view = server.handover.registry.view();
            let reviews = match super::all(&view, decided) {
                Ok(reviews) => reviews,
                Err(error) => {
                    let _ = rows.blocking_send(Err(error.into()));
                    return;
                }
            };
            for review in reviews {
                let shown = server.shown(&view, &review);
                let row = shown.map(|review| ListReviewsResponse { review: Some(review) });
                if rows.blocking_send(row).is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_review(
        &self,
        request: Request<GetReviewRequest>,
    ) -> Result<Response<GetReviewResponse>, Status> {
        self.admit(&request)?;
        let view = self.handover.registry.view();
        let review =
            super::by_number(&view, request.into_inner().number)?.ok_or_else(|| unknown("review"))?;
        let row = handed_in::by_name(&view, &review.contribution)?.ok_or_else(|| unknown("contribution"))?;
        let sides = Sides {
            registry: &self.handover.registry,
            authority: &self.handover.authority,
            areas: &*self.handover.areas()?,
            now: self.handover.now(),
        };
        let sides = sides.of(&review, &row)?;
        let shown = self.shown(&view, &review)?;
        let contribution = row.contribution.map(Shared::into_inner);
        Ok(Response::new(GetReviewResponse { review: Some(shown), contribution, sides }))
    }

    async fn decide_review(
        &self,
        request: Request<DecideReviewRequest>,
    ) -> Result<Response<DecideReviewResponse>, Status> {
        let operator = self.admit(&request)?;
        let request = request.into_inner();
        for (field, text) in [("reason", &request.reason), ("document_number", &request.document_number)] {
            if text.trim().is_empty() {
                return Err(
                    Reason::InvalidRequest.field(field, "is missing: a decision has a reason and a document")
                );
            }
        }
        let deciding = Deciding {
            number: request.number,
            accept: request.accept,
            reason: request.reason,
            document: request.document_number,
            operator,
            areas: self.handover.areas()?,
            today: self.handover.today(),
        };
        let turn = || {
            let told = Arc::new(Told::default());
            let (heard, authority) = (Arc::clone(&told), Arc::clone(&self.handover.authority));
            let (office, deciding) = (Arc::clone(&self.handover.office), deciding.clone());
            let by = move |standing: &Standing<'_>| deciding.settle(standing, &authority, &office, &heard);
            let content = Content::Decided(Decide { alone: true, by: Arc::new(by) });
            (Commit { origin: Origin::default(), content }, told)
        };
        let news = self.handover.decided(turn).await?;
        news.mail_for.iter().for_each(|node| self.handover.bells.ring(node));
        let looked_at_again = self.handover.look_again().await?;
        let row = news.row.ok_or_else(|| unknown("contribution"))?;
        let outcome = Some(self.handover.with_receipt(&row)?);
        Ok(Response::new(DecideReviewResponse { outcome, looked_at_again }))
    }

    async fn get_contribution(
        &self,
        request: Request<GetContributionRequest>,
    ) -> Result<Response<GetContributionResponse>, Status> {
        let operator = self.admit(&request)?;
        let id = request.into_inner().contribution_id.parse();
        let id = id.map_err(|_| Reason::InvalidRequest.field("contribution_id", "is not a UUID"))?;
        // Who looks at the log is looked at too.
        tracing::info!(operator, of = "contribution", "the access log is read");
        let server = self.clone();
        // A person who is often asked for has many records.
        let reading = tokio::task::spawn_blocking(move || server.contribution(id));
        let found = reading.await.map_err(|_| Reason::Internal.status("the look broke off"))?;
        Ok(Response::new(found?))
    }

    async fn list_outboxes(
        &self,
        request: Request<ListOutboxesRequest>,
    ) -> Result<Response<ListOutboxesResponse>, Status> {
        self.admit(&request)?;
        let outboxes = outbox::all(&self.handover.registry.view())?;
        Ok(Response::new(ListOutboxesResponse { outboxes }))
    }

    async fn import_contributions(
        &self,
        request: Request<Streaming<ImportContributionsRequest>>,
    ) -> Result<Response<ImportContributionsResponse>, Status> {
        self.admit(&request)?;
        let mut inbound = request.into_inner();
        let mut done = ImportContributionsResponse::default();
        while let Some(batch) = inbound.message().await? {
            let barred = if batch.of_barred_nodes { Barred::TakenOver } else { Barred::Refused };
            match self.handover.take(batch.contributions.into(), barred).await {
                Ok(taken) => {
                    done.taken += taken.new;
                    done.known += taken.known;
                    if let Some(first) = taken.refused.into_iter().next()
                        && done.refused.is_empty()
                    {
                        done.refused = first.message;
                    }
                }
                Err(status) => {
                    done.refused = status.message().to_owned();
                    break;
                }
            }
        }
        Ok(Response::new(done))
    }
}

/// Fields by which reviews are told in tables.
#[must_use]
pub fn names_of(fields: &[i32]) -> String {
    let names: Vec<_> =
        fields.iter().filter_map(|number| Field::try_from(*number).ok()).map(Field::name).collect();
    names.join(", ")
}
