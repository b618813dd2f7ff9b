//! Days without the hub.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dancu_proto::{
    node::v1::{
        SubmitContributionRequest, WatchContributionsRequest,
        contribution_service_client::ContributionServiceClient,
    },
    v1::ContributionState,
};
use dancu_tests::testkit::{Agreement, Hub, Node, blood_type, eventually, living};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::offices::PURPOSE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_offline_outlives_kills_and_is_sent_in_order() {
    queued_offline(600, 3, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: some minutes; part of `make test-slow`"]
async fn ten_thousand_queued_offline_outlive_kills_and_are_sent_in_order_beside_the_slices_catch_up() {
    queued_offline(10_000, 6, Some(5_000)).await;
}

/// With a pace, the line is so slow at first that contributions and the slice's own catch-up have to share it.
async fn queued_offline(count: usize, kills: usize, pace: Option<u16>) {
    let seed = 61;
    eprintln!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let hub = Hub::start().await;
    let mut people = living(seed, count);
    hub.import(&people).await;
    hub.apply(&everyone()).await;
    hub.let_contribute("health", "health", PURPOSE).await;
    let mut node = hub.enroll("health", "health").await;
    node.reaches(hub.head().await).await;
    // A node that never reached the hub has no key to seal for; after that it needs none for days.
    node.line.cut();
    let mut kill_at: Vec<usize> = (0..kills).map(|_| rng.random_range(0..count)).collect();
    kill_at.sort_unstable();
    let mut ids = Vec::new();
    let mut client = ContributionServiceClient::new(node.channel().await.unwrap());
    for (turn, person) in people.iter().enumerate() {
        if kill_at.contains(&turn) {
            node.kill();
            node.start().await;
            client = ContributionServiceClient::new(node.channel().await.unwrap());
        }
        let contribution = blood_type(&person.personal_id, PURPOSE, turn);
        ids.push(contribution.id.clone());
        let request = SubmitContributionRequest { contribution: Some(contribution) };
        let status = client.submit_contribution(request).await.unwrap().into_inner().status.unwrap();
        assert_eq!((status.state(), status.sequence), (ContributionState::Queued, 1 + turn as u64));
    }
    node.kill();
    node.start().await;
    // Meanwhile everybody whom the node holds has changed.
    for person in &mut people {
        person.email = format!("{:016x}@example.vn", rng.random::<u64>());
    }
    hub.import(&people).await;
    let head = hub.head().await;
    node.line.slow_down(pace);
    node.line.restore();
    // Killed once more while it sends.
    tokio::time::sleep(Duration::from_millis(rng.random_range(50..400))).await;
    node.kill();
    node.start().await;
    if pace.is_some() {
        let begun = Instant::now();
        eventually("the slice to catch up", || async {
            node.state().await.is_ok_and(|state| state.cursor >= head)
        })
        .await;
        let queued = node.state().await.unwrap().contributions_queued as usize;
        eprintln!("{:?} for the slice; {} handed over by then", begun.elapsed(), count - queued);
        assert!(count - queued >= count / 100, "contributions wait for the slice");
        node.line.slow_down(None);
    }
    let begun = Instant::now();
    let outcomes = wait_for_all(&node, count).await;
    eprintln!("{:?} for the rest of the outcomes", begun.elapsed());
    let mut last = head;
    for (turn, id) in ids.iter().enumerate() {
        let (state, sequence, revision) = outcomes[id];
        assert_eq!((state, sequence), (ContributionState::Accepted, 1 + turn as u64), "{id}");
        assert!(revision > last, "{turn} is carried out at {revision}, after {last}");
        last = revision;
    }
    assert_eq!(last, head + count as u64, "each once, and nothing else");
    assert_eq!(hub.head().await, last);
    node.reaches(last).await;
}

/// What the node of a hospital holds.
fn everyone() -> Agreement {
    Agreement {
        id: "everyone".into(),
        version: 1,
        agency: "health".into(),
        purpose: "p".into(),
        fields: vec!["full_name".into(), "email".into()],
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "7d".into(),
    }
}

async fn wait_for_all(node: &Node, count: usize) -> BTreeMap<String, (ContributionState, u64, u64)> {
    let mut outcomes = BTreeMap::new();
    let mut client = ContributionServiceClient::new(node.channel().await.unwrap());
    let mut all =
        client.watch_contributions(WatchContributionsRequest::default()).await.unwrap().into_inner();
    let wait = async {
        while outcomes.len() < count {
            let Some(status) = all.message().await.unwrap().expect("it goes on").status else { continue };
            if let Some(outcome) = status.outcome {
                outcomes.insert(status.contribution_id, (outcome.state(), status.sequence, outcome.revision));
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(5), wait).await.expect("within five minutes");
    outcomes
}
