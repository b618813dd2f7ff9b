//! Two sources disagree: until somebody has decided, whoever is given the field is told that it is in
//! question, at the hub and at nodes, and nobody else is told anything.

use std::fs;

use dancu_proto::{
    Field,
    contribution::{Place, Sealer, write_file},
    hub::v1::{RenewLeaseRequest, sync_service_client::SyncServiceClient},
    node::v1::{AttributeVerdict, Verdict, VerifyCitizenRequest},
    v1::{AccessContext, Citizen, Contribution, Name},
};
use dancu_tests::testkit::{Agreement, Hub, Node, Simulated, eventually, people};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

/// An office that hands in by a file, which somebody carries to the hub.
struct Office {
    node: Simulated,
    recipient: Vec<u8>,
    sequence: u64,
}

impl Office {
    async fn of(hub: &Hub, role: &str) -> Office {
        hub.let_contribute(role, role, "contribute").await;
        let node = hub.simulate(role, role).await;
        eventually("the office's first policy", || async { !node.holding().registry.is_empty() }).await;
        let lease = SyncServiceClient::new(node.channel().await).renew_lease(RenewLeaseRequest {}).await;
        Office { node, recipient: lease.unwrap().into_inner().recipient, sequence: 0 }
    }

    /// Says that somebody's name is another, from a day on.
    async fn renames(&mut self, hub: &Hub, who: &str, name: &str, from: &str) {
        let contribution: Contribution = serde_json::from_value(json!({
            "id": Uuid::now_v7().to_string(),
            "context": { "purpose": "contribute", "case_number": "HS-1", "officer": "CB-1" },
            "effective_date": from,
            "document": { "number": "12", "date": from, "issued_by": "UBND" },
            "event": { "civil_status_corrected": {
                "person": { "personal_id": who }, "set": { "full_name": name },
            } },
        }))
        .unwrap();
        self.sequence += 1;
        let seconds = OffsetDateTime::now_utc().unix_timestamp();
        let place = Place {
            node: self.node.name(),
            registry_id: &self.node.holding().registry,
            outbox: &[7; 16],
            sequence: self.sequence,
            time: prost_types::Timestamp { seconds, nanos: 0 },
        };
        let signed =
            self.node.sign(&Sealer::default().seal(&contribution, &place, &self.recipient).unwrap()).unwrap();
        let file = hub.data_dir().join("outbox");
        write_file(fs::File::create(&file).unwrap(), [&signed]).unwrap();
        let done = hub.json(&["contribution", "import", file.to_str().unwrap()]).await;
        assert_eq!((&done["taken"], &done["refused"]), (&1.into(), &"".into()), "{done}");
    }
}

fn reader(purpose: &str, fields: &[&str]) -> Agreement {
    Agreement {
        id: format!("reader-{purpose}"),
        version: 1,
        agency: "court".into(),
        purpose: purpose.into(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    }
}

async fn at_the_node(node: &Node, purpose: &str, id: &str) -> Citizen {
    let answers = node.batch(purpose, &[id.to_owned()]).await.unwrap();
    answers.into_iter().next().unwrap().citizen.unwrap()
}

async fn verdict(node: &Node, id: &str, claim: Citizen) -> AttributeVerdict {
    let context = AccessContext { purpose: "names".into(), case_number: "T-1".into(), officer: "t".into() };
    let request = VerifyCitizenRequest { context: Some(context), personal_id: id.into(), claim: Some(claim) };
    let answer = node.client().await.unwrap().verify_citizen(request).await.unwrap().into_inner();
    answer.verdicts.into_iter().next().unwrap()
}

fn named(name: &str) -> Citizen {
    Citizen { full_name: Some(Name::from_full(name)), ..Citizen::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_is_in_question_for_its_readers_until_somebody_has_decided() {
    let hub = Hub::start().await;
    let people = people(93, 300);
    hub.import(&people).await;
    let id = people[0].personal_id.as_str();
    hub.apply(&reader("names", &["full_name", "sex"])).await;
    hub.apply(&reader("others", &["sex", "date_of_birth"])).await;
    let node = hub.enroll("court-1", "court").await;
    let mut office = Office::of(&hub, "civil-status").await;

    office.renames(&hub, id, "Nguyễn Văn Một", "2026-03-01").await;
    node.reaches(hub.head().await).await;
    let one = at_the_node(&node, "names", id).await;
    assert_eq!((one.full_name, one.in_question), (named("Nguyễn Văn Một").full_name, vec![]));

    // The same role, the same day, another name: neither counts more.
    let other = at_the_node(&node, "others", id).await;
    office.renames(&hub, id, "Nguyễn Văn Hai", "2026-03-01").await;
    node.reaches(hub.head().await).await;
    let full_name: i32 = dancu_proto::v1::Field::from(Field::FullName).into();
    let one = at_the_node(&node, "names", id).await;
    assert_eq!(one.full_name, named("Nguyễn Văn Một").full_name, "nothing is overwritten");
    assert_eq!(one.in_question, [full_name]);
    assert_eq!(at_the_node(&node, "others", id).await, other, "who is not given it is told nothing");
    let told = verdict(&node, id, named("Nguyễn Văn Một")).await;
    assert_eq!((told.verdict(), told.in_question), (Verdict::Match, true));
    let shown = hub.json(&["citizen", "show", id, "--history"]).await;
    assert_eq!(shown["citizen"]["in_question"], json!(["full_name"]));
    let printed = hub.cli(&["citizen", "show", id, "--history"]).await.unwrap();
    assert!(printed.contains("đang xem xét / in question"), "{printed}");
    // An import neither says nor settles anything of it.
    let file = hub.data_dir().join("again.jsonl");
    let mut row = serde_json::to_value(&people[0]).unwrap();
    row["full_name"] = "Nguyễn Văn Một".into();
    fs::write(&file, row.to_string()).unwrap();
    let again = hub.json(&["import", file.to_str().unwrap()]).await;
    assert_eq!((&again["changed"], &again["unchanged"]), (&0.into(), &1.into()), "{again}");
    row["in_question"] = json!(["sex"]);
    fs::write(&file, row.to_string()).unwrap();
    let refused = hub.json(&["import", file.to_str().unwrap()]).await;
    assert_eq!(refused["rejected"], 1, "{refused}");

    let reviews = hub.json(&["review", "list"]).await;
    let [review] = reviews.as_array().unwrap().as_slice() else { panic!("{reviews}") };
    assert_eq!((&review["reason"], &review["fields"]), (&"conflict".into(), &"full_name".into()), "{review}");
    let number = review["number"].to_string();
    let side = async || {
        let shown = hub.json(&["review", "show", &number]).await;
        let [side] = shown["sides"].as_array().unwrap().as_slice() else { panic!("{shown}") };
        let [field] = side["fields"].as_array().unwrap().as_slice() else { panic!("{side}") };
        assert_eq!((&side["personal_id"], &side["full_name"]), (&id.into(), &"Nguyễn Văn Một".into()));
        assert_eq!(
            (&field["registered"], &field["handed_in"]),
            (&"Nguyễn Văn Một".into(), &"Nguyễn Văn Hai".into())
        );
        shown["review"]["decision"].clone()
    };
    assert_eq!(side().await, Value::Null);
    let printed = hub.cli(&["review", "show", &number]).await.unwrap();
    assert!(printed.contains("12 of 2026-03-01, issued by UBND"), "{printed}");
    let decide = ["review", "accept", &number, "--reason", "giấy khai sinh", "--document", "Q/1"];
    hub.cli(&decide).await.unwrap();
    let decision = side().await;
    assert_eq!((&decision["accepted"], &decision["document_number"]), (&true.into(), &"Q/1".into()));
    node.reaches(hub.head().await).await;
    let one = at_the_node(&node, "names", id).await;
    assert_eq!((one.full_name, one.in_question), (named("Nguyễn Văn Hai").full_name, vec![]));
    let told = verdict(&node, id, named("Nguyễn Văn Hai")).await;
    assert_eq!((told.verdict(), told.in_question), (Verdict::Match, false));
    assert_eq!(hub.json(&["citizen", "show", id]).await["citizen"].get("in_question"), None::<&Value>);
    let proof: Value = serde_json::from_str(&node.cli(&["verify-slice", "--json"]).await.unwrap()).unwrap();
    assert_eq!(proof["different"], json!([]), "{proof}");
}
