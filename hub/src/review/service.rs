//! `dancu.hub.v1.ReviewService`: the hub's operators look and decide.

use std::sync::Arc;

use dancu_proto::{
    Field, FieldSet, Reason, Record,
    area::by_order_in_force,
    hub::v1::{
        DecideReviewRequest, DecideReviewResponse, GetContributionRequest, GetContributionResponse,
        GetReviewRequest, GetReviewResponse, ImportContributionsRequest, ImportContributionsResponse,
        ListOutboxesRequest, ListOutboxesResponse, ListReviewsRequest, ListReviewsResponse, Review as Shown,
        ReviewDecision, ReviewSide, ReviewSource, review_service_server::ReviewService,
    },
    v1::{self, Citizen},
};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::{Deciding, Review, derived};
use crate::{
    admin::operator,
    intake::handover::{
        Barred, Handover, Told,
        handed_in::{self, HandedIn},
        outbox,
    },
    registry::{CitizenKey, Commit, Content, Decide, Origin, Standing, StoreError, View},
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
        Ok(GetContributionResponse {
            outcome: Some(self.handover.with_receipt(&row)?),
            agency: row.agency.clone(),
            role: row.role.clone(),
            taken_at: moment(row.taken_ms),
            derived: derived::events(&view, &row)?,
            review: row.review,
            contribution: row.contribution,
            accesses: unaware.calls.into_iter().map(derived::shown).collect(),
            accesses_left_off: unaware.left_off,
        })
    }

    /// The values of one person, as registered and as handed in.
    fn side(
        &self,
        view: &View<'_>,
        row: &HandedIn,
        key: CitizenKey,
        fields: FieldSet,
    ) -> Result<Option<ReviewSide>, Status> {
        let Some(citizen) = view.citizen(key)?.filter(|citizen| !citizen.has_left()) else { return Ok(None) };
        let areas = self.handover.areas()?;
        let shown = |record: Record| {
            let mut citizen = record.decode().map_err(|_| damaged())?;
            by_order_in_force(&mut citizen, &areas);
            Ok::<Citizen, StoreError>(citizen)
        };
        let mut sources = Vec::new();
        for field in fields.iter() {
            let revision = match citizen.source_of(field) {
                Some(revision) => Some(revision),
                None => view.founded()?,
            };
            let Some(revision) = revision else { continue };
            let origin = view.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?.origin();
            sources.push(ReviewSource {
                field: v1::Field::from(field).into(),
                source: format!("{} {}", origin.source, origin.role).trim().to_owned(),
                effective_date: origin.effective_date,
                revision: revision.0,
            });
        }
        let number = citizen.record.personal_id().map(|number| number.to_string()).unwrap_or_default();
        let said = row.contribution.clone().unwrap_or_default();
        let claimed = claimed_of(view, &said, key)?;
        let handed_in = claimed.map(|(set, _)| set.values(fields)).unwrap_or_default();
        let registered = citizen.record.values(fields);
        let cleared = fields.difference(handed_in.fields()).intersection(registered.fields());
        Ok(Some(ReviewSide {
            personal_id: number,
            registered: Some(shown(registered)?),
            sources,
            handed_in: Some(shown(handed_in)?),
            cleared: cleared.iter().map(|field| v1::Field::from(field).into()).collect(),
        }))
    }
}

/// What a contribution says of one person directly: values of civil status, dates, addresses.
fn claimed_of(
    view: &View<'_>,
    said: &v1::Contribution,
    key: CitizenKey,
) -> Result<Option<(Record, FieldSet)>, StoreError> {
    use v1::event::Event as Kind;
    let Some(kind) = said.event.as_ref().and_then(|event| event.event.as_ref()) else { return Ok(None) };
    let of = |person: &Option<v1::PersonRef>| -> Result<Option<CitizenKey>, StoreError> {
        let number = match person.as_ref().and_then(|person| person.by.as_ref()) {
            Some(v1::person_ref::By::PersonalId(number)) => number.parse().ok(),
            _ => None,
        };
        let found = number.map(|number| view.resolve(number)).transpose()?.flatten();
        Ok(found.map(|(key, _)| key))
    };
    let named = |person: &Option<v1::PersonRef>| -> Result<Option<v1::Relative>, StoreError> {
        let relative = match person.as_ref().and_then(|person| person.by.clone()) {
            Some(v1::person_ref::By::Unregistered(relative)) => Some(relative),
            Some(v1::person_ref::By::PersonalId(personal_id)) => {
                Some(v1::Relative { personal_id, ..v1::Relative::default() })
            }
            _ => None,
        };
        Ok(relative)
    };
    let set = match kind {
        Kind::Death(death) => Citizen { date_of_death: death.date_of_death, ..Citizen::default() },
        Kind::Marriage(couple) => {
            let with = if of(&couple.one)? == Some(key) { &couple.other } else { &couple.one };
            Citizen { spouse: named(with)?, marital_status: "2".into(), ..Citizen::default() }
        }
        Kind::Divorce(_) => Citizen { marital_status: "3".into(), ..Citizen::default() },
        Kind::CivilStatusCorrected(corrected) => corrected.set.clone().unwrap_or_default(),
        Kind::PermanentResidenceRegistered(home) | Kind::Moved(home) => Citizen {
            permanent_residence: home.address.clone(),
            residence_file_number: home.residence_file_number.clone(),
            household_head: named(&home.household_head)?,
            ..Citizen::default()
        },
        Kind::TemporaryResidenceRegistered(stay) => {
            Citizen { temporary_residence: stay.stay.clone(), ..Citizen::default() }
        }
        Kind::OldNumberLinked(linked) => {
            Citizen { old_id_number: linked.old_id_number.clone(), ..Citizen::default() }
        }
        Kind::BloodType(known) => Citizen { blood_type: known.blood_type.clone(), ..Citizen::default() },
        Kind::ContactChanged(contact) => Citizen {
            mobile_number: contact.mobile_number.clone(),
            email: contact.email.clone(),
            ..Citizen::default()
        },
        Kind::Adoption(adoption) => Citizen {
            father: named(&adoption.father)?,
            mother: named(&adoption.mother)?,
            ..Citizen::default()
        },
        _ => return Ok(None),
    };
    let record = Record::encode(&set);
    let fields = record.fields();
    Ok(Some((record, fields)))
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
        let mut sides = Vec::new();
        for (key, fields) in review.in_question() {
            sides.extend(self.side(&view, &row, key, fields)?);
        }
        let shown = self.shown(&view, &review)?;
        Ok(Response::new(GetReviewResponse { review: Some(shown), contribution: row.contribution, sides }))
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
            match self.handover.take(batch.contributions, barred).await {
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
