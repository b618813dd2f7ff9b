//! PostgreSQL, as a cluster that lives as long as the measure: in a directory of its own, on a port
//! of its own, set up as its documentation advises for the memory of the machine.
//!
//! What is durable at the hub is durable here: `fsync` and `synchronous_commit` are on. What crosses
//! a network at the hub crosses one here: subscribers come over TCP with TLS 1.3. Sessions that only
//! write come over the Unix socket, as they do at the hub.

pub mod client;
pub mod rows;
pub mod session;
pub mod subscriber;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use super::{cpu, tls};

/// Who runs the server, where the benchmark runs as root, and who is its superuser.
const USER: &str = "postgres";
/// The database: it is there from the beginning.
const DATABASE: &str = "postgres";

/// A running cluster, ended when dropped.
pub struct Cluster {
    dir: TempDir,
    port: u16,
    postmaster: u32,
}

/// The version that is installed.
///
/// # Errors
/// If none is.
pub fn version() -> anyhow::Result<String> {
    let output = Command::new(program("postgres")?).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.split_whitespace().nth(2).context("a version of PostgreSQL")?;
    Ok(format!("PostgreSQL {number}"))
}

/// A program of the newest PostgreSQL that is installed: Debian keeps the server's out of the path.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort();
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
    };
    let path = found.pop().map(|(_, path)| path).or_else(in_path);
    path.with_context(|| format!("there is no {name}; deploy/install-bench-deps.sh installs PostgreSQL"))
}

fn root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// A program that may not run as root.
fn as_server_user(name: &str) -> anyhow::Result<Command> {
    let path = program(name)?;
    if !root() {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("runuser");
    command.args(["-u", USER, "--"]).arg(path);
    Ok(command)
}

fn done(mut command: Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Cluster {
    /// A new cluster, empty.
    ///
    /// # Errors
    /// If PostgreSQL is not there or does not start.
    pub fn start() -> anyhow::Result<Cluster> {
        let dir = tempfile::tempdir()?;
        let data = dir.path().join("data");
        if root() {
            done(chown(dir.path()))?;
        }
        let mut init = as_server_user("initdb")?;
        init.arg("-D").arg(&data).args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]);
        done(init)?;
        // Subscribers do not check who signed it, which costs nothing to speak of either way.
        tls::write(&data, "server")?;
        let port = crate::testkit::free_port();
        let mut settings = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"))?;
        settings.write_all(settings_for(port, dir.path()).as_bytes())?;
        if root() {
            done(chown(&data))?;
        }
        let mut start = as_server_user("pg_ctl")?;
        start.arg("-D").arg(&data).arg("-l").arg(dir.path().join("log")).args(["-w", "start"]);
        // What the server inherits must not keep a pipe of ours open.
        let status = start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !status.success() {
            bail!("PostgreSQL does not start: {}", fs::read_to_string(dir.path().join("log"))?);
        }
        let pid = fs::read_to_string(data.join("postmaster.pid"))?;
        let postmaster = pid.lines().next().context("the postmaster")?.trim().parse()?;
        Ok(Cluster { dir, port, postmaster })
    }

    /// The certificate that it shows there.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("data").join("server.crt")
    }

    /// Where it listens for TCP.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How `psql` and its like find it over the Unix socket.
    #[must_use]
    pub fn local(&self) -> String {
        format!("host={} port={} user={USER} dbname={DATABASE}", self.dir.path().display(), self.port)
    }

    /// How subscribers find it: TCP and TLS, at a port that leads there.
    #[must_use]
    pub fn remote(&self, port: u16) -> String {
        format!("host=127.0.0.1 port={port} user={USER} dbname={DATABASE} sslmode=require")
    }

    /// Runs statements; what they print.
    ///
    /// # Errors
    /// What the server says.
    pub fn sql(&self, statements: &str) -> anyhow::Result<String> {
        let mut psql = self.psql()?;
        done({
            psql.args(["-c", statements]);
            psql
        })
    }

    fn psql(&self) -> anyhow::Result<Command> {
        let mut psql = Command::new(program("psql")?);
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d"]).arg(self.local());
        Ok(psql)
    }

    /// CPU time of the whole server, of sessions that ended too.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        cpu::of_family(self.postmaster)
    }

    /// CPU time of what decodes and sends changes.
    #[must_use]
    pub fn cpu_of_senders(&self) -> Duration {
        cpu::of_children_named(self.postmaster, "walsender")
    }

    /// Looks citizens up by number, one after the other: how long each took, in µs.
    ///
    /// # Errors
    /// What the server says.
    pub fn look_ups(&self, numbers: &[String]) -> anyhow::Result<Vec<f64>> {
        let list = numbers.join("),(");
        let table = format!(
            "CREATE TABLE asked (at serial PRIMARY KEY, personal_id bigint NOT NULL);\
             INSERT INTO asked (personal_id) VALUES ({list}); ANALYZE asked"
        );
        let dir = tempfile::tempdir()?;
        let (file, script) = (dir.path().join("asked.sql"), dir.path().join("look-up.sql"));
        fs::write(&file, table)?;
        done({
            let mut psql = self.psql()?;
            psql.arg("-f").arg(&file);
            psql
        })?;
        let count = numbers.len();
        fs::write(
            &script,
            format!(
                "\\set at random(1, {count})\n\
                 SELECT c.* FROM asked a JOIN citizens c USING (personal_id) WHERE a.at = :at;\n"
            ),
        )?;
        let mut bench = Command::new(program("pgbench")?);
        bench.args(["-n", "-M", "prepared", "-c", "1", "-t", &count.to_string(), "-f"]).arg(&script);
        bench.arg("--log").arg("--log-prefix").arg(dir.path().join("times")).arg(self.local());
        done(bench)?;
        let mut times = Vec::with_capacity(count);
        for entry in fs::read_dir(dir.path())? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("times")) {
                let text = fs::read_to_string(path)?;
                times.extend(text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok()));
            }
        }
        Ok(times)
    }

    /// Its size on disk, without the log of changes: bytes.
    ///
    /// # Errors
    /// What the server says.
    pub fn size(&self) -> anyhow::Result<u64> {
        Ok(self.sql("SELECT pg_database_size(current_database())")?.parse()?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Ok(mut stop) = as_server_user("pg_ctl") {
            stop.arg("-D").arg(self.dir.path().join("data")).args(["-w", "-m", "immediate", "stop"]);
            let _ = done(stop);
        }
    }
}

fn chown(path: &Path) -> Command {
    let mut command = Command::new("chown");
    command.arg("-R").arg(format!("{USER}:")).arg(path);
    command
}

fn settings_for(port: u16, dir: &Path) -> String {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(4 << 20);
    // A quarter of the memory, as the documentation has it, but room for the two of a copy.
    let shared = (kib / 4 / 1024).min(4096);
    format!(
        "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\n\
         ssl = on\nssl_min_protocol_version = 'TLSv1.3'\n\
         wal_level = logical\nmax_wal_senders = 100\nmax_replication_slots = 100\nmax_connections = 200\n\
         fsync = on\nsynchronous_commit = on\n\
         shared_buffers = {shared}MB\neffective_cache_size = {}MB\nmaintenance_work_mem = 512MB\n\
         max_wal_size = 8GB\ncheckpoint_timeout = 15min\nwal_buffers = 16MB\nrandom_page_cost = 1.1\n\
         max_logical_replication_workers = 8\nwal_retrieve_retry_interval = 100ms\n",
        dir.display(),
        kib / 2 / 1024,
    )
}
