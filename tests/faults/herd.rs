//! All nodes at once: a hub that was killed and is back has hundreds of them at its door.

use std::time::{Duration, Instant};

use dancu_proto::hub::v1::AddNodeRequest;
use dancu_tests::testkit::{Agreement, Hub, Simulated, eventually, people};
use tokio::task::JoinSet;

/// Simulated nodes try again every 30 ms and do not spread: a worse herd than real nodes make.
const NODES: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_that_comes_back_is_served_and_a_change_comes_through_meanwhile() {
    let mut hub = Hub::start().await;
    let people = people(81, 2_000);
    hub.import(&people).await;
    hub.apply(&Agreement {
        id: "everyone".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: vec!["full_name".into(), "email".into()],
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    })
    .await;
    let mut joining = JoinSet::new();
    let mut nodes: Vec<Simulated> = Vec::new();
    for count in 0..NODES {
        if joining.len() == 16 {
            nodes.push(joining.join_next().await.unwrap().unwrap());
        }
        let (mut admin, line) = (hub.admin().await, hub.straight_line());
        joining.spawn(async move {
            let name = format!("node-{count}");
            let request = AddNodeRequest { name, agency: "agency".into(), ..AddNodeRequest::default() };
            let token = admin.add_node(request).await.unwrap().into_inner().token;
            Simulated::join(&token, line).await.unwrap()
        });
    }
    nodes.extend(joining.join_all().await);
    nodes.iter_mut().for_each(Simulated::start);
    let head = hub.head().await;
    for node in &nodes {
        node.wait_until_at(head).await;
    }
    let before: u64 = nodes.iter().map(|node| node.traffic().streams).sum();
    let received: u64 = nodes.iter().map(|node| node.traffic().changes).sum();

    hub.kill();
    // Long enough that everyone has noticed.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let back = Instant::now();
    hub.restart().await;
    let revision = hub.change(&people[0].personal_id, &["email=herd@example.vn"]).await.unwrap();
    let first = || async { nodes.iter().any(|node| node.holding().cursor >= revision) };
    eventually("the change at some node", first).await;
    let first = back.elapsed();
    for node in &nodes {
        node.wait_until_at(revision).await;
    }
    let all = back.elapsed();
    eprintln!("the change is at the first node after {first:?}, at all {NODES} after {all:?}");
    assert!(first < Duration::from_secs(5), "{first:?}");
    assert!(all < Duration::from_secs(20), "{all:?}");
    let streams = nodes.iter().map(|node| node.traffic().streams).sum::<u64>() - before;
    assert!(streams <= NODES as u64 + 20, "{streams} streams for {NODES} nodes: some were lost again");
    let changes = nodes.iter().map(|node| node.traffic().changes).sum::<u64>() - received;
    assert_eq!(changes, NODES as u64, "nobody is sent again what it holds");
}
