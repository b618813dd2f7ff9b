//! `fanout`: what a change costs its server that exactly one of many connected sees.
//!
//! Fairness. The same people and the same changes, one field of one person at a time, at the same
//! even pace, low enough that changes are not batched. A commit is durable before it is answered, in
//! both. A node or subscriber sees one commune with the same fields, over TCP and TLS 1.3. Counted is
//! the whole server: with the hub all its threads, with PostgreSQL all its processes (backends,
//! walsenders, WAL writer). What the server uses anyhow with so many connected, for heartbeats and
//! keep-alive, is measured right before, without changes, and taken off; it is a figure of its own.
//!
//! In PostgreSQL's favour: its filter looks at the permanent residence alone, where an agreement
//! counts temporary residence too; its subscribers discard what they get, where a simulated node
//! applies each frame in memory and acknowledges it; it checks no certificate of a subscriber.

use std::{sync::Arc, time::Duration};

use super::{
    Bench, REPEATS,
    drive::{self, Sightings},
    fleet::{self, dealt},
    outcome::{Outcome, System},
    people::{self, SEED},
    postgres::{
        Cluster, rows,
        session::Sessions,
        subscriber::{self, Subscriber},
    },
    progress, spinner,
};
use crate::population::Population;

/// Changes a second.
const RATE: u32 = 500;
const COST: &str = "CPU for a change";
const IDLE: &str = "CPU without changes";
const SENDERS: &str = "of it in walsenders";

/// Measures.
///
/// # Errors
/// If either system fails.
pub async fn run(bench: &mut Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("fanout", "CPU of the server for a change that one of N connected sees");
    let stages = bench.scale(&[1, 64, 1_000, 3_400][..], &[1, 64, 500]);
    let most = stages.iter().copied().max().unwrap_or(1);
    hub(bench, &mut outcome, stages, most).await?;
    postgres(bench, &mut outcome).await?;
    let ours = |setting: &str| outcome.value(System::Dancu, COST, setting);
    let growth = ours(&connected(most)).zip(ours(&connected(1))).map(|(many, one)| many / one);
    let theirs = outcome.value(System::PostgreSql, COST, &connected(64));
    let share = ours(&connected(64)).zip(theirs).map(|(ours, theirs)| ours / theirs);
    outcome.goal(format!("hub, {most} connected : 1 connected"), growth, 1.2);
    outcome.goal("64 connected, Dancu : PostgreSQL", share, 0.1);
    outcome.note(format!("{RATE} changes a second; CPU without changes is taken off"));
    Ok(outcome)
}

fn connected(count: usize) -> String {
    format!("{count} connected")
}

async fn hub(bench: &mut Bench, outcome: &mut Outcome, stages: &[usize], most: usize) -> anyhow::Result<()> {
    let (window, repeats, quick) = (bench.window(), REPEATS, bench.quick);
    let fleet = bench.fleet().await?;
    for &count in stages {
        fleet.connect(count).await?;
        let server = fleet.hub.process_id();
        let cpu = || super::cpu::of_process(server);
        let everyone = (connected(count), fleet.seen_once());
        let mut all = vec![everyone];
        if count == most && !quick {
            all.push((format!("{count} connected, all changes at one"), fleet.seen_by_one()));
        }
        for (setting, people) in all {
            let admin = fleet.hub.admin().await;
            let write = fleet::change(&admin, &Arc::new(people));
            let (before, streams) = (fleet.changes_received(), fleet.streams());
            let costs = costs(&setting, window, repeats, &fleet.sightings, cpu, write).await?;
            let received = fleet.changes_received() - before;
            anyhow::ensure!(received == costs.seen, "{received} changes came for {} seen", costs.seen);
            anyhow::ensure!(fleet.faults().is_empty(), "{:?}", fleet.faults());
            costs.add_to(outcome, System::Dancu, &setting);
            outcome.note_lost(&setting, fleet.streams() - streams);
        }
    }
    // What PostgreSQL is measured with next is not to share the machine with.
    fleet.disconnect().await;
    Ok(())
}

async fn postgres(bench: &Bench, outcome: &mut Outcome) -> anyhow::Result<()> {
    let bar = spinner("a cluster with the same citizens");
    let cluster = filled(bench.citizens())?;
    let communes = people::communes(&Population::new(SEED, bench.citizens()));
    bar.finish_and_clear();
    let sightings = Sightings::default();
    let mut subscribers = Vec::new();
    for &count in bench.scale(&[1, 16, 64][..], &[1, 64]) {
        while subscribers.len() < count {
            let (name, commune) =
                (format!("office_{}", subscribers.len()), &communes[subscribers.len()].code);
            let port = cluster.port();
            subscribers.push(Subscriber::start(&cluster, port, &name, commune, sightings.clone())?);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let people = Arc::new(dealt(&communes[..count]));
        let sessions = Sessions::open(&cluster, 8).await?;
        let before = cluster.cpu_of_senders();
        let setting = connected(count);
        let write = sessions.change(&people);
        let costs = costs(&setting, bench.window(), REPEATS, &sightings, || cluster.cpu(), write).await?;
        let senders = cluster.cpu_of_senders().saturating_sub(before).as_secs_f64() * 1e6;
        let changes = costs.changes as f64;
        costs.add_to(outcome, System::PostgreSql, &setting);
        outcome.add(System::PostgreSql, SENDERS, &setting, "µs", vec![senders / changes]);
        sessions.close().await?;
    }
    Ok(())
}

/// A cluster with the people that the hub has, and room for subscribers.
///
/// # Errors
/// If PostgreSQL fails.
pub fn filled(citizens: u32) -> anyhow::Result<Cluster> {
    let cluster = Cluster::start()?;
    cluster.sql(&rows::table())?;
    rows::copy(&cluster, Population::new(SEED, citizens).iter(), || {})?;
    cluster.sql(rows::INDEXES)?;
    subscriber::prepare(&cluster)?;
    Ok(cluster)
}

struct Costs {
    /// µs a change, one for each window.
    change: Vec<f64>,
    /// ms a second.
    idle: Vec<f64>,
    changes: usize,
    seen: u64,
}

impl Costs {
    fn add_to(self, outcome: &mut Outcome, system: System, setting: &str) {
        outcome.add(system, COST, setting, "µs", self.change);
        outcome.add(system, IDLE, setting, "ms/s", self.idle);
    }
}

async fn costs<F>(
    what: &str,
    window: Duration,
    repeats: usize,
    sightings: &Sightings,
    cpu: impl Fn() -> Duration,
    write: impl Fn(usize, String) -> F,
) -> anyhow::Result<Costs>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let changes = (window.as_secs_f64() * f64::from(RATE)) as usize;
    let bar = progress(what, repeats as u64);
    let mut costs = Costs { change: Vec::new(), idle: Vec::new(), changes: 0, seen: 0 };
    // The first window warms caches and is not counted.
    let warm = drive::window(sightings, RATE, changes / 4, &write).await?;
    (costs.changes, costs.seen) = (warm.changes, warm.latencies.len() as u64);
    for _ in 0..repeats {
        let at = (cpu(), std::time::Instant::now());
        tokio::time::sleep(window).await;
        let idle = (cpu() - at.0).as_secs_f64() / at.1.elapsed().as_secs_f64();
        let at = (cpu(), std::time::Instant::now());
        let done = drive::window(sightings, RATE, changes, &write).await?;
        let used = (cpu() - at.0).as_secs_f64() - idle * at.1.elapsed().as_secs_f64();
        costs.change.push(used * 1e6 / done.changes as f64);
        costs.idle.push(idle * 1e3);
        costs.changes += done.changes;
        costs.seen += done.latencies.len() as u64;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(costs)
}
