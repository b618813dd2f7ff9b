//! The books are closed: everything in review is decided, and the registry is compared with the model.

use std::collections::{BTreeMap, BTreeSet};

use dancu_proto::{
    hub::v1::{
        DecideReviewRequest, GetCitizenRecordRequest, GetContributionRequest, GetContributionResponse,
        GetHubStatusRequest, ListOutboxesRequest, ListReviewsRequest, Outbox, Review,
    },
    v1::{Citizen, ContributionState, RejectionReason},
};
use dancu_tests::{
    oracle::{
        contributions::{
            Accepted, Authority, Register, Told,
            outcomes::{self, Queued},
        },
        values,
    },
    testkit::Hub,
};
use rand::{Rng, rngs::SmallRng};
use tonic::Code;

/// Reviews, open or decided.
pub(super) async fn reviews(hub: &Hub, decided: bool) -> Vec<Review> {
    let mut answers =
        hub.reviews().await.list_reviews(ListReviewsRequest { decided }).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        all.extend(answer.review);
    }
    all
}

/// Decides all reviews, one way or the other: the contributions that do not stand any more, with the
/// revision at which it was decided.
pub(super) async fn decide_all(hub: &Hub, rng: &mut SmallRng) -> Vec<Told> {
    let mut told = Vec::new();
    for _ in 0..100 {
        let open: Vec<Review> =
            reviews(hub, false).await.into_iter().filter(|review| review.decision.is_none()).collect();
        if open.is_empty() {
            return told;
        }
        let all_wait = open.iter().all(|review| review.reason() == RejectionReason::Waits);
        for review in open {
            let waits = review.reason() == RejectionReason::Waits;
            if waits && !all_wait {
                continue;
            }
            let accept = !waits && rng.random_bool(0.7);
            let decision = |accept| DecideReviewRequest {
                number: review.number,
                accept,
                reason: "a test".into(),
                document_number: "QD/1".into(),
            };
            // A decision is the next commit; what waited for it comes after.
            let revision = hub.head().await + 1;
            let mut client = hub.reviews().await;
            let mut accepted = accept;
            let mut answer = client.decide_review(decision(accept)).await;
            if accept && answer.is_err() {
                // What cannot be accepted any more can still be rejected.
                accepted = false;
                answer = client.decide_review(decision(false)).await;
            }
            if let Err(status) = &answer {
                // It was looked at again meanwhile, because something before it was decided.
                assert_eq!(status.code(), Code::FailedPrecondition, "{status:?} of {review:?}");
                continue;
            }
            if review.dependent && !accepted {
                told.push(Told::DoesNotStand { revision, contribution_id: review.contribution_id });
            }
        }
    }
    panic!("reviews do not come to an end");
}

/// What the hub says of a contribution.
pub(super) async fn contribution(hub: &Hub, id: &str) -> GetContributionResponse {
    let request = GetContributionRequest { contribution_id: id.into() };
    hub.reviews().await.get_contribution(request).await.unwrap().into_inner()
}

/// What must be true in the end; everything that is not.
pub(super) async fn faults(
    hub: &Hub,
    authority: &Authority,
    people: &[Citizen],
    queued: &[Queued],
    mut told: Vec<Told>,
) -> Vec<String> {
    let decided = reviews(hub, true).await;
    let by_a_person: BTreeSet<&str> = decided
        .iter()
        .filter(|review| {
            !review.dependent && review.decision.as_ref().is_some_and(|decision| decision.accepted)
        })
        .map(|review| review.contribution_id.as_str())
        .collect();
    let mut reviewed: BTreeSet<String> = BTreeSet::new();
    let mut outcomes = BTreeMap::new();
    let mut sorts: BTreeMap<String, u32> = BTreeMap::new();
    for one in queued {
        let found = contribution(hub, &one.id).await;
        let outcome = found.outcome.unwrap_or_default();
        *sorts.entry(format!("{:?} {:?}", outcome.state(), outcome.reason())).or_default() += 1;
        if found.review != 0 {
            reviewed.insert(one.id.clone());
        }
        if outcome.state() == ContributionState::Accepted {
            told.push(Told::Accepted(Box::new(Accepted {
                contribution: found.contribution.unwrap_or_default(),
                role: found.role,
                revision: outcome.revision,
                decided: by_a_person.contains(one.id.as_str()),
                personal_id: outcome.personal_id.clone(),
            })));
        }
        outcomes.insert(one.id.clone(), outcome);
    }
    eprintln!("what became of {}: {sorts:#?}", queued.len());
    let mut faults = outboxes(hub).await;
    faults.extend(outcomes::faults(queued, &outcomes, &reviewed, &hub.authority()));
    let register = Register::new(authority.clone(), people).after(told);
    faults.extend(register.faults().iter().cloned());
    faults.extend(differences(hub, &register).await);
    faults
}

/// Of every outbox the hub must have everything.
async fn outboxes(hub: &Hub) -> Vec<String> {
    let answer = hub.reviews().await.list_outboxes(ListOutboxesRequest {}).await.unwrap().into_inner();
    let wrong = |outbox: &Outbox| outbox.lost || outbox.queued != outbox.taken || !outbox.missing.is_empty();
    answer.outboxes.iter().filter(|outbox| wrong(outbox)).map(|outbox| format!("{outbox:?}")).collect()
}

async fn differences(hub: &Hub, register: &Register) -> Vec<String> {
    let mut faults = Vec::new();
    let mut admin = hub.admin().await;
    let records = register.records();
    let citizens = admin.get_hub_status(GetHubStatusRequest {}).await.unwrap().into_inner().citizens;
    if citizens != records.len() as u64 {
        faults.push(format!("{citizens} citizens, and {} by the model", records.len()));
    }
    let ask = |number: &str| GetCitizenRecordRequest { personal_id: number.into(), ..Default::default() };
    for (number, record) in &records {
        let found = match admin.get_citizen_record(ask(number)).await {
            Ok(found) => found.into_inner().citizen.unwrap_or_default(),
            Err(status) => {
                faults.push(format!("{number}: {status}"));
                continue;
            }
        };
        if !found.in_question.is_empty() {
            faults.push(format!("{number} is in question though everything is decided"));
        }
        let found = values(&found);
        let fields: BTreeSet<&String> = found.keys().chain(record.keys()).collect();
        for field in fields {
            if found.get(field) != record.get(field) {
                let (is, model) = (found.get(field), record.get(field));
                let said = register.said_of(number, field);
                faults.push(format!("{number} {field}: {is:?}, and by the model {model:?}: {said:#?}"));
            }
        }
    }
    for (number, leads_to) in register.leads() {
        let found = admin.get_citizen_record(ask(&number)).await;
        let found = found.map(|found| found.into_inner().citizen.unwrap_or_default().personal_id);
        if found.as_ref().ok() != Some(&leads_to) {
            faults.push(format!("{number} leads to {found:?}, and by the model to {leads_to}"));
        }
    }
    for number in register.dead_numbers() {
        if admin.get_citizen_record(ask(&number)).await.is_ok() {
            faults.push(format!("{number} leads to somebody, and by the model to nobody"));
        }
    }
    faults
}
