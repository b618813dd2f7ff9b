//! Benchmarks: the hub and its nodes beside PostgreSQL and its logical replication, on the same
//! machine, with the same people, in one run. Each measure says in its own page what it takes for
//! fair.
//!
//! - [`fanout`], [`latency`], [`wire`], [`bootstrap`], [`catchup`], [`import`], [`merger`], [`idle`],
//!   [`lookup`], [`contributions`]: what is measured.
//! - [`fleet`], [`slice`], [`postgres`], [`redis`], [`tls`]: the systems; [`drive`]: changes at an even pace,
//!   and when they are seen; [`load`]: callers that ask again and again; [`cpu`]: what it costs.
//! - [`outcome`], [`table`], [`plot`], [`machine`]: what comes out.

pub mod bootstrap;
pub mod catchup;
pub mod contributions;
pub mod cpu;
pub mod drive;
pub mod fanout;
pub mod fleet;
pub mod idle;
pub mod import;
pub mod latency;
pub mod load;
pub mod lookup;
pub mod machine;
pub mod merger;
pub mod outcome;
pub mod people;
pub mod plot;
pub mod postgres;
pub mod redis;
pub mod slice;
pub mod table;
pub mod tls;
pub mod wire;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use fleet::Fleet;
use machine::Machine;
use outcome::Outcome;
use slice::Pair;

#[derive(Debug, Parser)]
#[command(
    name = "dancu-bench",
    version,
    about = "Dancu measured beside PostgreSQL and its logical replication",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    server: Option<Server>,
    /// Less of everything: the whole in about five minutes
    #[arg(long)]
    quick: bool,
    /// Where results and plots are written
    #[arg(long, default_value = "docs/bench", value_name = "DIR")]
    out: PathBuf,
    /// How many citizens `import` is measured with [default: ten million]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    people: Option<u32>,
    /// What to measure [default: everything]
    #[arg(value_enum, value_name = "MEASURE")]
    measures: Vec<Measure>,
}

/// What the program starts itself as.
#[derive(Debug, Subcommand)]
enum Server {
    /// The least that a gRPC server can do
    #[command(hide = true)]
    Echo {
        /// Where its certificates and its answer are
        dir: PathBuf,
    },
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// CPU for a change that one node sees, while many are connected
    Fanout,
    /// From a commit at the hub to the change at the node
    Latency,
    /// Bytes on the line for a change of one field
    Wire,
    /// A node takes its slice for the first time
    Bootstrap,
    /// A node comes back
    Catchup,
    /// A registry is founded, and asked
    Import,
    /// Provinces and communes merge
    Merger,
    /// Connected nodes while nothing happens
    Idle,
    /// Look-ups at a node, one by one and by the hundred
    Lookup,
    /// Contributions handed in over 20 nodes
    Contributions,
}

impl Measure {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// How often a window of changes is repeated.
pub const REPEATS: usize = 3;

/// What a run has in common.
pub struct Bench {
    /// Less of everything.
    pub quick: bool,
    /// How many citizens an import has, if not as many as usual.
    pub people: Option<u32>,
    /// Hub and nodes, once a measure has needed them.
    fleet: Option<Fleet>,
    /// A large slice, and a subscriber with the same, once a measure has needed them.
    pair: Option<Pair>,
}

impl Bench {
    /// One of two, by how much is to be measured.
    pub fn scale<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// A hub with simulated nodes; made at first need, because it is long in the making.
    ///
    /// # Errors
    /// If the hub cannot be filled.
    pub async fn fleet(&mut self) -> anyhow::Result<&mut Fleet> {
        let fleet = match self.fleet.take() {
            Some(fleet) => fleet,
            None => Fleet::start(self.citizens()).await?,
        };
        Ok(self.fleet.insert(fleet))
    }

    /// A hub and a publisher that are about to give away a large slice; filled at first need.
    ///
    /// # Errors
    /// If either cannot be filled.
    pub async fn pair(&mut self) -> anyhow::Result<&mut Pair> {
        let pair = match self.pair.take() {
            Some(pair) => pair,
            None => Pair::start(self.scale(1_000_000, 100_000)).await?,
        };
        Ok(self.pair.insert(pair))
    }

    /// How many people the measures of a stream of changes have.
    #[must_use]
    pub fn citizens(&self) -> u32 {
        self.scale(200_000, 50_000)
    }

    /// Seconds a window of changes lasts.
    #[must_use]
    pub fn window(&self) -> Duration {
        Duration::from_secs(self.scale(8, 2))
    }
}

/// Shown where standard error is a terminal, and nowhere else.
#[must_use]
pub fn progress(what: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let template = "{msg:<44} {bar:30.green} {human_pos}/{human_len} {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// For work of which the length is not known.
#[must_use]
pub fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner:.green} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// The whole program.
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Server::Echo { dir }) = &cli.server {
        return told(lookup::serve(dir).await);
    }
    // Ended by a signal, everything that was started is still ended with it.
    let done = tokio::select! {
        done = run(cli) => done,
        () = ended() => Err(anyhow::anyhow!("ended by a signal; what was measured so far is written")),
    };
    told(done)
}

fn told(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dancu-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn ended() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    // A connection of each of thousands of nodes, here and in the hub, which inherits the limit.
    rlimit::increase_nofile_limit(1 << 16).context("the limit of open files")?;
    let machine = Machine::describe()?;
    println!("{machine}");
    let chosen = if cli.measures.is_empty() { Measure::value_variants() } else { &cli.measures };
    let mut bench = Bench { quick: cli.quick, people: cli.people, fleet: None, pair: None };
    for measure in chosen {
        // Some go on with what the one before has set up.
        if !matches!(measure, Measure::Fanout | Measure::Latency) {
            bench.fleet = None;
        }
        if !matches!(measure, Measure::Bootstrap | Measure::Catchup) {
            bench.pair = None;
        }
        let outcome: Outcome = match measure {
            Measure::Fanout => fanout::run(&mut bench).await,
            Measure::Latency => latency::run(&mut bench).await,
            Measure::Wire => wire::run(&bench).await,
            Measure::Bootstrap => bootstrap::run(&mut bench).await,
            Measure::Catchup => catchup::run(&mut bench).await,
            Measure::Import => import::run(&bench).await,
            Measure::Merger => merger::run(&bench).await,
            Measure::Idle => idle::run(&mut bench).await,
            Measure::Lookup => lookup::run(&bench).await,
            Measure::Contributions => contributions::run(&bench).await,
        }
        .with_context(|| measure.name())?;
        if *measure == Measure::Idle {
            // Its nodes follow nothing that changes.
            bench.fleet = None;
        }
        table::print(&outcome);
        outcome.write(&cli.out, &machine, cli.quick)?;
    }
    println!("\nwritten to {}", cli.out.display());
    Ok(())
}
