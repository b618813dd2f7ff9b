//! Handing in: queued without a line, over kills and seals, and counted once whichever way it comes.

use std::{collections::BTreeSet, path::PathBuf};

use dancu_proto::{
    channel::PeerIdentity,
    signed::verify,
    v1::{Citizen, ContributionReceipt, ContributionState, Signed},
};
use dancu_tests::testkit::{Hub, Node, eventually, people};
use serde_json::{Value, json};

/// Those who live.
fn living(seed: u64) -> Vec<Citizen> {
    people(seed, 400).into_iter().filter(|citizen| citizen.date_of_death.is_none()).collect()
}

async fn start(people: &[Citizen]) -> (Hub, Node) {
    let hub = Hub::start().await;
    hub.import(people).await;
    hub.let_contribute("ha-giang", "civil-status", "p").await;
    let node = hub.enroll("node", "ha-giang").await;
    node.is("serving").await;
    (hub, node)
}

/// A file of deaths; the numbers tell one from another.
fn deaths(hub: &Hub, name: &str, people: &[Citizen], numbers: std::ops::Range<usize>) -> PathBuf {
    let death = |number: usize| {
        json!({
            "id": id(number),
            "context": {"purpose": "p", "case_number": format!("T-{number}"), "officer": "tester"},
            "document": {"number": format!("{number}/KT"), "date": "2026-11-23", "issued_by": "UBND"},
            "event": {"death": {
                "person": {"personal_id": people[number].personal_id}, "date_of_death": "2026-11-20",
            }},
        })
    };
    let lines: Vec<_> = numbers.map(|number| death(number).to_string()).collect();
    let file = hub.data_dir().join(name);
    std::fs::write(&file, lines.join("\n")).unwrap();
    file
}

fn id(number: usize) -> String {
    format!("01890a5d-ac96-774b-bcce-{number:012x}")
}

/// What the node says of each contribution of a file.
async fn contribute(node: &Node, file: &std::path::Path, wait: bool) -> Vec<Value> {
    let mut args = vec!["contribute", file.to_str().unwrap(), "--json"];
    args.extend(wait.then_some("--wait"));
    let out = node.cli(&args).await.unwrap();
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn all_are(told: &[Value], state: &str) -> bool {
    told.iter().all(|one| one["state"] == state)
}

async fn outbox(node: &Node) -> Value {
    serde_json::from_str(&node.cli(&["outbox", "status", "--json"]).await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_queued_without_a_line_survives_a_kill_and_counts_once() {
    let people = living(81);
    let (hub, mut node) = start(&people).await;
    node.line.cut();
    let file = deaths(&hub, "deaths.jsonl", &people, 0..40);
    let told = contribute(&node, &file, false).await;
    assert!(all_are(&told, "queued"), "{told:?}");
    // Who waits is told what for, and need not wait for ever.
    let waits = ["contribute", file.to_str().unwrap(), "--wait", "--timeout", "5s"];
    let told_why = node.cli(&waits).await.unwrap_err();
    assert!(told_why.contains("waiting for the line to the hub"), "{told_why}");
    assert!(told_why.contains("40 contributions are not concluded yet"), "{told_why}");
    node.kill();
    node.start().await;
    let standing = outbox(&node).await;
    assert_eq!((&standing["queued"], &standing["last_sequence"]), (&json!(40), &json!(40)));
    assert_eq!(node.status().await["contributions_queued"], 40);
    // Repeated, since whoever was killed with the node does not know.
    let again = contribute(&node, &file, false).await;
    assert_eq!(again, told);
    node.line.restore();
    let told = contribute(&node, &file, true).await;
    assert!(all_are(&told, "accepted"), "{told:?}");
    let revisions: BTreeSet<_> = told.iter().map(|one| one["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions.len(), 40, "each by a commit of its own");
    let authority = hub.authority();
    for (number, one) in told.iter().enumerate() {
        let signed = Signed::from_text(one["receipt"].as_str().unwrap()).unwrap();
        let (receipt, signer) = verify::<ContributionReceipt>(&signed, &authority).unwrap();
        assert_eq!(signer, PeerIdentity::Hub);
        assert_eq!(
            (receipt.contribution_id.clone(), receipt.state()),
            (id(number), ContributionState::Accepted)
        );
        assert_eq!(Some(receipt.revision), one["revision"].as_u64());
    }
    node.kill();
    node.start().await;
    node.is("serving").await;
    assert_eq!(contribute(&node, &file, true).await, told, "nothing counts twice");
    let standing = outbox(&node).await;
    assert_eq!((&standing["queued"], &standing["accepted"]), (&json!(0), &json!(40)));
    assert_eq!(standing["hub_sequence"], 40);
    let said = async |args: &[&str]| -> Value {
        serde_json::from_str(&node.cli(&[&["contribution"], args, &["--json"]].concat()).await.unwrap())
            .unwrap()
    };
    let one = said(&["show", &id(0)]).await;
    assert_eq!((&one["state"], &one["revision"]), (&json!("accepted"), &told[0]["revision"]));
    assert!(one["queued_at"].is_string() && one["told_at"].is_string(), "{one}");
    assert_eq!(said(&["list"]).await.as_array().unwrap().len(), 40);
    assert_eq!(said(&["list", "--open"]).await, json!([]));
    receipt_is_kept_and_checked(&hub, &node).await;
    assert!(
        node.cli(&["contribution", "show", &id(99)])
            .await
            .unwrap_err()
            .contains("no contribution of that id")
    );
}

/// A receipt in a file says whose word it is without node and hub, and nothing else does.
async fn receipt_is_kept_and_checked(hub: &Hub, node: &Node) {
    let file = hub.data_dir().join("receipt.signed");
    let name = file.to_str().unwrap();
    node.cli(&["contribution", "receipt", &id(0), "--out", name]).await.unwrap();
    let again = node.cli(&["contribution", "receipt", &id(0), "--out", name]).await;
    assert!(again.unwrap_err().contains("exists"), "one that is kept is not written over");
    let verify = ["contribution", "verify", name];
    let said: Value =
        serde_json::from_str(&node.cli(&[&verify[..], &["--json"]].concat()).await.unwrap()).unwrap();
    assert_eq!((&said["contribution_id"], &said["state"]), (&json!(id(0)), &json!("accepted")));
    assert!(hub.cli(&verify).await.unwrap().contains("the hub signed this receipt"));
    let receipt = Signed::from_text(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let altered = Signed { content: [&receipt.content[..], &[64, 9]].concat(), ..receipt };
    std::fs::write(&file, altered.to_text()).unwrap();
    assert!(node.cli(&verify).await.unwrap_err().contains("was altered"));
    assert!(hub.cli(&verify).await.unwrap_err().contains("proves nothing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_travels_in_a_file_counts_once_when_the_line_comes_back() {
    let people = living(82);
    let (hub, node) = start(&people).await;
    let other = hub.enroll("other", "ha-giang").await;
    other.is("serving").await;
    node.line.cut();
    let first = deaths(&hub, "first.jsonl", &people, 0..5);
    contribute(&node, &first, false).await;
    let carried = hub.data_dir().join("first.outbox");
    let carried = carried.to_str().unwrap();
    node.cli(&["outbox", "export", carried]).await.unwrap();
    let refused = node.cli(&["outbox", "export", carried]).await.unwrap_err();
    assert!(refused.contains("--force"), "a copy is not written over: {refused}");
    node.cli(&["outbox", "export", carried, "--force"]).await.unwrap();
    let bytes = std::fs::read(carried).unwrap();
    let person = people[0].personal_id.as_bytes();
    assert!(!bytes.windows(person.len()).any(|window| window == person), "it is sealed");
    // One way to the hub itself, the other by a node that has a line.
    hub.cli(&["contribution", "import", carried]).await.unwrap();
    let second = deaths(&hub, "second.jsonl", &people, 5..9);
    contribute(&node, &second, false).await;
    let brought = hub.data_dir().join("second.outbox");
    let brought = brought.to_str().unwrap();
    node.cli(&["outbox", "export", brought]).await.unwrap();
    other.cli(&["outbox", "import", brought]).await.unwrap();
    eventually("the other node to send it on", || async { outbox(&other).await["brought"] == 0 }).await;
    let shown = || async {
        let mut shown = Vec::new();
        for number in 0..9 {
            let one = hub.json(&["contribution", "show", &id(number)]).await;
            assert_eq!(one["state"], "accepted", "contribution {number}");
            shown.push(one["revision"].clone());
        }
        shown
    };
    let revisions = shown().await;
    node.line.restore();
    let mut told = contribute(&node, &first, true).await;
    told.extend(contribute(&node, &second, true).await);
    assert!(all_are(&told, "accepted"));
    hub.cli(&["contribution", "import", brought]).await.unwrap();
    assert_eq!(shown().await, revisions, "nothing counts twice");
    assert_eq!(told.iter().map(|one| one["revision"].clone()).collect::<Vec<_>>(), revisions);
    assert_eq!(outbox(&node).await["queued"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_node_takes_in_and_hands_over() {
    let people = living(83);
    let (hub, node) = start(&people).await;
    node.cli(&["seal"]).await.unwrap();
    node.is("sealed").await;
    let file = deaths(&hub, "sealed.jsonl", &people, 0..3);
    let told = contribute(&node, &file, false).await;
    assert!(told.iter().all(|one| one["state"] == "queued" || one["state"] == "handed_over"), "{told:?}");
    // It is handed over, and what became of it waits at the hub.
    eventually("the hub to have it", || async { outbox(&node).await["handed_over"] == 3 }).await;
    node.cli(&["unseal"]).await.unwrap();
    assert!(all_are(&contribute(&node, &file, true).await, "accepted"));
}
