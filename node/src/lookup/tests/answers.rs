//! What is answered.

use dancu_proto::{
    Field, Record,
    hub::v1::{self as wire, Change},
    node::v1::{
        BatchGetCitizensRequest, FindCitizenRequest, GetCitizenRequest, GetStatusRequest, NameAndBirth,
        NodeState, Verdict, VerifyCitizenRequest, find_citizen_request::Criterion,
        node_service_client::NodeServiceClient,
    },
    v1::{Citizen, Date},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::fixture::{AN, AN_FORMER, BINH, OFFLINE, Served, UNKNOWN, an, binh, grant, put, slice, why};

const BOTH: &[&str] = &["lookup", "verify"];

/// `whole` gives everything of An; `some` gives name and birth of both, and sex of Bình alone.
fn grants() -> Vec<wire::Grant> {
    vec![
        grant(1, "whole", BOTH, Field::ALL),
        grant(2, "some", BOTH, &[Field::FullName, Field::DateOfBirth]),
        grant(3, "some", BOTH, &[Field::Sex]),
    ]
}

fn people() -> Vec<Change> {
    vec![put(&an(), &[1, 2]), put(&binh(), &[2, 3])]
}

async fn start() -> Served {
    Served::start(&["*"], None, |directory| slice(directory, grants(), people())).await
}

fn get(purpose: &str, id: &str) -> GetCitizenRequest {
    GetCitizenRequest { context: why(purpose), personal_id: id.into(), fields: vec![], remote: false }
}

fn names(fields: &[i32]) -> Vec<&'static str> {
    fields.iter().map(|field| Field::try_from(*field).unwrap().name()).collect()
}

#[tokio::test]
async fn each_purpose_gets_its_fields_for_each_citizen() {
    let node = start().await;
    let mut client = node.client().await;
    let whole = client.get_citizen(get("whole", AN)).await.unwrap().into_inner();
    assert_eq!(whole.citizen.unwrap(), an());
    assert_eq!(whole.authorised.len(), Field::ALL.len());

    let some = client.get_citizen(get("some", AN)).await.unwrap().into_inner();
    assert_eq!(names(&some.authorised), ["personal_id", "full_name", "date_of_birth"]);
    let expected = Citizen {
        personal_id: AN.into(),
        full_name: an().full_name,
        date_of_birth: an().date_of_birth,
        ..Citizen::default()
    };
    assert_eq!(some.citizen.unwrap(), expected);

    let other = client.get_citizen(get("some", BINH)).await.unwrap().into_inner();
    assert_eq!(names(&other.authorised), ["personal_id", "full_name", "date_of_birth", "sex"]);

    let request = GetCitizenRequest { fields: vec![6, 34], ..get("some", BINH) };
    let asked = client.get_citizen(request).await.unwrap().into_inner();
    assert_eq!(names(&asked.authorised), ["personal_id", "sex"]);
    assert_eq!(Record::encode(&asked.citizen.unwrap()).fields().len(), 2);
}

#[tokio::test]
async fn an_answer_says_how_fresh_it_is() {
    let node = start().await;
    let answer = node.client().await.get_citizen(get("some", AN)).await.unwrap().into_inner();
    let freshness = answer.freshness.unwrap();
    assert_eq!(freshness.revision, 1);
    assert_eq!(freshness.offline.unwrap().seconds, OFFLINE.as_secs() as i64);
    let as_of = super::fixture::NOW - OFFLINE;
    assert_eq!(freshness.as_of.unwrap().seconds, as_of.unix_timestamp());
}

#[tokio::test]
async fn a_former_number_finds_the_person_and_says_so() {
    let node = start().await;
    let mut client = node.client().await;
    let answer = client.get_citizen(get("whole", AN_FORMER)).await.unwrap().into_inner();
    assert!(answer.former_number);
    assert_eq!(answer.citizen.unwrap().personal_id, AN);
    // `some` may not know former numbers, so for it there is nobody of that number.
    let refused = client.get_citizen(get("some", AN_FORMER)).await.unwrap_err();
    let unknown = client.get_citizen(get("some", UNKNOWN)).await.unwrap_err();
    assert_eq!((refused.message(), refused.details()), (unknown.message(), unknown.details()));
}

#[tokio::test]
async fn a_batch_is_answered_in_order() {
    let node = start().await;
    let mut ids: Vec<String> = vec![BINH.into(), "12".into(), UNKNOWN.into(), AN.into(), AN_FORMER.into()];
    // Over several chunks.
    ids.extend((0..200).map(|_| AN.to_owned()));
    let request =
        BatchGetCitizensRequest { context: why("whole"), personal_ids: ids.clone(), fields: vec![3] };
    let mut stream = node.client().await.batch_get_citizens(request).await.unwrap().into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await.unwrap() {
        answers.push(answer);
    }
    assert_eq!(answers.iter().map(|answer| answer.personal_id.clone()).collect::<Vec<_>>(), ids);
    // Bình is in the slice, but not for this purpose: as absent as the unknown.
    assert!(answers[0].citizen.is_none() && answers[2].citizen.is_none());
    assert!(answers[0].invalid.is_empty() && !answers[1].invalid.is_empty());
    assert_eq!(names(&answers[3].authorised), ["personal_id", "full_name"]);
    assert!(answers[4].former_number && !answers[3].former_number);
    assert_eq!(answers.iter().filter(|answer| answer.freshness.is_some()).count(), 1);
    assert!(answers[0].freshness.is_some() && answers.last().unwrap().citizen.is_some());
}

fn by_name(purpose: &str, full_name: &str, date_of_birth: Date) -> FindCitizenRequest {
    let known = NameAndBirth { full_name: full_name.into(), date_of_birth: Some(date_of_birth) };
    FindCitizenRequest {
        context: why(purpose),
        criterion: Some(Criterion::NameAndBirth(known)),
        fields: vec![],
    }
}

const BORN: Date = Date { year: 1985, month: 3, day: 2 };

#[tokio::test]
async fn people_are_found_by_name_and_birth_the_exact_spelling_first() {
    let node = start().await;
    let mut client = node.client().await;
    let found = client.find_citizen(by_name("some", "nguyen thi  HOA", BORN)).await.unwrap().into_inner();
    assert_eq!(found.matches.len(), 2);
    assert!(found.matches.iter().all(|found| !found.exact) && !found.more);
    let found = client.find_citizen(by_name("some", "Nguyễn Thị Hóa", BORN)).await.unwrap().into_inner();
    let ids: Vec<_> = found.matches.iter().map(|found| found.citizen.clone().unwrap().personal_id).collect();
    assert_eq!(ids, [BINH, AN]);
    assert!(found.matches[0].exact && !found.matches[1].exact);
    // For `whole` Bình does not exist.
    let found = client.find_citizen(by_name("whole", "Nguyễn Thị Hóa", BORN)).await.unwrap().into_inner();
    assert_eq!(found.matches.len(), 1);
}

#[tokio::test]
async fn a_value_that_the_purpose_may_not_see_finds_no_one() {
    let node = start().await;
    let mut client = node.client().await;
    let by_old_number = |purpose: &str| FindCitizenRequest {
        context: why(purpose),
        criterion: Some(Criterion::OldIdNumber("012345678".into())),
        fields: vec![],
    };
    let found = client.find_citizen(by_old_number("whole")).await.unwrap().into_inner();
    assert_eq!(found.matches.len(), 1);
    let refused = client.find_citizen(by_old_number("some")).await.unwrap_err();
    assert_eq!(dancu_proto::Reason::of(&refused), Some(dancu_proto::Reason::FieldNotAgreed));
}

#[tokio::test]
async fn more_than_fifty_are_told_and_hidden_namesakes_hide_no_one() {
    let namesake = |number: u64| Citizen {
        personal_id: format!("{:012}", 1_085_100_000 + number),
        full_name: an().full_name,
        date_of_birth: an().date_of_birth,
        ..Citizen::default()
    };
    // 400 namesakes of another purpose come first in the order of numbers.
    let mut people: Vec<_> = (0..400).map(|number| put(&namesake(number), &[1])).collect();
    people.extend((400..460).map(|number| put(&namesake(number), &[2])));
    let node = Served::start(&["*"], None, |directory| slice(directory, grants(), people)).await;
    let request = by_name("some", "Nguyễn Thị Hoà", BORN);
    let found = node.client().await.find_citizen(request).await.unwrap().into_inner();
    assert_eq!(found.matches.len(), 50);
    assert!(found.more);
}

#[tokio::test]
async fn verification_gives_verdicts_and_nothing_else() {
    let node = start().await;
    let claim = Citizen {
        full_name: an().full_name,
        date_of_birth: Some(Date { year: 1985, month: 3, day: 3 }),
        email: "x@y.vn".into(),
        ..Citizen::default()
    };
    let request = VerifyCitizenRequest { context: why("some"), personal_id: AN.into(), claim: Some(claim) };
    let answer = Box::pin(node.client().await.verify_citizen(request)).await.unwrap().into_inner();
    let verdicts: Vec<_> = answer.verdicts.iter().map(|one| one.verdict()).collect();
    assert_eq!(verdicts, [Verdict::Match, Verdict::Mismatch, Verdict::NotAuthorised]);
    assert!(!answer.former_number && answer.freshness.is_some());
}

#[tokio::test]
async fn the_status_tells_what_the_node_can_do() {
    let node = start().await;
    let mut client = NodeServiceClient::new(node.channel().await);
    let status = client.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.state(), NodeState::Offline);
    assert!(status.explanation.contains("1h"), "{}", status.explanation);
    assert_eq!((status.cursor, status.hub_head, status.citizens), (1, 9, 2));
    assert_eq!(status.agreements.len(), 3);
    assert_eq!(status.agreements[2].fields, ["sex"]);
    assert!(!status.agreements[0].loading);
    let health = HealthClient::new(node.channel().await)
        .check(HealthCheckRequest { service: "dancu.node.v1.CitizenService".into() })
        .await;
    assert_eq!(health.unwrap().into_inner().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn what_is_served_can_be_asked() {
    let node = start().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(node.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"dancu.node.v1.CitizenService".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("dancu.hub")), "{names:?}");
}
