//! `idle`: what a connected node costs the hub that nothing happens for: memory, CPU, and the opening
//! of its stream.
//!
//! The hub is started anew before it is measured, so that neither enrolments nor loads count. Nodes
//! hold their slices already, so that opening a stream is a handshake and a look at what is new. They
//! run on the same machine and share it with the hub: in service each has its own.

use std::time::{Duration, Instant};

use super::{
    Bench, cpu,
    outcome::{Outcome, System},
    spinner,
};

/// Measures.
///
/// # Errors
/// If the hub fails.
pub async fn run(bench: &mut Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("idle", "What N connected nodes cost the hub while nothing happens");
    let count = bench.scale(3_400, 500);
    let quiet = Duration::from_secs(bench.scale(30, 10));
    let fleet = bench.fleet().await?;
    fleet.connect(count).await?;
    fleet.disconnect().await;
    fleet.hub.restart().await;
    let bar = spinner("an idle hub");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = fleet.hub.memory();
    bar.finish_and_clear();
    let (server, started) = (fleet.hub.process_id(), Instant::now());
    let used = cpu::of_process(server);
    fleet.connect(count).await?;
    let opening = (started.elapsed(), cpu::of_process(server) - used);
    let streams = fleet.streams();
    let bar = spinner("nothing happens");
    // The last acknowledgements and the first heartbeats are part of the opening.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let used = cpu::of_process(server);
    tokio::time::sleep(quiet).await;
    let idle = (cpu::of_process(server) - used).as_secs_f64() * 1e3 / quiet.as_secs_f64();
    bar.finish_and_clear();
    let each = fleet.hub.memory().saturating_sub(before) as f64 / count as f64;

    let setting = format!("{count} connected");
    let mut add = |name, unit, value| outcome.add(System::Dancu, name, &setting, unit, vec![value]);
    add("memory a node", "KiB", each);
    add("CPU without changes", "ms/s", idle);
    add("opening them all", "s", opening.0.as_secs_f64());
    add("CPU for opening one", "ms", opening.1.as_secs_f64() * 1e3 / count as f64);
    outcome.goal("KiB a node", Some(each), 90.0);
    // Two hundredths of a core: heartbeats and pings.
    outcome.goal("ms of CPU a second", Some(idle), 20.0);
    if count == 3_400 {
        outcome.goal("s to open them all", Some(opening.0.as_secs_f64()), 5.7);
    }
    outcome.note(format!("{} KiB of the hub itself before the first connected", before));
    outcome.note_lost(&setting, fleet.streams() - streams);
    Ok(outcome)
}
