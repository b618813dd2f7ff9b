//! Which officer may act, and how much may be asked.

use dancu_proto::{
    Field, Reason,
    node::v1::{
        BatchGetCitizensRequest, FindCitizenRequest, GetCitizenRequest, VerifyCitizenRequest,
        find_citizen_request::Criterion,
    },
    v1::Citizen,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::fixture::{AN, BINH, Served, UNKNOWN, an, binh, grant, put, slice, why};
use crate::officers::{Officer, OfficersFile};

const BOTH: &[&str] = &["lookup", "verify"];

async fn get(node: &Served, purpose: &str, id: &str) -> Result<Citizen, Status> {
    let context = why(purpose);
    let request = GetCitizenRequest { context, personal_id: id.into(), fields: vec![], remote: false };
    Ok(node.client().await.get_citizen(request).await?.into_inner().citizen.unwrap())
}

fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> Option<Reason> {
    Reason::of(&answer.unwrap_err())
}

#[tokio::test]
async fn an_officer_is_listed_or_vouched_for() {
    let mut listed = grant(1, "a", BOTH, &[Field::FullName, Field::OldIdNumber]);
    listed.officers_vouched = false;
    let mut also_listed = grant(2, "b", BOTH, &[Field::FullName]);
    also_listed.officers_vouched = false;
    let vouched = grant(3, "b", BOTH, &[Field::Sex]);
    let people = vec![put(&an(), &[1, 2, 3])];
    let node =
        Served::start(&["*"], None, |dir| slice(dir, vec![listed, also_listed, vouched], people)).await;
    // Whether the person is here or not, and by whatever call.
    for id in [AN, UNKNOWN] {
        assert_eq!(reason(get(&node, "a", id).await), Some(Reason::OfficerNotAllowed));
    }
    let mut client = node.client().await;
    let claim = Some(Citizen { sex: "1".into(), ..Citizen::default() });
    let verify = VerifyCitizenRequest { context: why("a"), personal_id: AN.into(), claim };
    assert_eq!(reason(client.verify_citizen(verify).await), Some(Reason::OfficerNotAllowed));
    let criterion = Some(Criterion::OldIdNumber(an().old_id_number));
    let find = FindCitizenRequest { context: why("a"), criterion, fields: vec![] };
    assert_eq!(reason(client.find_citizen(find).await), Some(Reason::OfficerNotAllowed));
    let batch = BatchGetCitizensRequest { context: why("a"), personal_ids: vec![AN.into()], fields: vec![] };
    let mut answers = client.batch_get_citizens(batch).await.unwrap().into_inner();
    assert_eq!(reason(answers.message().await), Some(Reason::OfficerNotAllowed));
    // Another purpose is another refusal.
    assert_eq!(reason(get(&node, "z", AN).await), Some(Reason::PurposeNotAgreed));
    // Of two agreements one takes the caller's word: its fields alone are given.
    let citizen = get(&node, "b", AN).await.unwrap();
    assert!(citizen.full_name.is_none() && !citizen.sex.is_empty());

    let list = |purposes: &str, until: &str| {
        let row = Officer {
            officer: "CB-7".into(),
            purposes: purposes.into(),
            from: String::new(),
            until: until.into(),
        };
        OfficersFile::of(&node.config.agency_dir()).write(&[row]).unwrap();
        node.officers.reload().unwrap();
    };
    list("b", "");
    assert!(get(&node, "b", AN).await.unwrap().full_name.is_some());
    assert_eq!(reason(get(&node, "a", AN).await), Some(Reason::OfficerNotAllowed));
    list("*", "");
    assert!(get(&node, "a", AN).await.is_ok());
    // The day before the test's.
    list("*", "2026-11-22");
    assert_eq!(reason(get(&node, "a", AN).await), Some(Reason::OfficerNotAllowed));
}

#[tokio::test]
async fn a_quota_that_is_used_up_says_whose_and_when_there_is_some_again() {
    let mut daily = grant(1, "a", BOTH, &[Field::Sex]);
    daily.per_day = 5;
    let mut hasty = grant(2, "b", BOTH, &[Field::Sex]);
    hasty.per_second = 2;
    let people = vec![put(&an(), &[1, 2]), put(&binh(), &[1, 2])];
    let node = Served::start(&["*"], None, |dir| slice(dir, vec![daily, hasty], people)).await;
    let mut client = node.client().await;
    let personal_ids = [AN, BINH, UNKNOWN].map(str::to_owned).to_vec();
    let batch = BatchGetCitizensRequest { context: why("a"), personal_ids, fields: vec![] };
    let mut answers = client.batch_get_citizens(batch).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
    // Nobody counts like somebody.
    assert_eq!(reason(get(&node, "a", UNKNOWN).await), Some(Reason::CitizenNotFound));
    get(&node, "a", AN).await.unwrap();
    let refused = get(&node, "a", AN).await.unwrap_err();
    assert_eq!(
        (Reason::of(&refused), refused.code()),
        (Some(Reason::QuotaExceeded), Code::ResourceExhausted)
    );
    assert!(refused.message().contains("agreement agreement-1"), "{}", refused.message());
    let retry = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    // It is 15:00 in Vietnam.
    assert_eq!(retry.as_secs(), 9 * 3600);

    get(&node, "b", AN).await.unwrap();
    get(&node, "b", AN).await.unwrap();
    let refused = get(&node, "b", AN).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::QuotaExceeded));
    let retry = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(retry.as_millis() <= 500, "{retry:?}");
    // A batch is slowed down, not broken off.
    let personal_ids = vec![AN.to_owned(); 2];
    let batch = BatchGetCitizensRequest { context: why("b"), personal_ids, fields: vec![] };
    let mut answers = client.batch_get_citizens(batch).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
}
