//! `wire`: bytes on the line for a change of one field, at a busy reader and at a quiet one.
//!
//! Fairness. Bytes are counted between the two TCP connections of a line, TLS 1.3 included in both.
//! The reader at the hub is a real `dancu-node` with everything it does, heartbeats and
//! acknowledgements too; PostgreSQL's is `pg_recvlogical`, which reports to the server every ten
//! seconds. Both see one commune with the same fields; the change is of the same field to the same
//! value. PostgreSQL sends the whole row as published, by design, and a node gets the field.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;

use super::{
    Bench,
    drive::{self, Sightings},
    fanout,
    fleet::{self, AS_IN_SERVICE},
    outcome::{Outcome, System},
    people::{self, SEED},
    postgres::{session::Sessions, subscriber::Subscriber},
    progress, slice, spinner,
};
use crate::{
    population::Population,
    testkit::{Hub, Line},
};

/// Changes a second at the busy reader and at the quiet one.
const RATES: [(&str, u32); 2] = [("500 a second", 500), ("1 a second", 1)];
const TOWARDS: &str = "towards the reader";
const BOTH: &str = "both ways";

/// Measures.
///
/// # Errors
/// If either system fails.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("wire", "Bytes on the line for a change of one field");
    let bar = spinner("a hub, a cluster, and the same citizens");
    let population = Population::new(SEED, bench.citizens());
    let communes = people::communes(&population);
    let hub = Hub::start_with(AS_IN_SERVICE).await;
    fleet::import(&hub, &population).await?;
    hub.apply(&fleet::agreement("office", &communes[0].code)).await;
    let node = hub.enroll("office", "office").await;
    slice::serves(&node, hub.head().await).await?;
    let cluster = fanout::filled(bench.citizens())?;
    let sightings = Sightings::default();
    let line = Line::to(cluster.port()).await;
    let _subscriber =
        Subscriber::start(&cluster, line.port(), "office", &communes[0].code, sightings.clone())?;
    let sessions = Sessions::open(&cluster, 8).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bar.finish_and_clear();

    let people = Arc::new(communes[0].people.clone());
    let admin = hub.admin().await;
    for (setting, rate) in RATES {
        // Long enough that heartbeats and reports weigh as they do in service.
        let seconds = if rate == 1 { bench.scale(30, 20) } else { bench.scale(20, 5) };
        let changes = (rate * seconds) as usize;
        let repeats = bench.scale(3, 1);
        let bar = progress(setting, repeats);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..repeats {
            let before = carried(&node.line);
            drive::pace(rate, changes, fleet::change(&admin, &people)).await?;
            slice::serves(&node, hub.head().await).await?;
            ours.push(each(before, carried(&node.line), changes));
            let before = carried(&line);
            let window = drive::window(&sightings, rate, changes, sessions.change(&people)).await?;
            ensure!(window.overtaken == 0, "{} changes did not come", window.overtaken);
            theirs.push(each(before, carried(&line), changes));
            bar.inc(1);
        }
        bar.finish_and_clear();
        for (system, samples) in [(System::Dancu, ours), (System::PostgreSql, theirs)] {
            for (at, name) in [TOWARDS, BOTH].into_iter().enumerate() {
                let of = samples.iter().map(|sample| sample[at]).collect();
                outcome.add(system, name, setting, "bytes", of);
            }
        }
    }
    sessions.close().await?;
    Ok(outcome)
}

/// Bytes so far: towards the reader, and both ways.
fn carried(line: &Line) -> [i64; 2] {
    [line.bytes(), line.bytes() + line.bytes_to_hub()]
}

/// Bytes for each change.
fn each(before: [i64; 2], after: [i64; 2], changes: usize) -> [f64; 2] {
    [0, 1].map(|at| (after[at] - before[at]) as f64 / changes as f64)
}
