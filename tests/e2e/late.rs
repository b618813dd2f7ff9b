//! What becomes known late holds from its own day: who was answered in the meantime is listed.

use dancu_proto::{
    channel::PeerIdentity,
    node::v1::GetCitizenRequest,
    signed::verify,
    v1::{AccessContext, Citizen, QueuedContribution, Signed},
};
use dancu_tests::testkit::{Agreement, Hub, Node, eventually, people};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, macros::offset};

/// Calls that are told of one event; the hub has the same number.
const TOLD: usize = 200;

fn agreement(purpose: &str, fields: &[&str]) -> Agreement {
    Agreement {
        id: purpose.into(),
        version: 1,
        agency: "vss".into(),
        purpose: purpose.into(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    }
}

async fn get(node: &Node, case: &str, purpose: &str, person: &Citizen) -> Result<String, String> {
    let why = ["--purpose", purpose, "--case", case, "--officer", "lan"];
    node.cli(&[&["get", &person.personal_id], &why[..]].concat()).await
}

/// Registers that somebody died yesterday, and waits until it counts.
async fn died(hub: &Hub, node: &Node, person: &Citizen, id: &str) {
    let yesterday = OffsetDateTime::now_utc().to_offset(offset!(+7)).date() - Duration::DAY;
    let death = json!({
        "id": id,
        "context": { "purpose": "death", "case_number": "T-1", "officer": "tester" },
        "document": { "number": "1/KT", "date": yesterday.to_string(), "issued_by": "UBND" },
        "event": { "death": {
            "person": { "personal_id": person.personal_id }, "date_of_death": yesterday.to_string(),
        } },
    });
    let file = hub.data_dir().join(format!("{id}.json"));
    std::fs::write(&file, death.to_string()).unwrap();
    let told = node.cli(&["contribute", file.to_str().unwrap(), "--wait", "--json"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(told.trim()).unwrap()["state"], "accepted");
}

/// Waits until the hub has a call.
async fn is_handed_in(hub: &Hub, case: &str) {
    let has = || async {
        let rows = hub.json(&["audit", "node", "vss-1"]).await;
        rows.as_array().unwrap().iter().any(|row| row["case_number"] == case)
    };
    eventually("the hub to have a call", has).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_answered_without_what_became_known_late_is_listed() {
    let hub = Hub::start().await;
    let mut people = people(84, 400);
    people.retain(|citizen| citizen.date_of_death.is_none());
    hub.import(&people).await;
    hub.apply(&agreement("survivors", &["full_name", "date_of_death"])).await;
    hub.apply(&agreement("tax", &["full_name", "sex"])).await;
    // Of this one the day of death is not given: whoever is answered for lives.
    let pension = agreement("pension", &["full_name"]).document();
    assert!(pension.contains("nation = true"));
    let file = hub.data_dir().join("pension.toml");
    std::fs::write(&file, pension.replace("nation = true", "nation = true\nliving = true")).unwrap();
    hub.cli(&["agreement", "apply", file.to_str().unwrap()]).await.unwrap();
    hub.let_contribute("xa", "civil-status", "death").await;
    let (vss, xa) = (hub.enroll("vss-1", "vss").await, hub.enroll("xa-1", "xa").await);
    vss.reaches(hub.head().await).await;
    xa.is("serving").await;

    let (dead, other) = (&people[0], &people[1]);
    get(&vss, "C-1", "survivors", dead).await.unwrap();
    get(&vss, "C-2", "pension", dead).await.unwrap();
    // Neither tells anything of the death of this person.
    get(&vss, "C-3", "tax", dead).await.unwrap();
    get(&vss, "C-4", "survivors", other).await.unwrap();
    vss.line.cut();
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    died(&hub, &xa, dead, id).await;
    // It is known at the hub by now, and not here.
    get(&vss, "C-5", "pension", dead).await.unwrap();
    vss.line.restore();
    vss.reaches(hub.head().await).await;
    get(&vss, "C-6", "pension", dead).await.unwrap_err();
    get(&vss, "C-7", "survivors", dead).await.unwrap();
    is_handed_in(&hub, "C-7").await;

    let shown = hub.json(&["contribution", "show", id]).await;
    let accesses = shown["accesses"].as_array().unwrap();
    let cases: Vec<_> = accesses.iter().map(|access| access["case_number"].as_str().unwrap()).collect();
    assert_eq!((cases, &shown["accesses_left_off"]), (vec!["C-1", "C-2", "C-5"], &json!(0)));
    for access in accesses {
        assert_eq!(access["fields"], json!(["date_of_death"]));
        assert_eq!(access["person"], dead.personal_id.as_str());
        assert_eq!((&access["node"], &access["officer"]), (&json!("vss-1"), &json!("lan")));
        assert!(access["revision"].as_u64() < shown["revision"].as_u64(), "{access}");
    }
    assert_eq!((&accesses[0]["purpose"], &accesses[0]["operation"]), (&json!("survivors"), &json!("get")));
    let text = hub.cli(&["contribution", "show", id]).await.unwrap();
    assert!(text.contains("Calls that were answered without it"), "{text}");
    assert!(["C-1", "C-2", "C-5"].iter().all(|case| text.contains(case)), "{text}");
    assert!(["C-3", "C-4", "C-6", "C-7"].iter().all(|case| !text.contains(case)), "{text}");
    // What the node signed can be shown to others.
    let evidence = Signed::from_text(&hub.cli(&["contribution", "evidence", id]).await.unwrap()).unwrap();
    let (queued, signer) = verify::<QueuedContribution>(&evidence, &hub.authority()).unwrap();
    assert_eq!((queued.contribution_id.as_str(), signer), (id, PeerIdentity::Node(queued.node.clone())));
    let file = hub.data_dir().join("birth.signed");
    std::fs::write(&file, evidence.to_text()).unwrap();
    let verify = ["contribution", "verify", file.to_str().unwrap()];
    let said = hub.cli(&verify).await.unwrap();
    assert!(said.contains(id) && said.contains(&format!("the node {} signed this", queued.node)), "{said}");
    let altered = Signed { content: [&evidence.content[..], &[8, 1]].concat(), ..evidence.clone() };
    std::fs::write(&file, altered.to_text()).unwrap();
    assert!(hub.cli(&verify).await.unwrap_err().contains("proves nothing"));
    // Who looks at the log is looked at too, and the hub's own log tells of nobody.
    assert!(hub.log().contains("the access log is read"), "{}", hub.log());
    assert!(!hub.log().contains(&dead.personal_id));

    // Of many the latest are told, and how many there are beside them.
    let mut client = vss.client().await.unwrap();
    for number in 0..TOLD + 3 {
        let case_number = format!("M-{number}");
        let context = AccessContext { purpose: "survivors".into(), case_number, officer: "lan".into() };
        let personal_id = other.personal_id.clone();
        let request = GetCitizenRequest { context: Some(context), personal_id, ..Default::default() };
        client.get_citizen(request).await.unwrap();
    }
    let id = "01890a5d-ac96-774b-bcce-b302099a8058";
    died(&hub, &xa, other, id).await;
    is_handed_in(&hub, &format!("M-{}", TOLD + 2)).await;
    let shown = hub.json(&["contribution", "show", id]).await;
    let accesses = shown["accesses"].as_array().unwrap();
    // C-4 was the first.
    assert_eq!((accesses.len(), &shown["accesses_left_off"]), (TOLD, &json!(4)));
    assert_eq!(accesses[0]["case_number"], "M-3");
    let text = hub.cli(&["contribution", "show", id]).await.unwrap();
    assert!(text.contains("4 earlier ones are left off"), "{text}");
}
