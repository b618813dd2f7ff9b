//! CPU time of processes, user and system together, as the kernel counts it.

use std::{collections::HashMap, fs, time::Duration};

/// The kernel tells times to processes in hundredths of a second, on every architecture.
const TICK: Duration = Duration::from_millis(10);

struct Stat {
    parent: u32,
    own: u32,
    /// Of the children that ended and were waited for.
    children: u32,
}

fn stat(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in brackets may hold anything; the rest is numbers, from field 3.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u32>().ok();
    Some(Stat { parent: number(4)?, own: number(14)? + number(15)?, children: number(16)? + number(17)? })
}

/// CPU time of one process with all its threads, those that ended included.
#[must_use]
pub fn of_process(id: u32) -> Duration {
    stat(id).map_or(Duration::ZERO, |stat| TICK * stat.own)
}

/// CPU time of a process and its children, those that ended included.
#[must_use]
pub fn of_family(id: u32) -> Duration {
    let Some(head) = stat(id) else { return Duration::ZERO };
    let ticks: u32 = children(id).values().map(|stat| stat.own).sum();
    TICK * (head.own + head.children + ticks)
}

/// CPU time of those living children whose command line has a text in it.
#[must_use]
pub fn of_children_named(id: u32, text: &str) -> Duration {
    let named = |id: u32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    children(id).into_iter().filter(|(id, _)| named(*id)).map(|(_, stat)| TICK * stat.own).sum()
}

fn children(id: u32) -> HashMap<u32, Stat> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|child| Some((child, stat(child)?))).filter(|(_, stat)| stat.parent == id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted() {
        let before = of_process(std::process::id());
        let mut sum = 0_u64;
        while of_process(std::process::id()) < before + TICK * 3 {
            sum = (0..100_000).fold(sum, |sum: u64, n| std::hint::black_box(sum.wrapping_add(n)));
        }
        assert!(of_family(std::process::id()) >= before);
    }
}
