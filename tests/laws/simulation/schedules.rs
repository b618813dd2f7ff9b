//! The ends as they are: the node's outbox and protocol, and the hub's registry and what it takes over.

use std::sync::Mutex;

use dancu_proto::v1::Citizen;
use dancu_tests::testkit::{Hub, blood_type, living};

use super::{
    EACH, NODES, STEPS,
    hub_end::HubEnd,
    node_end::{Joined, NodeEnd},
    world::World,
};

const PURPOSE: &str = "contribute";

/// A hub that nodes have joined, at rest; and whom contributions are about.
struct Founded {
    hub: Hub,
    joined: Vec<Joined>,
    people: Vec<Citizen>,
}

async fn found() -> Founded {
    let mut hub = Hub::start().await;
    let people = living(71, NODES * EACH);
    hub.import(&people).await;
    hub.let_contribute("health", "health", PURPOSE).await;
    let mut joined = Vec::new();
    for number in 0..NODES {
        let mut node = hub.simulate(&format!("node-{number}"), "health").await;
        node.wait_until_at(hub.head().await).await;
        let (name, registry_id) = (node.name().to_owned(), node.holding().registry);
        joined.push(Joined::new(name, node.identity(), registry_id));
        node.kill().await;
    }
    hub.stop();
    Founded { hub, joined, people }
}

fn real(founded: &Founded, seed: u64) {
    let to_come = (0..NODES).map(|node| {
        let of_node = founded.people.iter().skip(node).step_by(NODES).enumerate();
        of_node.map(|(turn, person)| blood_type(&person.personal_id, PURPOSE, turn)).collect()
    });
    let nodes: Vec<NodeEnd> = founded.joined.iter().map(NodeEnd::new).collect();
    let names = founded.joined.iter().map(|joined| joined.name.clone()).collect();
    let hub = HubEnd::new(&founded.hub.data_dir(), names);
    let mut world = World::new(seed, nodes, hub, to_come.collect());
    world.run(STEPS);
    let faults = world.faults();
    assert!(faults.is_empty(), "seed {seed}: {faults:#?}\n{}", world.story.join("\n"));
}

/// Worlds that run side by side: each waits for its disk and its hub's writer most of the time.
const SIDE_BY_SIDE: usize = 4;

async fn schedules(mut seeds: std::ops::Range<u64>) {
    let founded = found().await;
    let schedules = tokio::task::spawn_blocking(move || {
        let seeds = Mutex::new(&mut seeds);
        let worker = || {
            while let Some(seed) = next(&seeds) {
                eprintln!("seed {seed}");
                real(&founded, seed);
            }
        };
        std::thread::scope(|threads| {
            let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| threads.spawn(worker)).collect();
            for worker in workers {
                // It has said what went wrong.
                assert!(worker.join().is_ok(), "a schedule failed");
            }
        });
    });
    schedules.await.unwrap();
}

fn next(seeds: &Mutex<&mut std::ops::Range<u64>>) -> Option<u64> {
    seeds.lock().unwrap().next()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_counts_twice_in_fifty_schedules() {
    schedules(0..50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: some minutes; part of `make test-slow`"]
async fn nothing_is_lost_and_nothing_counts_twice_in_a_thousand_schedules() {
    schedules(1_000..2_000).await;
}
