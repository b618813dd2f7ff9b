//! What the hub makes of what is handed in, beside the model: in whatever order it comes.

use dancu_tests::{
    oracle::contributions::{Authority, outcomes::Queued},
    population::{Population, ages, contributions::Contributions},
    testkit::{Became, Hub, Sender, people},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{books, offices::PURPOSE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_is_what_the_model_says_in_whatever_order_offices_come() {
    judged(81, 700).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: some minutes; part of `make test-slow`"]
async fn the_registry_is_what_the_model_says_for_many_seeds() {
    for seed in 82..97 {
        judged(seed, 2_500).await;
    }
}

async fn judged(seed: u64, count: usize) {
    eprintln!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let authority = Authority::shipped().unwrap();
    let (hub, people) = (Hub::start().await, people(seed, 2_000));
    hub.import(&people).await;
    let roles: Vec<String> = authority.roles.keys().cloned().collect();
    let mut senders = Vec::new();
    for (number, role) in roles.iter().enumerate() {
        hub.let_contribute(role, role, PURPOSE).await;
        let node = hub.simulate(&format!("node-{number}"), role).await;
        node.wait_until_at(hub.head().await).await;
        senders.push(Sender::open(node, number).await.unwrap());
    }
    let population = Population::new(seed, 2_000);
    let source = Contributions::new(&population, &authority, ages::day(2026, 1, 1), 60.0);
    let mut work = vec![Vec::new(); roles.len()];
    for handed in source.filter(|handed| handed.sort != "the same again").take(count) {
        let of = roles.iter().position(|role| *role == handed.role).unwrap();
        work[of].push(handed.contribution);
    }
    let (mut queued, mut became) = (Vec::new(), Became::default());
    while let Some(left) = work.iter().map(Vec::len).max().filter(|left| *left > 0) {
        let at = rng.random_range(0..senders.len());
        let some = rng.random_range(1..=left).min(work[at].len());
        let (sender, some) = (&mut senders[at], work[at].drain(..some).collect::<Vec<_>>());
        for (turn, one) in some.iter().enumerate() {
            let sequence = sender.sequence() + 1 + turn as u64;
            queued.push(Queued { id: one.id.clone(), node: sender.name().to_owned(), sequence });
        }
        let batches = sender.queue(&some).unwrap();
        became = became.and(sender.hand_in(batches).await.unwrap());
    }
    eprintln!("at first: {became:?}");
    assert!(became.accepted * 2 > count as u64, "hardly anything is accepted: {became:?}");
    let told = books::decide_all(&hub, &mut rng).await;
    let faults = books::faults(&hub, &authority, &people, &queued, told).await;
    assert!(faults.is_empty(), "seed {seed}: {} faults\n{}", faults.len(), faults.join("\n"));
}
