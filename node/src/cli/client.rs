//! The back-ends that may call, managed at a terminal. The running node notices by itself.

use std::{fs, path::PathBuf};

use clap::{Args, Subcommand};
use dancu_proto::channel::file;
use time::{Duration, OffsetDateTime};

use super::{failure::Failure, print};
use crate::{
    callers::{CallersFile, Entry, RosterError, authority::Authority},
    config::Config,
};

/// `client`
#[derive(Debug, Subcommand)]
pub(super) enum Client {
    /// Make a key and certificate for a back-end, and let it call for its purposes
    Add(Add),
    /// List the back-ends that may call
    List(List),
}

/// `client add`
#[derive(Debug, Args)]
pub(super) struct Add {
    /// Name of the back-end
    #[arg(long)]
    name: String,
    /// The purposes it is bound to, separated by commas; `*` for all
    #[arg(long, value_delimiter = ',', required = true)]
    purposes: Vec<String>,
    /// Where the files are put [default: clients/NAME in the agency's directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many days the certificate is good for
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=1095))]
    days: u16,
}

/// `client list`
#[derive(Debug, Args)]
pub(super) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Client {
    pub(super) fn run(&self, config: &Config) -> Result<(), Failure> {
        match self {
            Client::Add(add) => add.run(config),
            Client::List(list) => list.run(config),
        }
    }
}

impl Add {
    fn run(&self, config: &Config) -> Result<(), Failure> {
        if !self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            || self.name.starts_with('.')
            || self.name.is_empty()
            || self.name.len() > 64
        {
            let fault = "a name has 1 to 64 letters, digits, hyphens, dots and underscores";
            return Err(Failure::Usage(format!("--name {:?}: {fault}", self.name)));
        }
        let agency = config.agency_dir();
        let callers = CallersFile::of(&agency);
        let taken = callers.entries()?.iter().chain(&config.callers).any(|entry| entry.name == self.name);
        if taken {
            return Err(RosterError::Exists(self.name.clone()).into());
        }
        let now = OffsetDateTime::now_utc();
        let authority = Authority::open_or_create(&agency, now)?;
        let issued = authority.caller(&self.name, now, Duration::days(self.days.into()))?;
        let out = self.out.clone().unwrap_or_else(|| agency.join("clients").join(&self.name));
        fs::create_dir_all(&out).map_err(|source| Failure::File { path: out.clone(), source })?;
        for (name, content, mode) in [
            ("client.key", issued.key_pem(), file::SECRET),
            ("client.crt", issued.certificate_pem.clone(), file::PUBLIC),
            ("authority.crt", authority.certificate_pem().to_owned(), file::PUBLIC),
        ] {
            let path = out.join(name);
            file::replace(&path, content.as_bytes(), mode)
                .map_err(|source| Failure::File { path, source })?;
        }
        // Last, so that a caller who is listed has the files.
        callers.add(Entry {
            name: self.name.clone(),
            certificate_sha256: Some(issued.sha256()),
            purposes: self.purposes.clone(),
            ..Entry::default()
        })?;
        print::line(format_args!(
            "{} may call for {}; certificate, key and the node's authority are in {}",
            self.name,
            self.purposes.join(", "),
            out.display(),
        ))
    }
}

impl List {
    fn run(&self, config: &Config) -> Result<(), Failure> {
        let added = CallersFile::of(&config.agency_dir()).entries()?;
        let entries: Vec<Entry> = config.callers.iter().cloned().chain(added).collect();
        if self.json {
            return print::json(&serde_json::to_value(&entries)?);
        }
        if entries.is_empty() {
            return print::line("no back-end may call; add one with `dancu-node client add`");
        }
        let known_by =
            |entry: &Entry| match (&entry.certificate_sha256, &entry.certificate_subject, entry.unix_uid) {
                (Some(sha256), ..) => format!("certificate {}", sha256.chars().take(16).collect::<String>()),
                (_, Some(subject), _) => format!("certificate of {subject}"),
                (.., Some(uid)) => format!("Unix user {uid}"),
                _ => String::new(),
            };
        let rows: Vec<_> = entries
            .iter()
            .map(|entry| vec![entry.name.clone(), known_by(entry), entry.purposes.join(", ")])
            .collect();
        print::table(&["Name", "Known by", "Purposes"], rows)
    }
}

#[cfg(test)]
mod tests {
    use dancu_proto::channel::{Peer, PeerCertificate, SwappableIdentity, identity::certificates_from_pem};

    use super::*;
    use crate::callers::Roster;

    fn add(name: &str) -> Add {
        Add { name: name.into(), purposes: vec!["1.001193".into()], out: None, days: 30 }
    }

    #[test]
    fn a_client_added_is_known_by_its_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
        add("portal").run(&config).unwrap();
        let files = config.agency_dir().join("clients/portal");
        let read = |name: &str| fs::read(files.join(name)).unwrap();
        let identity = SwappableIdentity::from_pem(&read("client.crt"), &read("client.key")).unwrap();
        certificates_from_pem(&read("authority.crt")).unwrap();
        let roster = Roster::load(&[], CallersFile::of(&config.agency_dir())).unwrap();
        let certificate = PeerCertificate::read(identity.chain()).unwrap();
        let peer = Peer { certificate: Some(certificate.into()), ..Peer::default() };
        let caller = roster.identify(&peer, OffsetDateTime::now_utc()).unwrap();
        assert_eq!(caller.name, "portal");
        assert!(caller.purposes.contain("1.001193") && !caller.purposes.contain("other"));
        let later = OffsetDateTime::now_utc() + Duration::days(31);
        assert!(roster.identify(&peer, later).is_err());
    }

    #[test]
    fn a_name_is_given_once_and_is_no_path() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
        add("portal").run(&config).unwrap();
        assert!(matches!(add("portal").run(&config), Err(Failure::Callers(RosterError::Exists(_)))));
        for name in ["", "../x", ".x", "a b"] {
            assert!(matches!(add(name).run(&config), Err(Failure::Usage(_))), "{name}");
        }
    }
}
