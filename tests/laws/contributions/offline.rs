//! Days without the hub.

use dancu_proto::{
    node::v1::{
        SubmitContributionRequest, WatchContributionsRequest,
        contribution_service_client::ContributionServiceClient,
    },
    v1::{
        AccessContext, BloodType, Contribution, ContributionState, Date, Document, Event, PersonRef,
        event::Event as Kind, person_ref::By,
    },
};
use dancu_tests::testkit::{Hub, Node, people};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::offices::PURPOSE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_offline_outlives_kills_and_is_sent_in_order() {
    queued_offline(600, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: some minutes; part of `make test-slow`"]
async fn ten_thousand_queued_offline_outlive_kills_and_are_sent_in_order() {
    queued_offline(10_000, 6).await;
}

/// A blood type of somebody, from a hospital.
pub(crate) fn blood_type(number: &str, turn: usize) -> Contribution {
    let by = Some(By::PersonalId(number.into()));
    let blood = BloodType { person: Some(PersonRef { by }), blood_type: format!("{:02}", 1 + turn % 4) };
    Contribution {
        id: uuid::Uuid::now_v7().to_string(),
        context: Some(AccessContext {
            purpose: PURPOSE.into(),
            case_number: format!("HS-{turn}"),
            officer: "CB-1".into(),
        }),
        effective_date: Some(Date { year: 2026, month: 1, day: 1 + turn as u32 % 28 }),
        document: Some(Document {
            number: format!("{turn}"),
            date: Some(Date { year: 2026, month: 1, day: 28 }),
            issued_by: "Bệnh viện".into(),
        }),
        event: Some(Event { event: Some(Kind::BloodType(blood)) }),
        ..Contribution::default()
    }
}

async fn queued_offline(count: usize, kills: usize) {
    let mut rng = SmallRng::seed_from_u64(61);
    let hub = Hub::start().await;
    let people = people(61, u32::try_from(count).unwrap());
    hub.import(&people).await;
    hub.let_contribute("health", "health", PURPOSE).await;
    let mut node = hub.enroll("health", "health").await;
    node.reaches(hub.head().await).await;
    // A node that never reached the hub has no key to seal for; after that it needs none for days.
    node.line.cut();
    let mut kill_at: Vec<usize> = (0..kills).map(|_| rng.random_range(0..count)).collect();
    kill_at.sort_unstable();
    let mut ids = Vec::new();
    let mut client = ContributionServiceClient::new(node.channel().await.unwrap());
    for (turn, person) in people.iter().take(count).enumerate() {
        if kill_at.contains(&turn) {
            node.kill();
            node.start().await;
            client = ContributionServiceClient::new(node.channel().await.unwrap());
        }
        let contribution = blood_type(&person.personal_id, turn);
        ids.push(contribution.id.clone());
        let request = SubmitContributionRequest { contribution: Some(contribution) };
        let status = client.submit_contribution(request).await.unwrap().into_inner().status.unwrap();
        assert_eq!((status.state(), status.sequence), (ContributionState::Queued, 1 + turn as u64));
    }
    node.kill();
    node.start().await;
    let head = hub.head().await;
    node.line.restore();
    // Killed once more while it sends.
    tokio::time::sleep(std::time::Duration::from_millis(rng.random_range(50..400))).await;
    node.kill();
    node.start().await;
    let outcomes = wait_for_all(&node, count).await;
    let mut last = head;
    for (turn, id) in ids.iter().enumerate() {
        let (state, sequence, revision) = outcomes[id];
        assert_eq!((state, sequence), (ContributionState::Accepted, 1 + turn as u64), "{id}");
        assert!(revision > last, "{turn} is carried out at {revision}, after {last}");
        last = revision;
    }
    assert_eq!(last, head + count as u64, "each once, and nothing else");
    assert_eq!(hub.head().await, last);
}

async fn wait_for_all(
    node: &Node,
    count: usize,
) -> std::collections::BTreeMap<String, (ContributionState, u64, u64)> {
    let mut outcomes = std::collections::BTreeMap::new();
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
    tokio::time::timeout(std::time::Duration::from_mins(5), wait).await.expect("within five minutes");
    outcomes
}
