//! Enrolment over real sockets: every way it can go wrong says so, and a suspension bites at once.

use std::time::{Duration, Instant};

use dancu_tests::testkit::{Agreement, Hub, Node, people};

fn agreement(provinces: &[&str]) -> Agreement {
    Agreement {
        id: "test".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: vec!["full_name".into(), "sex".into()],
        provinces: provinces.iter().map(|code| (*code).to_owned()).collect(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    }
}

#[tokio::test]
async fn a_token_lets_one_node_in_once() {
    let hub = Hub::start().await;
    let token = hub.token("first", "agency").await;
    let node = Node::join("first", hub.line().await, &token).await.unwrap();
    let again = Node::join("first", hub.line().await, &token).await.err().unwrap();
    assert!(again.contains("used"), "{again}");
    let damaged = format!("{}x", &token[..token.len() - 1]);
    let unread = Node::join("first", hub.line().await, &damaged).await.err().unwrap();
    assert!(!unread.contains("panicked") && unread.lines().count() == 1, "{unread}");
    let args = ["node", "add", "--name", "second", "--agency", "agency", "--expires", "1s"];
    let short = hub.cli(&args).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let late = Node::join("second", hub.line().await, short.trim()).await.err().unwrap();
    assert!(late.contains("expired"), "{late}");
    let other = Hub::start().await;
    let foreign = other.token("third", "agency").await;
    let wrong = Node::join("third", hub.line().await, &foreign).await.err().unwrap();
    assert!(wrong.contains("not the hub") || wrong.contains("authority"), "{wrong}");
    drop(node);
}

#[tokio::test]
async fn suspension_and_revocation_bite_at_once() {
    let hub = Hub::start().await;
    let people = people(5, 500);
    hub.import(&people).await;
    hub.apply(&agreement(&[])).await;
    let mut node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    let ids = [people[0].personal_id.clone()];
    assert!(node.batch("p", &ids).await.unwrap()[0].citizen.is_some());

    let began = Instant::now();
    hub.cli(&["node", "suspend", "node", "--reason", "an audit"]).await.unwrap();
    while node.batch("p", &ids).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(1), "the stream is cut within a second");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(node.batch("p", &ids).await.unwrap_err().message().contains("an audit"));
    // A restart does not forget it.
    node.kill();
    node.start().await;
    node.is("suspended").await;
    hub.cli(&["node", "resume", "node"]).await.unwrap();
    node.is("serving").await;
    assert!(node.batch("p", &ids).await.unwrap()[0].citizen.is_some());

    hub.cli(&["node", "revoke", "node", "--reason", "the end"]).await.unwrap();
    node.is("revoked").await;
    assert!(node.batch("p", &ids).await.is_err());
    assert_eq!(node.status().await["citizens"], 0);
    node.kill();
    let name = people.iter().find_map(|p| p.full_name.as_ref()).unwrap().full();
    let found = std::process::Command::new("grep").arg("-rl").arg(&name).arg(node.data()).output().unwrap();
    assert!(found.stdout.is_empty(), "nothing of the slice is left on disk");
    let refused = hub.cli(&["node", "resume", "node"]).await.unwrap_err();
    assert!(refused.contains("revoked"), "{refused}");
}

#[tokio::test]
async fn certificates_renew_without_dropping_service() {
    let lifetimes: &'static [(&str, &str)] =
        &[("DANCU_HUB__CERTIFICATES__NODE_LIFETIME", "4s"), ("DANCU_HUB__CERTIFICATES__HUB_LIFETIME", "4s")];
    let hub = Hub::start_with(lifetimes).await;
    let people = people(6, 200);
    hub.import(&people).await;
    hub.apply(&agreement(&[])).await;
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    let ids = [people[0].personal_id.clone()];
    let expires = async || hub.json(&["node", "show", "node"]).await["certificate_expires"].as_i64().unwrap();
    let first = expires().await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        assert!(node.batch("p", &ids).await.unwrap()[0].citizen.is_some());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(expires().await >= first + 4, "renewed, more than once over");
    // The line still stands, or stands again: a change arrives.
    let args = [
        "change",
        &ids[0],
        "--set",
        "sex=1",
        "--reason",
        "r",
        "--document",
        "d",
        "--effective",
        "2026-01-01",
    ];
    hub.cli(&args).await.unwrap();
    node.reaches(hub.head().await).await;
}
