//! The ends as they are: the node's outbox and protocol, and the hub's registry and what it takes over.

use dancu_proto::v1::Citizen;
use dancu_tests::testkit::{Hub, people};

use super::{
    EACH, NODES, STEPS,
    hub_end::HubEnd,
    node_end::{Joined, NodeEnd},
    world::World,
};
use crate::contributions::blood_type;

/// A hub that nodes have joined, at rest; and whom contributions are about.
struct Founded {
    hub: Hub,
    joined: Vec<Joined>,
    people: Vec<Citizen>,
}

async fn found() -> Founded {
    let mut hub = Hub::start().await;
    let people = people(71, (NODES * EACH) as u32);
    hub.import(&people).await;
    hub.let_contribute("health", "health", "contribute").await;
    let mut joined = Vec::new();
    for number in 0..NODES {
        let mut node = hub.simulate(&format!("node-{number}"), "health").await;
        node.wait_until_at(hub.head().await).await;
        let (name, registry_id) = (node.name().to_owned(), node.holding().registry);
        joined.push(Joined { name, identity: node.identity(), registry_id });
        node.kill().await;
    }
    hub.stop();
    Founded { hub, joined, people }
}

fn real(founded: &Founded, seed: u64) {
    let to_come = (0..NODES).map(|node| {
        let of_node = founded.people.iter().skip(node).step_by(NODES).enumerate();
        of_node.map(|(turn, person)| blood_type(&person.personal_id, turn)).collect()
    });
    let nodes: Vec<NodeEnd> = founded.joined.iter().map(NodeEnd::new).collect();
    let names = founded.joined.iter().map(|joined| joined.name.clone()).collect();
    let hub = HubEnd::new(&founded.hub.data_dir(), names);
    let mut world = World::new(seed, nodes, hub, to_come.collect());
    world.run(STEPS);
    let faults = world.faults();
    assert!(faults.is_empty(), "seed {seed}: {faults:#?}\n{}", world.story.join("\n"));
}

async fn schedules(seeds: std::ops::Range<u64>) {
    let founded = found().await;
    let schedules = tokio::task::spawn_blocking(move || {
        for seed in seeds {
            eprintln!("seed {seed}");
            real(&founded, seed);
        }
    });
    schedules.await.unwrap();
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
