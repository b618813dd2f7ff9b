//! Law 3 in a simulation: the node's and the hub's own protocol, with lines that are lost between any two
//! messages, crashes of either side, full disks, and files that go by hand, in an order that a seed draws.

mod hub_end;
mod network;
mod node_end;
mod plain;
mod world;

use std::collections::BTreeMap;

use dancu_proto::v1::{Citizen, Contribution};
use dancu_tests::testkit::{Hub, people};

use crate::contributions::blood_type;
use hub_end::HubEnd;
use node_end::{Joined, NodeEnd};
use plain::{PlainHub, PlainNode, Wrong};
use world::World;

/// Nodes of a world.
const NODES: usize = 3;
/// What is handed in at each.
const EACH: usize = 25;
/// What happens before everything is left in peace.
const STEPS: u32 = 700;

/// Whether a world of plain ends, one of them wrong in a way, ends as it must.
fn plain(seed: u64, wrong: Wrong) -> bool {
    let mut owners = BTreeMap::new();
    let to_come: Vec<Vec<Contribution>> = (0..NODES)
        .map(|node| {
            let contribution =
                |count: usize| Contribution { id: format!("{node}-{count}"), ..Contribution::default() };
            let list: Vec<_> = (0..EACH).map(contribution).collect();
            owners.extend(list.iter().map(|one| (one.id.clone(), node)));
            list
        })
        .collect();
    let nodes = (0..NODES).map(|_| PlainNode::new(wrong)).collect();
    let mut world = World::new(seed, nodes, PlainHub::new(wrong, owners), to_come);
    world.run(STEPS);
    let faults = world.faults();
    assert!(wrong != Wrong::Nothing || faults.is_empty(), "seed {seed}: {faults:#?}");
    faults.is_empty()
}

#[test]
fn a_world_of_plain_ends_comes_to_a_good_end_and_faults_come_out() {
    let good = |wrong| (0..100).filter(|seed| plain(*seed, wrong)).count();
    assert_eq!(good(Wrong::Nothing), 100);
    for wrong in [Wrong::SentIsEnough, Wrong::QueuedInMemory, Wrong::Twice, Wrong::TakenEarly] {
        let worlds = std::panic::catch_unwind(|| good(wrong)).unwrap_or(0);
        assert!(worlds < 30, "{wrong:?} goes unnoticed in {worlds} worlds of 100");
    }
}

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
        node.start();
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
