//! `bootstrap`: somebody new takes a slice of a million citizens.
//!
//! Fairness. The same people and fields, over a line that counts bytes, with TLS 1.3 in both. The
//! node's time begins with `dancu-node join`, so with its key and its enrolment, and ends when it
//! answers for everyone; every chunk is durable. The subscriber's begins with `CREATE SUBSCRIPTION`
//! and ends when the table is in sync and has the indexes that a node has; they are made after the
//! copy, as PostgreSQL's documentation advises for bulk loads. The subscriber is a PostgreSQL of its
//! own. Both ends run on this machine and share its cores.

use super::{
    Bench,
    outcome::{Outcome, System},
    progress,
    slice::Taken,
};

/// What is counted, with its unit and where it stands.
pub const COUNTED: [Counted; 4] = [
    ("seconds", "s", |taken| taken.seconds),
    ("CPU of who gives", "s", |taken| taken.giver),
    ("CPU of who takes", "s", |taken| taken.taker),
    ("over the line", "MB", |taken| taken.megabytes),
];
/// Name, unit, and which part.
pub type Counted = (&'static str, &'static str, fn(&Taken) -> f64);

/// Measures.
///
/// # Errors
/// If either system fails.
pub async fn run(bench: &mut Bench) -> anyhow::Result<Outcome> {
    let repeats = bench.scale(3, 1);
    let pair = bench.pair().await?;
    let mut outcome = Outcome::new("bootstrap", "Somebody new takes a slice");
    let setting = format!("{} citizens", super::table::number(pair.citizens.into()));
    let bar = progress("taking a slice", repeats * 2);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        ours.push(pair.node_takes().await?);
        bar.inc(1);
        theirs.push(pair.subscriber_takes().await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    add(&mut outcome, System::Dancu, &setting, &ours);
    add(&mut outcome, System::PostgreSql, &setting, &theirs);
    Ok(outcome)
}

/// Adds all that is counted.
pub fn add(outcome: &mut Outcome, system: System, setting: &str, taken: &[Taken]) {
    for (name, unit, of) in COUNTED {
        outcome.add(system, name, setting, unit, taken.iter().map(of).collect());
    }
}
