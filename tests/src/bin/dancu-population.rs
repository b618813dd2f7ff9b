//! `dancu-population`: a synthetic population of Vietnam, and what happens in its lives.

use std::{
    fs::File,
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use dancu_proto::v1::Date;
use dancu_tests::population::{
    Codes, MOST, Population, ages,
    events::Events,
    writer::{self, Format},
};
use indicatif::{ProgressBar, ProgressStyle};

#[derive(Debug, Parser)]
#[command(version, about = "A synthetic population of Vietnam, and what happens in its lives")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the citizens
    Generate(Generate),
    /// Tell what happens to them, as JSON Lines
    Events(Tell),
}

/// What a population follows from.
#[derive(Debug, Args)]
struct Which {
    /// How many citizens
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    citizens: u32,
    /// Another seed, another population
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The day on which they are as told
    #[arg(long, default_value = "2026-01-01")]
    day: Date,
    /// By which codes places are written
    #[arg(long, default_value = "in-force")]
    codes: PlaceCodes,
    /// Where to write; - for standard output
    #[arg(long, default_value = "-", value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Generate {
    #[command(flatten)]
    which: Which,
    /// How rows are written [default: by the file's ending; jsonl for standard output]
    #[arg(long)]
    format: Option<RowFormat>,
    /// Threads [default: one for each core]
    #[arg(long)]
    threads: Option<u32>,
}

#[derive(Debug, Args)]
struct Tell {
    #[command(flatten)]
    which: Which,
    /// The first day on which something becomes known [default: the day of the population]
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// The last [default: there is none]
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// How many events a day [default: as many as in Vietnam for so many citizens]
    #[arg(long, value_name = "NUMBER")]
    events_per_day: Option<f64>,
}

/// By which codes places are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlaceCodes {
    /// Those in force since 1 July 2025
    InForce,
    /// These, with those of before beside them for what was registered by then
    Both,
    /// Those of before alone, as a registry had them under the order before
    Before,
}

impl From<PlaceCodes> for Codes {
    fn from(codes: PlaceCodes) -> Codes {
        match codes {
            PlaceCodes::InForce => Codes::InForce,
            PlaceCodes::Both => Codes::Both,
            PlaceCodes::Before => Codes::Before,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RowFormat {
    Jsonl,
    Csv,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Generate(command) => generate(&command),
        Command::Events(command) => events(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has had enough, as `head` has.
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("dancu-population: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Which {
    fn population(&self) -> anyhow::Result<Population> {
        let day = julian(self.day).context("--day")?;
        Ok(Population::new(self.seed, self.citizens).on(day).with_codes(self.codes.into()))
    }
}

fn julian(date: Date) -> anyhow::Result<ages::Day> {
    anyhow::ensure!(date.day != 0, "is a whole date, like 2026-01-01");
    anyhow::ensure!((2021..2100).contains(&date.year), "lies between 2021 and 2099");
    Ok(ages::day(date.year as i32, date.month as u8, date.day as u8))
}

fn output(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdout().lock()));
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Box::new(BufWriter::with_capacity(1 << 20, file)))
}

fn generate(command: &Generate) -> anyhow::Result<()> {
    let csv = command.which.out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let format = match command.format {
        Some(RowFormat::Jsonl) => Format::JsonLines,
        Some(RowFormat::Csv) => Format::Csv,
        None if csv => Format::Csv,
        None => Format::JsonLines,
    };
    let threads =
        command.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32));
    let population = command.which.population()?;
    // Shown where standard error is a terminal, and nowhere else.
    let bar = ProgressBar::new(command.which.citizens.into());
    let template = "{bar:30.green} {human_pos}/{human_len} citizens  {per_sec}  {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    writer::write(&population, format, threads, output(&command.which.out)?, |more| bar.inc(more))?;
    bar.finish_and_clear();
    Ok(())
}

fn events(command: &Tell) -> anyhow::Result<()> {
    let population = command.which.population()?;
    let from = command.from.map_or(Ok(population.day()), julian).context("--from")?;
    let until = command.until.map(julian).transpose().context("--until")?;
    anyhow::ensure!(from >= population.day(), "--from lies before --day, the day the citizens are as told");
    anyhow::ensure!(until.is_none_or(|until| until >= from), "--until lies before --from");
    let per_day = command.events_per_day;
    anyhow::ensure!(per_day.is_none_or(|n| n > 0.0 && n < 1e9), "--events-per-day is more than 0");
    let mut out = BufWriter::new(output(&command.which.out)?);
    for event in Events::new(&population, from, until, per_day) {
        serde_json::to_writer(&mut out, &event).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}
