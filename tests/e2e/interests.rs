//! Interest lists: a node holds those whom its agency names, follows them, and no one else; also what
//! was named while the hub was out of reach.

use dancu_proto::v1::Citizen;
use dancu_tests::testkit::{Hub, Node, eventually, people};
use serde_json::Value;

const CONTEXT: [&str; 6] = ["--purpose", "p", "--case", "T-1", "--officer", "tester"];

async fn agree(hub: &Hub) {
    let document = "id = \"insured\"\nversion = 1\nagency = \"vss\"\ntitle = \"A test\"\n\
        legal_basis = [\"1911/QĐ-TTg\"]\nvalid_from = 2020-01-01\noperations = [\"lookup\"]\n\
        fields = [\"full_name\", \"other_name\"]\noffline_limit = \"9d\"\nofficers = \"vouched\"\n[[purposes]]\ncode = \"p\"\n\
        title = \"A test\"\n[scope]\ninterest = true\n";
    let file = hub.data_dir().join("insured.toml");
    std::fs::write(&file, document).unwrap();
    hub.cli(&["agreement", "apply", file.to_str().unwrap()]).await.unwrap();
}

async fn interest(node: &Node, verb: &str, ids: &[&str]) -> Value {
    let args = [&["interest", verb, "--json"], ids, &CONTEXT].concat();
    serde_json::from_str(&node.cli(&args).await.unwrap()).unwrap()
}

/// Waits until exactly these people are held.
async fn holds(hub: &Hub, node: &Node, ids: &[&str]) {
    let held = || async { node.status().await["citizens"] == ids.len() };
    eventually(&format!("{} citizens held", ids.len()), held).await;
    let asked: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let answers = node.batch("p", &asked).await.unwrap();
    assert!(answers.iter().all(|answer| answer.citizen.is_some()), "all of them are held");
    let out = node.cli(&["verify-slice", "--json"]).await.unwrap();
    let proof: Value = serde_json::from_str(&out).unwrap();
    let at = proof["cursor"].to_string();
    let digest = hub.json(&["slice", "digest", "--node", "node", "--at", &at]).await;
    assert_eq!(digest["digest"], proof["digest"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_holds_those_whom_its_agency_names() {
    let hub = Hub::start().await;
    agree(&hub).await;
    let mut node = hub.enroll("node", "vss").await;
    node.is("serving").await;
    let people = people(61, 2_000);
    let id = |at: usize| people[at].personal_id.as_str();
    // Named before there is anyone: who comes is on the list.
    interest(&node, "add", &[id(1)]).await;
    let told = || async { interest(&node, "list", &[]).await["waiting"] == 0 };
    eventually("the hub to be told", told).await;
    hub.import(&people).await;
    holds(&hub, &node, &[id(1)]).await;
    let before = hub.head().await;

    let newcomer = Citizen { personal_id: "001226123456".into(), ..people[7].clone() };
    let named = interest(&node, "add", &[id(2), id(3), &newcomer.personal_id]).await;
    assert_eq!(named["agreement"], "insured");
    holds(&hub, &node, &[id(1), id(2), id(3)]).await;
    // Changes of those named come, and of no one else.
    hub.change(id(2), &["other_name=Thử"]).await.unwrap();
    hub.change(id(9), &["other_name=Thử"]).await.unwrap();
    let changed = || async {
        let answers = node.batch("p", &[id(2).to_owned()]).await.unwrap();
        answers[0].citizen.as_ref().is_some_and(|citizen| citizen.other_name == "Thử")
    };
    eventually("the change of someone named", changed).await;
    // A number that gets its person.
    hub.import(std::slice::from_ref(&newcomer)).await;
    holds(&hub, &node, &[id(1), id(2), id(3), &newcomer.personal_id]).await;
    // Another number leads to the same person.
    hub.change(id(3), &["personal_id=001199777777"]).await.unwrap();
    holds(&hub, &node, &[id(1), id(2), "001199777777", &newcomer.personal_id]).await;

    interest(&node, "withdraw", &[id(1), &newcomer.personal_id]).await;
    holds(&hub, &node, &[id(2), "001199777777"]).await;
    assert!(node.batch("p", &[id(1).to_owned()]).await.unwrap()[0].citizen.is_none());

    // Out of reach, and over a restart: what is named waits, and is told once.
    node.line.cut();
    interest(&node, "add", &[id(4), id(5)]).await;
    interest(&node, "withdraw", &[id(2)]).await;
    assert_eq!(interest(&node, "list", &[]).await["waiting"], 3);
    node.kill();
    node.start().await;
    assert_eq!(node.status().await["citizens"], 2, "the hub does not know yet");
    node.line.restore();
    holds(&hub, &node, &["001199777777", id(4), id(5)]).await;
    let list = interest(&node, "list", &[]).await;
    assert_eq!((list["waiting"].as_u64(), list["personal_ids"].as_array().unwrap().len()), (Some(0), 3));

    // What was held when can still be asked.
    let shown = |at: u64, id: &str| {
        let (at, id) = (at.to_string(), id.to_owned());
        let hub = &hub;
        async move { hub.json(&["slice", "show", "--node", "node", "--citizen", &id, "--at", &at]).await }
    };
    assert_eq!(shown(before, id(2)).await["citizen"], Value::Null);
    assert_eq!(shown(before, id(1)).await["citizen"]["personal_id"], id(1));
    assert_eq!(shown(hub.head().await, id(1)).await["citizen"], Value::Null);
}
