//! A personal number is cancelled and another takes its place (Decree 70/2024): the person is found
//! by either, and the asker is told.

use dancu_proto::v1::Contribution;
use dancu_tests::testkit::{Agreement, Hub, Sender, people};
use serde_json::json;
use uuid::Uuid;

fn agreement(fields: &[&str]) -> Agreement {
    Agreement {
        id: "numbers".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    }
}

#[tokio::test]
async fn a_person_is_found_by_every_number_they_had() {
    let hub = Hub::start().await;
    let mut people = people(31, 200);
    // One comes with a former number already.
    let listed = "001185009999";
    people[1].former_personal_ids = Some(dancu_proto::v1::StringList { values: vec![listed.into()] });
    let imported = hub.import(&people).await;
    assert_eq!(imported["rejected"], 0, "{imported}");
    hub.apply(&agreement(&["full_name", "former_personal_ids"])).await;
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;

    let (old, new) = (people[0].personal_id.clone(), "001185009998");
    let revision = hub.change(&old, &[&format!("personal_id={new}")]).await.unwrap();
    node.reaches(revision).await;
    let ids: Vec<String> = [&old, new, &people[1].personal_id, listed].map(Into::into).to_vec();
    let answers = node.batch("p", &ids).await.unwrap();
    let told: Vec<_> = answers
        .iter()
        .map(|answer| (answer.citizen.as_ref().map(|c| c.personal_id.as_str()), answer.former_number))
        .collect();
    let second = people[1].personal_id.as_str();
    assert_eq!(told, [(Some(new), true), (Some(new), false), (Some(second), false), (Some(second), true)]);
    let shown = hub.json(&["citizen", "show", &old]).await;
    assert_eq!(shown["citizen"]["former_personal_ids"][0], old.as_str());
    let shown = hub.json(&["citizen", "show", listed]).await;
    assert_eq!(shown["citizen"]["personal_id"], second);

    // A number leads to one person alone, for ever.
    for taken in [old.as_str(), new, listed] {
        let refused = hub.change(&people[2].personal_id, &[&format!("personal_id={taken}")]).await;
        assert!(refused.unwrap_err().contains("never reused"), "{taken}");
    }
    // The same file again brings the old number for a person who has another: refused, named.
    let again = hub.import(&people).await;
    assert_eq!((again["unchanged"].as_u64(), again["rejected"].as_u64()), (Some(199), Some(1)), "{again}");
}

#[tokio::test]
async fn a_file_that_brings_a_cancelled_number_is_taken_but_for_that_line() {
    let hub = Hub::start().await;
    let everybody = people(32, 50);
    hub.import(&everybody[..40]).await;
    hub.let_contribute("police", "citizen-id", "p").await;
    let node = hub.simulate("node", "police").await;
    node.wait_until_at(hub.head().await).await;
    let mut sender = Sender::open(node, 0).await.unwrap();
    let cancelled = &everybody[0].personal_id;
    let contribution: Contribution = serde_json::from_value(json!({
        "id": Uuid::now_v7().to_string(),
        "context": { "purpose": "p", "case_number": "c", "officer": "o" },
        "effective_date": "2026-01-05",
        "document": { "number": "1/QĐ", "date": "2026-01-05", "issued_by": "Công an" },
        "event": { "number_cancelled": { "persons": [{ "personal_id": cancelled }] } },
    }))
    .unwrap();
    let batches = sender.queue(&[contribution]).unwrap();
    assert_eq!(sender.hand_in(batches).await.unwrap().accepted, 1);
    let again = hub.import(&everybody).await;
    let counts = ["added", "unchanged", "rejected"].map(|count| again[count].as_u64().unwrap());
    assert_eq!(counts, [10, 39, 1], "{again}");
}

#[tokio::test]
async fn a_file_does_not_replace_what_was_said_since() {
    let hub = Hub::start().await;
    let mut everybody = people(33, 20);
    everybody[0].blood_type = "01".into();
    hub.import(&everybody).await;
    let corrected = everybody[0].personal_id.clone();
    hub.change(&corrected, &["blood_type=04"]).await.unwrap();
    let again = hub.import(&everybody).await;
    assert_eq!(again["unchanged"], 20, "{again}");
    // What nobody has said otherwise a file may bring.
    everybody[0].other_name = "Tên khác".into();
    let other = hub.import(&everybody).await;
    assert_eq!((&other["changed"], &other["unchanged"]), (&1.into(), &19.into()), "{other}");
    let shown = hub.json(&["citizen", "show", &corrected]).await;
    assert_eq!(shown["citizen"]["blood_type"], "04");
    assert_eq!(shown["citizen"]["other_name"], "Tên khác");
}
