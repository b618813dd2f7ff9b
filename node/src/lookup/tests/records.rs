//! Every call, answered or refused, leaves a record.

use dancu_proto::{
    Field,
    node::v1::{
        BatchGetCitizensRequest, FindCitizenRequest, GetCitizenRequest, VerifyCitizenRequest,
        find_citizen_request::Criterion,
    },
    v1::{AccessEntry, Citizen, SubjectOutcome},
};

use super::fixture::{AN, BINH, Served, UNKNOWN, an, binh, grant, put, slice, why};

fn outcomes(entry: &AccessEntry) -> Vec<(SubjectOutcome, Vec<Field>)> {
    let fields = |numbers: &[i32]| numbers.iter().map(|number| Field::try_from(*number).unwrap()).collect();
    entry.subjects.iter().map(|subject| (subject.outcome(), fields(&subject.fields))).collect()
}

#[tokio::test]
async fn every_call_is_recorded_with_what_it_told_of_whom() {
    let grants = vec![
        grant(1, "a", &["lookup", "verify"], &[Field::FullName, Field::OldIdNumber]),
        grant(2, "b", &["verify"], &[Field::Sex]),
    ];
    let people = vec![put(&an(), &[1, 2]), put(&binh(), &[2])];
    let node = Served::start(&["*"], None, |directory| slice(directory, grants, people)).await;
    let mut client = node.client().await;
    let mut get = async |purpose: &str, id: &str| {
        let request = GetCitizenRequest {
            context: why(purpose),
            personal_id: id.into(),
            fields: vec![],
            remote: false,
        };
        client.get_citizen(request).await.is_ok()
    };
    let told = vec![Field::PersonalId, Field::FullName, Field::OldIdNumber];
    assert!(get("a", AN).await);
    assert!(!get("a", UNKNOWN).await);
    assert!(!get("a", BINH).await);
    assert!(!get("b", AN).await);
    assert!(!get("", AN).await);
    let recorded = node.calls();
    assert_eq!(outcomes(&recorded[0]), [(SubjectOutcome::Answered, told.clone())]);
    let (caller, officer, case) = (&recorded[0].caller, &recorded[0].officer, &recorded[0].case_number);
    assert_eq!((caller.as_str(), officer.as_str(), case.as_str()), ("test", "CB-7", "H-1"));
    assert_eq!((recorded[0].purpose.as_str(), recorded[0].revision), ("a", 1));
    let refused = ["CITIZEN_NOT_FOUND", "CITIZEN_NOT_FOUND", "OPERATION_NOT_AGREED", "INVALID_REQUEST"];
    assert_eq!(recorded[1..].iter().map(|entry| entry.outcome.as_str()).collect::<Vec<_>>(), refused);
    // Nobody of that number, and nobody for this purpose, are recorded alike.
    assert_eq!(outcomes(&recorded[1]), outcomes(&recorded[2]));
    assert_eq!(outcomes(&recorded[3]), [(SubjectOutcome::Refused, vec![])]);
    // The same person is the same to the node, and others are others.
    assert_eq!(recorded[0].subjects[0].hash, recorded[3].subjects[0].hash);
    assert_ne!(recorded[0].subjects[0].hash, recorded[1].subjects[0].hash);

    let claim = Some(Citizen { sex: "1".into(), email: "a@b.vn".into(), ..Citizen::default() });
    let verify = VerifyCitizenRequest { context: why("b"), personal_id: AN.into(), claim };
    client.verify_citizen(verify).await.unwrap();
    assert_eq!(outcomes(&node.calls()[5]), [(SubjectOutcome::Answered, vec![Field::Sex])]);

    let criterion = Some(Criterion::OldIdNumber(an().old_id_number));
    let find = FindCitizenRequest { context: why("a"), criterion, fields: vec![] };
    client.find_citizen(find).await.unwrap();
    assert_eq!(outcomes(&node.calls()[6]), [(SubjectOutcome::Answered, told.clone())]);

    let personal_ids = [AN, UNKNOWN, "12"].map(str::to_owned).to_vec();
    let batch = BatchGetCitizensRequest { context: why("a"), personal_ids, fields: vec![] };
    let mut answers = client.batch_get_citizens(batch).await.unwrap().into_inner();
    // The first answer is there once the whole part is recorded.
    answers.message().await.unwrap().unwrap();
    let both = [(SubjectOutcome::Answered, told), (SubjectOutcome::NotFound, vec![])];
    assert_eq!(outcomes(&node.calls()[7]), both);
    assert_eq!(node.calls().len(), 8);
}
