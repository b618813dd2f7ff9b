//! Callers that ask again as soon as they are answered, and what that costs the server.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::time::sleep_until;

/// Somebody who asks. Nothing else is done between two calls than to choose what to ask for.
pub trait Caller: Send + 'static {
    /// Asks, and waits for the whole answer: about how many people it was.
    ///
    /// # Errors
    /// If the answer is not the one that is due.
    fn call(&mut self) -> impl Future<Output = anyhow::Result<u32>> + Send;
}

/// How long callers go on.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before anything is counted.
    pub warm_up: Duration,
    /// While it is.
    pub window: Duration,
}

/// What came of a window.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Calls that were answered within it.
    pub calls: usize,
    /// People in those answers.
    pub people: u64,
    /// How long it was.
    pub seconds: f64,
    /// How long each call took, milliseconds.
    pub latencies: Vec<f64>,
    /// CPU of the server meanwhile, seconds.
    pub server: f64,
    /// CPU of this process, in which all callers are, seconds.
    pub callers: f64,
    /// People in all answers, those of the warm-up too.
    pub people_in_all: u64,
}

/// What one caller counted.
#[derive(Default)]
struct Count {
    latencies: Vec<f64>,
    people: u64,
    people_in_all: u64,
}

/// Lets callers ask at the same time; `server` tells the CPU time that the server has used so far.
///
/// # Errors
/// If a call fails.
pub async fn load<C: Caller>(
    callers: &mut Vec<C>,
    times: Times,
    server: impl Fn() -> Duration,
) -> anyhow::Result<Load> {
    let own = || super::cpu::of_process(std::process::id());
    let from = Instant::now() + times.warm_up;
    let until = from + times.window;
    let ask = |caller: C| tokio::spawn(ask(caller, from, until));
    let tasks: Vec<_> = callers.drain(..).map(ask).collect();
    sleep_until(from.into()).await;
    let (server_before, own_before) = (server(), own());
    sleep_until(until.into()).await;
    let (server_used, own_used) = (server() - server_before, own() - own_before);
    let mut load = Load {
        seconds: times.window.as_secs_f64(),
        server: server_used.as_secs_f64(),
        callers: own_used.as_secs_f64(),
        ..Load::default()
    };
    for task in tasks {
        let (caller, count) = task.await??;
        callers.push(caller);
        load.calls += count.latencies.len();
        load.people += count.people;
        load.people_in_all += count.people_in_all;
        load.latencies.extend(count.latencies);
    }
    Ok(load)
}

async fn ask<C: Caller>(mut caller: C, from: Instant, until: Instant) -> anyhow::Result<(C, Count)> {
    let mut count = Count::default();
    let mut started = Instant::now();
    while started < until {
        let people = caller.call().await.context("a call")?;
        let ended = Instant::now();
        count.people_in_all += u64::from(people);
        if ended >= from && ended < until {
            count.people += u64::from(people);
            count.latencies.push((ended - started).as_secs_f64() * 1e3);
        }
        started = ended;
    }
    Ok((caller, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow;

    impl Caller for Slow {
        async fn call(&mut self) -> anyhow::Result<u32> {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(2)
        }
    }

    #[tokio::test]
    async fn what_the_window_has_is_counted() {
        let mut callers = vec![Slow, Slow];
        let times = Times { warm_up: Duration::from_millis(50), window: Duration::from_millis(100) };
        let load = load(&mut callers, times, || Duration::ZERO).await.unwrap();
        assert_eq!(callers.len(), 2);
        assert!((2..=40).contains(&load.calls), "{}", load.calls);
        assert_eq!(load.people, load.calls as u64 * 2);
        assert!(load.people_in_all > load.people);
        assert!(load.latencies.iter().all(|latency| *latency >= 5.0));
    }
}
