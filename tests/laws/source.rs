//! Law 5: every field has a source. And the two times of a fact: when it holds, and when it became
//! known.

use std::collections::BTreeMap;

use dancu_proto::{
    Field,
    hub::v1::{ChangeCitizenRequest, GetCitizenRecordRequest, GetCitizenRecordResponse},
    v1::{Citizen, Date},
};
use dancu_tests::testkit::Hub;
use serde_json::{Value, json};

const ID: &str = "001085000001";
const CONTRIBUTION: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

async fn record(hub: &Hub, request: GetCitizenRecordRequest) -> GetCitizenRecordResponse {
    let request = GetCitizenRecordRequest { personal_id: ID.into(), ..request };
    hub.admin().await.get_citizen_record(request).await.unwrap().into_inner()
}

async fn at(hub: &Hub, revision: u64) -> GetCitizenRecordResponse {
    record(hub, GetCitizenRecordRequest { at_revision: revision, ..Default::default() }).await
}

fn revisions_of(record: &GetCitizenRecordResponse) -> BTreeMap<&'static str, u64> {
    let field = |number: i32| Field::from_number(u32::try_from(number).ok()?);
    let sources = record.sources.iter();
    sources.filter_map(|source| Some((field(source.field)?.name(), source.revision))).collect()
}

fn citizen(values: Value) -> Citizen {
    serde_json::from_value(values).unwrap()
}

fn an() -> Citizen {
    citizen(json!({
        "personal_id": ID, "full_name": "Nguyễn Văn An", "date_of_birth": "1985", "sex": "2",
        "permanent_residence": { "commune": "00004" },
    }))
}

/// Changes An; the revision, and whether anything changed.
async fn change(hub: &Hub, values: Value, effective: Date, contribution: &str) -> (u64, bool) {
    let request = ChangeCitizenRequest {
        personal_id: ID.into(),
        set: Some(citizen(values)),
        clear: Vec::new(),
        reason: "a test".into(),
        document_number: "T/1".into(),
        effective_date: Some(effective),
        contribution_id: contribution.into(),
    };
    let answer = hub.admin().await.change_citizen(request).await.unwrap().into_inner();
    (answer.revision, !answer.unchanged)
}

async fn set(hub: &Hub, values: Value, effective: Date, contribution: &str) -> u64 {
    let (revision, changed) = change(hub, values, effective, contribution).await;
    assert!(changed);
    revision
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_says_who_supplied_it_and_every_past_can_be_asked_for() {
    let mut hub = Hub::start().await;
    let founded = hub.import(&[an()]).await["revision"].as_u64().unwrap();
    let day = |month, day| Date { year: 2026, month, day };
    let moved = json!({ "permanent_residence": { "province": "08", "commune": "00691" } });
    let moved = set(&hub, moved, day(3, 1), CONTRIBUTION).await;
    // Known later, and true from an earlier day than the move.
    let renamed = set(&hub, json!({ "full_name": "Nguyễn Văn Ân", "religion": "02" }), day(2, 1), "").await;
    let again = set(&hub, json!({ "religion": "01" }), day(4, 1), "").await;

    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        let now = at(&hub, 0).await;
        assert_eq!(now.revision, again);
        let sources = revisions_of(&now);
        let fields = serde_json::to_value(now.citizen.as_ref().unwrap()).unwrap();
        for field in fields.as_object().unwrap().keys() {
            assert!(sources.contains_key(field.as_str()), "{field} has no source");
        }
        assert_eq!(sources["sex"], founded);
        assert_eq!(sources["permanent_residence"], moved);
        assert_eq!(sources["full_name"], renamed);
        assert_eq!(sources["religion"], again);
        let residence = Field::PermanentResidence.number() as i32;
        let source = now.sources.iter().find(|source| source.field == residence).unwrap();
        assert_eq!(source.contribution_id, CONTRIBUTION);
        assert_eq!(source.effective_date, Some(day(3, 1)));
        assert!(source.source.starts_with("operator"), "{}", source.source);
        let founding = now.sources.iter().find(|source| source.revision == founded).unwrap();
        assert!(founding.source.starts_with("import"), "{}", founding.source);

        // As known at each revision.
        let commune = |record: &GetCitizenRecordResponse| {
            let citizen = record.citizen.clone().unwrap_or_default();
            citizen.permanent_residence.unwrap_or_default().commune
        };
        assert_eq!(commune(&at(&hub, founded).await), "00004");
        assert_eq!(commune(&at(&hub, moved).await), "00691");
        let then = at(&hub, moved).await;
        assert_eq!(then.citizen.clone().unwrap_or_default().religion, "");
        assert_eq!(revisions_of(&then)["full_name"], founded);
        assert_eq!(at(&hub, renamed).await.citizen.unwrap_or_default().religion, "02");

        // As it held on a day, by what is known now.
        let on = async |date| {
            let request = GetCitizenRecordRequest { valid_on: Some(date), ..Default::default() };
            record(&hub, request).await
        };
        assert_eq!(commune(&on(day(2, 15)).await), "00004", "not moved yet");
        assert_eq!(commune(&on(day(3, 1)).await), "00691");
        let february = on(day(2, 15)).await.citizen.unwrap_or_default();
        assert_eq!(february.full_name.unwrap_or_default().given, "Ân", "known later, true already");
        assert_eq!(february.religion, "02");
        assert_eq!(on(day(1, 15)).await.citizen.unwrap_or_default().religion, "");
        assert_eq!(on(day(5, 1)).await.citizen.unwrap_or_default().religion, "01");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contribution_that_is_repeated_counts_once() {
    let hub = Hub::start().await;
    hub.import(&[an()]).await;
    let day = Date { year: 2026, month: 1, day: 1 };
    let religion = |code: &str| json!({ "religion": code });
    let (first, changed) = change(&hub, religion("01"), day, CONTRIBUTION).await;
    assert!(changed);
    let repeated = change(&hub, religion("02"), day, CONTRIBUTION).await;
    assert_eq!(repeated, (first, false), "the answer of the first time");
    assert_eq!(at(&hub, 0).await.citizen.unwrap_or_default().religion, "01");
    let history = record(&hub, GetCitizenRecordRequest { history: true, ..Default::default() }).await.history;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].contribution_id, CONTRIBUTION);
}
