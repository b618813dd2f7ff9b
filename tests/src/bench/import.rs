//! `import`: a registry of ten million citizens is founded from a file, and then asked.
//!
//! Fairness. The hub reads JSON Lines, checks every value, and writes its indexes: number, commune and
//! province of every address, date of birth. PostgreSQL reads lines of COPY's text format, made
//! beforehand and not timed, checks types alone, and then makes an index of number, of the commune of
//! permanent residence, and of date of birth. What it takes for the two more that only nodes have, by
//! old number and by folded name, is a figure of its own. Size is what lies on the disk for data and
//! indexes when both have come to rest; PostgreSQL's log of changes is not counted, what the hub has
//! is counted whole. A look-up is of one person by number, one after the other over the Unix socket:
//! at the hub through the admin interface, with the origin of each value; at PostgreSQL a prepared
//! statement of `pgbench`, which finds the number in a small table first, because it cannot bring a
//! list.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use dancu_proto::hub::v1::GetCitizenRecordRequest;

use super::{
    Bench, cpu,
    fleet::{self, AS_IN_SERVICE},
    outcome::{Outcome, System, quantile},
    people::SEED,
    postgres::{Cluster, rows},
    progress, spinner,
};
use crate::{
    population::{Population, writer::Format},
    testkit::Hub,
};

/// The most people of whom a file is left as it is.
const PLAIN: u32 = 10_000_000;
/// Look-ups before any is timed.
const WARM: usize = 500;

/// Measures.
///
/// # Errors
/// If either system fails.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let citizens = bench.people.unwrap_or(bench.scale(10_000_000, 1_000_000));
    let population = Population::new(SEED, citizens);
    let mut outcome = Outcome::new("import", "A registry is founded from a file, and asked");
    let setting = format!("{} citizens", super::table::number(citizens.into()));
    let asked = sample(&population, bench.scale(20_000, 4_000));
    hub(&mut outcome, &setting, &population, &asked).await?;
    postgres(&mut outcome, &setting, &population, &asked).await?;
    let ratio = |name| {
        let value = |system| outcome.value(system, name, &setting);
        Some(value(System::Dancu)? / value(System::PostgreSql)?)
    };
    let (time, disk) = (ratio("import"), ratio("on disk"));
    outcome.goal("an import takes half of PostgreSQL's time", time, 0.5);
    outcome.goal("half of its disk", disk, 0.5);
    outcome.note("each import is done once");
    Ok(outcome)
}

/// Some numbers, one of each hamlet in turn, in no order that a disk would like.
fn sample(population: &Population, count: usize) -> Vec<String> {
    let hamlets = population.places().hamlets() as usize;
    // A stride that has no divisor in common with the number comes by every hamlet.
    let stride = (hamlets * 5 / 8..).find(|stride| coprime(*stride, hamlets)).unwrap_or(1);
    let people = |turn: usize| {
        let households = population.households((turn * stride % hamlets) as u32);
        let household = households.get(turn / hamlets % households.len().max(1))?;
        Some(population.records().citizen(household, 0).personal_id)
    };
    (0..count).filter_map(people).collect()
}

fn coprime(mut a: usize, mut b: usize) -> bool {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

async fn hub(
    outcome: &mut Outcome,
    setting: &str,
    population: &Population,
    asked: &[String],
) -> anyhow::Result<()> {
    let hub = Hub::start_with(AS_IN_SERVICE).await;
    let dir = tempfile::tempdir()?;
    let file = packed(dir.path().join("citizens.jsonl"), population);
    fleet::write_file(population, Format::JsonLines, &file)?;
    let bar = spinner("dancu-hub import");
    let (before, started) = (cpu::of_process(hub.process_id()), Instant::now());
    hub.cli(&["import", file.to_str().context("a path")?]).await.map_err(anyhow::Error::msg)?;
    let seconds = started.elapsed().as_secs_f64();
    let used = (cpu::of_process(hub.process_id()) - before).as_secs_f64();
    bar.finish_and_clear();
    dir.close()?;
    at_rest(|| Ok(cpu::of_process(hub.process_id()))).await?;
    outcome.add(System::Dancu, "import", setting, "s", vec![seconds]);
    outcome.add(System::Dancu, "CPU of the server", setting, "s", vec![used]);
    outcome.add(System::Dancu, "on disk", setting, "MB", vec![size(&hub.data_dir())? as f64 / 1e6]);
    let mut admin = hub.admin().await;
    let mut times = Vec::with_capacity(asked.len());
    let bar = progress("look-ups", asked.len() as u64);
    for (at, number) in asked.iter().enumerate() {
        let request = GetCitizenRecordRequest { personal_id: number.clone(), ..Default::default() };
        let started = Instant::now();
        admin.get_citizen_record(request).await?;
        if at >= WARM {
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    add_look_ups(outcome, System::Dancu, setting, &times);
    Ok(())
}

async fn postgres(
    outcome: &mut Outcome,
    setting: &str,
    population: &Population,
    asked: &[String],
) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = packed(dir.path().join("citizens.txt"), population);
    fleet::write_file(population, Format::Other(rows::append), &file)?;
    let cluster = Cluster::start()?;
    cluster.sql(&rows::table())?;
    let bar = spinner("COPY and CREATE INDEX");
    let (before, started) = (cluster.cpu(), Instant::now());
    rows::copy_file(&cluster, &file)?;
    cluster.sql(rows::INDEXES)?;
    let seconds = started.elapsed().as_secs_f64();
    let used = (cluster.cpu() - before).as_secs_f64();
    dir.close()?;
    outcome.add(System::PostgreSql, "import", setting, "s", vec![seconds]);
    outcome.add(System::PostgreSql, "CPU of the server", setting, "s", vec![used]);
    cluster.sql("VACUUM ANALYZE citizens")?;
    cluster.sql("CHECKPOINT")?;
    at_rest(|| Ok(cluster.cpu())).await?;
    outcome.add(System::PostgreSql, "on disk", setting, "MB", vec![cluster.size()? as f64 / 1e6]);
    let started = Instant::now();
    cluster.sql(rows::SEARCH_INDEXES)?;
    let more = started.elapsed().as_secs_f64();
    outcome.add(System::PostgreSql, "two more indexes", setting, "s", vec![more]);
    bar.finish_and_clear();
    let times = cluster.look_ups(asked)?;
    add_look_ups(outcome, System::PostgreSql, setting, times.get(WARM..).unwrap_or_default());
    Ok(())
}

fn add_look_ups(outcome: &mut Outcome, system: System, setting: &str, times: &[f64]) {
    for (name, share) in [("look-up p50", 0.5), ("look-up p99", 0.99)] {
        outcome.add(system, name, setting, "µs", quantile(times, share).into_iter().collect());
    }
}

/// Beyond what fits on a disk beside the systems themselves, the file is compressed, for both.
fn packed(file: PathBuf, population: &Population) -> PathBuf {
    if population.citizens() > PLAIN { file.with_added_extension("zst") } else { file }
}

/// Waits until a server does nothing any more: what it does after an import is part of its size.
async fn at_rest(used: impl Fn() -> anyhow::Result<Duration>) -> anyhow::Result<()> {
    let second = Duration::from_secs(1);
    for _ in 0..300 {
        let before = used()?;
        tokio::time::sleep(second).await;
        if used()? - before < second / 20 {
            break;
        }
    }
    Ok(())
}

fn size(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        // What is allotted, not what a file's length says: logs are made longer than they are.
        let allotted = std::os::unix::fs::MetadataExt::blocks(&about) * 512;
        bytes += if about.is_dir() { size(&entry.path())? } else { allotted };
    }
    Ok(bytes)
}
