//! Configuration: a TOML file, overridden by `DANCU_HUB__…`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::audit::Thresholds;

/// Where the file lies unless said otherwise.
pub const DEFAULT_FILE: &str = "/etc/dancu/hub.toml";

/// The hub's configuration. `deploy/config/hub.toml` explains each key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory of the registry and the authority.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: Listen,
    /// Names and addresses, beside the one that every hub answers to, for the hub's certificate.
    pub names: Vec<String>,
    /// Lifetimes of certificates.
    pub certificates: Certificates,
    /// Sync.
    pub sync: Sync,
    /// How often the hub looks whether a day has begun, Asia/Ho_Chi_Minh.
    #[serde(with = "humantime_serde")]
    pub day_check: Duration,
    /// The disk.
    pub storage: Storage,
    /// The access logs of nodes.
    pub audit: Audit,
    /// Contributions of nodes.
    pub intake: Intake,
    /// Directory of the procedures that run across agencies; none for those that come with the hub.
    pub procedures: Option<PathBuf>,
    /// Directory of the forms; none for those that come with the hub.
    pub forms: Option<PathBuf>,
    /// How often the hub looks whether a step of a case has become late, and for whose task it is.
    #[serde(with = "humantime_serde")]
    pub case_check: Duration,
    /// Logging.
    pub log: Log,
}

/// Where to listen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Nodes and remote operators, TLS.
    pub nodes: SocketAddr,
    /// Operators on this machine: a Unix socket.
    pub admin_socket: PathBuf,
    /// Monitoring, plain HTTP; none to have no such address.
    pub metrics: Option<SocketAddr>,
}

/// Lifetimes of certificates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Certificates {
    /// Of nodes.
    #[serde(with = "humantime_serde")]
    pub node_lifetime: Duration,
    /// Of the hub itself.
    #[serde(with = "humantime_serde")]
    pub hub_lifetime: Duration,
    /// Of operators.
    #[serde(with = "humantime_serde")]
    pub operator_lifetime: Duration,
}

/// Sync.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sync {
    /// Between two heartbeats of an idle stream.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
}

/// The access logs of nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// A connected node that has not handed in its log for so long raises an alarm.
    #[serde(with = "humantime_serde")]
    pub withheld_after: Duration,
    /// From when calls are odd.
    pub patterns: Thresholds,
}

impl Default for Audit {
    fn default() -> Audit {
        Audit { withheld_after: Duration::from_secs(15 * 60), patterns: Thresholds::default() }
    }
}

/// The disk.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Writing stops while less than this is free, MiB.
    pub reserve_mb: u64,
}

/// Contributions of nodes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Who may supply what; none for the table that comes with the hub.
    pub authority: Option<PathBuf>,
}

/// Logging.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// What to log, as `tracing` filters are written.
    pub filter: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

const DAY: u64 = 86_400;

impl Default for Config {
    fn default() -> Config {
        Config {
            data_dir: "/var/lib/dancu-hub".into(),
            listen: Listen::default(),
            names: Vec::new(),
            certificates: Certificates::default(),
            sync: Sync::default(),
            day_check: Duration::from_secs(20),
            procedures: None,
            forms: None,
            case_check: Duration::from_secs(60),
            storage: Storage::default(),
            audit: Audit::default(),
            intake: Intake::default(),
            log: Log::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            nodes: SocketAddr::from(([0, 0, 0, 0], 7400)),
            admin_socket: "/run/dancu/hub.sock".into(),
            metrics: None,
        }
    }
}

impl Default for Certificates {
    fn default() -> Certificates {
        Certificates {
            node_lifetime: Duration::from_secs(90 * DAY),
            hub_lifetime: Duration::from_secs(90 * DAY),
            operator_lifetime: Duration::from_secs(365 * DAY),
        }
    }
}

impl Default for Sync {
    fn default() -> Sync {
        Sync { heartbeat: Duration::from_secs(10) }
    }
}

impl Default for Storage {
    fn default() -> Storage {
        Storage { reserve_mb: 256 }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Text, filter: "info".into() }
    }
}

impl Config {
    /// Reads a file, or the default one if it is there, and the environment.
    ///
    /// # Errors
    /// If the file is missing, or a key is unknown or has a value of another kind.
    pub fn load(file: Option<&Path>) -> Result<Config, config::ConfigError> {
        let source = match file {
            Some(path) => config::File::from(path).required(true),
            None => config::File::from(Path::new(DEFAULT_FILE)).required(false),
        };
        let environment = config::Environment::with_prefix("DANCU_HUB")
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true);
        config::Config::builder()
            .add_source(source.format(config::FileFormat::Toml))
            .add_source(environment)
            .build()?
            .try_deserialize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_good_and_a_misspelt_key_is_not() {
        // Asked at run time: a build may be shared by several copies of the tree.
        let example = format!("{}/../deploy/config/hub.toml", std::env::var("CARGO_MANIFEST_DIR").unwrap());
        let config = Config::load(Some(Path::new(&example))).unwrap();
        assert_eq!(config.listen.nodes.port(), 7400);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hub.toml");
        std::fs::write(&file, "data_dirr = \"/x\"").unwrap();
        assert!(Config::load(Some(&file)).unwrap_err().to_string().contains("data_dirr"));
    }
}
