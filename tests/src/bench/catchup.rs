//! `catchup`: somebody was away while a twentieth of the slice changed three times.
//!
//! Fairness. The same changes of one field, each a commit of its own, in the same order. The node
//! process was stopped and is started again, so its time has the opening of its database in it; the
//! subscription was disabled and is enabled. The end is when the last of all changes can be read.
//! PostgreSQL replays every commit, by design; a node gets what changed, once, by design.

use std::{sync::Arc, time::Instant};

use anyhow::Context;

use super::{
    Bench, bootstrap, cpu,
    drive::{self, next, value_of},
    fleet,
    outcome::{Outcome, System},
    postgres::session::{Sessions, update},
    progress,
    slice::{Pair, Taken, megabytes, serves, there, until},
};

/// How often each of the twentieth changes.
const TIMES: usize = 3;
/// Changes under way together.
const AT_ONCE: usize = 512;

/// Measures.
///
/// # Errors
/// If either system fails.
pub async fn run(bench: &mut Bench) -> anyhow::Result<Outcome> {
    let repeats = bench.scale(3, 1);
    let pair = bench.pair().await?;
    if pair.node.is_none() || pair.subscriber.is_none() {
        pair.node_takes().await?;
        pair.subscriber_takes().await?;
    }
    let mut outcome = Outcome::new("catchup", "Back after a twentieth of the slice changed three times");
    let changed = super::table::number(pair.twentieth.len() as f64);
    let setting = format!("{changed} citizens, {TIMES} times");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        ours.push(node_returns(pair).await?);
        theirs.push(subscriber_returns(pair).await?);
    }
    bootstrap::add(&mut outcome, System::Dancu, &setting, &ours);
    bootstrap::add(&mut outcome, System::PostgreSql, &setting, &theirs);
    Ok(outcome)
}

async fn node_returns(pair: &mut Pair) -> anyhow::Result<Taken> {
    there(pair.node.as_mut())?.stop();
    let changes = pair.twentieth.len() * TIMES;
    let bar = progress("changes while the node is away", changes as u64);
    let write = fleet::change(&pair.hub.admin().await, &pair.twentieth);
    drive::rush(changes, AT_ONCE, write, || bar.inc(1)).await?;
    bar.finish_and_clear();
    let (head, hub) = (pair.hub.head().await, pair.hub.process_id());
    let node = there(pair.node.as_mut())?;
    let before = (cpu::of_process(hub), megabytes(&node.line));
    let started = Instant::now();
    node.start().await;
    serves(node, head).await?;
    Ok(Taken {
        seconds: started.elapsed().as_secs_f64(),
        giver: (cpu::of_process(hub) - before.0).as_secs_f64(),
        taker: cpu::of_process(node.process_id()).as_secs_f64(),
        megabytes: megabytes(&node.line) - before.1,
    })
}

async fn subscriber_returns(pair: &mut Pair) -> anyhow::Result<Taken> {
    let (subscriber, line) = there(pair.subscriber.as_mut())?;
    subscriber.sql("ALTER SUBSCRIPTION slice DISABLE")?;
    until(|| Ok(pair.publisher.sql("SELECT count(*) FROM pg_replication_slots WHERE active")? == "0"))
        .await?;
    // How fast they are made is not what is measured here.
    pair.publisher.sql("ALTER ROLE postgres SET synchronous_commit = off")?;
    let changes = pair.twentieth.len() * TIMES;
    let bar = progress("changes while the subscriber is away", changes as u64);
    let sessions = Sessions::open(&pair.publisher, 4).await?;
    let write = sessions.change(&Arc::clone(&pair.twentieth));
    drive::rush(changes, AT_ONCE, write, || bar.inc(1)).await?;
    sessions.close().await?;
    pair.publisher.sql("ALTER ROLE postgres RESET synchronous_commit")?;
    bar.finish_and_clear();
    let (last, value) = (pair.twentieth.last().context("somebody")?, value_of(next()));
    pair.publisher.sql(&update(last, &value))?;
    let before = (pair.publisher.cpu(), subscriber.cpu(), megabytes(line));
    let started = Instant::now();
    subscriber.sql("ALTER SUBSCRIPTION slice ENABLE")?;
    let seen =
        format!("SELECT count(*) FROM citizens WHERE personal_id = {last} AND mobile_number = '{value}'");
    until(|| Ok(subscriber.sql(&seen)? == "1")).await?;
    Ok(Taken {
        seconds: started.elapsed().as_secs_f64(),
        giver: (pair.publisher.cpu() - before.0).as_secs_f64(),
        taker: (subscriber.cpu() - before.1).as_secs_f64(),
        megabytes: megabytes(line) - before.2,
    })
}
