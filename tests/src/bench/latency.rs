//! `latency`: from handing in a change at the hub until it can be read at the one node that sees it.
//!
//! Fairness. Changes are handed in at an even 500 a second whether or not those before are done, so
//! that a system that cannot keep up is seen to fall behind (no coordinated omission). The clock
//! starts before the commit. With the hub it stops when a simulated node has applied the change in
//! memory, and at one real node, among the others, when a caller that asks again and again reads the
//! new value there; with PostgreSQL when `pg_recvlogical` has written it out, which applies nothing. All of it
//! runs on one machine, the readers too, and they take CPU from the servers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use dancu_proto::{
    node::v1::{GetCitizenRequest, citizen_service_client::CitizenServiceClient},
    v1::AccessContext,
};
use tonic::transport::Channel;

use super::{
    Bench, REPEATS,
    drive::{self, Sightings, Window},
    fanout,
    fleet::{self, Fleet, dealt},
    outcome::{Outcome, System, quantile},
    people::{self, SEED},
    postgres::{session::Sessions, subscriber::Subscriber},
    progress, slice, spinner,
};
use crate::population::Population;

/// Changes a second.
const RATE: u32 = 500;
/// Changes a second that are waited for at a real node.
const PROBES: f64 = 10.0;
/// PostgreSQL's subscribers.
const SUBSCRIBERS: usize = 64;
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)];

/// Measures.
///
/// # Errors
/// If either system fails.
pub async fn run(bench: &mut Bench) -> anyhow::Result<Outcome> {
    let mut outcome =
        Outcome::new("latency", "From handing in a change until its reader has it, 500 a second");
    let most = bench.scale(3_400, 500);
    let setting = format!("{most} connected");
    let (window, repeats) = (bench.window() * 2, REPEATS);
    let fleet = bench.fleet().await?;
    fleet.connect(most).await?;
    let admin = fleet.hub.admin().await;
    let write = fleet::change(&admin, &Arc::new(fleet.seen_once()));
    let streams = fleet.streams();
    windows(&mut outcome, System::Dancu, &setting, window, repeats, &fleet.sightings, &write).await?;
    real_node(&mut outcome, fleet, &format!("{setting}, a real node"), window, write).await?;
    outcome.note_lost(&setting, fleet.streams() - streams);
    ensure!(fleet.faults().is_empty(), "{:?}", fleet.faults());
    fleet.disconnect().await;

    let bar = spinner("a cluster with the same citizens");
    let cluster = fanout::filled(bench.citizens())?;
    let communes = people::communes(&Population::new(SEED, bench.citizens()));
    bar.finish_and_clear();
    let sightings = Sightings::default();
    let mut subscribers = Vec::new();
    for (at, commune) in communes[..SUBSCRIBERS].iter().enumerate() {
        let (name, port) = (format!("office_{at}"), cluster.port());
        subscribers.push(Subscriber::start(&cluster, port, &name, &commune.code, sightings.clone())?);
    }
    let sessions = Sessions::open(&cluster, 8).await?;
    let write = sessions.change(&Arc::new(dealt(&communes[..SUBSCRIBERS])));
    let theirs = format!("{SUBSCRIBERS} connected");
    windows(&mut outcome, System::PostgreSql, &theirs, window, repeats, &sightings, write).await?;
    sessions.close().await?;

    for (name, limit) in [("p50", 10.0), ("p99", 100.0)] {
        let value = outcome.value(System::Dancu, name, &setting);
        outcome.goal(format!("{name} with {most} connected, ms"), value, limit);
    }
    Ok(outcome)
}

/// At a real node of one commune, while changes of all others go on at their pace.
async fn real_node<F>(
    outcome: &mut Outcome,
    fleet: &Fleet,
    setting: &str,
    window: Duration,
    write: impl Fn(usize, String) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let commune = fleet.spare().context("a commune")?;
    fleet.hub.apply(&fleet::agreement("real", &commune.code)).await;
    let node = fleet.hub.enroll("real", "real").await;
    slice::serves(&node, fleet.hub.head().await).await?;
    let (admin, people) = (fleet.hub.admin().await, Arc::new(commune.people.clone()));
    let change = fleet::change(&admin, &people);
    let mut reader = node.client().await?;
    let mut times = Vec::new();
    let bar = spinner("a real node");
    let load = drive::pace(RATE, (window.as_secs_f64() * f64::from(RATE)) as usize, write);
    let probe = async {
        for turn in 0..(window.as_secs_f64() * PROBES) as usize {
            let value = drive::value_of(drive::next());
            let started = Instant::now();
            let changed = tokio::spawn(change(turn, value.clone()));
            while mobile_number(&mut reader, &people[turn % people.len()]).await? != value {
                ensure!(
                    started.elapsed() < Duration::from_secs(30),
                    "a change does not come to the real node"
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            times.push(started.elapsed().as_secs_f64() * 1e3);
            changed.await??;
            tokio::time::sleep(Duration::from_secs_f64(1.0 / PROBES)).await;
        }
        anyhow::Ok(())
    };
    let (load, probe) = tokio::join!(load, probe);
    load?;
    probe?;
    bar.finish_and_clear();
    for (name, share) in QUANTILES {
        outcome.add(System::Dancu, name, setting, "ms", quantile(&times, share).into_iter().collect());
    }
    Ok(())
}

async fn mobile_number(reader: &mut CitizenServiceClient<Channel>, person: &str) -> anyhow::Result<String> {
    let context = AccessContext {
        purpose: fleet::PURPOSE.into(),
        case_number: "B-1".into(),
        officer: "benchmark".into(),
    };
    let request = GetCitizenRequest {
        context: Some(context),
        personal_id: person.to_owned(),
        fields: Vec::new(),
        remote: false,
    };
    let citizen = reader.get_citizen(request).await?.into_inner().citizen;
    Ok(citizen.unwrap_or_default().mobile_number)
}

async fn windows<F>(
    outcome: &mut Outcome,
    system: System,
    setting: &str,
    window: Duration,
    repeats: usize,
    sightings: &Sightings,
    write: impl Fn(usize, String) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let changes = (window.as_secs_f64() * f64::from(RATE)) as usize;
    let bar = progress(&format!("{setting}, {RATE} changes a second"), repeats as u64);
    drive::window(sightings, RATE, changes / 4, &write).await?;
    let mut done: Vec<Window> = Vec::new();
    for _ in 0..repeats {
        done.push(drive::window(sightings, RATE, changes, &write).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    for (name, share) in QUANTILES {
        let samples = done.iter().filter_map(|window| quantile(&window.latencies, share)).collect();
        outcome.add(system, name, setting, "ms", samples);
    }
    let overtaken: usize = done.iter().map(|window| window.overtaken).sum();
    if overtaken > 0 {
        outcome.note(format!("{setting}: {overtaken} changes were overtaken by a later one, or never seen"));
    }
    Ok(())
}
