//! Changes at an even pace, each with a value of its own, and when each is seen at the other end.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::task::JoinSet;

/// If nothing more is seen for this long, the rest never will be.
const PATIENCE: Duration = Duration::from_secs(20);

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Values of numbers that follow each other look like any others: a row of them would compress as
/// no real ones do. A factor and its inverse modulo all numbers of eight digits.
const SPREAD: (u64, u64) = (61_803_399, 82_636_599);
const VALUES: u64 = 100_000_000;

/// A value that no change had before: a mobile number.
#[must_use]
pub fn value_of(number: u64) -> String {
    format!("09{:08}", number * SPREAD.0 % VALUES)
}

/// The number in a value.
#[must_use]
pub fn number_in(value: &str) -> Option<u64> {
    let digits: u64 = value.strip_prefix("09")?.parse().ok()?;
    Some(digits * SPREAD.1 % VALUES)
}

/// A number for a value that is new.
pub fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What was seen, by number: when first, and how often.
#[derive(Clone, Debug, Default)]
pub struct Sightings(Arc<Mutex<HashMap<u64, (Instant, u32)>>>);

impl Sightings {
    /// A value arrived.
    pub fn saw(&self, number: u64) {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(number).or_insert((now, 0)).1 += 1;
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(&self) -> HashMap<u64, (Instant, u32)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How a window of changes went.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Changes made.
    pub changes: usize,
    /// From the first change until the last was seen.
    pub elapsed: Duration,
    /// From handing in a change until it was seen, milliseconds.
    pub latencies: Vec<f64>,
    /// Changes that a later one of the same person overtook.
    pub overtaken: usize,
}

/// Hands in changes at an even pace, whether or not those before are done, and waits until they are
/// seen. `write` makes a change: of the n-th person in turn, to a value.
///
/// # Errors
/// If a change fails, or one is seen by more than one.
pub async fn window<F>(
    sightings: &Sightings,
    rate: u32,
    changes: usize,
    write: impl Fn(usize, String) -> F,
) -> anyhow::Result<Window>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    sightings.take();
    let started = Instant::now();
    let sent = pace(rate, changes, write).await?;
    let (mut seen, mut moved) = (0, Instant::now());
    while seen < changes && moved.elapsed() < patience(seen) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if sightings.len() != seen {
            (seen, moved) = (sightings.len(), Instant::now());
        }
    }
    let found = sightings.take();
    ensure!(found.values().all(|(_, times)| *times == 1), "a change was seen by more than one");
    ensure!(!found.is_empty(), "no change was seen at all");
    let last = found.values().map(|(at, _)| *at).max().unwrap_or(started);
    let latency = |(number, (at, _)): (&u64, &(Instant, u32))| {
        Some(at.duration_since(*sent.get(number)?).as_secs_f64() * 1e3)
    };
    let latencies: Vec<f64> = found.iter().filter_map(latency).collect();
    Ok(Window { changes, elapsed: last - started, overtaken: changes - latencies.len(), latencies })
}

/// Hands in changes at an even pace; when each was.
///
/// # Errors
/// If a change fails.
pub async fn pace<F>(
    rate: u32,
    changes: usize,
    write: impl Fn(usize, String) -> F,
) -> anyhow::Result<HashMap<u64, Instant>>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut sent: HashMap<u64, Instant> = HashMap::with_capacity(changes);
    let started = Instant::now();
    for turn in 0..changes {
        let due = started + Duration::from_secs_f64(turn as f64 / f64::from(rate));
        tokio::time::sleep_until(due.into()).await;
        let number = next();
        let change = write(turn, value_of(number));
        sent.insert(number, Instant::now());
        tasks.spawn(change);
        while let Some(done) = tasks.try_join_next() {
            done??;
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(sent)
}

/// Makes changes as fast as they are taken, so many under way at a time.
///
/// # Errors
/// If a change fails.
pub async fn rush<F>(
    changes: usize,
    at_once: usize,
    write: impl Fn(usize, String) -> F,
    mut progress: impl FnMut(),
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for turn in 0..changes {
        if tasks.len() >= at_once
            && let Some(done) = tasks.join_next().await
        {
            done??;
        }
        tasks.spawn(write(turn, value_of(next())));
        progress();
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// What was overtaken is never seen, so that once something was, a short silence is enough.
fn patience(seen: usize) -> Duration {
    if seen == 0 { PATIENCE } else { PATIENCE / 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_leads_back_to_its_number() {
        for number in [1, 2, 3, 12_345_678, VALUES - 1] {
            assert_eq!(number_in(&value_of(number)), Some(number));
        }
        assert_ne!(value_of(1)[..6], value_of(2)[..6]);
    }
}
