//! `dancu-population`: makes citizens who do not exist, and what happens to them.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use dancu_proto::v1::Date;
use dancu_tests::population::{
    Layout, Population, events,
    writer::{RowFormat, RowWriter},
};
use indicatif::{ProgressBar, ProgressStyle};

/// Makes a synthetic population of Vietnam: deterministic by seed, streaming, in flat memory.
#[derive(Debug, Parser)]
#[command(name = "dancu-population", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Citizens, one a line
    Generate {
        /// How many
        #[arg(long, default_value_t = 200_000)]
        citizens: u64,
        /// The same seed gives the same people
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How they are written
        #[arg(long, value_enum, default_value = "jsonl")]
        format: RowFormat,
        /// Where to, or - for standard output
        #[arg(long, default_value = "-")]
        out: PathBuf,
        /// With the codes of communes as registered before 1 July 2025
        #[arg(long)]
        before_merger: bool,
        /// The day as of which they stand
        #[arg(long, default_value = "2026-01-01")]
        day: String,
    },
    /// What happens in their lives, one event a line, in the order it became known
    Events {
        /// How many citizens, as given to generate
        #[arg(long, default_value_t = 200_000)]
        citizens: u64,
        /// The seed, as given to generate
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// First day
        #[arg(long, default_value = "2026-01-01")]
        from: String,
        /// Last day
        #[arg(long, default_value = "2026-12-31")]
        until: String,
        /// Where to, or - for standard output
        #[arg(long, default_value = "-")]
        out: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Generate { citizens, seed, format, out, before_merger, day } => {
            let layout = if before_merger { Layout::BeforeMerger } else { Layout::InForce };
            let day: Date = day.parse().context("--day")?;
            let bar = progress(citizens);
            let mut rows = RowWriter::new(open(&out)?, format)?;
            for (count, citizen) in (1u64..).zip(Population::laid_out(seed, citizens, day, layout)) {
                rows.write(&citizen)?;
                if count % 1024 == 0 {
                    bar.inc(1024);
                }
            }
            bar.finish_and_clear();
            Ok(rows.finish()?)
        }
        Command::Events { citizens, seed, from, until, out } => {
            let (from, until) = (from.parse().context("--from")?, until.parse().context("--until")?);
            let mut out = open(&out)?;
            for event in events::between(seed, citizens, &from, &until) {
                serde_json::to_writer(&mut out, &event)?;
                out.write_all(b"\n")?;
            }
            Ok(out.flush()?)
        }
    }
}

fn open(path: &PathBuf) -> anyhow::Result<Box<dyn Write>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufWriter::with_capacity(1 << 20, io::stdout().lock())));
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Box::new(BufWriter::with_capacity(1 << 20, file)))
}

fn progress(citizens: u64) -> ProgressBar {
    let bar = ProgressBar::new(citizens);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30.green} {human_pos}/{human_len} citizens, {per_sec}, {eta}")
    {
        bar.set_style(style);
    }
    bar
}
