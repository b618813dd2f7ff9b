//! Law 3: no contribution is lost or counted twice, whatever crashes, disconnects or is retried. And the
//! registry comes to say what an independent model says it must.

mod books;
mod judged;
mod offices;
mod offline;
mod trouble;

use std::collections::BTreeMap;

use dancu_tests::{oracle::contributions::Authority, population::Population, testkit::people};
use rand::{SeedableRng, rngs::SmallRng};

use trouble::Headquarters;

/// How much of everything.
struct Scale {
    nodes: usize,
    citizens: u32,
    contributions: usize,
    troubles: u32,
    disks: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_in_counts_once_and_the_registry_is_what_the_model_says() {
    let scale = Scale { nodes: 5, citizens: 1_500, contributions: 400, troubles: 10, disks: false };
    nothing_is_lost_and_nothing_counts_twice(51, scale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: some minutes; part of `make test-slow`"]
async fn twenty_nodes_hand_in_thousands_among_every_kind_of_trouble() {
    for seed in [52, 53] {
        let scale = Scale { nodes: 20, citizens: 4_000, contributions: 4_000, troubles: 80, disks: true };
        nothing_is_lost_and_nothing_counts_twice(seed, scale).await;
    }
}

async fn nothing_is_lost_and_nothing_counts_twice(seed: u64, scale: Scale) {
    eprintln!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let authority = Authority::shipped().unwrap();
    let place = Headquarters::found(scale.disks).await;
    let people = people(seed, scale.citizens);
    place.hub.lock().await.import(&people).await;
    let offices = offices::offices(&*place.hub.lock().await, &authority, scale.nodes).await;
    let population = Population::new(seed, scale.citizens);
    let work = offices::work(&offices, &authority, &population, scale.contributions, &mut rng);

    let mut seeds = (0..).map(|turn| SmallRng::seed_from_u64(seed * 1_000 + turn));
    let handing_in = offices
        .iter()
        .zip(work)
        .map(|(office, work)| offices::hand_in(office, work, seeds.next().unwrap()))
        .collect::<Vec<_>>();
    let troubled = SmallRng::seed_from_u64(seed * 1_000 + 999);
    let (handed_in, did) = tokio::join!(
        futures::future::join_all(handing_in),
        trouble::trouble(&place, &offices, scale.troubles, troubled)
    );
    eprintln!("{did:#?}");
    let mut queued = Vec::new();
    for (office, said) in offices.iter().zip(&handed_in) {
        for (contribution, status) in &said.refused {
            eprintln!("refused at {}: {} {status}", office.name, contribution.id);
        }
        offices::answered(office, &said.queued).await;
        queued.extend(said.queued.iter().cloned());
    }
    let full: u32 = handed_in.iter().map(|said| said.full).sum();
    eprintln!("{full} times a node refused because its disk was full");
    let refused: usize = handed_in.iter().map(|said| said.refused.len()).sum();
    assert!(refused * 10 < scale.contributions, "{refused} are refused at the nodes already");
    let hub = place.hub.lock().await;
    let told = books::decide_all(&hub, &mut rng).await;
    let faults = books::faults(&hub, &authority, &people, &queued, told).await;
    assert!(faults.is_empty(), "seed {seed}: {} faults\n{}", faults.len(), faults.join("\n"));
    // The nodes know it all, too, and say the same.
    let mut sequences: BTreeMap<&str, u64> = BTreeMap::new();
    for (office, said) in offices.iter().zip(&handed_in) {
        for (one, status) in said.queued.iter().zip(offices::settled(office, &said.queued).await) {
            let said = status.outcome.unwrap_or_default();
            let at_hub = books::contribution(&hub, &one.id).await.outcome.unwrap_or_default();
            assert_eq!((said.state, said.revision), (at_hub.state, at_hub.revision), "{}", one.id);
            let last = sequences.entry(&one.node).or_default();
            assert!(one.sequence > *last, "sequences rise in the order of queueing");
            *last = one.sequence;
        }
    }
}
