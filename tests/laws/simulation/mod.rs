//! Law 3 in a simulation: the node's and the hub's own protocol, with lines that are lost between any two
//! messages, crashes of either side, full disks, and files that go by hand, in an order that a seed draws.

mod hub_end;
mod network;
mod node_end;
mod plain;
mod schedules;
mod world;

use std::collections::BTreeMap;

use dancu_proto::v1::Contribution;

use plain::{PlainHub, PlainNode, Wrong};
use world::World;

/// Nodes of a world.
const NODES: usize = 3;
/// What is handed in at each.
const EACH: usize = 25;
/// What happens before everything is left in peace.
const STEPS: u32 = 700;

/// A directory for an end; in memory where there is such a disk: crashes here end no machine.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

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
    // What the hub says too early the protocol mends by itself most of the time.
    for (wrong, most) in
        [(Wrong::SentIsEnough, 60), (Wrong::QueuedInMemory, 60), (Wrong::Twice, 60), (Wrong::TakenEarly, 95)]
    {
        let worlds = std::panic::catch_unwind(|| good(wrong)).unwrap_or(0);
        assert!(worlds < most, "{wrong:?} goes unnoticed in {worlds} worlds of 100");
    }
}
