//! An agency's own records, compared.

use std::time::Duration;

use dancu_proto::{
    Field, Reason,
    node::v1::{
        ReconcileCitizensRequest, ReconcileOutcome, Reconciliation, Verdict,
        citizen_service_client::CitizenServiceClient,
    },
    v1::{AccessEntry, AccessOperation, Citizen},
};
use tonic::{Request, Status, transport::Channel};

use super::fixture::{AN, AN_FORMER, BINH, Served, UNKNOWN, an, binh, grant, put, slice, why};

const FIELDS: &[Field] =
    &[Field::FullName, Field::DateOfBirth, Field::Sex, Field::OldIdNumber, Field::FormerPersonalIds];

fn record(json: &str) -> Citizen {
    serde_json::from_str(json).unwrap()
}

async fn reconcile(
    client: &mut CitizenServiceClient<Channel>,
    purpose: &str,
    disclose: bool,
    records: Vec<Citizen>,
) -> Result<Vec<Reconciliation>, Status> {
    let first = ReconcileCitizensRequest { context: why(purpose), disclose, records: Vec::new() };
    let requests =
        records.into_iter().map(|one| ReconcileCitizensRequest { records: vec![one], ..Default::default() });
    let requests: Vec<_> = std::iter::once(first).chain(requests).collect();
    let mut answers = client.reconcile_citizens(futures::stream::iter(requests)).await?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.extend(answer.records);
    }
    Ok(all)
}

async fn node() -> Served {
    let grants = vec![
        grant(1, "a", &["reconcile", "lookup"], FIELDS),
        grant(2, "b", &["reconcile"], &[Field::Sex]),
        grant(3, "c", &["lookup"], FIELDS),
        grant(4, "d", &["reconcile"], &[Field::Sex, Field::DateOfDeath]),
    ];
    let mut third = binh();
    third.personal_id = "001085000002".into();
    let mut dead = binh();
    dead.personal_id = "001085000003".into();
    dead.full_name = None;
    dead.date_of_death = Some("2026-01-02".parse().unwrap());
    let people = vec![put(&an(), &[1]), put(&binh(), &[1, 2]), put(&third, &[1]), put(&dead, &[1, 2, 4])];
    Served::start(&["*"], None, |directory| slice(directory, grants, people)).await
}

#[tokio::test]
async fn each_record_has_its_verdict() {
    let node = node().await;
    let mut client = node.client().await;
    let name = an().full_name.unwrap().full();
    let born = an().date_of_birth.unwrap();
    let old = an().old_id_number;
    let records = vec![
        record(&format!(
            r#"{{"personal_id":"{AN}","full_name":"{}","date_of_birth":"{born}"}}"#,
            name.to_uppercase()
        )),
        record(&format!(r#"{{"personal_id":"{BINH}","full_name":"Nguyen Thi Hoa","sex":"2"}}"#)),
        record(&format!(r#"{{"old_id_number":"{old}","full_name":"{name}"}}"#)),
        // Three of one name and year, marks aside; and one who alone agrees to the letter.
        record(r#"{"full_name":"Nguyễn Thị Hoá","date_of_birth":"1985"}"#),
        record(&format!(r#"{{"full_name":"{name}","date_of_birth":"{born}","email":"a@b.vn"}}"#)),
        record(&format!(r#"{{"personal_id":"{UNKNOWN}"}}"#)),
        record(r#"{"old_id_number":"999999999"}"#),
        record(r#"{"personal_id":"12"}"#),
        record(r#"{"sex":"1"}"#),
        record(&format!(r#"{{"personal_id":"{AN_FORMER}"}}"#)),
    ];
    let answers = reconcile(&mut client, "a", true, records).await.unwrap();
    let outcomes: Vec<_> = answers.iter().map(Reconciliation::outcome).collect();
    use ReconcileOutcome::{Confirmed, Differs, Invalid, NotFound, Several};
    let expected =
        [Confirmed, Differs, Confirmed, Several, Confirmed, NotFound, NotFound, Invalid, Invalid, Differs];
    assert_eq!(outcomes, expected);
    let verdicts = |answer: &Reconciliation| -> Vec<(Field, Verdict)> {
        let one = |one: &dancu_proto::node::v1::AttributeVerdict| {
            (Field::try_from(one.field).unwrap(), one.verdict())
        };
        answer.verdicts.iter().map(one).collect()
    };
    assert_eq!(
        verdicts(&answers[1]),
        [(Field::FullName, Verdict::MatchIgnoringMarks), (Field::Sex, Verdict::Mismatch)]
    );
    let right = answers[1].registered.as_ref().unwrap();
    assert_eq!(
        (right.full_name.as_ref().unwrap().full(), right.sex.as_str()),
        ("Nguyễn Thị Hóa".into(), "1")
    );
    assert!(right.date_of_birth.is_none(), "what does not differ is not told");
    assert_eq!(answers[3].candidates, 3);
    assert_eq!(verdicts(&answers[4]), [(Field::Email, Verdict::NotAuthorised)]);
    assert!(answers[7].invalid.contains("12 digits"), "{}", answers[7].invalid);
    assert!(answers[8].invalid.contains("old_id_number"), "{}", answers[8].invalid);
    assert!(answers[9].former_number);
    assert_eq!(answers[9].registered.as_ref().unwrap().personal_id, AN);
    // Nothing is told where it was not asked for.
    let records = vec![record(&format!(r#"{{"personal_id":"{BINH}","sex":"2"}}"#))];
    let answers = reconcile(&mut client, "a", false, records).await.unwrap();
    assert_eq!((answers[0].outcome(), &answers[0].registered), (Differs, &None));
}

#[tokio::test]
async fn a_purpose_compares_what_it_may() {
    let node = node().await;
    let mut client = node.client().await;
    let reason = |refused: Result<Vec<Reconciliation>, Status>| Reason::of(&refused.unwrap_err());
    let one = |json: &str| vec![record(json)];
    let of_binh = format!(r#"{{"personal_id":"{BINH}","full_name":"Ai Khác","sex":"1"}}"#);
    let refused = reconcile(&mut client, "c", false, one(&of_binh)).await;
    assert_eq!(reason(refused), Some(Reason::OperationNotAgreed));
    // Right values need `lookup` for the same purpose.
    let refused = reconcile(&mut client, "b", true, one(&of_binh)).await;
    assert_eq!(reason(refused), Some(Reason::OperationNotAgreed));
    let refused = reconcile(&mut client, "", false, one(&of_binh)).await;
    assert_eq!(reason(refused), Some(Reason::InvalidRequest));
    // A field of another purpose is not compared, and nobody is found by it.
    let answers = reconcile(&mut client, "b", false, one(&of_binh)).await.unwrap();
    assert_eq!(answers[0].outcome(), ReconcileOutcome::Confirmed);
    assert_eq!(answers[0].verdicts[0].verdict(), Verdict::NotAuthorised);
    let by_name = r#"{"full_name":"Nguyễn Thị Hóa","date_of_birth":"1985"}"#;
    let nobody = r#"{"full_name":"Không Có Ai","date_of_birth":"1985"}"#;
    let answers = reconcile(&mut client, "b", false, vec![record(by_name), record(nobody)]).await.unwrap();
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].invalid.contains("full_name"), "{}", answers[0].invalid);
    // Held for another purpose is the same as not there.
    let records = vec![
        record(&format!(r#"{{"personal_id":"{AN}"}}"#)),
        record(&format!(r#"{{"personal_id":"{UNKNOWN}"}}"#)),
    ];
    let answers = reconcile(&mut client, "b", false, records).await.unwrap();
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].outcome(), ReconcileOutcome::NotFound);
    // That somebody has died is a field like others.
    let of_dead = r#"{"personal_id":"001085000003","sex":"1"}"#;
    let may_know = reconcile(&mut client, "d", false, one(of_dead)).await.unwrap();
    assert_eq!(may_know[0].outcome(), ReconcileOutcome::Deceased);
    let may_not = reconcile(&mut client, "b", false, one(of_dead)).await.unwrap();
    assert_eq!(may_not[0].outcome(), ReconcileOutcome::Confirmed);
}

#[tokio::test]
async fn a_long_list_is_answered_in_order_and_recorded() {
    let node = node().await;
    let mut client = node.client().await;
    let first = ReconcileCitizensRequest { context: why("a"), ..Default::default() };
    let of =
        |number: usize| record(&format!(r#"{{"personal_id":"{}","sex":"1"}}"#, [BINH, UNKNOWN][number % 2]));
    let part = || ReconcileCitizensRequest { records: (0..1000).map(of).collect(), ..Default::default() };
    let requests = futures::stream::iter([first, part(), part()]);
    let mut answers = client.reconcile_citizens(requests).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().unwrap().records.is_empty());
    for _ in 0..2 {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.records.len(), 1000);
        for (number, one) in answer.records.iter().enumerate() {
            let expected = [ReconcileOutcome::Confirmed, ReconcileOutcome::NotFound][number % 2];
            assert_eq!(one.outcome(), expected);
        }
        assert_eq!(answer.freshness.unwrap().revision, 1);
    }
    let mut entries = node.calls();
    entries.retain(|entry| entry.operation() == AccessOperation::Reconcile);
    assert!(entries.iter().all(|entry| entry.purpose == "a" && entry.officer == "CB-7"));
    assert_eq!(
        entries.iter().map(|entry| entry.subjects.len()).sum::<usize>(),
        2 * 8 * 2,
        "two people a part"
    );
    let too_many = ReconcileCitizensRequest {
        context: why("a"),
        records: (0..1001).map(of).collect(),
        ..Default::default()
    };
    let mut answers =
        client.reconcile_citizens(futures::stream::iter([too_many])).await.unwrap().into_inner();
    assert_eq!(Reason::of(&answers.message().await.unwrap_err()), Some(Reason::InvalidRequest));
}

#[tokio::test]
async fn a_comparison_that_never_begins_says_what_is_missing_and_is_recorded() {
    let node = node().await;
    let mut client = node.client().await;
    let mut silent = Request::new(futures::stream::pending());
    silent.set_timeout(Duration::from_millis(400));
    let silent = client.reconcile_citizens(silent).await.unwrap_err();
    let ended = client.reconcile_citizens(futures::stream::empty()).await.unwrap_err();
    for (refused, says) in [(silent, "no first message within 360ms"), (ended, "ended without a message")] {
        assert_eq!(Reason::of(&refused), Some(Reason::InvalidRequest), "{refused}");
        let [(field, fault)] = &Reason::faults(&refused)[..] else { panic!("{refused}") };
        assert_eq!(field, "context");
        assert!(fault.contains(says), "{fault}");
    }
    let recorded = node.calls();
    assert!(recorded.iter().all(|entry| entry.operation() == AccessOperation::Reconcile));
    let of_whom = |entry: &AccessEntry| (entry.caller.clone(), entry.outcome.clone());
    let refused = ("test".to_owned(), "INVALID_REQUEST".to_owned());
    assert_eq!(recorded.iter().map(of_whom).collect::<Vec<_>>(), vec![refused; 2]);
}
