//! The node's configuration: a TOML file, overridden by `DANCU_NODE__SECTION__KEY`.
//!
//! Every key has a default, so that a node runs without a file. A key that is not known here is an
//! error: a misspelt limit must not be a limit that is missing.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{callers, lease};

/// Where the file is looked for when none is named.
pub const DEFAULT_PATH: &str = "/etc/dancu/node.toml";

/// The start of every environment variable that overrides a key.
const PREFIX: &str = "DANCU_NODE";

/// The configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directory of everything the node keeps: identity, slice, the agency's authority and callers.
    pub data_dir: PathBuf,
    /// Where back-ends call.
    pub listen: Listen,
    /// What the TLS listener shows and trusts.
    pub tls: Tls,
    /// Who may call, and for which purposes. Those of `client add` come on top.
    pub callers: Vec<callers::Entry>,
    /// How much one caller or all of them may ask for at once.
    pub limits: Limits,
    /// The slice's database.
    pub slice: Slice,
    /// The key of the slice.
    pub lease: Lease,
    /// The record of every call.
    pub access_log: AccessLog,
    /// What the agency hands in.
    pub outbox: Outbox,
    /// The log.
    pub log: Log,
    /// The hub.
    pub hub: Hub,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data_dir: "/var/lib/dancu/node".into(),
            listen: Listen::default(),
            tls: Tls::default(),
            callers: Vec::new(),
            limits: Limits::default(),
            slice: Slice::default(),
            lease: Lease::default(),
            access_log: AccessLog::default(),
            outbox: Outbox::default(),
            log: Log::default(),
            hub: Hub::default(),
        }
    }
}

/// `[listen]`: either address may be empty, not both.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address and port for mutual TLS; empty for none.
    pub tcp: String,
    /// Path of the Unix socket; empty for none.
    pub unix: String,
    /// Address and port for monitoring, plain HTTP; none to have no such address.
    pub metrics: Option<SocketAddr>,
    /// Mode of the Unix socket, octal: "600" for the node's user alone, "660" for its group too,
    /// "666" for everyone on the host. Whoever connects must still be a caller.
    pub unix_mode: String,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            tcp: "127.0.0.1:7443".into(),
            unix: "/run/dancu/node.sock".into(),
            metrics: None,
            unix_mode: "660".into(),
        }
    }
}

impl Listen {
    /// The TLS address, if one is to be listened on.
    ///
    /// # Errors
    /// It is no address.
    pub fn tcp(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.tcp.is_empty() {
            return Ok(None);
        }
        self.tcp.parse().map(Some).map_err(|_| ConfigError::Value {
            key: "listen.tcp",
            fault: format!("{:?} is not an address; write it as 127.0.0.1:7443", self.tcp),
        })
    }

    /// The Unix socket, if one is to be listened on.
    #[must_use]
    pub fn unix(&self) -> Option<&Path> {
        (!self.unix.is_empty()).then(|| Path::new(&self.unix))
    }

    /// Mode of the Unix socket.
    ///
    /// # Errors
    /// It is no mode.
    pub fn unix_mode(&self) -> Result<u32, ConfigError> {
        match u32::from_str_radix(&self.unix_mode, 8) {
            Ok(mode) if mode <= 0o777 && mode & 0o600 == 0o600 => Ok(mode),
            _ => Err(ConfigError::Value {
                key: "listen.unix_mode",
                fault: format!("{:?} is not a mode; write it as \"660\"", self.unix_mode),
            }),
        }
    }
}

/// `[tls]`: empty for the node's own agency authority, made in `<data_dir>/agency` at first need.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain that callers see, PEM, leaf first.
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// Authorities whose certificates callers may show, PEM, besides the agency authority.
    pub client_authorities: Vec<PathBuf>,
    /// More host names and addresses that the agency authority puts in the node's certificate,
    /// besides localhost, 127.0.0.1, ::1 and the host's name.
    pub names: Vec<String>,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Live connections; more are closed at once.
    pub connections: usize,
    /// Calls under way on one connection.
    pub streams_per_connection: u32,
    /// The longest a call may take, whatever deadline it brings.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long calls under way may go on when the node is stopped.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1000,
            streams_per_connection: 256,
            request_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

/// `[slice]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slice {
    /// Memory for blocks that were read, MiB. The default suits a commune; a province's node
    /// answers faster with some hundreds.
    pub cache_mb: usize,
    /// Memory for citizens whom callers asked for lately, opened, MiB: a thousand or so in each.
    pub hot_mb: usize,
    /// Memory for writes not yet on disk, MiB.
    pub write_buffer_mb: usize,
    /// Nothing is added to the slice while less than this is free on the disk, MiB.
    pub reserve_mb: u64,
    /// How often the slice is compared with what the hub says it should be.
    #[serde(with = "humantime_serde")]
    pub prove_every: Duration,
    /// How long it is kept what has changed, for back-ends that follow (`WatchCitizens`): one that stood
    /// still for longer begins anew. The last five million changes at the most.
    #[serde(with = "humantime_serde")]
    pub keep_changes: Duration,
}

impl Default for Slice {
    fn default() -> Slice {
        const DAY: Duration = Duration::from_secs(86_400);
        Slice {
            cache_mb: 16,
            hot_mb: 8,
            write_buffer_mb: 8,
            reserve_mb: 64,
            prove_every: DAY,
            keep_changes: DAY * 30,
        }
    }
}

/// Where the key of the slice is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepKey {
    /// In memory alone.
    #[default]
    Memory,
    /// On the disk too, wrapped with a key of the operator's.
    Wrapped,
}

/// `[lease]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lease {
    /// Where the key of the slice is kept.
    pub keep: KeepKey,
    /// What it is wrapped with: the path of a file with at least 32 random bytes, or `credential:NAME` for
    /// a credential that systemd gives the node.
    pub wrapping_key: String,
}

impl Lease {
    /// How the key is kept.
    ///
    /// # Errors
    /// It is to be wrapped, and there is no key to do it with.
    pub fn keep(&self) -> Result<lease::Keep, ConfigError> {
        match (self.keep, self.wrapping_key.as_str()) {
            (KeepKey::Memory, "") => Ok(lease::Keep::Memory),
            (KeepKey::Memory, _) => Err(ConfigError::Value {
                key: "lease.wrapping_key",
                fault: "is of no use with lease.keep = \"memory\"; leave one of them out".into(),
            }),
            (KeepKey::Wrapped, "") => Err(ConfigError::Value {
                key: "lease.wrapping_key",
                fault: "is missing; name a file with 32 random bytes, or credential:NAME".into(),
            }),
            (KeepKey::Wrapped, key) => Ok(match key.strip_prefix("credential:") {
                Some(name) => lease::Keep::Credential(name.to_owned()),
                None => lease::Keep::File(key.into()),
            }),
        }
    }
}

/// When a record of a call is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncWhen {
    /// Before the answer leaves.
    Always,
    /// Within an interval; until then it outlives the process, not a loss of power.
    #[default]
    Interval,
}

/// `[access_log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLog {
    /// When a record is on the disk.
    pub sync: SyncWhen,
    /// The interval.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Records that the hub has taken over and that are kept all the same.
    pub keep: u64,
    /// Nothing is recorded, and so nothing answered, while less than this is free on the disk, MiB. Less
    /// than the slice's reserve, so that a slice that has filled the disk still answers.
    pub reserve_mb: u64,
}

impl Default for AccessLog {
    fn default() -> AccessLog {
        let interval = Duration::from_millis(100);
        AccessLog { sync: SyncWhen::Interval, interval, keep: 1_000_000, reserve_mb: 16 }
    }
}

/// `[outbox]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbox {
    /// How long a contribution that was accepted or rejected can be asked for, with its receipt.
    #[serde(with = "humantime_serde")]
    pub keep: Duration,
    /// Nothing is taken in while less than this is free on the disk, MiB. What was taken in is never given up
    /// for want of room.
    pub reserve_mb: u64,
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox { keep: Duration::from_secs(400 * 86_400), reserve_mb: 32 }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged, as `tracing` filters are written: "info", "info,dancu_node::sync=debug".
    pub filter: String,
    /// How.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Log {
        Log { filter: "info".into(), format: LogFormat::Text }
    }
}

/// `[hub]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hub {
    /// The hub's address as `https://host:port`, where it is no longer the one joined at.
    pub url: Option<String>,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named is not readable.
    #[error("{}: {source}; name a readable file with --config", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key is unknown, or its value of the wrong kind.
    #[error("configuration: {0}")]
    Content(#[from] config::ConfigError),
    /// A value is wrong.
    #[error("configuration, {key}: {fault}")]
    Value {
        /// Of which key.
        key: &'static str,
        /// What is wrong and how to put it right.
        fault: String,
    },
}

impl Config {
    /// Reads the file and the environment. Without a path the default file is read if there is one.
    ///
    /// # Errors
    /// A file that was named is missing; a key is unknown or wrong.
    pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
        Config::from_sources(path, None)
    }

    fn from_sources(
        path: Option<&Path>,
        environment: Option<config::Map<String, String>>,
    ) -> Result<Config, ConfigError> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::File { path: file.to_owned(), source }),
        };
        let environment = config::Environment::with_prefix(PREFIX)
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true)
            .list_separator(",")
            .with_list_parse_key("tls.client_authorities")
            .with_list_parse_key("tls.names")
            .source(environment);
        let config: Config = config::Config::builder()
            .add_source(config::File::from_str(&text, config::FileFormat::Toml))
            .add_source(environment)
            .build()?
            .try_deserialize()?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.listen.tcp()?.is_none() && self.listen.unix().is_none() {
            let fault = "nothing to listen on; give listen.tcp or listen.unix".into();
            return Err(ConfigError::Value { key: "listen", fault });
        }
        self.listen.unix_mode()?;
        self.lease.keep()?;
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            let fault = "tls.certificate and tls.key are given together or not at all".into();
            return Err(ConfigError::Value { key: "tls", fault });
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            return Err(ConfigError::Value { key: "log.filter", fault: error.to_string() });
        }
        for entry in &self.callers {
            let fault =
                |fault: callers::EntryError| ConfigError::Value { key: "callers", fault: fault.to_string() };
            entry.caller().map_err(fault)?;
        }
        Ok(())
    }

    /// Where the agency's authority and the callers it certified are kept.
    #[must_use]
    pub fn agency_dir(&self) -> PathBuf {
        self.data_dir.join("agency")
    }

    /// Where the slice is kept.
    #[must_use]
    pub fn slice_dir(&self) -> PathBuf {
        self.data_dir.join("slice")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.toml");
        std::fs::write(&path, text).unwrap();
        let environment = environment.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Config::from_sources(Some(&path), Some(environment))
    }

    #[test]
    fn the_environment_overrides_the_file_and_the_file_the_defaults() {
        let text = "data_dir = \"/a\"\n[slice]\ncache_mb = 32\n[[callers]]\nname = \"portal\"\n\
                    certificate_subject = \"portal\"\npurposes = [\"1.001193\"]";
        let environment = [
            ("DANCU_NODE__DATA_DIR", "/b"),
            ("DANCU_NODE__LIMITS__REQUEST_TIMEOUT", "3s"),
            ("DANCU_NODE__TLS__NAMES", "a.vn,b.vn"),
            ("DANCU_NODE__LISTEN__UNIX", ""),
        ];
        let config = load(text, &environment).unwrap();
        assert_eq!(config.data_dir, Path::new("/b"));
        assert_eq!((config.slice.cache_mb, config.slice.write_buffer_mb), (32, 8));
        assert_eq!(config.limits.request_timeout, Duration::from_secs(3));
        assert_eq!(config.tls.names, ["a.vn", "b.vn"]);
        assert_eq!(config.callers[0].name, "portal");
        assert!(config.listen.unix().is_none());
        assert_eq!(config.listen.tcp().unwrap(), Some("127.0.0.1:7443".parse().unwrap()));
    }

    #[test]
    fn what_is_not_known_or_not_possible_is_refused_by_name() {
        for (text, named) in [
            ("[slice]\ncash_mb = 1", "cash_mb"),
            ("colour = 1", "colour"),
            ("[listen]\ntcp = \"\"\nunix = \"\"", "listen.tcp or listen.unix"),
            ("[listen]\ntcp = \"here\"", "here"),
            ("[listen]\nunix_mode = \"rw\"", "unix_mode"),
            ("[lease]\nkeep = \"wrapped\"", "wrapping_key"),
            ("[lease]\nwrapping_key = \"/k\"", "wrapping_key"),
            ("[log]\nfilter = \"dancu_node=lots\"", "log.filter"),
            ("[tls]\nkey = \"k.pem\"", "tls.certificate"),
            ("[[callers]]\nname = \"x\"\npurposes = [\"*\"]", "x"),
        ] {
            let error = load(text, &[]).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let error = load("", &[("DANCU_NODE__LISTEN__UDP", "1")]).unwrap_err().to_string();
        assert!(error.contains("udp"), "{error}");
    }

    #[test]
    fn the_file_that_ships_shows_the_defaults() {
        let shipped = load(include_str!("../../deploy/config/node.toml"), &[]).unwrap();
        assert_eq!(format!("{shipped:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_file_that_was_named_must_exist() {
        let error = Config::load(Some(Path::new("/nowhere/node.toml"))).unwrap_err();
        assert!(matches!(error, ConfigError::File { .. }));
    }
}
