//! `merger`: the day of 1 July 2025, on a live hub with a population that lives under the order before.
//!
//! Four real nodes over lines that count: of two provinces that merge, of a commune, and of the nation.
//! At each a caller looks up one person after another all along. The time begins with the command of
//! the operator, preview and all, and ends when every node holds what it should under the new order.
//! PostgreSQL has no such thing to be measured beside.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use dancu_proto::{
    node::v1::{GetCitizenRequest, citizen_service_client::CitizenServiceClient},
    v1::AccessContext,
};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use super::{
    Bench, fleet,
    outcome::{Outcome, System, quantile},
    people::SEED,
    slice, spinner, table,
};
use crate::{
    population::{Codes, Population},
    testkit::{Agreement, Hub, Node},
};

/// Name, provinces and commune of each node.
const NODES: [(&str, &[&str], &[&str]); 4] = [
    ("province 02, which lies in 08 then", &["02"], &[]),
    ("province 08", &["08"], &[]),
    ("commune 00001, which lies in 00097 then", &[], &["00001"]),
    ("the nation", &[], &[]),
];
const PURPOSE: &str = "1.001613";
/// People whom callers look up in turn.
const ASKED: usize = 500;
/// Between two look-ups of a caller.
const PAUSE: Duration = Duration::from_millis(1);
/// How long look-ups are timed before the merger.
const BEFORE: Duration = Duration::from_secs(3);

/// Measures.
///
/// # Errors
/// If a hub or a node fails, or a look-up is refused.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let citizens = bench.scale(1_000_000, 100_000);
    let mut outcome = Outcome::new("merger", "Provinces and communes merge on a live hub");
    let setting = format!("{} citizens", table::number(citizens.into()));
    let bar = spinner("a hub under the order before");
    let hub = Hub::start_under(&data("administrative_units_before_2025-07-01.csv")).await;
    let population = Population::new(SEED, citizens).with_codes(Codes::Before);
    fleet::import(&hub, &population).await?;
    let mut nodes = Vec::new();
    for (number, (_, provinces, communes)) in NODES.iter().enumerate() {
        let agency = format!("agency-{number}");
        hub.apply(&agreement(&agency, provinces, communes)).await;
        let node = hub.enroll(&agency, &agency).await;
        slice::serves(&node, hub.head().await).await?;
        nodes.push(node);
    }
    bar.finish_and_clear();

    let residents = residents(&population);
    let bar = spinner("look-ups before");
    let callers = call(&nodes, &residents).await?;
    tokio::time::sleep(BEFORE).await;
    let before = finish(callers).await?;
    bar.finish_and_clear();

    let bar = spinner("the merger");
    let callers = call(&nodes, &residents).await?;
    let bytes: Vec<f64> = nodes.iter().map(|node| slice::megabytes(&node.line)).collect();
    let held: Vec<u64> = held(&nodes).await?;
    let started = Instant::now();
    let mut args = vec!["area", "merge"];
    let (merger, units) = (path("merger_2025-07-01.csv"), path("administrative_units.csv"));
    args.extend([&merger[..], "--units", &units, "--from", "2025-07-01", "--document", "202/2025/QH15"]);
    hub.cli(&[&args[..], &["--preview"]].concat()).await.map_err(anyhow::Error::msg)?;
    outcome.add(System::Dancu, "preview", &setting, "s", vec![started.elapsed().as_secs_f64()]);
    let started = Instant::now();
    let merged = hub.json(&[&args[..], &["--yes", "--no-count"]].concat()).await["revision"].as_u64();
    let merged = merged.context("a revision")?;
    outcome.add(System::Dancu, "in force", &setting, "s", vec![started.elapsed().as_secs_f64()]);
    for node in &nodes {
        slice::serves(node, merged).await?;
    }
    outcome.add(System::Dancu, "every node is done", &setting, "s", vec![started.elapsed().as_secs_f64()]);
    let during = finish(callers).await?;
    bar.finish_and_clear();

    for (when, times) in [("before", &before), ("during", &during)] {
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
            let value = quantile(times, share).into_iter().collect();
            outcome.add(System::Dancu, "look-up", format!("{name}, {when}"), "ms", value);
        }
    }
    let now: Vec<u64> = self::held(&nodes).await?;
    for (number, (name, ..)) in NODES.iter().enumerate() {
        let came = slice::megabytes(&nodes[number].line) - bytes[number];
        outcome.add(System::Dancu, "over the line", (*name).to_owned(), "MB", vec![came]);
        let held = [held[number], now[number]].map(|count| table::number(count as f64));
        outcome.note(format!("{name}: holds {} citizens before and {} after", held[0], held[1]));
    }
    ensure!(now[0] == now[1] && now[0] > held[0].max(held[1]), "both provinces come to hold the union");
    ensure!(now[3] == u64::from(citizens), "no one is lost");
    outcome.note(format!("{} look-ups meanwhile, none refused", table::number(during.len() as f64)));
    Ok(outcome)
}

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../proto/data").join(name)
}

fn path(name: &str) -> String {
    data(name).to_string_lossy().into_owned()
}

fn agreement(agency: &str, provinces: &[&str], communes: &[&str]) -> Agreement {
    let list = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    Agreement {
        id: format!("{agency}-work"),
        version: 1,
        agency: agency.into(),
        purpose: PURPOSE.into(),
        fields: slice::FIELDS.map(str::to_owned).to_vec(),
        provinces: list(provinces),
        communes: list(communes),
        offline_limit: "30d".into(),
    }
}

async fn held(nodes: &[Node]) -> anyhow::Result<Vec<u64>> {
    let mut held = Vec::new();
    for node in nodes {
        held.push(node.state().await?.citizens);
    }
    Ok(held)
}

/// Some people whom each node holds.
fn residents(population: &Population) -> Vec<Vec<String>> {
    let mut of_each = vec![Vec::new(); NODES.len()];
    let old = dancu_proto::area::files::units(
        &std::fs::read(data("administrative_units_before_2025-07-01.csv")).unwrap_or_default(),
    );
    let provinces: std::collections::HashMap<u32, u32> =
        old.iter().flat_map(|order| &order.communes).map(|one| (one.code, one.province)).collect();
    for citizen in population.iter() {
        let Some(home) = &citizen.permanent_residence else { continue };
        let Ok(code) = home.commune.parse::<u32>() else { continue };
        let province = provinces.get(&code).map(|code| format!("{code:02}")).unwrap_or_default();
        for (number, (_, in_provinces, communes)) in NODES.iter().enumerate() {
            let lives = in_provinces.contains(&province.as_str())
                || communes.contains(&home.commune.as_str())
                || (in_provinces.is_empty() && communes.is_empty());
            if lives && of_each[number].len() < ASKED {
                of_each[number].push(citizen.personal_id.clone());
            }
        }
        if of_each.iter().all(|people| people.len() >= ASKED) {
            break;
        }
    }
    of_each
}

/// Callers that time their look-ups, milliseconds.
struct Callers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<anyhow::Result<Vec<f64>>>>,
}

async fn call(nodes: &[Node], residents: &[Vec<String>]) -> anyhow::Result<Callers> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for (node, people) in nodes.iter().zip(residents) {
        ensure!(!people.is_empty(), "a node without residents");
        tasks.push(tokio::spawn(look_up(node.client().await?, people.clone(), Arc::clone(&stop))));
    }
    Ok(Callers { stop, tasks })
}

async fn look_up(
    mut client: CitizenServiceClient<Channel>,
    people: Vec<String>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for person in people.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let context =
            AccessContext { purpose: PURPOSE.into(), case_number: "B-1".into(), officer: "benchmark".into() };
        let request = GetCitizenRequest {
            context: Some(context),
            personal_id: person.clone(),
            fields: Vec::new(),
            remote: false,
        };
        let started = Instant::now();
        client.get_citizen(request).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(times)
}

async fn finish(callers: Callers) -> anyhow::Result<Vec<f64>> {
    callers.stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for task in callers.tasks {
        times.extend(task.await??);
    }
    Ok(times)
}
