//! The machine that the figures hold for.

use std::{fmt, fs, process::Command};

use serde::Serialize;

use super::postgres;

/// What a reader needs to compare figures with their own.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor.
    pub cpu: String,
    /// Its cores.
    pub cores: usize,
    /// Memory, GiB.
    pub memory_gib: f64,
    /// The kernel.
    pub kernel: String,
    /// The distribution.
    pub system: String,
    /// Version of Dancu.
    pub dancu: &'static str,
    /// The commit it was built from, where the benchmarks run in its repository.
    pub commit: String,
    /// Version of PostgreSQL.
    pub postgresql: String,
    /// The compiler.
    pub rust: String,
    /// The day of the run.
    pub day: String,
}

impl Machine {
    /// Looks.
    ///
    /// # Errors
    /// If PostgreSQL is not there.
    pub fn describe() -> anyhow::Result<Machine> {
        let of = |file: &str, key: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
            line.split_once([':', '=']).map(|(_, value)| value.trim().trim_matches('"').to_owned())
        };
        let memory = of("/proc/meminfo", "MemTotal").unwrap_or_default();
        let kib: f64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let said = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
        };
        Ok(Machine {
            cpu: of("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_gib: (kib / 1024.0 / 102.4).round() / 10.0,
            kernel: kernel.trim().to_owned(),
            system: of("/etc/os-release", "PRETTY_NAME").unwrap_or_default(),
            dancu: env!("CARGO_PKG_VERSION"),
            commit: said("git", &["describe", "--always", "--dirty", "--exclude=*"]),
            postgresql: postgres::version()?,
            rust: said("rustc", &["--version"]),
            day: time::OffsetDateTime::now_utc().date().to_string(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commit = if self.commit.is_empty() { String::new() } else { format!(" ({})", self.commit) };
        write!(
            f,
            "{}, {} cores, {} GiB, {}, Linux {}; Dancu {}{commit}, {}",
            self.cpu, self.cores, self.memory_gib, self.system, self.kernel, self.dancu, self.postgresql
        )
    }
}
