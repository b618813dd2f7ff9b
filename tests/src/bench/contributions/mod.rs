//! `contributions`: how many contributions a hub accepts from twenty nodes, beside PostgreSQL inserting
//! the same events over twenty connections.
//!
//! Fairness. The same events of the same people, in the same order on each line, on one machine, in turn,
//! round after round; ratios are of figures of the same round. What is durable at the hub is durable at
//! PostgreSQL: `fsync` and `synchronous_commit` are on, and both group what is committed at the same time.
//! TLS 1.3 on every line.
//!
//! - The **hub** is a real one with a registry of these people. Each contribution was sealed and signed by
//!   its node when it was queued, which is not timed: nodes have machines of their own. The hub checks the
//!   signature, opens the seal, asks agreement, authority and plausibility, changes the registry with journal and
//!   feed, signs a receipt, and brings the outcome to the node as mail. It is timed until each node has
//!   the last outcome. Nodes send one batch of 200 at a time, as the protocol has it.
//! - **PostgreSQL** has one table with a primary key, and a prepared `INSERT` on each connection, which is a
//!   transaction of its own: nothing is checked, and no citizen changes. That is in its favour.

mod postgres;

use std::time::{Duration, Instant};

use anyhow::ensure;
use dancu_proto::v1::Contribution;

use self::postgres::Inserters;
use super::{
    Bench, REPEATS, cpu,
    fleet::AS_IN_SERVICE,
    outcome::{A_SECOND, Outcome, System},
    people::SEED,
    progress, table,
};
use crate::{
    oracle::contributions::Authority,
    population::{Population, ages, contributions::Contributions},
    testkit::{Became, Hub, Sender, people},
};

/// Nodes that hand in at the same time, and connections of PostgreSQL.
const NODES: usize = 20;

/// Measures.
///
/// # Errors
/// If either system fails, or too little of what is handed in is accepted to be measured.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("contributions", "Contributions handed in over 20 nodes");
    let citizens = bench.scale(50_000, 10_000);
    let each = bench.scale(1_000, 200);
    let hub = Hub::start_with(AS_IN_SERVICE).await;
    hub.import(&people(SEED, citizens)).await;
    let authority = Authority::shipped()?;
    let roles: Vec<&str> = authority
        .roles
        .iter()
        .filter(|(_, role)| !role.events.is_empty())
        .map(|(name, _)| name.as_str())
        .collect();
    for role in &roles {
        hub.let_contribute(role, role, "contribute").await;
    }
    let population = Population::new(SEED, citizens);
    let mut source = Contributions::new(&population, &authority, ages::day(2026, 1, 1), 400.0).faultless();
    let mut senders = Vec::new();
    let mut roles_of = Vec::new();
    for number in 0..NODES {
        // Most of what offices register is of residence and civil status.
        let role = ["residence", "civil-status", "residence", "citizen-id"][number % 4];
        let node = hub.simulate(&format!("node-{number}"), role).await;
        node.wait_until_at(hub.head().await).await;
        senders.push(Sender::open(node, number).await?);
        roles_of.push(role);
    }
    let mut inserters = Inserters::start().await?;
    let mut samples: [[Vec<f64>; 2]; 2] = Default::default();
    let mut became = Became::default();
    let bar = progress("contributions", 2 * REPEATS as u64);
    for _ in 0..REPEATS {
        let work = work(&mut source, &roles_of, each)?;
        let total = (NODES * each) as f64;
        let before = cpu::of_process(hub.process_id());
        let (took, done) = hand_in(&mut senders, &work).await?;
        let used = cpu::of_process(hub.process_id()) - before;
        bar.inc(1);
        ensure!(done.accepted as f64 > 0.8 * total, "of {total} contributions it became {done:?}");
        became = became.and(done);
        samples[0][0].push(done.accepted as f64 / took.as_secs_f64());
        samples[0][1].push(used.as_secs_f64() * 1e6 / total);
        let before = inserters.cpu();
        let took = inserters.insert(&work).await?;
        let used = inserters.cpu() - before;
        bar.inc(1);
        samples[1][0].push(total / took.as_secs_f64());
        samples[1][1].push(used.as_secs_f64() * 1e6 / total);
    }
    bar.finish_and_clear();
    let setting = format!("{NODES} nodes");
    let [ours, theirs] = samples;
    for (system, [rates, cpu]) in [(System::Dancu, ours), (System::PostgreSql, theirs)] {
        outcome.add(system, "contributions accepted", &setting, A_SECOND, rates);
        outcome.add(system, "CPU of the server a contribution", &setting, "µs", cpu);
    }
    let ratio = outcome.ratio(System::Dancu, System::PostgreSql, "contributions accepted", &setting);
    outcome.goal_at_least("contributions accepted, times what PostgreSQL inserts", ratio, 1.0);
    outcome.note(format!(
        "{} citizens; of the contributions {} were accepted, {} rejected and {} put into review",
        table::number(citizens.into()),
        table::number(became.accepted as f64),
        table::number(became.rejected as f64),
        table::number(became.in_review as f64),
    ));
    outcome.note("accepted are counted at the hub, and all at PostgreSQL");
    Ok(outcome)
}

/// So many contributions for each node, of its role.
fn work(
    source: &mut Contributions<'_>,
    roles: &[&str],
    each: usize,
) -> anyhow::Result<Vec<Vec<Contribution>>> {
    let mut work: Vec<Vec<Contribution>> = vec![Vec::new(); roles.len()];
    let mut turn = 0;
    while work.iter().any(|of_one| of_one.len() < each) {
        let Some(handed) = source.next() else { anyhow::bail!("nothing happens any more") };
        // What names a child by its birth would wait for another node.
        if handed.names_a_birth() {
            continue;
        }
        turn += 1;
        let of_role = (0..roles.len()).map(|at| (at + turn) % roles.len());
        let open = of_role
            .filter(|at| roles[*at] == handed.role && work[*at].len() < each)
            .min_by_key(|at| work[*at].len());
        if let Some(at) = open {
            work[at].push(handed.contribution);
        }
    }
    Ok(work)
}

/// Lets all nodes hand in at the same time: how long it took, and what became of it.
async fn hand_in(senders: &mut [Sender], work: &[Vec<Contribution>]) -> anyhow::Result<(Duration, Became)> {
    ensure!(senders.len() == work.len(), "work for each node");
    // That each node seals and signs what it queues is its own work, done when it was queued.
    let batches: Vec<_> =
        senders.iter_mut().zip(work).map(|(sender, work)| sender.queue(work)).collect::<Result<_, _>>()?;
    let started = Instant::now();
    let handing_in = senders.iter_mut().zip(batches).map(|(sender, batches)| sender.hand_in(batches));
    let became = futures::future::try_join_all(handing_in).await?;
    Ok((started.elapsed(), became.into_iter().fold(Became::default(), Became::and)))
}
