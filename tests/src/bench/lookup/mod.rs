//! `lookup`: how many look-ups a node answers, and how fast, beside the least that a gRPC server can do,
//! PostgreSQL and Redis.
//!
//! Fairness. One machine: the servers and this process, in which all callers are, share its cores. TLS
//! 1.3 everywhere, mutual with the node and the echo. A caller asks again as soon as it is answered,
//! about somebody at random, and has one call under way. All servers stand ready all the time; they are
//! measured in turn, round after round, so that whatever else the machine does falls on all of them, and
//! ratios are of figures of the same round.
//!
//! - The **node** is a real one that serves over TLS to a caller with a certificate, enrolled at a real
//!   hub, set up as by default but for its memory, which is enough for everyone, as that of the others is:
//!   it checks caller, purpose and officer, projects, and writes the record of each call before the answer
//!   leaves. In service the hub has a machine of its own. Here it would take these cores away from node and
//!   callers, so it stands still while look-ups are counted, as behind a line that is down, and gets the
//!   records afterwards. What that costs node and hub is told apart, and nobody else is measured before it
//!   is done.
//! - The **echo** is tonic behind the same TLS, in a process of its own, with as many threads. It decodes
//!   nothing and answers with the bytes of one answer of the slice, of middling length. Its callers are
//!   those of the node to the letter: they make the same request and decode the answer. Callers share
//!   connections: eight callers have one.
//! - **PostgreSQL** has the same people with the same fields as rows, all in its memory, and a prepared
//!   statement on a connection for each caller. Nobody checks or records anything there. The caller is
//!   the client that back-ends in Rust use, and makes each row a citizen, as the caller of a node has one.
//! - **Redis** has the bytes of the node's answers by number, nothing on disk, and a connection for each
//!   caller.
//!
//! Every caller ends up with the same `Citizen`, taken apart. Those of the node use the client that
//! back-ends use, and so do those of PostgreSQL. That of Redis is written for this measure and does nothing
//! but what it takes, with one read and one write a call; that is in its favour, the more so on a machine
//! that callers and servers share.
//!
//! Batches are of 500 people. A caller of `ReconcileCitizens` keeps a stream open and sends 500 records
//! with number, name, date of birth and sex; PostgreSQL gets 500 numbers, and gives all fields beside
//! `BatchGetCitizens`, and these four beside `ReconcileCitizens`: it compares nothing.

mod callers;
mod echo;
mod row;
mod systems;

pub use echo::serve;

use std::time::Duration;

use anyhow::ensure;

use self::{
    callers::{Batches, Gets, Lists, RedisGets, Selects, SelectsAny},
    systems::Systems,
};
use super::{
    Bench, REPEATS,
    load::{Load, Times, load},
    outcome::{A_SECOND, Outcome, System, quantile},
    progress, redis, table,
};

/// Rounds of look-ups: what one caller is answered in scatters by a tenth from one round to the next.
const ROUNDS: usize = 2 * REPEATS + 1;
/// Callers that look people up at the same time.
const CALLERS: [usize; 2] = [1, 64];
/// Callers whose batches are under way at the same time: they keep both cores busy.
const BATCHERS: [usize; 2] = [1, 4];
/// People of a batch.
const BATCH: usize = 500;
/// What is measured of a kind of call: rate, latencies, CPU of the server, CPU of the callers.
type Names = [&'static str; 5];
const LOOK_UPS: Names = [
    "look-ups",
    "look-up, p50",
    "look-up, p99",
    "CPU of the server a look-up",
    "CPU of the callers a look-up",
];
const BATCHES: Names = [
    "citizens in batches",
    "batch of 500, p50",
    "batch of 500, p99",
    "CPU of the server a citizen in a batch",
    "CPU of the callers a citizen in a batch",
];
const LISTS: Names = [
    "citizens of lists reconciled",
    "list of 500, p50",
    "list of 500, p99",
    "CPU of the server a citizen of a list",
    "CPU of the callers a citizen of a list",
];

/// Measures.
///
/// # Errors
/// If a system fails, or a call is not answered as it should be.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("lookup", "Look-ups at a node, over TLS");
    let systems = Systems::start(bench.citizens()).await?;
    let times = Times {
        warm_up: Duration::from_millis(bench.scale(1_000, 300)),
        window: Duration::from_secs(bench.scale(4, 1)),
    };
    for callers in CALLERS {
        look_ups(&mut outcome, &systems, callers, times).await?;
    }
    for callers in BATCHERS {
        batches(&mut outcome, &systems, callers, times).await?;
    }
    for callers in CALLERS {
        let setting = setting(callers);
        for (other, name, limit) in
            [(System::Echo, "the echo", 0.75), (System::PostgreSql, "PostgreSQL", 2.0)]
        {
            let ratio = outcome.ratio(System::Dancu, other, LOOK_UPS[0], &setting);
            outcome.goal_at_least(format!("look-ups, {setting}, times {name}"), ratio, limit);
        }
    }
    for (names, what) in [(BATCHES, "batches"), (LISTS, "lists")] {
        for callers in BATCHERS {
            let setting = setting(callers);
            let ratio = outcome.ratio(System::Dancu, System::PostgreSql, names[0], &setting);
            outcome.goal_at_least(format!("citizens in {what}, {setting}, times PostgreSQL"), ratio, 3.0);
        }
    }
    let sizes = systems.sizes;
    outcome.note(format!(
        "{} citizens; an answer of the node has {} bytes, of {} to {} in the middle half; a row of PostgreSQL {}",
        table::number(systems.ids.len() as f64),
        sizes.echo,
        sizes.middle.0,
        sizes.middle.1,
        sizes.row,
    ));
    outcome.note(format!("beside {}", redis::version()?));
    Ok(outcome)
}

fn setting(callers: usize) -> String {
    if callers == 1 { "1 caller".to_owned() } else { format!("{callers} callers") }
}

async fn look_ups(
    outcome: &mut Outcome,
    systems: &Systems,
    callers: usize,
    times: Times,
) -> anyhow::Result<()> {
    let setting = setting(callers);
    let ids = &systems.ids;
    let mut to_echo = Gets::open(&systems.echo.connector()?, callers, ids).await?;
    let mut to_node = Gets::open(&systems.connector, callers, ids).await?;
    let mut to_postgresql = Selects::open(&systems.cluster, callers, ids).await?;
    let mut to_redis = RedisGets::open(&systems.redis, callers, ids).await?;
    let [mut echo, mut node, mut postgresql, mut redis] = [const { Vec::new() }; 4];
    let mut hand_in = HandIn::default();
    let bar = progress(&format!("look-ups, {setting}"), 4 * ROUNDS as u64);
    for _ in 0..ROUNDS {
        echo.push(load(&mut to_echo, times, || systems.echo.cpu()).await?);
        bar.inc(1);
        node.push(hand_in.after(systems, load(&mut to_node, times, || systems.cpu_of_node())).await?);
        bar.inc(1);
        postgresql.push(load(&mut to_postgresql, times, || systems.cluster.cpu()).await?);
        bar.inc(1);
        redis.push(load(&mut to_redis, times, || systems.redis.cpu()).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    add(outcome, System::Dancu, &LOOK_UPS, &setting, &node);
    add(outcome, System::Echo, &LOOK_UPS, &setting, &echo);
    add(outcome, System::PostgreSql, &LOOK_UPS, &setting, &postgresql);
    add(outcome, System::Redis, &LOOK_UPS, &setting, &redis);
    hand_in.note(outcome, &format!("look-ups, {setting}"));
    Ok(())
}

async fn batches(
    outcome: &mut Outcome,
    systems: &Systems,
    callers: usize,
    times: Times,
) -> anyhow::Result<()> {
    let setting = setting(callers);
    let (ids, cluster) = (&systems.ids, &systems.cluster);
    let mut batches = Batches::open(&systems.connector, callers, ids).await?;
    let mut lists = Lists::open(&systems.connector, callers, &systems.records).await?;
    let mut whole = SelectsAny::open(cluster, callers, ids, &systems::all_columns()).await?;
    let mut some = SelectsAny::open(cluster, callers, ids, &systems::COMPARED).await?;
    let [mut of_batches, mut of_lists, mut of_whole, mut of_some] = [const { Vec::new() }; 4];
    let mut hand_in = [HandIn::default(), HandIn::default()];
    let bar = progress(&format!("batches and lists, {setting}"), 4 * REPEATS as u64);
    for _ in 0..REPEATS {
        let node = || systems.cpu_of_node();
        of_batches.push(hand_in[0].after(systems, load(&mut batches, times, node)).await?);
        bar.inc(1);
        of_whole.push(load(&mut whole, times, || cluster.cpu()).await?);
        bar.inc(1);
        of_lists.push(hand_in[1].after(systems, load(&mut lists, times, node)).await?);
        bar.inc(1);
        of_some.push(load(&mut some, times, || cluster.cpu()).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    add(outcome, System::Dancu, &BATCHES, &setting, &of_batches);
    add(outcome, System::PostgreSql, &BATCHES, &setting, &of_whole);
    add(outcome, System::Dancu, &LISTS, &setting, &of_lists);
    add(outcome, System::PostgreSql, &LISTS, &setting, &of_some);
    for (hand_in, what) in hand_in.iter().zip(["batches", "lists"]) {
        hand_in.note(outcome, &format!("{what}, {setting}"));
    }
    Ok(())
}

fn add(outcome: &mut Outcome, system: System, names: &Names, setting: &str, loads: &[Load]) {
    let each = |of: fn(&Load) -> f64| loads.iter().map(of).collect();
    let quantiles =
        |share| loads.iter().filter_map(|load| quantile(&load.latencies, share)).collect::<Vec<f64>>();
    let a_person = |seconds: f64, load: &Load| seconds * 1e6 / load.people.max(1) as f64;
    outcome.add(system, names[0], setting, A_SECOND, each(|load| load.people as f64 / load.seconds));
    outcome.add(system, names[1], setting, "ms", quantiles(0.5));
    outcome.add(system, names[2], setting, "ms", quantiles(0.99));
    let of_server = loads.iter().map(|load| a_person(load.server, load)).collect();
    outcome.add(system, names[3], setting, "µs", of_server);
    let of_callers = loads.iter().map(|load| a_person(load.callers, load)).collect();
    outcome.add(system, names[4], setting, "µs", of_callers);
}

/// What is done afterwards: the record of each call is handed in.
#[derive(Default)]
struct HandIn {
    of_node: f64,
    of_hub: f64,
    people: u64,
}

impl HandIn {
    /// Waits for a load, while the hub stands still, and then until everything is handed in.
    async fn after(
        &mut self,
        systems: &Systems,
        load: impl Future<Output = anyhow::Result<Load>>,
    ) -> anyhow::Result<Load> {
        systems.hub.pause();
        let load = load.await;
        let before = (systems.cpu_of_node(), systems.cpu_of_hub());
        systems.hub.go_on();
        let load = load?;
        systems.quiet().await?;
        self.of_node += (systems.cpu_of_node() - before.0).as_secs_f64();
        self.of_hub += (systems.cpu_of_hub() - before.1).as_secs_f64();
        self.people += load.people_in_all;
        ensure!(load.calls > 0, "no call was answered");
        Ok(load)
    }

    fn note(&self, outcome: &mut Outcome, what: &str) {
        let each = |seconds: f64| table::number(seconds * 1e6 / self.people.max(1) as f64);
        outcome.note(format!(
            "{what}: afterwards, {} µs of CPU of the node and {} µs of the hub to hand in the record of each citizen asked about",
            each(self.of_node),
            each(self.of_hub),
        ));
    }
}
