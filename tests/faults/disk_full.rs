//! A disk that is full: writing stops with a clear error, reading goes on, and when there is room
//! everything goes on by itself, with nothing lost. Twice each: while a reserve is left, as it should
//! be, and with the disk filled to the last byte, so that the database itself runs dry.

use std::collections::BTreeMap;

use dancu_proto::{Reason, v1::Citizen};
use dancu_tests::testkit::{Agreement, Disk, Hub, Node, eventually, people};
use serde_json::Value;

const FULL: &str = "the disk is full";

fn everyone(version: u32, fields: &[&str]) -> Agreement {
    Agreement {
        id: "everyone".into(),
        version,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    }
}

/// The node holds to the bit what the hub says it should, and did not have to repair anything.
async fn is_exact(node: &Node, hub: &Hub) {
    node.reaches(hub.head().await).await;
    let proof: Value = serde_json::from_str(&node.cli(&["verify-slice", "--json"]).await.unwrap()).unwrap();
    for list in ["missing", "different", "foreign"] {
        assert_eq!(proof[list].as_array().unwrap().len(), 0, "{list}: {proof}");
    }
    assert_eq!((&proof["index_entries"], &proof["reloading"]), (&0.into(), &false.into()), "{proof}");
    let digest = hub.json(&["slice", "digest", "--node", "node"]).await;
    assert_eq!(digest["digest"], proof["digest"]);
}

async fn emails(node: &Node, people: &[Citizen]) -> Vec<String> {
    let ids: Vec<String> = people.iter().map(|one| one.personal_id.clone()).collect();
    let answers = node.batch("p", &ids).await.unwrap();
    answers.into_iter().map(|answer| answer.citizen.unwrap().email).collect()
}

/// A hub on a full disk. It would have ample room for everything within the reserve. `room` is what the disk is filled but for, MiB.
async fn of_a_hub(settings: &'static [(&'static str, &'static str)], room: u64) {
    let Some(disk) = Disk::mount(600) else { return };
    let mut hub = Hub::start_on(&disk, settings).await;
    let people = people(61, 62_000);
    let (first, rest) = people.split_at(2_000);
    hub.import(first).await;
    hub.apply(&everyone(1, &["full_name", "email"])).await;
    let mut node = hub.enroll("node", "agency").await;
    let mut acknowledged = BTreeMap::new();
    for (count, one) in first.iter().take(20).enumerate() {
        let email = format!("before{count}@example.vn");
        hub.change(&one.personal_id, &[&format!("email={email}")]).await.unwrap();
        acknowledged.insert(one.personal_id.clone(), email);
    }
    disk.fill(room);
    // The log of writes has room set aside: this is more than fits into that.
    let refused = hub.try_import(rest).await.unwrap_err();
    assert!(refused.contains(FULL), "{refused}");
    let refused = hub.change(&first[30].personal_id, &["email=full@example.vn"]).await.unwrap_err();
    assert!(refused.contains(FULL), "{refused}");
    let refused = hub.cli(&["node", "add", "--name", "other", "--agency", "agency"]).await.unwrap_err();
    assert!(refused.contains("cannot store this now"), "{refused}");
    // Reading goes on, also for a node that connects only now.
    let shown = hub.json(&["citizen", "show", &first[0].personal_id]).await;
    assert_eq!(shown["citizen"]["email"], "before0@example.vn", "{shown}");
    node.kill();
    node.start().await;
    node.reaches(hub.head().await).await;
    let log = hub.log();
    let dirs =
        log.lines().filter_map(|line| line.split_once("ERROR dancu_hub::registry")?.1.split("dir=").nth(1));
    let mut dirs: Vec<_> = dirs.collect();
    let told = dirs.len();
    dirs.dedup();
    assert_eq!(dirs.len(), told, "each database tells it once:\n{log}");
    assert!(told > 0, "{log}");
    if room > 0 {
        // A start may use the reserve, and what it gives back is filled too.
        hub.kill();
        hub.restart().await;
        disk.fill(room);
        assert!(hub.change(&first[30].personal_id, &["email=full@example.vn"]).await.is_err());
    }

    let process = hub.process_id();
    disk.make_room();
    eventually("the hub to write again", || async {
        hub.change(&first[31].personal_id, &["email=after@example.vn"]).await.is_ok()
    })
    .await;
    acknowledged.insert(first[31].personal_id.clone(), "after@example.vn".into());
    assert_eq!(hub.process_id(), process, "without a restart");
    let done = hub.try_import(rest).await.unwrap();
    assert_eq!(done["added"].as_u64().unwrap() + done["unchanged"].as_u64().unwrap(), 60_000, "{done}");
    is_exact(&node, &hub).await;
    let head = hub.head().await;
    hub.kill();
    hub.restart().await;
    assert_eq!(hub.head().await, head);
    for (id, email) in &acknowledged {
        let shown = hub.json(&["citizen", "show", id]).await;
        assert_eq!(shown["citizen"]["email"], email.as_str(), "{shown}");
    }
    let again = hub.try_import(rest).await.unwrap();
    assert_eq!(again["unchanged"], 60_000, "{again}");
    is_exact(&node, &hub).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_stops_writing_while_a_reserve_is_left_and_goes_on_when_there_is_room() {
    of_a_hub(&[("DANCU_HUB__STORAGE__RESERVE_MB", "300")], 280).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_whose_database_ran_dry_goes_on_when_there_is_room() {
    of_a_hub(&[("DANCU_HUB__STORAGE__RESERVE_MB", "0")], 0).await;
}

/// A node on a full disk, likewise.
async fn of_a_node(slice: &str, room: u64) {
    let Some(disk) = Disk::mount(400) else { return };
    let hub = Hub::start().await;
    let people = people(62, 63_000);
    let (first, rest) = people.split_at(3_000);
    hub.import(first).await;
    let fields = ["full_name", "email", "permanent_residence", "place_of_birth", "father", "mother"];
    hub.apply(&everyone(1, &fields)).await;
    let token = hub.token("node", "agency").await;
    let mut node = Node::join_on(&disk, slice, "node", hub.line().await, &token).await.unwrap();
    node.reaches(hub.head().await).await;
    let held = emails(&node, &first[..100]).await;

    disk.fill(room);
    hub.import(rest).await;
    hub.change(&first[0].personal_id, &["email=full@example.vn"]).await.unwrap();
    eventually("the node to tell that its disk is full", || async {
        node.status().await["explanation"].as_str().is_some_and(|why| why.contains(FULL))
    })
    .await;
    let status = node.status().await;
    assert_eq!(status["state"], "offline", "{status}");
    assert!(status["cursor"].as_u64() < Some(hub.head().await), "{status}");
    assert!(node.log().contains(FULL), "{}", node.log());
    if room == 0 {
        // With not a byte left a call cannot be recorded, and what is not recorded is not answered.
        let refused = node.batch("p", &[first[0].personal_id.clone()]).await.unwrap_err();
        assert_eq!(Reason::of(&refused), Some(Reason::AccessNotRecorded), "{refused}");
    } else {
        assert_eq!(emails(&node, &first[..100]).await, held, "look-ups go on");
        // What is taken away may use the reserve, and so may a start.
        node.kill();
        node.start().await;
        hub.apply(&everyone(2, &["full_name", "email"])).await;
        eventually("the node to strip what it may no longer hold", || async {
            let answers = node.batch("p", &[first[1].personal_id.clone()]).await;
            answers.is_ok_and(|answers| answers[0].citizen.as_ref().unwrap().permanent_residence.is_none())
        })
        .await;
        assert_eq!(emails(&node, &first[..100]).await, held, "look-ups still go on");
    }

    let process = node.process_id();
    disk.make_room();
    node.reaches(hub.head().await).await;
    assert_eq!(node.process_id(), process, "without a restart");
    assert_eq!(node.status().await["citizens"], 63_000);
    assert_eq!(emails(&node, &first[..1]).await, ["full@example.vn"]);
    is_exact(&node, &hub).await;
    node.kill();
    node.start().await;
    is_exact(&node, &hub).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_stands_still_while_a_reserve_is_left_and_goes_on_when_there_is_room() {
    of_a_node("reserve_mb = 200", 180).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_database_ran_dry_goes_on_when_there_is_room() {
    of_a_node("reserve_mb = 0\nwrite_buffer_mb = 1", 0).await;
}
